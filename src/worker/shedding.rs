//! What goes first where the process is over its budget of memory: connections that hold much by
//! what waits for them, then the newest messages that are not finished. Who comes meanwhile gets a
//! 503.

use std::time::{Duration, Instant};

use super::Worker;
use super::core::Core;
use super::table::Link;
use crate::driver::{Driver, Outgoing, Wake};
use crate::limits::{CLOSE_COST, FRAME_COST, SHED_BYTES_MIN, SHED_LOOKS_PER_TURN, TRIM_INTERVAL};
use crate::protocol::Protocols;

/// How far the search has come.
#[derive(Debug, Default)]
pub(super) struct Shedding {
    /// Slots below were looked at in this pass.
    looked: u32,
    /// Connections that hold less are left alone in this pass. 0 if no search is under way.
    threshold: usize,
    /// The most that one of these holds.
    largest_left: usize,
    /// When the search goes on.
    at: Option<Instant>,
    /// When the log was told last.
    told: Option<Instant>,
}

/// From one part of the search to the next: what was ended gives its memory back meanwhile.
const PAUSE: Duration = Duration::from_millis(1);

/// From one line of the log to the next.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

impl Shedding {
    /// The next pass ends those who hold half of the most that is left, or more.
    fn end_pass(&mut self) {
        let largest = std::mem::take(&mut self.largest_left);
        self.looked = 0;
        let is_much = largest >= SHED_BYTES_MIN;
        self.threshold = if is_much { (largest / 2).max(SHED_BYTES_MIN) } else { 0 };
    }

    pub(super) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(now))
    }
}

impl<D: Driver, L: Protocols> Worker<D, L> {
    /// Ends who holds the most, as far as it is this worker's part of what is too much.
    pub(super) fn shed(&mut self) {
        let Some(mut goal) = self.core.begin_shedding() else { return };
        self.shed_what_waits(&mut goal);
        if self.core.parts.memory.shedding.threshold == 0 {
            self.core.shed_unfinished(&mut goal);
        }
        let pause = match (goal, self.core.parts.memory.shedding.threshold) {
            (0, _) => PAUSE,
            // Where nothing is left to end here, the others have it.
            (_, 0) => TRIM_INTERVAL,
            _ => Duration::ZERO,
        };
        self.core.parts.memory.shedding.at = Some(self.core.parts.clock.now + pause);
    }

    /// Goes on with the pass over the table, as far as a turn reaches.
    fn shed_what_waits(&mut self, goal: &mut usize) {
        let end = self.core.table.end();
        for _ in 0..SHED_LOOKS_PER_TURN {
            if *goal == 0 || self.core.parts.memory.shedding.looked >= end {
                break;
            }
            self.shed_at(self.core.parts.memory.shedding.looked, goal);
            self.core.parts.memory.shedding.looked += 1;
            if self.core.parts.is_spent() {
                break;
            }
        }
        if self.core.parts.memory.shedding.looked >= end {
            self.core.parts.memory.shedding.end_pass();
        }
    }

    fn shed_at(&mut self, index: u32, goal: &mut usize) {
        self.core.parts.budget.pay(FRAME_COST);
        let Some((conn, connection)) = self.core.table.at(index) else { return };
        if matches!(connection.link, Link::Closed) {
            return;
        }
        self.core
            .parts
            .budget
            .pay(connection.queue.as_ref().map_or(0, Outgoing::runs) * FRAME_COST);
        let held = connection.memory()
            + self.driver.sending(conn)
            + self.core.parts.said.asks.memory(conn);
        if held >= self.core.parts.memory.shedding.threshold {
            *goal = goal.saturating_sub(held);
            self.core.parts.budget.pay(CLOSE_COST);
            self.core.parts.counters.closed_memory.add(1);
            self.core.close_soon(conn);
        } else {
            let largest = &mut self.core.parts.memory.shedding.largest_left;
            *largest = held.max(*largest);
        }
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Bytes that are to be given back by this worker, if it is time to look for them.
    fn begin_shedding(&mut self) -> Option<usize> {
        if self.parts.memory.shedding.at.is_some_and(|at| at > self.parts.clock.now) {
            return None;
        }
        let Some(excess) = self.parts.shared.memory_excess() else {
            if self.parts.memory.shedding.at.is_some() {
                let told = self.parts.memory.shedding.told;
                self.parts.memory.shedding = Shedding { told, ..Shedding::default() };
            }
            return None;
        };
        if self.parts.memory.shedding.threshold == 0 {
            self.tell_shedding(excess);
            self.parts.memory.shedding.threshold =
                self.parts.config().max_backlog.max(SHED_BYTES_MIN);
        }
        Some(excess / self.parts.mail.workers() + 1)
    }

    fn tell_shedding(&mut self, excess: usize) {
        let is_recent = |at| self.parts.clock.now.saturating_duration_since(at) < TELL_INTERVAL;
        if !self.parts.memory.shedding.told.is_some_and(is_recent) {
            self.parts.memory.shedding.told = Some(self.parts.clock.now);
            tracing::warn!(
                "{excess} bytes over the budget of memory: connections are ended and refused \
                 (raise --memory, or lower --max-backlog or --max-message-size)"
            );
        }
    }
}
