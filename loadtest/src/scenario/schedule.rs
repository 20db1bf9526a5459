//! Who of a thread's clients sends next, and when it was meant to.

use crate::engine::Net;

/// How long to wait when a client's writes are stuck.
const CHOKED_WAIT_NS: u64 = 1_000_000;

/// Sends between two looks at what has come: a schedule that is behind leaves room for the rest.
const AT_ONCE_MAX: u32 = 256;

/// Clients that send one after the other, by the clock: an open loop. What cannot be sent now keeps
/// its intended time, so a stop of the server shows in every latency that it has delayed.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    keys: Vec<usize>,
    next: usize,
    due_ns: f64,
    interval_ns: f64,
    /// Sends that are meant at the same time.
    burst: u32,
    /// Of a burst, those that have left.
    burst_sent: u32,
    at_once: u32,
}

impl Schedule {
    /// All open clients of a thread, from now on: one after each interval, or `burst` of them after
    /// as many intervals.
    pub(crate) fn new(net: &Net, interval_ns: f64, burst: u32) -> Self {
        let due_ns = net.clock.now_ns() as f64;
        Self { keys: net.open_keys(), due_ns, interval_ns, burst, ..Self::default() }
    }

    /// A client and the time at which it was meant to send, if one is due; else when to ask again,
    /// which is at once after many in a row.
    pub(crate) fn next(&mut self, net: &Net) -> Result<(usize, u64), u64> {
        let now = net.clock.now_ns();
        if self.due_ns > now as f64 || self.at_once == AT_ONCE_MAX {
            self.at_once = 0;
            return Err(self.due_ns as u64);
        }
        self.at_once += 1;
        for _ in 0..self.keys.len() {
            let key = self.keys[self.next];
            if net.is_choked(key) {
                return Err(now + CHOKED_WAIT_NS);
            }
            self.next = (self.next + 1) % self.keys.len();
            if net.is_open(key) {
                return Ok((key, self.take_due()));
            }
        }
        Err(u64::MAX)
    }

    /// Sends that are due and have not left.
    pub(crate) fn overdue(&self, net: &Net) -> u64 {
        let late_ns = net.clock.now_ns() as f64 - self.due_ns;
        if late_ns < 0.0 || self.keys.is_empty() {
            return 0;
        }
        let bursts = 1 + (late_ns / (self.interval_ns * f64::from(self.burst))) as u64;
        bursts * u64::from(self.burst) - u64::from(self.burst_sent)
    }

    /// When the send that is due was meant; the next one is due then.
    fn take_due(&mut self) -> u64 {
        let intended_ns = self.due_ns as u64;
        self.burst_sent += 1;
        if self.burst_sent == self.burst {
            self.burst_sent = 0;
            self.due_ns += self.interval_ns * f64::from(self.burst);
        }
        intended_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_burst_are_meant_at_one_time() {
        let mut schedule = Schedule { interval_ns: 10.0, burst: 3, ..Schedule::default() };
        let times: Vec<u64> = (0..7).map(|_| schedule.take_due()).collect();
        assert_eq!(times, [0, 0, 0, 30, 30, 30, 60]);
        let mut schedule = Schedule { interval_ns: 10.0, burst: 1, ..Schedule::default() };
        let times: Vec<u64> = (0..4).map(|_| schedule.take_due()).collect();
        assert_eq!(times, [0, 10, 20, 30]);
    }
}
