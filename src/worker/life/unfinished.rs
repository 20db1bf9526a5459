//! Sessions in the middle of a message: what has come of it is memory, so the rest must come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{
    CLOSE_COST, FRAME_COST, MESSAGE_PROGRESS_BYTES, MESSAGE_TIMEOUT, QUESTION_COST, SHED_BYTES_MIN,
    TIMER_COST,
};
use crate::protocol::Protocols;
use crate::stats::{Ending, Refusal};
use crate::wire::CloseCode;
use crate::worker::clock;
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::ingress::{refusals, requests};
use crate::worker::life::{Question, closing};

/// In the order in which they will be looked at, which is that in which they began but for those
/// that have got on since: the newest are last. A session stands here once, and until it is looked
/// at, though its message may have ended long before.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    conn: ConnId,
    /// When it is looked at.
    at: Instant,
    /// Bytes of the message that had come.
    received: u64,
}

impl Unfinished {
    pub(crate) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|entry| entry.at.saturating_duration_since(now))
    }

    /// Takes a session off; gives how far the look at it is from now, and what had come.
    pub(crate) fn take(&mut self, conn: ConnId, now: Instant) -> Option<(i64, u64)> {
        let at = self.0.iter().position(|entry| entry.conn == conn)?;
        let Entry { at, received, .. } = self.0.remove(at)?;
        Some((clock::distance(at, now), received))
    }

    /// Puts a session on again, among those that are looked at when it is.
    pub(crate) fn put(&mut self, conn: ConnId, (distance, received): (i64, u64), now: Instant) {
        let at = clock::moment(now, distance);
        let place = self.0.partition_point(|entry| entry.at <= at);
        self.0.insert(place, Entry { conn, at, received });
    }

    /// Those that stand here, in their order.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = ConnId> {
        self.0.iter().map(|entry| entry.conn)
    }

    /// Frees memory that is not used.
    pub(crate) fn trim(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }
}

/// Ends sessions for their unfinished messages, the newest first, until so much memory is
/// freed. Small messages are left alone.
pub(crate) fn shed_unfinished<W: Wake, L: Protocols>(core: &mut Core<W, L>, goal: &mut usize) {
    let mut small = Vec::new();
    while *goal > 0 && !core.parts.is_spent() {
        let Some(entry) = core.parts.life.unfinished.0.pop_back() else { break };
        core.parts.budget.pay(FRAME_COST);
        match end_unfinished(core, entry.conn) {
            Some(memory) => *goal = goal.saturating_sub(memory),
            None => small.push(entry),
        }
    }
    core.parts.life.unfinished.0.extend(small.into_iter().rev());
}

/// Gives the memory that was ended; nothing if the message is small.
fn end_unfinished<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) -> Option<usize> {
    let Some(connection) = core.table.get_mut(conn) else { return Some(0) };
    let Link::WebSocket(session) = &connection.link else { return Some(0) };
    let memory = session.memory();
    if memory < SHED_BYTES_MIN {
        return None;
    }
    core.parts.counters.closed_memory.add(1);
    let code = CloseCode::TRY_AGAIN_LATER;
    closing::close_and_finish(core, conn, Ending::Memory, code, "server short of memory");
    Some(memory)
}

/// Notes that a session is in the middle of a message, if it is.
#[inline]
pub(crate) fn watch_unfinished<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    if let Some(connection) = core.table.get_mut(conn)
        && let Link::WebSocket(session) = &connection.link
        && let Some(received) = session.unfinished()
        && !connection.has(flag::UNFINISHED)
    {
        connection.set(flag::UNFINISHED);
        let at = core.parts.clock.now + MESSAGE_TIMEOUT;
        core.parts.life.unfinished.0.push_back(Entry { conn, at, received });
    }
}

/// What has come is not whole. Where the process is over its budget of memory, nothing grows.
pub(crate) fn judge_growing<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    held: usize,
) {
    if held < SHED_BYTES_MIN || core.parts.shared.memory_excess().is_none() {
        return watch_unfinished(core, conn);
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    if let Link::Http(_) = &connection.link {
        core.parts.counters.closed_memory.add(1);
        let response = refusals::unavailable(&core.parts, conn, Refusal::Memory);
        refusals::note(&core.parts, conn, &response, None);
        return requests::respond(core, conn, response, false);
    }
    end_unfinished(core, conn);
}

/// Looks at those whose time is over.
pub(crate) fn look_at_unfinished<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while core.parts.life.unfinished.0.front().is_some_and(|entry| entry.at <= core.parts.clock.now)
    {
        let Some(entry) = core.parts.life.unfinished.0.pop_front() else { return };
        core.parts.budget.pay(TIMER_COST);
        look_at_one(core, &entry);
        if core.parts.is_spent() {
            return;
        }
    }
}

fn look_at_one<W: Wake, L: Protocols>(core: &mut Core<W, L>, entry: &Entry) {
    let Some(connection) = core.table.get_mut(entry.conn) else { return };
    connection.clear(flag::UNFINISHED);
    let Link::WebSocket(session) = &connection.link else { return };
    let Some(received) = session.unfinished() else { return };
    // Fewer bytes are those of another message. Who is paused by us cannot go on.
    let needed = MESSAGE_PROGRESS_BYTES.max(entry.received / 16);
    let has_got_on = received < entry.received
        || received - entry.received >= needed
        || connection.has(flag::PAUSED);
    if has_got_on {
        watch_unfinished(core, entry.conn);
    } else {
        core.parts.budget.pay(QUESTION_COST + CLOSE_COST);
        core.parts.life.ask(Question::Progress, entry.conn);
    }
}

/// Ends a session whose message does not get on, unless more of it is there to be read.
pub(crate) fn judge_unfinished<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    has_unread: bool,
) {
    if has_unread {
        return watch_unfinished(core, conn);
    }
    let connection = core.table.get_mut(conn);
    if !connection.is_some_and(|it| matches!(it.link, Link::WebSocket(_))) {
        return;
    }
    core.parts.counters.closed_unfinished.add(1);
    tracing::debug!(?conn, "closing: a message is not finished");
    let code = CloseCode::POLICY;
    closing::close_and_finish(core, conn, Ending::Unfinished, code, "message not finished");
}
