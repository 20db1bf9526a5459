//! At what pace connections are opened.

/// Opens a number of connections, flat out or at a rate, with a bound on how many are under way.
#[derive(Debug)]
pub(crate) struct Ramp {
    /// Still to be begun.
    remaining: u64,
    /// Between two of them; 0 is flat out.
    interval_ns: f64,
    /// When the next one is due.
    next_ns: f64,
    /// Begun and neither open nor failed.
    under_way: usize,
    under_way_max: usize,
}

impl Ramp {
    pub(crate) fn new(under_way_max: usize) -> Self {
        let under_way_max = under_way_max.max(1);
        Self { remaining: 0, interval_ns: 0.0, next_ns: 0.0, under_way: 0, under_way_max }
    }

    /// Opens `count` more from now on; `per_second` 0 is flat out.
    pub(crate) fn open(&mut self, count: u64, per_second: f64, now_ns: u64) {
        self.remaining += count;
        self.interval_ns = if per_second > 0.0 { 1e9 / per_second } else { 0.0 };
        self.next_ns = now_ns as f64;
    }

    /// Begins no more.
    pub(crate) fn stop(&mut self) {
        self.remaining = 0;
    }

    /// If one is to be begun now: the time at which it was meant to be.
    pub(crate) fn begin(&mut self, now_ns: u64) -> Option<u64> {
        let is_free = self.remaining > 0 && self.under_way < self.under_way_max;
        if !is_free || self.next_ns > now_ns as f64 {
            return None;
        }
        let intended = if self.interval_ns > 0.0 { self.next_ns as u64 } else { now_ns };
        self.next_ns += self.interval_ns;
        self.remaining -= 1;
        self.under_way += 1;
        Some(intended)
    }

    /// One more is begun, of those that come back; false if as many are under way as may be.
    pub(crate) fn add(&mut self) -> bool {
        let is_free = self.under_way < self.under_way_max;
        self.under_way += usize::from(is_free);
        is_free
    }

    /// One that was under way is open or has failed.
    pub(crate) fn settled(&mut self) {
        assert!(self.under_way > 0, "it was begun");
        self.under_way -= 1;
    }

    /// When [`Ramp::begin`] is worth asking again; `u64::MAX` if others must settle before.
    pub(crate) fn due_ns(&self) -> u64 {
        let is_free = self.remaining > 0 && self.under_way < self.under_way_max;
        if is_free { self.next_ns as u64 } else { u64::MAX }
    }

    /// Still to be begun, or under way.
    pub(crate) fn unfinished(&self) -> u64 {
        self.remaining + self.under_way as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_out_is_bounded_by_what_is_under_way() {
        let mut ramp = Ramp::new(2);
        ramp.open(3, 0.0, 10);
        assert_eq!((ramp.begin(10), ramp.begin(11), ramp.begin(12)), (Some(10), Some(11), None));
        assert_eq!(ramp.due_ns(), u64::MAX);
        ramp.settled();
        assert_eq!(ramp.begin(20), Some(20));
        ramp.settled();
        assert_eq!((ramp.begin(21), ramp.unfinished()), (None, 1));
    }

    #[test]
    fn a_late_one_keeps_its_intended_time() {
        let mut ramp = Ramp::new(1);
        ramp.open(3, 1000.0, 0);
        assert_eq!(ramp.begin(0), Some(0));
        assert_eq!(ramp.begin(5_000_000), None);
        ramp.settled();
        assert_eq!(ramp.begin(5_000_000), Some(1_000_000));
        ramp.settled();
        assert_eq!(ramp.begin(5_000_000), Some(2_000_000));
    }
}
