//! Deadlines of connections: a wheel of ticks, each with the connections that are due then.
//!
//! Entries are never taken out early: a connection knows its own deadline, and an entry that no
//! longer agrees with it means nothing.

use std::time::{Duration, Instant};

use crate::id::ConnId;
use crate::limits::TIMER_TICK;

/// A moment, in ticks since the worker began; 0 is never.
pub(super) type Tick = u32;

const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;

#[derive(Debug)]
pub(super) struct Timers {
    start: Instant,
    slots: Vec<Vec<(ConnId, Tick)>>,
    /// A bit for each slot that holds anything.
    filled: [u64; WORDS],
    /// Everything up to this tick was given out.
    done: Tick,
}

impl Timers {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, slots: vec![Vec::new(); SLOTS], filled: [0; WORDS], done: 0 }
    }

    /// The tick that a moment lies in.
    pub(super) fn tick(&self, now: Instant) -> Tick {
        let ticks = now.saturating_duration_since(self.start).as_nanos() / TIMER_TICK.as_nanos();
        ticks as Tick + 1
    }

    /// The first tick that lies wholly behind `now + delay`.
    pub(super) fn tick_after(&self, now: Instant, delay: Duration) -> Tick {
        self.tick(now + delay) + 1
    }

    /// Enters a connection that is due at a tick.
    pub(super) fn enter(&mut self, conn: ConnId, due: Tick) {
        self.put(conn, due.max(self.done + 1), self.done);
    }

    /// A span of time in whole ticks.
    pub(super) fn ticks(&self, span: Duration) -> Tick {
        span.as_nanos().div_ceil(TIMER_TICK.as_nanos()) as Tick
    }

    /// Takes what is due.
    pub(super) fn expire(&mut self, now: Instant, due: &mut Vec<(ConnId, Tick)>) {
        let now = self.tick(now);
        let last = now.min(self.done.saturating_add(SLOTS as Tick));
        for tick in self.done + 1..=last {
            self.take(tick, now, due);
        }
        self.done = now;
    }

    /// How long nothing will be due.
    pub(super) fn until_next(&self, now: Instant) -> Option<Duration> {
        let next = self.next_filled()?;
        let at = self.start + TIMER_TICK * (next - 1);
        Some(at.saturating_duration_since(now))
    }

    /// What lies beyond the wheel goes to its far end and is put again from there.
    fn put(&mut self, conn: ConnId, due: Tick, now: Tick) {
        let slot = due.min(now + SLOTS as Tick) as usize % SLOTS;
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.slots[slot].push((conn, due));
    }

    fn take(&mut self, tick: Tick, now: Tick, due: &mut Vec<(ConnId, Tick)>) {
        let slot = tick as usize % SLOTS;
        if self.slots[slot].is_empty() {
            return;
        }
        self.filled[slot / 64] &= !(1 << (slot % 64));
        // The memory of a slot is given back: a rush of connects would leave all of them large.
        for (conn, at) in std::mem::take(&mut self.slots[slot]) {
            if at <= now { due.push((conn, at)) } else { self.put(conn, at, now) }
        }
    }

    fn next_filled(&self) -> Option<Tick> {
        let first = self.done + 1;
        let start = first as usize % SLOTS;
        // From the slot of the next tick to the end, then from the beginning.
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.filled[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == WORDS {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                return Some(first + ((slot + SLOTS - start) % SLOTS) as Tick);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 0 }
    }

    #[test]
    fn deadlines_come_in_time_and_in_order() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        assert_eq!(timers.until_next(start), None);
        let delays = [0, 1, 19, 20, 21, 500, 9_999, 20_480, 20_500, 45_000, 3_600_000];
        for (index, delay) in delays.into_iter().enumerate() {
            let due = timers.tick_after(start, Duration::from_millis(delay));
            timers.enter(conn(index as u32), due);
        }
        let (mut now, mut seen) = (start, Vec::new());
        while let Some(wait) = timers.until_next(now) {
            now += wait;
            let mut due = Vec::new();
            timers.expire(now, &mut due);
            for (conn, _) in due {
                let delay = Duration::from_millis(delays[conn.index as usize]);
                let late = (now - start).checked_sub(delay).expect("never early");
                assert!(late <= TIMER_TICK * 2, "{conn:?} is {late:?} late");
                seen.push(conn.index as usize);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..delays.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        for index in 0..2000 {
            let due = timers.tick_after(start, Duration::from_millis(u64::from(index) * 37));
            timers.enter(conn(index), due);
        }
        let mut due = Vec::new();
        for hours in 1..4 {
            timers.expire(start + Duration::from_secs(3600 * hours), &mut due);
        }
        assert_eq!(due.len(), 2000);
        assert_eq!(timers.until_next(start), None);
    }
}
