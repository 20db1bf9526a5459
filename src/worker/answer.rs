//! What a connection gets by its own doing: responses, the upgrade, pongs, the close frame.

use std::time::{Duration, Instant};

use super::core::{Core, touch};
use super::ingest::Then;
use super::table::{Phase, Role, flag};
use crate::driver::Wake;
use crate::http::{self, Context, Handshake, Request, Response, Status};
use crate::hub::{Before, Membership};
use crate::id::ConnId;
use crate::limits::{
    FRAME_COST, REFUSALS_MAX, REQUEST_COST, RETRY_AFTER_SECONDS, RUNS_FOR_PONGS_PER_TURN,
};
use crate::protocol::{self, Endpoint, Route};
use crate::session::Session;
use crate::wire::frame::{self, Opcode};
use crate::wire::{CloseCode, Violation};

/// What a ping is answered with once the delivery has begun of what was published before it.
#[derive(Debug)]
pub(super) struct Pong {
    conn: ConnId,
    pub(super) payload: Box<[u8]>,
    behind: u32,
}

impl<W: Wake> Core<W> {
    /// One request too many or too late: 503, unless many are being told already.
    pub(super) fn refuse(&mut self, conn: ConnId) {
        self.refusals += 1;
        if self.refusals > REFUSALS_MAX {
            self.counters.dropped.add(1);
            return self.close_soon(conn);
        }
        self.counters.refused.add(1);
        self.respond(conn, self.unavailable(), false);
    }

    /// Why nobody is let in, and when to try again.
    pub(super) fn unavailable(&self) -> Response {
        let text = match self.stopping {
            Some(_) => "the server is stopping\n",
            None => "no room for more connections now\n",
        };
        Response::text(Status::ServiceUnavailable, text)
            .field("Retry-After", &RETRY_AFTER_SECONDS.to_string())
            .closing()
    }

    pub(super) fn http_step(&mut self, conn: ConnId, input: &mut &mut [u8]) -> Then {
        let Some(connection) = self.table.get_mut(conn) else { return Then::Stop };
        let Phase::Http(http) = &mut connection.phase else { return Then::Stop };
        let arrived = match http.receive(input) {
            Ok(arrived) => arrived,
            Err(error) => {
                self.budget.pay(REQUEST_COST);
                self.respond(conn, http::refusal(error), false);
                return Then::Next;
            }
        };
        let Some(head) = arrived.bytes() else {
            if http.is_partial() && connection.has(flag::RESPONDED) {
                // The next request has begun, and has its time.
                connection.clear(flag::RESPONDED);
                self.arm(conn, self.config().handshake_timeout);
            }
            return Then::Stop;
        };
        self.budget.pay(REQUEST_COST);
        match http::request(head) {
            Ok(request) => self.answer(conn, &request),
            Err(response) => self.respond(conn, response, false),
        }
        Then::Next
    }

    fn answer(&mut self, conn: ConnId, request: &Request<'_>) {
        match self.upgrade(request) {
            Ok((handshake, endpoint)) => self.open(conn, &handshake, &endpoint),
            Err(mut response) => {
                response.closes |= request.is_last;
                self.respond(conn, response, request.is_head());
            }
        }
    }

