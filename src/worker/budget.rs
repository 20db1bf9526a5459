//! What a turn may cost: every loop of a turn pays, so that none keeps the others waiting.
//!
//! A turn has five phases ([`Phase`]), each with a share of its own and, but for deliveries, what
//! those before it have left over; what one overspends is not taken from the next. What finds its
//! phase spent stays where it is and comes first in the next turn; ARCHITECTURE.md has the table of
//! costs.

/// What is left of a phase, in units of about a nanosecond.
#[derive(Debug)]
pub(super) struct Budget {
    /// Of each phase.
    shares: [i64; PHASES],
    left: i64,
    /// What was left when the phase began.
    began_with: i64,
    /// What the phases before have paid.
    paid: i64,
    /// What is kept while one connection has its turn.
    kept: i64,
}

/// The phases of a turn, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections that were stopped in the middle of what they had sent.
    Held,
    /// What the driver brings.
    Input,
    /// Deadlines and pings.
    Timers,
    /// Mail and deliveries.
    Delivery,
    /// The end of who is told that the server stops, behind what is delivered.
    Goodbye,
}

const PHASES: usize = 5;

/// The shares of the phases, in sixteenths of a turn.
const SHARES: [i64; PHASES] = [4, 4, 2, 5, 1];

impl Budget {
    /// For turns of so many units.
    pub(super) fn new(size: u32) -> Self {
        let shares = SHARES.map(|share| i64::from(size) * share / 16);
        Self { shares, left: 0, began_with: 0, paid: 0, kept: 0 }
    }

    /// Begins a turn, in its first phase.
    pub(super) fn begin(&mut self) {
        (self.left, self.began_with, self.paid) = (0, 0, 0);
        self.enter(Phase::Held);
    }

    /// Begins a phase.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.paid += self.began_with - self.left;
        // The driver tells of a send that is done as of anything else: with many more deliveries in
        // a turn than that, what clients send would wait behind them.
        let left_over = if phase == Phase::Delivery { 0 } else { self.left.max(0) };
        self.left = self.shares[phase as usize] + left_over;
        self.began_with = self.left;
    }

    /// Lets one connection spend so much of the phase at most.
    pub(super) fn begin_visit(&mut self, cost: usize) {
        self.kept = (self.left - cost as i64).max(0);
    }

    /// The others have the rest again.
    pub(super) fn end_visit(&mut self) {
        self.kept = 0;
    }

    /// Pays for something that was done. The last item of a phase may cost more than is left.
    #[inline]
    pub(super) fn pay(&mut self, cost: usize) {
        self.left -= cost as i64;
    }

    /// Whether the phase has nothing left.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.left <= self.kept
    }

    /// As `is_spent`, where it is nobody's visit: asked behind each receive, it reads one word
    /// less.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.left <= 0
    }

    /// What the turn has cost so far.
    pub(super) fn work(&self) -> u64 {
        (self.paid + self.began_with - self.left) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_share_and_what_is_left_over() {
        let mut budget = Budget::new(1600);
        budget.begin();
        let mut spend = |phase, expected: i64, cost| {
            budget.enter(phase);
            assert_eq!(budget.left, expected, "{phase:?}");
            budget.pay(cost);
            assert_eq!(budget.is_spent(), cost as i64 >= expected);
            budget.work()
        };
        spend(Phase::Input, 400 + 400, 700);
        spend(Phase::Timers, 200 + 100, 1000);
        assert_eq!(spend(Phase::Delivery, 500, 100), 1800, "what was overspent is not taken");
        budget.begin();
        assert_eq!((budget.left, budget.work()), (400, 0));
    }

    #[test]
    fn a_visit_leaves_the_rest_to_others() {
        let mut budget = Budget::new(1600);
        budget.begin();
        budget.begin_visit(100);
        budget.pay(99);
        assert!(!budget.is_spent());
        budget.pay(1);
        assert!(budget.is_spent());
        budget.end_visit();
        assert!(!budget.is_spent());
        budget.begin_visit(1000);
        budget.pay(300);
        assert!(budget.is_spent(), "no more than there is");
    }
}
