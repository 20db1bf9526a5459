//! The bytes of one connection, handled as far as nobody else is concerned.
//!
//! A visit has found its connection once, and has all of the worker beside it but for the other
//! connections. What concerns those comes out as an [`Outcome`], for the core to carry out.

use std::ops::Range;

use super::core::Parts;
use super::ingest::After;
use super::pongs::put_pong;
use super::stash::Stash;
use super::table::{Connection, Phase, Role, flag};
use crate::driver::Wake;
use crate::hub::{Before, EdgeId};
use crate::id::ConnId;
use crate::limits::{DEFLATE_BYTE_COST, FRAME_COST, RECEIVE_COST, SEND_COST};
use crate::protocol::echo;
use crate::session::Event;
use crate::wire::frame::{self, CONTROL_BYTES_MAX};
use crate::wire::{CloseCode, Violation, buffer};

/// See the module.
#[derive(Debug)]
pub(super) struct Visit<'a, W> {
    pub(super) conn: ConnId,
    pub(super) connection: &'a mut Connection,
    pub(super) parts: &'a mut Parts<W>,
}

/// Why a visit stops in the middle of what came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All was handled that may be now.
    Done,
    /// It is HTTP that is spoken.
    Request,
    /// A ping to be answered behind what was published before.
    PingBehind(EdgeId),
    /// The peer's close frame.
    Close(Option<CloseCode>),
    /// The peer broke the protocol.
    Failed(Violation),
    /// The connection has ended but for the peer's FIN.
    Discard,
}

