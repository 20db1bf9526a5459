//! What goes first where the process is over its budget of memory: connections that hold much by
//! what waits for them, then the newest messages that are not finished. Who comes meanwhile gets a
//! 503.

use std::time::{Duration, Instant};

use crate::driver::{Driver, Outgoing, Wake};
use crate::limits::{CLOSE_COST, FRAME_COST, SHED_BYTES_MIN, SHED_LOOKS_PER_TURN, TRIM_INTERVAL};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::Worker;
use crate::worker::connection::Link;
use crate::worker::core::Core;
use crate::worker::life::{ending, reasons, unfinished};

/// How far the search has come.
#[derive(Debug, Default)]
pub(crate) struct Shedding {
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

    pub(crate) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(now))
    }
}

/// Ends who holds the most, as far as it is this worker's part of what is too much.
pub(crate) fn shed<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    let Some(mut goal) = begin_shedding(&mut worker.core) else { return };
    shed_what_waits(worker, &mut goal);
    if worker.core.parts.memory.shedding.threshold == 0 {
        unfinished::shed_unfinished(&mut worker.core, &mut goal);
    }
    let pause = match (goal, worker.core.parts.memory.shedding.threshold) {
        (0, _) => PAUSE,
        // Where nothing is left to end here, the others have it.
        (_, 0) => TRIM_INTERVAL,
        _ => Duration::ZERO,
    };
    worker.core.parts.memory.shedding.at = Some(worker.core.parts.clock.now + pause);
}

/// Goes on with the pass over the table, as far as a turn reaches.
fn shed_what_waits<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, goal: &mut usize) {
    let end = worker.core.table.end();
    for _ in 0..SHED_LOOKS_PER_TURN {
        if *goal == 0 || worker.core.parts.memory.shedding.looked >= end {
            break;
        }
        shed_at(worker, worker.core.parts.memory.shedding.looked, goal);
        worker.core.parts.memory.shedding.looked += 1;
        if worker.core.parts.is_spent() {
            break;
        }
    }
    if worker.core.parts.memory.shedding.looked >= end {
        worker.core.parts.memory.shedding.end_pass();
    }
}

fn shed_at<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, index: u32, goal: &mut usize) {
    worker.core.parts.budget.pay(FRAME_COST);
    let Some((conn, connection)) = worker.core.table.at(index) else { return };
    if matches!(connection.link, Link::Closed) {
        return;
    }
    worker.core.parts.budget.pay(connection.queue.as_ref().map_or(0, Outgoing::runs) * FRAME_COST);
    let held = connection.memory()
        + worker.driver.sending(conn)
        + worker.core.parts.said.asks.memory(conn);
    if held >= worker.core.parts.memory.shedding.threshold {
        *goal = goal.saturating_sub(held);
        worker.core.parts.budget.pay(CLOSE_COST);
        worker.core.parts.counters.closed_memory.add(1);
        reasons::note(&mut worker.core, conn, Ending::Memory, reasons::NO_CLOSE_FRAME);
        ending::close_soon(&mut worker.core, conn);
    } else {
        let largest = &mut worker.core.parts.memory.shedding.largest_left;
        *largest = held.max(*largest);
    }
}

/// Bytes that are to be given back by this worker, if it is time to look for them.
fn begin_shedding<W: Wake, L: Protocols>(core: &mut Core<W, L>) -> Option<usize> {
    if core.parts.memory.shedding.at.is_some_and(|at| at > core.parts.clock.now) {
        return None;
    }
    let Some(excess) = core.parts.shared.memory_excess() else {
        if core.parts.memory.shedding.at.is_some() {
            let told = core.parts.memory.shedding.told;
            core.parts.memory.shedding = Shedding { told, ..Shedding::default() };
        }
        return None;
    };
    if core.parts.memory.shedding.threshold == 0 {
        tell_shedding(core, excess);
        core.parts.memory.shedding.threshold = core.parts.config().max_backlog.max(SHED_BYTES_MIN);
    }
    Some(excess / core.parts.mail.workers() + 1)
}

fn tell_shedding<W: Wake, L: Protocols>(core: &mut Core<W, L>, excess: usize) {
    let is_recent = |at| core.parts.clock.now.saturating_duration_since(at) < TELL_INTERVAL;
    if !core.parts.memory.shedding.told.is_some_and(is_recent) {
        core.parts.memory.shedding.told = Some(core.parts.clock.now);
        tracing::warn!(
            "{excess} bytes over the budget of memory: connections are ended and refused \
             (raise --memory, or lower --max-backlog or --max-message-size)"
        );
    }
}
