//! What a burst has left: memory is given back when it was not needed for a while.

use std::time::Duration;

use super::Worker;
use super::core::Core;
use crate::driver::{Driver, Wake};
use crate::limits::{BURST_OVER, TRIM_INTERVAL};

/// Connections that the lists of a turn have room for even after a quiet second.
const LISTED_KEPT: usize = 1024;

/// From one trial to the next where connections in high slots keep a table large.
const SPARSE_PAUSE: Duration = Duration::from_secs(60);

impl<D: Driver> Worker<D> {
    /// The last step of a turn.
    pub(super) fn trim(&mut self) {
        if self.core.trim() {
            self.driver.trim();
            (self.core.config().on_burst_freed)();
        }
    }
}

impl<W: Wake> Core<W> {
    /// Frees pooled memory that is not needed any more, so that a burst leaves nothing behind.
    /// True if a burst is over, so that memory comes free all over the heap.
    fn trim(&mut self) -> bool {
        match self.trim_at {
            Some(at) if at <= self.now => {
                let is_left = self.pool.trim() | self.scratch.trim() | self.hub.trim();
                let is_over = self.end_burst() | self.end_sparse();
                let must_look =
                    is_left || self.burst_ends_at.is_some() || self.sparse_ends_at.is_some();
                self.trim_at = must_look.then(|| self.now + TRIM_INTERVAL);
                is_over
            }
            None if !self.is_trimmed() => {
                self.trim_at = Some(self.now + TRIM_INTERVAL);
                false
            }
            _ => false,
        }
    }

    fn is_trimmed(&self) -> bool {
        self.pool.is_empty()
            && self.scratch.is_empty()
            && self.hub.is_trimmed()
            && self.touched.capacity() <= LISTED_KEPT
            && !self.table.is_sparse()
    }

    /// A burst is more than pools keep, or more connections in one turn than lists do.
    fn end_burst(&mut self) -> bool {
        let was_crowded = self.touched.capacity() > LISTED_KEPT;
        self.touched.shrink_to(LISTED_KEPT);
        if self.pool.take_spilled() | self.scratch.take_spilled() | was_crowded {
            self.burst_ends_at = Some(self.now + BURST_OVER);
            return false;
        }
        let is_over = self.burst_ends_at.take_if(|at| *at <= self.now).is_some();
        if is_over {
            self.trim_lists();
        }
        is_over
    }

    /// Trims what has an entry for each connection, if there were many more for a while.
    fn end_sparse(&mut self) -> bool {
        if !self.table.is_sparse() {
            self.sparse_ends_at = None;
            return false;
        }
        let ends_at = *self.sparse_ends_at.get_or_insert(self.now + BURST_OVER);
        if ends_at > self.now {
            return false;
        }
        let before = self.table.end();
        self.table.trim();
        self.cohorts.trim();
        self.hub.trim_tables();
        self.trim_lists();
        // Where one in a high slot stays, the rest has to wait until it has gone.
        let has_shrunk = self.table.end() < before;
        let pause = if has_shrunk { BURST_OVER } else { SPARSE_PAUSE };
        self.sparse_ends_at = self.table.is_sparse().then(|| self.now + pause);
        has_shrunk
    }

    fn trim_lists(&mut self) {
        self.waiting.shrink_to(LISTED_KEPT);
        self.held.shrink_to(LISTED_KEPT);
        self.due.shrink_to(LISTED_KEPT);
        self.suspects.shrink_to(LISTED_KEPT);
        self.slow.shrink_to(LISTED_KEPT);
        self.stuck.shrink_to(LISTED_KEPT);
        self.unfinished.trim();
    }
}
