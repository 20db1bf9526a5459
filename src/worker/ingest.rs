//! Where bytes enter a connection.

use std::ops::Range;

use super::core::Core;
use super::table::{Connection, flag};
use super::visit::{Outcome, Visit};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::VISIT_COST;
use crate::protocol::Protocols;

/// Whether to look for more in the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Next,
    Stop,
}

/// What the driver is to do with a connection whose bytes were handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing before the end of the turn.
    Nothing,
    /// Receive no more.
    Pause,
    /// Send the replies now, while what the kernel knows of the socket is still in the caches:
    /// nobody else adds to them.
    Answer,
    /// As `Answer`, but the reply is this part of the bytes themselves.
    Reply(Range<usize>),
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// A new connection: one too many is told so.
    #[inline(never)]
    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.parts.counters.accepted.add(1);
        let admission = &self.parts.admission;
        let has_room = self.table.len() - admission.refusals < admission.connections_max;
        let mut connection = Connection::new(conn);
        let has_memory = self.parts.shared.memory_excess().is_none();
        self.parts.counters.refused_memory.add(u64::from(!has_memory));
        let may_come = self.parts.stopping.is_none() && has_room && has_memory;
        let is_in = may_come && self.parts.shared.admit();
        if is_in {
            connection.set(flag::COUNTED);
        }
        self.table.insert(conn, connection);
        if is_in {
            self.arm(conn, self.parts.config().handshake_timeout);
        } else {
            self.refuse(conn);
        }
    }

    /// Bytes from the driver.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &mut [u8]) -> After {
        let Self { table, parts } = self;
        parts.counters.bytes_received.add(bytes.len() as u64);
        let Some(connection) = table.get_mut(conn) else { return After::Nothing };
        connection.prove_life();
        if let Some(stash) = &mut connection.stash {
            stash.append(bytes);
            return After::Nothing;
        }
        let (length, mut input) = (bytes.len(), bytes);
        let mut visit = Visit { conn, connection, parts };
        let mut violation = None;
        if visit.may_reply_in_place(input) {
            match visit.reply_in_place(&mut input) {
                Ok(Some(replies)) => return After::Reply(replies),
                Ok(None) => {}
                Err(error) => violation = Some(error),
            }
        }
        let outcome = match visit.handle_all(&mut input, length, violation) {
            Ok(after) => return after,
            Err(outcome) => outcome,
        };
        self.go_on(conn, outcome, &mut input, length);
        self.visit(conn).map_or(After::Nothing, |mut visit| visit.settle(input))
    }

    /// The connection's queue has gone, or other workers have kept up: goes on where it stopped.
    pub(super) fn unstall(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if !connection.has(flag::STALLED) {
            return;
        }
        connection.clear(flag::STALLED);
        let mut stash = connection.stash.take();
        let mut input = stash.as_mut().map_or(&mut [][..], |stash| stash.rest());
        let length = input.len();
        self.parts.budget.begin_visit(VISIT_COST);
        let Some(mut visit) = self.visit(conn) else { return };
        let outcome = visit.handle(&mut input);
        self.go_on(conn, outcome, &mut input, length);
        let left = input.len();
        let Some(mut visit) = self.visit(conn) else { return };
        visit.settle(&[]);
        // What ends takes none of it any more.
        if visit.connection.has(flag::STALLED) {
            visit.connection.stash = stash.and_then(|stash| stash.keep(left));
        }
        self.touch(conn);
        if self.parts.stopping.is_some() {
            self.tell_http(conn);
        }
    }

    /// Goes on with what came, until all is handled that may be.
    #[inline(never)]
    fn go_on(&mut self, conn: ConnId, mut outcome: Outcome, input: &mut &mut [u8], length: usize) {
        while self.carry_out(conn, outcome, input) == Then::Next {
            let Some(mut visit) = self.visit(conn) else { break };
            outcome = visit.handle(input);
        }
        let Some(mut visit) = self.visit(conn) else { return };
        visit.pay(length);
        let growing = visit.growing();
        if growing > 0 {
            self.judge_growing(conn, growing);
        }
    }

    /// Does what concerns others than the connection alone.
    fn carry_out(&mut self, conn: ConnId, outcome: Outcome, input: &mut &mut [u8]) -> Then {
        match outcome {
            Outcome::Done => return Then::Stop,
            Outcome::Request => return self.http_step(conn, input),
            Outcome::PingBehind(membership) => self.pong_behind(conn, membership),
            Outcome::Staged(flow) => self.carry_out_staged(conn, flow),
            Outcome::Close(code) => self.answer_close(conn, code),
            Outcome::Failed(violation) => {
                self.fail(conn, violation);
                return Then::Stop;
            }
            Outcome::Discard => {
                self.discard(conn, std::mem::take(input).len());
                return Then::Stop;
            }
        }
        Then::Next
    }

    pub(super) fn visit(&mut self, conn: ConnId) -> Option<Visit<'_, W, L>> {
        let Self { table, parts } = self;
        table.get_mut(conn).map(|connection| Visit { conn, connection, parts })
    }
}
