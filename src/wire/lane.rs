//! What may be done with the runs of one topic while they wait for somebody who does not keep up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Policy;

/// The policy and the bound of a topic that has others than the default: all its runs hold it, so
/// that a queue knows of each of its parts what may be done with it. Only a reload changes it.
#[derive(Debug)]
pub struct Lane {
    /// The bound in bytes, and the policy in the two lowest bits.
    rule: AtomicU64,
    /// Messages that somebody did not get.
    dropped: AtomicU64,
}

const POLICY_BITS: u32 = 2;

impl Lane {
    /// With this bound in bytes of memory, for each subscriber.
    #[must_use]
    pub fn new(policy: Policy, bound: usize) -> Self {
        let lane = Self { rule: AtomicU64::new(0), dropped: AtomicU64::new(0) };
        lane.set(policy, bound);
        lane
    }

    /// Other options hold from here on.
    pub fn set(&self, policy: Policy, bound: usize) {
        let bound = (bound as u64).min(u64::MAX >> POLICY_BITS);
        self.rule.store(bound << POLICY_BITS | policy as u64, Ordering::Relaxed);
    }

    /// The policy, and the bound in bytes.
    #[must_use]
    pub fn rule(&self) -> (Policy, usize) {
        let rule = self.rule.load(Ordering::Relaxed);
        let policy = Policy::ALL[(rule & ((1 << POLICY_BITS) - 1)) as usize];
        (policy, (rule >> POLICY_BITS) as usize)
    }

    /// Counts messages that were dropped for one subscriber.
    pub fn note_dropped(&self, messages: usize) {
        self.dropped.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Messages that were dropped, each as often as somebody did not get it.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_says_what_was_set_last() {
        let lane = Lane::new(Policy::Latest, 7);
        assert_eq!(lane.rule(), (Policy::Latest, 7));
        for (policy, bound) in [(Policy::Disconnect, 0), (Policy::DropOldest, usize::MAX >> 2)] {
            lane.set(policy, bound);
            assert_eq!(lane.rule(), (policy, bound));
        }
        lane.note_dropped(2);
        lane.note_dropped(3);
        assert_eq!(lane.dropped(), 5);
    }
}
