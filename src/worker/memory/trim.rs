//! What a burst has left: memory is given back when it was not needed for a while.

use std::time::{Duration, Instant};

use crate::driver::{Driver, Wake};
use crate::limits::{BURST_OVER, TRIM_INTERVAL};
use crate::protocol::Protocols;
use crate::worker::Worker;
use crate::worker::core::Core;

/// Connections that the lists of a turn have room for even after a quiet second.
const LISTED_KEPT: usize = 1024;

/// From one trial to the next where connections in high slots keep a table large.
const SPARSE_PAUSE: Duration = Duration::from_secs(60);

/// When what is looked through that may not be needed any more.
#[derive(Debug, Default)]
pub(crate) struct Trimming {
    /// Pooled memory, if there is any.
    pub(crate) at: Option<Instant>,
    /// When a burst counts as over: pools spilled, so memory was freed all over the heap.
    burst_ends_at: Option<Instant>,
    /// When tables with far more slots than connections are trimmed.
    sparse_ends_at: Option<Instant>,
}

/// The last step of a turn.
pub(crate) fn trim<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    if trim_parts(&mut worker.core) {
        worker.driver.trim();
        (worker.core.parts.config().on_burst_freed)();
    }
}

/// Frees pooled memory that is not needed any more, so that a burst leaves nothing behind.
/// True if a burst is over, so that memory comes free all over the heap.
fn trim_parts<W: Wake, L: Protocols>(core: &mut Core<W, L>) -> bool {
    match core.parts.memory.trimming.at {
        Some(at) if at <= core.parts.clock.now => {
            let is_left = core.parts.out.pool.trim()
                | core.parts.codecs.scratch.trim()
                | core.parts.hub.trim();
            let is_over = end_burst(core) | end_sparse(core);
            let must_look = is_left
                || core.parts.memory.trimming.burst_ends_at.is_some()
                || core.parts.memory.trimming.sparse_ends_at.is_some();
            core.parts.memory.trimming.at = must_look.then(|| core.parts.clock.now + TRIM_INTERVAL);
            is_over
        }
        None if !is_trimmed(core) => {
            core.parts.memory.trimming.at = Some(core.parts.clock.now + TRIM_INTERVAL);
            false
        }
        _ => false,
    }
}

fn is_trimmed<W: Wake, L: Protocols>(core: &Core<W, L>) -> bool {
    core.parts.out.pool.is_empty()
        && core.parts.codecs.scratch.is_empty()
        && core.parts.hub.is_trimmed()
        && core.parts.out.touched.capacity() <= LISTED_KEPT
        && !core.table.is_sparse()
}

/// A burst is more than pools keep, or more connections in one turn than lists do.
fn end_burst<W: Wake, L: Protocols>(core: &mut Core<W, L>) -> bool {
    let was_crowded = core.parts.out.touched.capacity() > LISTED_KEPT;
    core.parts.out.touched.shrink_to(LISTED_KEPT);
    if core.parts.out.pool.take_spilled() | core.parts.codecs.scratch.take_spilled() | was_crowded {
        core.parts.memory.trimming.burst_ends_at = Some(core.parts.clock.now + BURST_OVER);
        return false;
    }
    let is_over = core
        .parts
        .memory
        .trimming
        .burst_ends_at
        .take_if(|at| *at <= core.parts.clock.now)
        .is_some();
    if is_over {
        trim_lists(core);
    }
    is_over
}

/// Trims what has an entry for each connection, if there were many more for a while.
fn end_sparse<W: Wake, L: Protocols>(core: &mut Core<W, L>) -> bool {
    if !core.table.is_sparse() {
        core.parts.memory.trimming.sparse_ends_at = None;
        return false;
    }
    let ends_at =
        *core.parts.memory.trimming.sparse_ends_at.get_or_insert(core.parts.clock.now + BURST_OVER);
    if ends_at > core.parts.clock.now {
        return false;
    }
    let before = core.table.end();
    core.table.trim();
    core.parts.admission.limits.trim(core.table.end());
    core.parts.admission.clients.trim(core.table.end());
    core.parts.life.cohorts.trim();
    core.parts.hub.trim_tables();
    trim_lists(core);
    // Where one in a high slot stays, the rest has to wait until it has gone.
    let has_shrunk = core.table.end() < before;
    let pause = if has_shrunk { BURST_OVER } else { SPARSE_PAUSE };
    core.parts.memory.trimming.sparse_ends_at =
        core.table.is_sparse().then(|| core.parts.clock.now + pause);
    has_shrunk
}

fn trim_lists<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    core.parts.out.dropped.shrink_to(LISTED_KEPT);
    core.parts.stalls.waiting.shrink_to(LISTED_KEPT);
    core.parts.stalls.held.shrink_to(LISTED_KEPT);
    core.parts.life.trim(LISTED_KEPT);
    core.parts.said.asks.trim(LISTED_KEPT);
}
