//! The bytes of one connection, handled as far as nobody else is concerned.
//!
//! A visit has found its connection once, and has all of the worker beside it but for the other
//! connections. What concerns those comes out as an [`Outcome`], for the core to carry out.

use std::ops::Range;

use crate::config::Over;
use crate::driver::Wake;
use crate::http::Request;
use crate::hub::{Before, EdgeId, RoomId};
use crate::id::ConnId;
use crate::limits::{FRAME_COST, RECEIVE_COST, SEND_COST, VISIT_COST};
use crate::protocol::{Answer, Context, Flow, Out, Protocols, Ticket};
use crate::websocket::{Event, InPlace, is_never_deflated, reply_in_place};
use crate::wire::frame::{self, CONTROL_BYTES_MAX};
use crate::wire::{CloseCode, Kind, Violation, buffer};
use crate::worker::connection::{Connection, Link, flag};
use crate::worker::core::{Core, Parts};
use crate::worker::egress::pongs::put_pong;
use crate::worker::ingress::ingest::After;
use crate::worker::ingress::stash::Stash;
use crate::worker::limits::{self, Limit, What};

/// See the module.
#[derive(Debug)]
pub(crate) struct Visit<'a, W, L: Protocols> {
    pub(crate) conn: ConnId,
    pub(crate) connection: &'a mut Connection<L::Spoken>,
    pub(crate) parts: &'a mut Parts<W, L>,
}

/// A reply would come out of its turn.
const BUSY: u32 = flag::TOUCHED | flag::SENDING | flag::STALLED | flag::PARKED;

/// What a protocol may touch: all of these are parts of their own, so that the compiler sees that
/// nobody else has them.
macro_rules! context {
    ($conn:expr, $connection:expr, $parts:expr, $window_bits:expr) => {
        Context {
            conn: $conn,
            hub: &mut $parts.hub,
            edges: $connection.edges,
            out: Out {
                queue: &mut $connection.queue,
                pool: &mut $parts.out.pool,
                compressor: &mut $parts.codecs.compressor,
                window_bits: $window_bits,
            },
            staged: &mut $parts.said.staged,
            asks: &mut $parts.said.asks,
            counters: &$parts.counters,
            limits: &$parts.settings.config.limits,
            cost: 0,
            published: None,
            word: 0,
        }
    };
}

/// Why a visit stops in the middle of what came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was handled that may be now.
    Done,
    /// It is HTTP that is spoken.
    Request,
    /// A ping to be answered behind what was published before.
    PingBehind(EdgeId),
    /// The protocol has left something to be done.
    Staged(Flow),
    /// The peer's close frame.
    Close(Option<CloseCode>),
    /// The peer broke the protocol.
    Failed(Violation),
    /// It sends more than it may, and is to be closed for that.
    TooFast(Limit),
    /// The connection has ended but for the peer's FIN.
    Discard,
}

impl<'a, W: Wake, L: Protocols> Visit<'a, W, L> {
    /// Enters a connection, if it is there.
    pub(crate) fn of(core: &'a mut Core<W, L>, conn: ConnId) -> Option<Self> {
        let Core { table, parts } = core;
        table.get_mut(conn).map(|connection| Self { conn, connection, parts })
    }

    /// Handles what has just come, to the end if nobody else is concerned: the common case.
    #[inline(never)]
    pub(crate) fn handle_all(
        &mut self,
        input: &mut &mut [u8],
        length: usize,
        violation: Option<Violation>,
    ) -> Result<After, Outcome> {
        self.parts.budget.begin_visit(VISIT_COST);
        let outcome = violation.map_or_else(|| self.handle(input), Outcome::Failed);
        if outcome != Outcome::Done || self.growing() > 0 {
            return Err(outcome);
        }
        self.pay(length);
        Ok(self.settle(input))
    }

    /// Handles what came, as far as it may.
    pub(crate) fn handle(&mut self, input: &mut &mut [u8]) -> Outcome {
        loop {
            match &self.connection.link {
                Link::WebSocket(session) => {
                    // Where nothing is left there is nothing to look for: whoever must stall does
                    // so before the next bytes.
                    let is_over = input.is_empty() && session.is_between_messages();
                    if is_over || self.must_stall() {
                        return Outcome::Done;
                    }
                    if self.is_paced()
                        && let Some(outcome) = self.look_at_pace(input)
                    {
                        return outcome;
                    }
                    let left = input.len();
                    let outcome = self.step(input);
                    if self.is_paced() {
                        self.pay_pace(outcome.as_ref(), left - input.len());
                    }
                    if let Some(outcome) = outcome {
                        return outcome;
                    }
                }
                Link::Http(_) => {
                    if self.must_requests_stall(input) {
                        return Outcome::Done;
                    }
                    let is_measured = limits::measures_requests(self.parts, self.conn);
                    let outcome = if is_measured { self.look_at_pace(input) } else { None };
                    return outcome.unwrap_or(Outcome::Request);
                }
                Link::Lingering(_) => return Outcome::Discard,
                Link::Closed => {
                    *input = &mut [];
                    return Outcome::Done;
                }
            }
        }
    }

