//! What a connection gets by its own doing: responses, the upgrade, pongs, the close frame.

use super::core::Core;
use super::ingest::Then;
use super::table::{Phase, Role, flag};
use crate::driver::Wake;
use crate::http::{self, Context, Handshake, Request, Response, Status};
use crate::hub::EdgeId;
use crate::id::ConnId;
use crate::limits::{REFUSALS_MAX, REQUEST_COST, RETRY_AFTER_SECONDS};
use crate::protocol::{self, Endpoint, Route};
use crate::session::Session;
use crate::wire::{CloseCode, Violation};

impl<W: Wake> Core<W> {
    /// One request too many or too late: 503, unless many are being told already.
    pub(super) fn refuse(&mut self, conn: ConnId) {
        self.parts.admission.refusals += 1;
        if self.parts.admission.refusals > REFUSALS_MAX {
            self.parts.counters.dropped.add(1);
            return self.close_soon(conn);
        }
        self.parts.counters.refused.add(1);
        self.respond(conn, self.unavailable(), false);
    }

    /// Why nobody is let in, and when to try again.
    pub(super) fn unavailable(&self) -> Response {
        let text = match self.parts.stopping {
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
                self.parts.budget.pay(REQUEST_COST);
                self.respond(conn, http::refusal(error), false);
                return Then::Next;
            }
        };
        let Some(head) = arrived.bytes() else {
            if http.is_partial() && connection.has(flag::RESPONDED) {
                // The next request has begun, and has its time.
                connection.clear(flag::RESPONDED);
                self.arm(conn, self.parts.config().handshake_timeout);
            }
            return Then::Stop;
        };
        self.parts.budget.pay(REQUEST_COST);
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
        if self.parts.stopping.is_some() {
            return Err(self.unavailable());
        }
        let config = self.parts.config();
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
        let keep_alive = self.parts.config().keep_alive;
        response.closes |= keep_alive.is_zero();
        let date = self.parts.clock.date();
        let context = Context { is_head, date, keep_alive };
        let Some(connection) = self.table.get_mut(conn) else { return };
        let mut file = None;
        self.parts
            .out
            .pool
            .append(&mut connection.queue, |out| file = response.encode(&context, out));
        if let Some(file) = file {
            self.parts.out.pool.append_static(&mut connection.queue, file);
        }
        self.parts.out.touch(conn, connection);
        if response.closes {
            return self.finish(conn);
        }
        connection.set(flag::RESPONDED);
        // What is being sent has its own time, and the next request has one behind it.
        self.arm(conn, self.parts.config().handshake_timeout);
    }

    fn open(&mut self, conn: ConnId, handshake: &Handshake<'_>, endpoint: &Endpoint<'_>) {
        self.parts.counters.upgraded.add(1);
        self.append(conn, |out| handshake.encode(out));
        let session = Session::new(handshake.deflate);
        let role = match endpoint {
            Endpoint::Echo => Role::Echo,
            Endpoint::Room(name) => {
                // What was published before the join is not for the one who joins.
                self.deliver_before_join(name);
                let (window_bits, mut head) = (session.window_bits(), EdgeId::NONE);
                Role::Room(self.parts.hub.join(name, conn.index, window_bits, &mut head))
            }
        };
        let place = self.parts.life.cohorts.join(conn.index, self.parts.life.pings.as_ref());
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.phase = Phase::Session(session, role);
        connection.deadline = 0;
        connection.set_place(place);
        connection.clear(flag::RESPONDED);
        self.parts.life.end_send(conn, connection);
    }

    /// Both sides have said goodbye: the server closes TCP first (RFC 6455, 7.1.1).
    pub(super) fn answer_close(&mut self, conn: ConnId, code: Option<CloseCode>) {
        self.leave_room(conn);
        self.with_session(conn, |session, out| session.answer_close(code, out));
        self.finish(conn);
    }

    /// The peer broke the protocol: it is told why, and that was all.
    pub(super) fn fail(&mut self, conn: ConnId, violation: Violation) {
        self.parts.counters.closed_violation.add(1);
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
            self.parts.out.pool.append(&mut connection.queue, |out| write(session, out));
            self.touch(conn);
        }
    }
}
