//! What a connection gets by its own doing: responses, the upgrade, pongs, the close frame.

use super::core::{Core, Parts};
use super::ingest::Then;
use super::table::{Link, flag};
use crate::driver::Wake;
use crate::http::{self, Context, Handshake, Method, Request, Response, Status};
use crate::id::ConnId;
use crate::limits::{REFUSALS_MAX, REQUEST_COST, RETRY_AFTER_SECONDS};
use crate::protocol::{Flow, Opening, Protocols, Route, Step};
use crate::session::Session;
use crate::wire::{CloseCode, Violation};

impl<W: Wake, L: Protocols> Core<W, L> {
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
        let Link::Http(http) = &mut connection.link else { return Then::Stop };
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
            Ok((handshake, opening)) => self.open(conn, request, &handshake, opening),
            Err(mut response) => {
                response.closes |= request.is_last;
                self.respond(conn, response, request.is_head());
            }
        }
    }

    fn upgrade<'a>(
        &self,
        request: &Request<'a>,
    ) -> Result<(Handshake<'a>, Opening<'a, L::Spoken>), Response> {
        if self.parts.stopping.is_some() {
            return Err(self.unavailable());
        }
        let config = self.parts.config();
        // Only HTTP/1.0 may leave Host out; no browser speaks it, so nothing is rebound.
        let names_host = request.head.is_1_1 || !request.host.is_empty();
        if names_host && !config.allowed_hosts.allows(request.host) {
            return Err(http::misdirected());
        }
        if request.method == Method::Options {
            return Err(http::options());
        }
        let opening = match L::route(&self.parts.shared.setups, request) {
            Some(Route::WebSocket(opening)) => opening,
            Some(Route::Response(response)) => return Err(response),
            None => return Err(nothing_here::<L>()),
        };
        let (origins, subprotocols) = (&config.allowed_origins, opening.subprotocols);
        let handshake = http::upgrade(request, origins, config.compression, subprotocols)?;
        Ok((handshake, opening))
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

    fn open(
        &mut self,
        conn: ConnId,
        request: &Request<'_>,
        handshake: &Handshake<'_>,
        opening: Opening<'_, L::Spoken>,
    ) {
        self.parts.counters.upgraded.add(1);
        self.append(conn, |out| handshake.encode(out));
        let Parts { life, .. } = &mut self.parts;
        let place = life.cohorts.join(conn.index, life.pings.as_ref());
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.link = Link::WebSocket(Session::new(handshake.deflate));
        connection.spoken = Some(opening.conn);
        connection.deadline = 0;
        connection.set_place(place);
        connection.clear(flag::RESPONDED);
        life.end_send(conn, connection);
        if let Some(topic) = &opening.topic {
            self.subscribe(conn, topic);
        }
        let flow = self.visit(conn).map_or(Flow::Next, |mut visit| visit.open(request));
        self.carry_out_call(conn, flow);
    }

    /// Does what a call to a protocol has left to be done.
    pub(super) fn carry_out_call(&mut self, conn: ConnId, flow: Flow) {
        if flow != Flow::Next || !self.parts.said.staged.is_empty() {
            self.carry_out_staged(conn, flow);
        }
        if let Some(connection) = self.table.get_mut(conn)
            && connection.queue.is_some()
        {
            self.parts.out.touch(conn, connection);
        }
    }

    /// Does what a protocol has left to be done, in its order.
    #[inline(never)]
    pub(super) fn carry_out_staged(&mut self, conn: ConnId, flow: Flow) {
        let mut steps = self.parts.said.staged.take();
        for step in steps.drain(..) {
            match step {
                Step::Subscribe(topic) => {
                    self.append_waiting_pong(conn);
                    self.subscribe(conn, &topic);
                }
                Step::Unsubscribe(topic) => self.unsubscribe(conn, &topic),
                Step::Wake(span) => {
                    self.parts.life.wakes.set(conn, span, self.parts.clock.now);
                }
                Step::Send(kind, payload) => {
                    if let Some(mut visit) = self.visit(conn) {
                        visit.send(kind, &payload);
                    }
                    self.touch(conn);
                }
            }
        }
        self.parts.said.staged.give_back(steps);
        match flow {
            Flow::Next => {}
            Flow::Park => self.park(conn),
            Flow::Close(code, reason) => {
                self.close_and_finish(conn, code, reason);
            }
        }
    }

    /// Messages wait, if there is any question whose answer they can wait for.
    fn park(&mut self, conn: ConnId) {
        if self.parts.said.asks.is_asking(conn)
            && let Some(connection) = self.table.get_mut(conn)
            && connection.is_open()
        {
            connection.set(flag::PARKED);
        }
    }

    /// What was published before is not for the one who joins.
    fn subscribe(&mut self, conn: ConnId, topic: &str) {
        self.deliver_before_join(topic);
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Link::WebSocket(session) = &connection.link else { return };
        let (window_bits, head) = (session.window_bits(), &mut connection.edges);
        let edge = self.parts.hub.join(topic, conn.index, window_bits, head);
        let bytes = self.parts.hub.except_handed(edge, conn);
        self.parts.budget.pay(bytes / 8);
    }

    /// Both sides have said goodbye: the server closes TCP first (RFC 6455, 7.1.1).
    pub(super) fn answer_close(&mut self, conn: ConnId, code: Option<CloseCode>) {
        self.leave_topics(conn);
        self.with_session(conn, |session, out| session.answer_close(code, out));
        self.finish(conn);
    }

    /// The peer broke the protocol: it is told why, and that was all.
    pub(super) fn fail(&mut self, conn: ConnId, violation: Violation) {
        self.parts.counters.closed_violation.add(1);
        tracing::debug!(?conn, %violation, "closing");
        self.leave_topics(conn);
        self.with_session(conn, |session, out| session.fail(violation, out));
        self.finish(conn);
    }

    /// Ends a connection by a close frame: it has its time to take that, whether it answers or not.
    pub(super) fn close_and_finish(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        self.begin_close(conn, code, reason);
        self.finish(conn);
    }

    /// Begins the closing handshake.
    pub(super) fn begin_close(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        self.leave_topics(conn);
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
        if let Link::WebSocket(session) = &mut connection.link {
            self.parts.out.pool.append(&mut connection.queue, |out| write(session, out));
            self.touch(conn);
        }
    }
}

/// Names what is there.
fn nothing_here<L: Protocols>() -> Response {
    let paths: Vec<&str> = L::PATHS.iter().copied().flatten().copied().collect();
    let text = match paths.split_last() {
        Some((last, [])) => format!("nothing here: try {last}\n"),
        Some((last, others)) => format!("nothing here: try {} or {last}\n", others.join(", ")),
        None => "nothing here\n".to_owned(),
    };
    Response::text(Status::NotFound, text)
}
