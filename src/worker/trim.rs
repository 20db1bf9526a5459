//! What a burst has left: memory is given back when it was not needed for a while.

use std::time::{Duration, Instant};

use super::Worker;
use super::core::Core;
use crate::driver::{Driver, Wake};
use crate::limits::{BURST_OVER, TRIM_INTERVAL};
use crate::protocol::Protocols;

/// Connections that the lists of a turn have room for even after a quiet second.
const LISTED_KEPT: usize = 1024;

/// From one trial to the next where connections in high slots keep a table large.
const SPARSE_PAUSE: Duration = Duration::from_secs(60);

/// When what is looked through that may not be needed any more.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    /// Pooled memory, if there is any.
    pub(super) at: Option<Instant>,
    /// When a burst counts as over: pools spilled, so memory was freed all over the heap.
    burst_ends_at: Option<Instant>,
    /// When tables with far more slots than connections are trimmed.
    sparse_ends_at: Option<Instant>,
}

impl<D: Driver, L: Protocols> Worker<D, L> {
    /// The last step of a turn.
    pub(super) fn trim(&mut self) {
        if self.core.trim() {
            self.driver.trim();
            (self.core.parts.config().on_burst_freed)();
        }
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Frees pooled memory that is not needed any more, so that a burst leaves nothing behind.
    /// True if a burst is over, so that memory comes free all over the heap.
    fn trim(&mut self) -> bool {
        match self.parts.memory.trimming.at {
            Some(at) if at <= self.parts.clock.now => {
                let is_left = self.parts.out.pool.trim()
                    | self.parts.codecs.scratch.trim()
                    | self.parts.hub.trim();
                let is_over = self.end_burst() | self.end_sparse();
                let must_look = is_left
                    || self.parts.memory.trimming.burst_ends_at.is_some()
                    || self.parts.memory.trimming.sparse_ends_at.is_some();
                self.parts.memory.trimming.at =
                    must_look.then(|| self.parts.clock.now + TRIM_INTERVAL);
                is_over
            }
            None if !self.is_trimmed() => {
                self.parts.memory.trimming.at = Some(self.parts.clock.now + TRIM_INTERVAL);
                false
            }
            _ => false,
        }
    }

    fn is_trimmed(&self) -> bool {
        self.parts.out.pool.is_empty()
            && self.parts.codecs.scratch.is_empty()
            && self.parts.hub.is_trimmed()
            && self.parts.out.touched.capacity() <= LISTED_KEPT
            && !self.table.is_sparse()
    }

    /// A burst is more than pools keep, or more connections in one turn than lists do.
    fn end_burst(&mut self) -> bool {
        let was_crowded = self.parts.out.touched.capacity() > LISTED_KEPT;
        self.parts.out.touched.shrink_to(LISTED_KEPT);
        if self.parts.out.pool.take_spilled()
            | self.parts.codecs.scratch.take_spilled()
            | was_crowded
        {
            self.parts.memory.trimming.burst_ends_at = Some(self.parts.clock.now + BURST_OVER);
            return false;
        }
        let is_over = self
            .parts
            .memory
            .trimming
            .burst_ends_at
            .take_if(|at| *at <= self.parts.clock.now)
            .is_some();
        if is_over {
            self.trim_lists();
        }
        is_over
    }

    /// Trims what has an entry for each connection, if there were many more for a while.
    fn end_sparse(&mut self) -> bool {
        if !self.table.is_sparse() {
            self.parts.memory.trimming.sparse_ends_at = None;
            return false;
        }
        let ends_at = *self
            .parts
            .memory
            .trimming
            .sparse_ends_at
            .get_or_insert(self.parts.clock.now + BURST_OVER);
        if ends_at > self.parts.clock.now {
            return false;
        }
        let before = self.table.end();
        self.table.trim();
        self.parts.life.cohorts.trim();
        self.parts.hub.trim_tables();
        self.trim_lists();
        // Where one in a high slot stays, the rest has to wait until it has gone.
        let has_shrunk = self.table.end() < before;
        let pause = if has_shrunk { BURST_OVER } else { SPARSE_PAUSE };
        self.parts.memory.trimming.sparse_ends_at =
            self.table.is_sparse().then(|| self.parts.clock.now + pause);
        has_shrunk
    }

    fn trim_lists(&mut self) {
        self.parts.stalls.waiting.shrink_to(LISTED_KEPT);
        self.parts.stalls.held.shrink_to(LISTED_KEPT);
        self.parts.life.trim(LISTED_KEPT);
        self.parts.said.asks.trim(LISTED_KEPT);
    }
}
