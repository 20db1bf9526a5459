//! How many connections the descriptor limits allow, and how many descriptors connections need.

use crate::limits::REFUSALS_MAX;

/// Descriptors that a worker needs beside its connections, wakers and listeners: standard streams,
/// poll or ring, those over the limit that are told so, and some that come and go.
const DESCRIPTORS_BESIDE: usize = 3 + 1 + REFUSALS_MAX + 8;

/// Threads of a server that is not told how many: one for each CPU that it may run on.
#[must_use]
pub fn default_workers() -> usize {
    core_affinity::get_core_ids().map_or(1, |cpus| cpus.len().max(1))
}

/// Descriptors of one worker's table that no connection can have.
#[must_use]
pub fn descriptors_beside(workers: usize, listeners: usize) -> usize {
    DESCRIPTORS_BESIDE + workers + listeners
}

/// Connections of one worker whose table may hold `limit` descriptors.
#[must_use]
pub fn connections_per_worker(limit: usize, workers: usize, listeners: usize) -> usize {
    limit.saturating_sub(descriptors_beside(workers, listeners))
}
