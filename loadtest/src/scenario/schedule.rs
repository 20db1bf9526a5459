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
    at_once: u32,
}

impl Schedule {
    /// All open clients of a thread, from now on.
    pub(crate) fn new(net: &Net, interval_ns: f64) -> Self {
        let due_ns = net.clock.now_ns() as f64;
        Self { keys: net.open_keys(), next: 0, due_ns, interval_ns, at_once: 0 }
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
                let intended_ns = self.due_ns as u64;
                self.due_ns += self.interval_ns;
                return Ok((key, intended_ns));
            }
        }
        Err(u64::MAX)
    }
}