    /// The others may spend what is left. Behind what was done, or a small budget would be spent
    /// before anything is.
    #[inline]
    pub(crate) fn pay(&mut self, bytes: usize) {
        let inflated = self.parts.codecs.scratch.take_work();
        self.parts.budget.end_visit();
        self.parts.budget.pay(RECEIVE_COST + SEND_COST + bytes / 4 + inflated);
    }

    /// The end of a visit, with what was not handled of it.
    #[inline]
    pub(crate) fn settle(&mut self, rest: &[u8]) -> After {
        let connection = &*self.connection;
        if connection.has(flag::STALLED) {
            return self.settle_stalled(rest);
        }
        // What ends leaves bytes too, and nobody wants them.
        let has_replies =
            connection.queue.is_some() && !connection.has(flag::TOUCHED | flag::SENDING);
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
    pub(crate) fn growing(&self) -> usize {
        match &self.connection.link {
            Link::WebSocket(session) if session.unfinished().is_some() => session.memory().max(1),
            Link::Http(http) => http.memory(),
            Link::WebSocket(_) | Link::Lingering(_) | Link::Closed => 0,
        }
    }

    /// Whether replies can leave out of the bytes that came: nothing else is under way.
    #[inline]
    pub(crate) fn may_reply_in_place(&self, bytes: &[u8]) -> bool {
        let Link::WebSocket(session) = &self.connection.link else { return false };
        if !self.connection.spoken.as_ref().is_some_and(L::echoes) {
            return false;
        }
        let is_busy = self.connection.has(BUSY);
        let is_deflated = !is_never_deflated(bytes.len(), session.window_bits());
        let is_message = frame::kind_of_plain_message(bytes).is_some();
        let may = is_message && !is_busy && !is_deflated && self.connection.queue.is_none();
        // What is measured is looked at message by message.
        may && !self.is_paced()
    }

    /// The quick way of an echo: where the replies stand, if they are all there is. Else they are
    /// queued, and what is left of the input is still to be handled.
    #[inline]
    pub(crate) fn reply_in_place(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<Range<usize>>, Violation> {
        let Link::WebSocket(session) = &self.connection.link else { return Ok(None) };
        let max_message_size = self.parts.settings.config.max_message_size;
        let (replies, result) = reply_in_place(input, session, max_message_size);
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
    fn queue_replies(&mut self, input: &mut &mut [u8], replies: InPlace) {
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
    pub(crate) fn must_stall(&mut self) -> bool {
        let Self { conn, connection, parts } = self;
        parts.budget.pay(parts.codecs.scratch.take_work());
        if connection.has(flag::STALLED) {
            return true;
        }
        if connection.has(flag::PARKED) && parts.said.asks.is_full(*conn) {
            connection.set(flag::STALLED);
            return true;
        }
        let room = connection.first_edge().map(|edge| parts.hub.room_of(edge));
        if room.is_some_and(|it| parts.must_publishers_wait() || parts.hub.is_full(it)) {
            parts.stalls.wait_for_others(*conn, connection, room);
        } else if parts.is_spent() {
            parts.stalls.hold(*conn, connection);
        } else if connection.backlog() < (parts.config().max_backlog / 2).max(1) {
            return false;
        }
        connection.set(flag::STALLED);
        true
    }

    /// Whether what connections send is measured.
    #[inline]
    fn is_paced(&self) -> bool {
        self.parts.admission.limits.pace.is_some()
    }

    /// Who has sent more than it may is paused until that is paid for, or is to be closed. Who was
    /// told to go is not measured any more: its last word must come.
    #[inline(never)]
    fn look_at_pace(&mut self, input: &[u8]) -> Option<Outcome> {
        let Self { conn, connection, parts } = self;
        let (pauses, has_input) = (parts.config().limits.over == Over::Pause, !input.is_empty());
        // A message that has begun may end, however large it is. Pings in its middle count.
        let what = match &connection.link {
            // The word that ends it is no message too many.
            Link::WebSocket(session)
                if session.unfinished().is_none() && frame::begins_close(input) =>
            {
                return None;
            }
            Link::WebSocket(session) if session.is_open() && has_input => {
                What { messages: true, bytes: pauses || session.unfinished().is_none() }
            }
            Link::Http(http) if has_input => {
                let begins = !http.is_partial() && !http.awaits_body();
                What { messages: begins, bytes: pauses || begins }
            }
            _ => return None,
        };
        let over =
            parts.admission.limits.pace.as_ref()?.judge(conn.index, what, parts.clock.now)?;
        if !pauses {
            return Some(Outcome::TooFast(over.limit));
        }
        limits::pause(parts, *conn, over.wait);
        connection.set(flag::STALLED);
        Some(Outcome::Done)
    }

    /// Pays for what a step has handled: a message, a ping or a pong, or a part of one.
    #[inline(never)]
    fn pay_pace(&mut self, outcome: Option<&Outcome>, bytes: usize) {
        let is_message =
            matches!(outcome, None | Some(Outcome::PingBehind(_) | Outcome::Staged(_)));
        limits::pay(self.parts, self.conn, usize::from(is_message), bytes);
    }

    /// As `must_stall`, and a response that has not gone stops the next request.
    fn must_requests_stall(&mut self, input: &[u8]) -> bool {
        let owes = self.connection.owes_response() || self.connection.owes_answer();
        if self.connection.has(flag::STALLED) || !owes {
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
        let max_message_size = parts.settings.config.max_message_size;
        let is_parked = connection.has(flag::PARKED);
        let Link::WebSocket(session) = &mut connection.link else { return None };
        let (window_bits, is_open) = (session.window_bits(), session.is_open());
        match session.next(input, &mut parts.codecs.scratch, max_message_size) {
            Ok(Some(Event::Message(kind, payload))) => {
                parts.counters.messages_received.add(1);
                parts.budget.pay(payload.len() + FRAME_COST);
                if is_parked {
                    parts.said.asks.keep(*conn, kind, payload);
                    return None;
                }
                let spoken = connection.spoken.as_mut()?;
                let mut cx = context!(*conn, connection, parts, window_bits);
                let flow = L::message(&parts.settings.setups, spoken, &mut cx, kind, payload);
                let Context { cost, published, .. } = cx;
                parts.budget.pay(cost);
                if let Some(room) = published {
                    self.has_published(room);
                }
                let parts = &*self.parts;
                let is_done = flow == Flow::Next && parts.said.staged.is_empty();
                (!is_done).then_some(Outcome::Staged(flow))
            }
            Ok(Some(Event::Ping(payload))) => {
                parts.budget.pay(FRAME_COST + CONTROL_BYTES_MAX);
                if let Some(edge) = parts.hub.only_edge(connection.edges)
                    && (parts.hub.before_reply(edge) != Before::Nothing
                        || !parts.pongs.waiting.is_empty())
                {
                    parts.pongs.payload.set(payload);
                    return Some(Outcome::PingBehind(edge));
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

    /// Tells the protocol that the connection has opened.
    pub(crate) fn open(&mut self, request: &Request<'_>) -> Flow {
        self.call(|setups, spoken, cx| L::open(setups, spoken, cx, request))
    }

    /// Tells the protocol that the moment has come that it has set.
    pub(crate) fn due(&mut self, word: u64) -> Flow {
        self.call(|setups, spoken, cx| {
            cx.word = word;
            L::due(setups, spoken, cx)
        })
    }

    /// Tells the protocol what became of a question.
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) -> Flow {
        self.call(|setups, spoken, cx| L::answer(setups, spoken, cx, ticket, answer))
    }

    /// Gives the protocol a message that has waited.
    pub(crate) fn message(&mut self, kind: Kind, payload: &[u8]) -> Flow {
        self.call(|setups, spoken, cx| L::message(setups, spoken, cx, kind, payload))
    }

    fn call(
        &mut self,
        call: impl FnOnce(&L::Setups, &mut L::Spoken, &mut Context<'_>) -> Flow,
    ) -> Flow {
        let Self { conn, connection, parts } = self;
        let Link::WebSocket(session) = &connection.link else { return Flow::Next };
        let window_bits = session.window_bits();
        let Some(spoken) = &mut connection.spoken else { return Flow::Next };
        let mut cx = context!(*conn, connection, parts, window_bits);
        let flow = call(&parts.settings.setups, spoken, &mut cx);
        let Context { cost, published, .. } = cx;
        parts.budget.pay(cost);
        if let Some(room) = published {
            self.has_published(room);
        }
        // No bytes may come behind it for long, and it may have said or published much.
        self.must_stall();
        flow
    }

    /// It has published in a room that it named: where that is full now it waits. Of the room at
    /// the head `must_stall` knows.
    #[inline(never)]
    pub(crate) fn has_published(&mut self, room: RoomId) {
        let Self { conn, connection, parts } = self;
        if parts.must_publishers_wait() || parts.hub.is_full(room) {
            parts.stalls.wait_for_others(*conn, connection, Some(room));
            connection.set(flag::STALLED);
        }
    }

    /// Appends a message to what the connection has coming.
    pub(crate) fn send(&mut self, kind: Kind, payload: &[u8]) {
        let Self { conn, connection, parts } = self;
        let Link::WebSocket(session) = &connection.link else { return };
        if session.is_open() {
            let window_bits = session.window_bits();
            let cost = context!(*conn, connection, parts, window_bits).out.send(kind, payload);
            parts.budget.pay(cost);
        }
    }
}
