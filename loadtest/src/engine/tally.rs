//! What happened to the connections of a thread, by kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::measure::histogram::Latencies;

/// Kinds of errors that are told apart; those beyond are counted as one kind.
const KINDS_MAX: usize = 64;

/// What one thread, or all together, have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Connections that were begun.
    pub(crate) begun: u64,
    /// Connections that were open.
    pub(crate) opened: u64,
    /// Connections that never opened.
    pub(crate) failed: u64,
    /// Connections that ended although we did not close them.
    pub(crate) lost: u64,
    /// Close frames that we sent first.
    pub(crate) closes: u64,
    /// Those that the server answered with its own.
    pub(crate) closes_answered: u64,
    /// Pings that were answered.
    pub(crate) pings: u64,
    /// Messages that carry no stamp, and for which no reply was given.
    pub(crate) unknown: u64,
    pub(crate) received_bytes: u64,
    /// Errors by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From the intended begin to the end of the handshake.
    pub(crate) connect: Latencies,
}

/// The counts of one thread that others look at while it runs.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) opening: AtomicU64,
    pub(crate) open: AtomicU64,
    /// Left by us with a close frame, and not ended.
    pub(crate) closing: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) pings: AtomicU64,
    /// What the scenario counts: messages that came.
    pub(crate) messages: AtomicU64,
    /// Messages that were sent.
    pub(crate) sent: AtomicU64,
}

/// The sum of what all threads have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LiveCounts {
    pub(crate) opening: u64,
    pub(crate) open: u64,
    pub(crate) closing: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) pings: u64,
    pub(crate) messages: u64,
    pub(crate) sent: u64,
}

impl Tally {
    pub(crate) fn count_error(&mut self, kind: &str) {
        let is_known = self.errors.contains_key(kind) || self.errors.len() < KINDS_MAX;
        let kind = if is_known { kind } else { "other errors" };
        if let Some(count) = self.errors.get_mut(kind) {
            *count += 1;
        } else {
            self.errors.insert(kind.to_owned(), 1);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.opened += other.opened;
        self.failed += other.failed;
        self.lost += other.lost;
        self.closes += other.closes;
        self.closes_answered += other.closes_answered;
        self.pings += other.pings;
        self.unknown += other.unknown;
        self.received_bytes += other.received_bytes;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        self.connect.add(&other.connect);
    }
}

impl LiveCounts {
    pub(crate) fn sum<'a>(lives: impl Iterator<Item = &'a Live>) -> Self {
        let mut sum = Self::default();
        for live in lives {
            let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
            sum.opening += get(&live.opening);
            sum.open += get(&live.open);
            sum.closing += get(&live.closing);
            sum.opened += get(&live.opened);
            sum.failed += get(&live.failed);
            sum.lost += get(&live.lost);
            sum.pings += get(&live.pings);
            sum.messages += get(&live.messages);
            sum.sent += get(&live.sent);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_kind_and_bounded() {
        let mut tally = Tally::default();
        for kind in 0..1000 {
            tally.count_error(&format!("kind {}", kind % 200));
        }
        assert_eq!(tally.errors["kind 3"], 5);
        assert!(tally.errors.len() <= KINDS_MAX + 1);
        assert_eq!(tally.errors.values().sum::<u64>(), 1000);
        let mut sum = tally.clone();
        sum.add(&tally);
        assert_eq!(sum.errors["kind 3"], 10);
    }
}
