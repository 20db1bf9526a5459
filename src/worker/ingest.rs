//! Where bytes enter a connection.

use std::ops::Range;

use super::core::{Core, prove_life};
use super::held::{hold, wait_for_others};
use super::stash::Stash;
use super::table::{Connection, Phase, Role, flag};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{DEFLATE_BYTE_COST, FRAME_COST, RECEIVE_COST, SEND_COST, VISIT_COST};
use crate::protocol::echo;
use crate::session::Event;
use crate::wire::frame::{self, CONTROL_BYTES_MAX};
use crate::wire::{CloseCode, buffer};

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

/// An event that is not about a message, free of borrows.
enum Control {
    Ping { payload: [u8; CONTROL_BYTES_MAX], length: usize },
    Pong,
    Close(Option<CloseCode>),
}

impl<W: Wake> Core<W> {
    /// A new connection: one too many is told so.
    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.counters.accepted.add(1);
        let has_room = self.table.len() - self.refusals < self.connections_max;
        let mut connection = Connection::new(conn);
        let has_memory = self.shared.memory_excess().is_none();
        self.counters.refused_memory.add(u64::from(!has_memory));
        let is_in = self.stopping.is_none() && has_room && has_memory && self.shared.admit();
        if is_in {
            connection.set(flag::COUNTED);
        }
        self.table.insert(conn, connection);
        if is_in {
            self.arm(conn, self.config().handshake_timeout);
        } else {
            self.refuse(conn);
        }
    }

    /// Bytes from the driver.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &mut [u8]) -> After {
        self.counters.bytes_received.add(bytes.len() as u64);
        let Some(connection) = self.table.get_mut(conn) else { return After::Nothing };
        prove_life(connection);
        if let Some(stash) = &mut connection.stash {
            stash.append(bytes);
            return After::Nothing;
        }
        let mut input = bytes;
        if may_reply_in_place(connection, input) {
            if let Some(replies) = self.reply_in_place(conn, &mut input) {
                return After::Reply(replies);
            }
            if input.is_empty() {
                return After::Nothing;
            }
        }
        self.consume(conn, &mut input);
        if self.stash(conn, input) {
            self.touch(conn);
            return After::Pause;
        }
        self.answer_or_wait(conn)
    }

    /// The quick way of an echo: where the replies stand, if they are all there is. Else they are
    /// queued, and what is left of the input is still to be handled.
    fn reply_in_place(&mut self, conn: ConnId, input: &mut &mut [u8]) -> Option<Range<usize>> {
        let max_message_size = self.shared.config.max_message_size;
        let connection = self.table.get_mut(conn)?;
        let Phase::Session(session, _) = &connection.phase else { return None };
        let (replies, result) = echo::reply_in_place(input, session, max_message_size);
        self.counters.messages_received.add(replies.messages as u64);
        self.budget.pay(RECEIVE_COST + SEND_COST + replies.messages * FRAME_COST + replies.taken);
        if replies.taken == input.len() {
            connection.set(flag::SENDING);
            return Some(replies.place);
        }
        if replies.messages > 0 {
            let replies = &input[replies.place];
            self.pool.append(&mut connection.queue, |out| buffer::append(out, replies));
        }
        *input = &mut std::mem::take(input)[replies.taken..];
        if let Err(violation) = result {
            *input = &mut [];
            self.fail(conn, violation);
        }
        None
    }

    /// Whether a connection that has replies coming is not in the list of those to flush.
    fn answer_or_wait(&mut self, conn: ConnId) -> After {
        let Some(connection) = self.table.get_mut(conn) else { return After::Nothing };
        let has_replies = matches!(connection.phase, Phase::Session(_, Role::Echo))
            && connection.queue.is_some()
            && !connection.has(flag::TOUCHED | flag::SENDING);
        if has_replies { After::Answer } else { After::Nothing }
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
        self.consume(conn, &mut input);
        let left = input.len();
        self.stash(conn, &[]);
        // What ends takes none of it any more.
        if let Some(connection) = self.table.get_mut(conn)
            && connection.has(flag::STALLED)
        {
            connection.stash = stash.and_then(|stash| stash.keep(left));
        }
        self.touch(conn);
        if self.stopping.is_some() {
            self.tell_http(conn);
        }
    }

    /// Keeps what must not be handled yet; whether the driver must be paused.
    fn stash(&mut self, conn: ConnId, rest: &[u8]) -> bool {
        let Some(connection) = self.table.get_mut(conn) else { return false };
        // What ends leaves bytes too, and nobody wants them.
        if !connection.has(flag::STALLED) {
            return false;
        }
        if !rest.is_empty() {
            connection.stash = Some(Box::new(Stash::new(rest)));
        }
        let must_pause = !connection.has(flag::PAUSED);
        if must_pause {
            connection.set(flag::PAUSED);
            self.counters.paused.add(1);
        }
        must_pause
    }

    fn consume(&mut self, conn: ConnId, input: &mut &mut [u8]) {
        let bytes = input.len();
        self.budget.begin_visit(VISIT_COST);
        self.handle(conn, input);
        self.budget.end_visit();
        // Behind what was done, or a small budget would be spent before anything is.
        self.budget.pay(RECEIVE_COST + SEND_COST + bytes / 4);
        self.watch_growing(conn);
    }

    /// Handles what came, as far as it may.
    fn handle(&mut self, conn: ConnId, input: &mut &mut [u8]) {
        while self.stall_if_needed(conn, input) == Then::Next {
            let Some(connection) = self.table.get_mut(conn) else { return };
            let then = match &mut connection.phase {
                Phase::Http(_) => self.http_step(conn, input),
                Phase::Session(..) => self.session_step(conn, input),
                Phase::Lingering(_) => {
                    self.discard(conn, std::mem::take(input).len());
                    Then::Stop
                }
                Phase::Closed => {
                    *input = &mut [];
                    Then::Stop
                }
            };
            if then == Then::Stop {
                return;
            }
        }
    }

    /// Replies that a client does not read stop us from reading what causes them, and a response
    /// that has not gone the next request; a publisher waits for workers that do not keep up, this
    /// one among them, and everybody for the next turn where this one has handled enough. None of
    /// these closes the connection.
    fn stall_if_needed(&mut self, conn: ConnId, input: &[u8]) -> Then {
        self.budget.pay(self.scratch.take_work());
        let backlog_max = (self.config().max_backlog / 2).max(1);
        let (must_wait, is_spent) = (self.must_publishers_wait(), self.is_spent());
        let Some(connection) = self.table.get_mut(conn) else { return Then::Stop };
        if matches!(connection.phase, Phase::Lingering(_) | Phase::Closed) {
            return Then::Next;
        }
        if connection.has(flag::STALLED) {
            return Then::Stop;
        }
        let membership = connection.membership();
        if membership.is_some_and(|membership| must_wait || self.hub.is_full(membership)) {
            wait_for_others(&mut self.waiting, conn, connection);
        } else if connection.owes_response() {
            if input.is_empty() {
                return Then::Stop;
            }
        } else if is_spent {
            hold(&mut self.held, conn, connection);
        } else if connection.backlog() < backlog_max {
            return Then::Next;
        }
        connection.set(flag::STALLED);
        Then::Stop
    }

    fn session_step(&mut self, conn: ConnId, input: &mut &mut [u8]) -> Then {
        let max_message_size = self.shared.config.max_message_size;
        let Some(connection) = self.table.get_mut(conn) else { return Then::Stop };
        let Phase::Session(session, role) = &mut connection.phase else { return Then::Stop };
        let window_bits = session.window_bits();
        let event = match session.next(input, &mut self.scratch, max_message_size) {
            Ok(Some(event)) => event,
            Ok(None) => return Then::Stop,
            Err(violation) => {
                *input = &mut [];
                self.fail(conn, violation);
                return Then::Stop;
            }
        };
        let control = match event {
            Event::Message(kind, payload) => {
                self.counters.messages_received.add(1);
                self.budget.pay(payload.len() + FRAME_COST);
                match *role {
                    Role::Echo => {
                        let compressor = &mut self.compressor;
                        if !echo::is_never_deflated(payload.len(), window_bits) {
                            self.budget.pay(payload.len() * DEFLATE_BYTE_COST);
                        }
                        self.pool.append(&mut connection.queue, |out| {
                            echo::reply(out, kind, payload, window_bits, compressor);
                        });
                    }
                    Role::Room(membership) => {
                        self.counters.messages_encoded.add(1);
                        self.hub.publish(membership, kind, payload);
                    }
                    Role::None => {}
                }
                return Then::Next;
            }
            Event::Ping(bytes) => {
                let mut payload = [0; CONTROL_BYTES_MAX];
                payload[..bytes.len()].copy_from_slice(bytes);
                Control::Ping { payload, length: bytes.len() }
            }
            Event::Pong => Control::Pong,
            Event::Close(code) => Control::Close(code),
        };
        self.budget.pay(FRAME_COST + CONTROL_BYTES_MAX);
        self.control(conn, &control)
    }

    fn control(&mut self, conn: ConnId, control: &Control) -> Then {
        match control {
            Control::Ping { payload, length } => self.pong(conn, &payload[..*length]),
            Control::Pong => {}
            Control::Close(code) => self.answer_close(conn, *code),
        }
        Then::Next
    }
}

/// Whether replies can leave out of the bytes that came: nothing else is under way.
fn may_reply_in_place(connection: &Connection, bytes: &[u8]) -> bool {
    let Phase::Session(session, Role::Echo) = &connection.phase else { return false };
    let is_busy = connection.has(flag::TOUCHED | flag::SENDING | flag::STALLED);
    let is_deflated = !echo::is_never_deflated(bytes.len(), session.window_bits());
    let is_message = frame::kind_of_plain_message(bytes).is_some();
    is_message && !is_busy && !is_deflated && connection.queue.is_none()
}