impl<W: Wake> Visit<'_, W> {
    /// Handles what came, as far as it may.
    pub(super) fn handle(&mut self, input: &mut &mut [u8]) -> Outcome {
        loop {
            match &self.connection.phase {
                Phase::Session(..) => {
                    if self.must_stall() {
                        return Outcome::Done;
                    }
                    if let Some(outcome) = self.step(input) {
                        return outcome;
                    }
                }
                Phase::Http(_) => {
                    let must_stall = self.must_requests_stall(input);
                    return if must_stall { Outcome::Done } else { Outcome::Request };
                }
                Phase::Lingering(_) => return Outcome::Discard,
                Phase::Closed => {
                    *input = &mut [];
                    return Outcome::Done;
                }
            }
        }
    }

    /// The others may spend what is left. Behind what was done, or a small budget would be spent
    /// before anything is.
    #[inline]
    pub(super) fn pay(&mut self, bytes: usize) {
        self.parts.budget.end_visit();
        self.parts.budget.pay(RECEIVE_COST + SEND_COST + bytes / 4);
    }

    /// The end of a visit, with what was not handled of it.
    #[inline]
    pub(super) fn settle(&mut self, rest: &[u8]) -> After {
        let connection = &*self.connection;
        if connection.has(flag::STALLED) {
            return self.settle_stalled(rest);
        }
        // What ends leaves bytes too, and nobody wants them.
        let has_replies = matches!(connection.phase, Phase::Session(_, Role::Echo))
            && connection.queue.is_some()
            && !connection.has(flag::TOUCHED | flag::SENDING);
        if has_replies { After::Answer } else { After::Nothing }
    }

    /// Keeps what must not be handled yet.
    #[inline(never)]
    fn settle_stalled(&mut self, rest: &[u8]) -> After {
        if !rest.is_empty() {
            self.connection.stash = Some(Box::new(Stash::new(rest)));
        }
        if self.connection.has(flag::PAUSED) {
            return After::Nothing;
        }
        self.connection.set(flag::PAUSED);
        self.parts.counters.paused.add(1);
        self.parts.out.touch(self.conn, self.connection);
        After::Pause
    }

    /// Bytes of memory of what is not whole, if anything is not.
    #[inline]
    pub(super) fn growing(&self) -> usize {
        match &self.connection.phase {
            Phase::Session(session, _) if session.unfinished().is_some() => session.memory().max(1),
            Phase::Http(http) => http.memory(),
            Phase::Session(..) | Phase::Lingering(_) | Phase::Closed => 0,
        }
    }

    /// Whether replies can leave out of the bytes that came: nothing else is under way.
    #[inline]
    pub(super) fn may_reply_in_place(&self, bytes: &[u8]) -> bool {
        let Phase::Session(session, Role::Echo) = &self.connection.phase else { return false };
        let is_busy = self.connection.has(flag::TOUCHED | flag::SENDING | flag::STALLED);
        let is_deflated = !echo::is_never_deflated(bytes.len(), session.window_bits());
        let is_message = frame::kind_of_plain_message(bytes).is_some();
        is_message && !is_busy && !is_deflated && self.connection.queue.is_none()
    }

    /// The quick way of an echo: where the replies stand, if they are all there is. Else they are
    /// queued, and what is left of the input is still to be handled.
    #[inline]
    pub(super) fn reply_in_place(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<Range<usize>>, Violation> {
        let Phase::Session(session, _) = &self.connection.phase else { return Ok(None) };
        let max_message_size = self.parts.shared.config.max_message_size;
        let (replies, result) = echo::reply_in_place(input, session, max_message_size);
        self.parts.counters.messages_received.add(replies.messages as u64);
        let cost = RECEIVE_COST + SEND_COST + replies.messages * FRAME_COST + replies.taken;
        self.parts.budget.pay(cost);
        if replies.taken == input.len() {
            self.connection.set(flag::SENDING);
            return Ok(Some(replies.place));
        }
        self.queue_replies(input, replies);
        result.map(|()| None)
    }

    #[inline(never)]
    fn queue_replies(&mut self, input: &mut &mut [u8], replies: echo::InPlace) {
        if replies.messages > 0 {
            let bytes = &input[replies.place];
            self.parts.out.pool.append(&mut self.connection.queue, |out| {
                buffer::append(out, bytes);
            });
        }
        *input = &mut std::mem::take(input)[replies.taken..];
    }

    /// Replies that a client does not read stop us from reading what causes them; a publisher waits
    /// for workers that do not keep up, this one among them, and everybody for the next turn where
    /// this one has handled enough. None of these closes the connection.
    #[inline]
    fn must_stall(&mut self) -> bool {
        let Self { conn, connection, parts } = self;
        parts.budget.pay(parts.codecs.scratch.take_work());
        if connection.has(flag::STALLED) {
            return true;
        }
        let membership = connection.membership();
        if membership.is_some_and(|it| parts.must_publishers_wait() || parts.hub.is_full(it)) {
            parts.stalls.wait_for_others(*conn, connection);
        } else if parts.is_spent() {
            parts.stalls.hold(*conn, connection);
        } else if connection.backlog() < (parts.config().max_backlog / 2).max(1) {
            return false;
        }
        connection.set(flag::STALLED);
        true
    }

    /// As `must_stall`, and a response that has not gone stops the next request.
    fn must_requests_stall(&mut self, input: &[u8]) -> bool {
        if self.connection.has(flag::STALLED) || !self.connection.owes_response() {
            return self.must_stall();
        }
        if !input.is_empty() {
            self.connection.set(flag::STALLED);
        }
        true
    }

    /// Handles one frame or message; nothing if more may follow.
    #[inline]
    fn step(&mut self, input: &mut &mut [u8]) -> Option<Outcome> {
        let Self { conn, connection, parts } = self;
        let max_message_size = parts.shared.config.max_message_size;
        let Phase::Session(session, role) = &mut connection.phase else { return None };
        let (window_bits, is_open) = (session.window_bits(), session.is_open());
        match session.next(input, &mut parts.codecs.scratch, max_message_size) {
            Ok(Some(Event::Message(kind, payload))) => {
                parts.counters.messages_received.add(1);
                parts.budget.pay(payload.len() + FRAME_COST);
                match *role {
                    Role::Echo => {
                        let compressor = &mut parts.codecs.compressor;
                        if !echo::is_never_deflated(payload.len(), window_bits) {
                            parts.budget.pay(payload.len() * DEFLATE_BYTE_COST);
                        }
                        parts.out.pool.append(&mut connection.queue, |out| {
                            echo::reply(out, kind, payload, window_bits, compressor);
                        });
                    }
                    Role::Room(membership) => {
                        parts.counters.messages_encoded.add(1);
                        parts.hub.publish(membership, kind, payload);
                    }
                    Role::None => {}
                }
                None
            }
            Ok(Some(Event::Ping(payload))) => {
                parts.budget.pay(FRAME_COST + CONTROL_BYTES_MAX);
                if let Role::Room(membership) = *role
                    && parts.hub.before_reply(membership) != Before::Nothing
                {
                    parts.pongs.payload.set(payload);
                    return Some(Outcome::PingBehind(membership));
                }
                if is_open {
                    parts.out.pool.append(&mut connection.queue, |out| put_pong(out, payload));
                    parts.out.touch(*conn, connection);
                }
                None
            }
            Ok(Some(Event::Pong)) => {
                parts.budget.pay(FRAME_COST + CONTROL_BYTES_MAX);
                None
            }
            Ok(Some(Event::Close(code))) => {
                parts.budget.pay(FRAME_COST + CONTROL_BYTES_MAX);
                Some(Outcome::Close(code))
            }
            Ok(None) => Some(Outcome::Done),
            Err(violation) => {
                *input = &mut [];
                Some(Outcome::Failed(violation))
            }
        }
    }
}