    fn upgrade<'a>(
        &self,
        request: &Request<'a>,
    ) -> Result<(Handshake<'a>, Endpoint<'a>), Response> {
        if self.stopping.is_some() {
            return Err(self.unavailable());
        }
        let config = self.config();
        // Only HTTP/1.0 may leave Host out; no browser speaks it, so nothing is rebound.
        let names_host = request.head.is_1_1 || !request.host.is_empty();
        if names_host && !config.allowed_hosts.allows(request.host) {
            return Err(http::misdirected());
        }
        let endpoint = match protocol::route(request) {
            Route::Response(response) => return Err(response),
            Route::Upgrade(endpoint) => endpoint,
        };
        let (origins, subprotocols) = (&config.allowed_origins, endpoint.subprotocols());
        let handshake = http::upgrade(request, origins, config.compression, subprotocols)?;
        Ok((handshake, endpoint))
    }

    pub(super) fn respond(&mut self, conn: ConnId, mut response: Response, is_head: bool) {
        let keep_alive = self.config().keep_alive;
        response.closes |= keep_alive.is_zero();
        let date = self.dates.at(self.unix_seconds);
        let context = Context { is_head, date, keep_alive };
        let Some(connection) = self.table.get_mut(conn) else { return };
        let mut file = None;
        self.pool.append(&mut connection.queue, |out| file = response.encode(&context, out));
        if let Some(file) = file {
            self.pool.append_static(&mut connection.queue, file);
        }
        touch(&mut self.touched, conn, connection);
        if response.closes {
            return self.finish(conn);
        }
        connection.set(flag::RESPONDED);
        // What is being sent has its own time, and the next request has one behind it.
        self.arm(conn, self.config().handshake_timeout);
    }

    /// Whether the date of responses is due to be another one.
    pub(super) fn is_next_second(&self, now: Instant) -> bool {
        now >= self.second_ends_at
    }

    /// Sets the date of responses, until the second is over.
    pub(super) fn set_second(&mut self, now: Instant, unix_time: Duration) {
        self.unix_seconds = unix_time.as_secs();
        let left = Duration::from_secs(1) - Duration::from_nanos(unix_time.subsec_nanos().into());
        self.second_ends_at = now + left;
    }

    fn open(&mut self, conn: ConnId, handshake: &Handshake<'_>, endpoint: &Endpoint<'_>) {
        self.counters.upgraded.add(1);
        self.append(conn, |out| handshake.encode(out));
        let session = Session::new(handshake.deflate);
        let role = match endpoint {
            Endpoint::Echo => Role::Echo,
            Endpoint::Room(name) => {
                // What was published before the join is not for the one who joins.
                self.deliver_before_join(name);
                let membership = self.hub.join(name, conn, session.window_bits());
                if session.window_bits() > 0 {
                    self.shared.deflating.join(name);
                }
                Role::Room(membership)
            }
        };
        let place = self.cohorts.join(conn.index, self.pings.as_ref());
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.phase = Phase::Session(session, role);
        connection.deadline = 0;
        connection.set_place(place);
        connection.clear(flag::RESPONDED | flag::SEND_TIMED);
    }

    /// A pong goes behind what the same connection has published. That is delivered now, unless
    /// many pings have made it so in this turn, or a delivery is under way that must come first:
    /// then the pong waits, and stands for earlier ones that wait too (RFC 6455, 5.5.3).
    pub(super) fn pong(&mut self, conn: ConnId, payload: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Phase::Session(session, role) = &connection.phase else { return };
        if let Role::Room(membership) = role
            && self.hub.before_reply(*membership) != Before::Nothing
        {
            let membership = *membership;
            return self.pong_behind(conn, membership, payload);
        }
        if session.is_open() {
            self.pool.append(&mut connection.queue, |out| put_pong(out, payload));
            touch(&mut self.touched, conn, connection);
        }
    }

    #[inline(never)]
    fn pong_behind(&mut self, conn: ConnId, membership: Membership, payload: &[u8]) {
        let behind = match self.hub.before_reply(membership) {
            Before::Gathering(seal) if self.runs_for_pongs == RUNS_FOR_PONGS_PER_TURN => Some(seal),
            Before::Gathering(_) => {
                self.runs_for_pongs += 1;
                self.bring_up_to_date(conn, membership)
            }
            _ => self.bring_up_to_date(conn, membership),
        };
        let Some(behind) = behind else { return self.append_pong(conn, payload) };
        self.pongs.insert(conn.index, Pong { conn, payload: payload.into(), behind });
    }

    /// Sends the pongs that wait for nothing any more.
    pub(super) fn answer_waiting(&mut self) {
        if self.pongs.is_empty() {
            return;
        }
        let mut pongs = std::mem::take(&mut self.pongs);
        pongs.retain(|_, pong| {
            self.budget.pay(FRAME_COST);
            let connection = self.table.get_mut(pong.conn);
            let Some(membership) = connection.and_then(|c| c.membership()) else { return false };
            let must_wait = !self.hub.has_begun(self.hub.room_of(membership), pong.behind);
            if !must_wait {
                self.append_runs_under_way(pong.conn, membership);
                self.append_pong(pong.conn, &pong.payload);
            }
            must_wait
        });
        self.pongs = pongs;
    }

    pub(super) fn append_pong(&mut self, conn: ConnId, payload: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Phase::Session(session, _) = &connection.phase else { return };
        if session.is_open() {
            self.append(conn, |out| put_pong(out, payload));
        }
    }

    /// Both sides have said goodbye: the server closes TCP first (RFC 6455, 7.1.1).
    pub(super) fn answer_close(&mut self, conn: ConnId, code: Option<CloseCode>) {
        self.leave_room(conn);
        self.with_session(conn, |session, out| session.answer_close(code, out));
        self.finish(conn);
    }

    /// The peer broke the protocol: it is told why, and that was all.
    pub(super) fn fail(&mut self, conn: ConnId, violation: Violation) {
        self.counters.closed_violation.add(1);
        tracing::debug!(?conn, %violation, "closing");
        self.leave_room(conn);
        self.with_session(conn, |session, out| session.fail(violation, out));
        self.finish(conn);
    }

    /// Begins the closing handshake.
    pub(super) fn begin_close(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        self.leave_room(conn);
        if let Some(connection) = self.table.get_mut(conn)
            && !connection.has(flag::CLOSE_WHEN_SENT)
        {
            // It was of a pong or of a send: from here on the end has one, or the drain.
            connection.deadline = 0;
        }
        self.with_session(conn, |session, out| session.close(code, reason, out));
    }

    fn with_session(&mut self, conn: ConnId, write: impl FnOnce(&mut Session, &mut Vec<u8>)) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if let Phase::Session(session, _) = &mut connection.phase {
            self.pool.append(&mut connection.queue, |out| write(session, out));
            self.touch(conn);
        }
    }
}

fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame::put_frame(out, Opcode::Pong, false, payload);
}
