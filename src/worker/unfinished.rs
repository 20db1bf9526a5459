//! Sessions in the middle of a message: what has come of it is memory, so the rest must come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::core::Core;
use super::life::Question;
use super::table::{Link, flag};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{
    CLOSE_COST, FRAME_COST, MESSAGE_PROGRESS_BYTES, MESSAGE_TIMEOUT, QUESTION_COST, SHED_BYTES_MIN,
    TIMER_COST,
};
use crate::protocol::Protocols;
use crate::wire::CloseCode;

/// In the order in which they will be looked at, which is that in which they began but for those
/// that have got on since: the newest are last. A session stands here once, and until it is looked
/// at, though its message may have ended long before.
#[derive(Debug, Default)]
pub(super) struct Unfinished(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    conn: ConnId,
    /// When it is looked at.
    at: Instant,
    /// Bytes of the message that had come.
    received: u64,
}

impl Unfinished {
    pub(super) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|entry| entry.at.saturating_duration_since(now))
    }

    /// Frees memory that is not used.
    pub(super) fn trim(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Ends sessions for their unfinished messages, the newest first, until so much memory is
    /// freed. Small messages are left alone.
    pub(super) fn shed_unfinished(&mut self, goal: &mut usize) {
        let mut small = Vec::new();
        while *goal > 0 && !self.parts.is_spent() {
            let Some(entry) = self.parts.life.unfinished.0.pop_back() else { break };
            self.parts.budget.pay(FRAME_COST);
            match self.end_unfinished(entry.conn) {
                Some(memory) => *goal = goal.saturating_sub(memory),
                None => small.push(entry),
            }
        }
        self.parts.life.unfinished.0.extend(small.into_iter().rev());
    }

    /// Gives the memory that was ended; nothing if the message is small.
    fn end_unfinished(&mut self, conn: ConnId) -> Option<usize> {
        let Some(connection) = self.table.get_mut(conn) else { return Some(0) };
        let Link::WebSocket(session) = &connection.link else { return Some(0) };
        let memory = session.memory();
        if memory < SHED_BYTES_MIN {
            return None;
        }
        self.parts.counters.closed_memory.add(1);
        self.close_and_finish(conn, CloseCode::TRY_AGAIN_LATER, "server short of memory");
        Some(memory)
    }

    /// Notes that a session is in the middle of a message, if it is.
    #[inline]
    pub(super) fn watch_unfinished(&mut self, conn: ConnId) {
        if let Some(connection) = self.table.get_mut(conn)
            && let Link::WebSocket(session) = &connection.link
            && let Some(received) = session.unfinished()
            && !connection.has(flag::UNFINISHED)
        {
            connection.set(flag::UNFINISHED);
            let at = self.parts.clock.now + MESSAGE_TIMEOUT;
            self.parts.life.unfinished.0.push_back(Entry { conn, at, received });
        }
    }

    /// What has come is not whole. Where the process is over its budget of memory, nothing grows.
    pub(super) fn judge_growing(&mut self, conn: ConnId, held: usize) {
        if held < SHED_BYTES_MIN || self.parts.shared.memory_excess().is_none() {
            return self.watch_unfinished(conn);
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        if let Link::Http(_) = &connection.link {
            self.parts.counters.closed_memory.add(1);
            return self.respond(conn, self.unavailable(), false);
        }
        self.end_unfinished(conn);
    }

    /// Looks at those whose time is over.
    pub(super) fn look_at_unfinished(&mut self) {
        while self
            .parts
            .life
            .unfinished
            .0
            .front()
            .is_some_and(|entry| entry.at <= self.parts.clock.now)
        {
            let Some(entry) = self.parts.life.unfinished.0.pop_front() else { return };
            self.parts.budget.pay(TIMER_COST);
            self.look_at_one(&entry);
            if self.parts.is_spent() {
                return;
            }
        }
    }

    fn look_at_one(&mut self, entry: &Entry) {
        let Some(connection) = self.table.get_mut(entry.conn) else { return };
        connection.clear(flag::UNFINISHED);
        let Link::WebSocket(session) = &connection.link else { return };
        let Some(received) = session.unfinished() else { return };
        // Fewer bytes are those of another message. Who is paused by us cannot go on.
        let needed = MESSAGE_PROGRESS_BYTES.max(entry.received / 16);
        let has_got_on = received < entry.received
            || received - entry.received >= needed
            || connection.has(flag::PAUSED);
        if has_got_on {
            self.watch_unfinished(entry.conn);
        } else {
            self.parts.budget.pay(QUESTION_COST + CLOSE_COST);
            self.parts.life.ask(Question::Progress, entry.conn);
        }
    }

    /// Ends a session whose message does not get on, unless more of it is there to be read.
    pub(super) fn judge_unfinished(&mut self, conn: ConnId, has_unread: bool) {
        if has_unread {
            return self.watch_unfinished(conn);
        }
        let connection = self.table.get_mut(conn);
        if !connection.is_some_and(|it| matches!(it.link, Link::WebSocket(_))) {
            return;
        }
        self.parts.counters.closed_unfinished.add(1);
        tracing::debug!(?conn, "closing: a message is not finished");
        self.close_and_finish(conn, CloseCode::POLICY, "message not finished");
    }
}
