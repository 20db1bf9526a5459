//! Requests and what they lead to: a response, or the upgrade.

use crate::driver::Wake;
use crate::http::{self, Context, Handshake, Method, Request, Response, Status};
use crate::id::ConnId;
use crate::limits::REQUEST_COST;
use crate::protocol::{Flow, Opening, Protocols, Route};
use crate::stats::Refusal;
use crate::websocket::Session;
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::egress::membership;
use crate::worker::ingress::ingest::Then;
use crate::worker::ingress::visit::Visit;
use crate::worker::ingress::{access, held_requests, proxy, refusals, staged};
use crate::worker::life::ending;
use crate::worker::limits;

pub(crate) fn http_step<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    input: &mut &mut [u8],
) -> Then {
    let Some(connection) = core.table.get_mut(conn) else { return Then::Stop };
    let Link::Http(http) = &mut connection.link else { return Then::Stop };
    if http.preamble().is_some() {
        return proxy::header_step(core, conn, input);
    }
    if http.awaits_body() {
        return held_requests::body_step(core, conn, input);
    }
    let arrived = match http.receive(input) {
        Ok(arrived) => arrived,
        Err(error) => {
            core.parts.budget.pay(REQUEST_COST);
            limits::pay_request(&mut core.parts, conn);
            refuse_bytes(core, conn, http::refusal(error));
            return Then::Next;
        }
    };
    let Some(head) = arrived.bytes() else {
        if http.is_partial() && connection.has(flag::RESPONDED) {
            // The next request has begun, and has its time.
            connection.clear(flag::RESPONDED);
            core.arm(conn, core.parts.config().handshake_timeout);
        }
        return Then::Stop;
    };
    core.parts.budget.pay(REQUEST_COST);
    limits::pay_request(&mut core.parts, conn);
    match http::request(head) {
        Ok(request) => answer(core, conn, &request),
        Err(response) => refuse_bytes(core, conn, response),
    }
    Then::Next
}

/// What came is no request.
pub(crate) fn refuse_bytes<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    response: Response,
) {
    refusals::note(&core.parts, conn, &response, None);
    respond(core, conn, response, false);
}

/// What a request comes to.
enum Answered<'a, S> {
    Upgrade(Handshake<'a>, Opening<'a, S>),
    Held(usize),
    Response(Response),
}

fn answer<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, request: &Request<'_>) {
    let every = core.parts.config().access_log;
    proxy::name_client(&mut core.parts, conn, request);
    let mut answered = route(core, conn, request).unwrap_or_else(Answered::Response);
    if matches!(answered, Answered::Upgrade(..))
        && let Some(why) = proxy::admit_named(core, conn)
    {
        // The proxy's next request may be another client's.
        let mut response = refusals::unavailable(&core.parts, conn, why);
        response.closes = false;
        answered = Answered::Response(response);
    }
    match answered {
        Answered::Upgrade(handshake, opening) => {
            let status = Some(Status::SwitchingProtocols);
            access::note(&mut core.parts.admission, every, conn, request, status);
            open(core, conn, request, &handshake, opening);
        }
        Answered::Held(bytes_max) => held_requests::hold(core, conn, request, bytes_max),
        Answered::Response(mut response) => {
            let status = Some(response.status);
            access::note(&mut core.parts.admission, every, conn, request, status);
            refusals::note(&core.parts, conn, &response, Some(request));
            // A body that is not read would be taken for the next request.
            response.closes |= request.is_last || request.body_bytes > 0;
            respond(core, conn, response, request.is_head());
        }
    }
}

fn route<'a, W: Wake, L: Protocols>(
    core: &Core<W, L>,
    conn: ConnId,
    request: &Request<'a>,
) -> Result<Answered<'a, L::Spoken>, Response> {
    if core.parts.admission.stopping.is_closing() {
        return Err(refusals::unavailable(&core.parts, conn, Refusal::Draining));
    }
    let config = core.parts.config();
    // Only HTTP/1.0 may leave Host out; no browser speaks it, so nothing is rebound.
    let names_host = request.head.is_1_1 || !request.host.is_empty();
    if names_host && !config.allowed_hosts.allows(request.host) {
        return Err(http::misdirected(request.host));
    }
    let route = match request.method {
        Method::Options => return Err(http::options()),
        _ => L::route(&core.parts.settings.setups, request),
    };
    if let Some(Route::Held(bytes_max)) = route {
        return Ok(Answered::Held(bytes_max));
    }
    if let Some(response) = request.refuse_body() {
        return Err(response.refusing(Refusal::BadRequest));
    }
    match route {
        Some(Route::WebSocket(opening)) => {
            let handshake = http::upgrade(request, config, opening.subprotocols)?;
            let (rooms, topics) = (config.limits.rooms, &core.parts.shared.interest);
            if opening.topic.as_deref().is_some_and(|it| !topics.may_enter(it, rooms, 0)) {
                return Err(refusals::unavailable(&core.parts, conn, Refusal::RoomLimit));
            }
            Ok(Answered::Upgrade(handshake, opening))
        }
        Some(Route::Response(response)) => Err(response),
        Some(Route::Topic(topic, tell)) => {
            Err(tell(&topic, core.parts.shared.interest.info(&topic)))
        }
        Some(Route::Held(_)) => unreachable!("it was looked at before"),
        None => Err(refusals::nothing_here::<L>(&core.parts.settings.setups, request.path)),
    }
}

pub(crate) fn respond<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    mut response: Response,
    is_head: bool,
) {
    let keep_alive = core.parts.config().keep_alive;
    response.closes |= keep_alive.is_zero();
    let date = core.parts.clock.date();
    let context = Context { is_head, date, keep_alive };
    let Some(connection) = core.table.get_mut(conn) else { return };
    let mut file = None;
    core.parts.out.pool.append(&mut connection.queue, |out| file = response.encode(&context, out));
    if let Some(file) = file {
        core.parts.out.pool.append_static(&mut connection.queue, file);
    }
    core.parts.out.touch(conn, connection);
    if response.closes {
        return ending::finish(core, conn);
    }
    connection.set(flag::RESPONDED);
    // What is being sent has its own time, and the next request has one behind it.
    core.arm(conn, core.parts.config().handshake_timeout);
}

fn open<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    request: &Request<'_>,
    handshake: &Handshake<'_>,
    opening: Opening<'_, L::Spoken>,
) {
    core.parts.counters.upgraded.add(1);
    core.append(conn, |out| handshake.encode(out));
    limits::upgraded(&mut core.parts, conn);
    let life = &mut core.parts.life;
    let place = life.cohorts.join(conn.index, life.pings.as_ref());
    let Some(connection) = core.table.get_mut(conn) else { return };
    connection.link = Link::WebSocket(Session::new(handshake.deflate));
    connection.spoken = Some(opening.conn);
    connection.deadline = 0;
    connection.set_place(place);
    connection.clear(flag::RESPONDED);
    life.end_send(conn, connection);
    limits::opened(&mut core.parts, conn);
    if let Some(topic) = &opening.topic {
        membership::subscribe(core, conn, topic);
    }
    let flow = Visit::of(core, conn).map_or(Flow::Next, |mut visit| visit.open(request));
    staged::carry_out_call(core, conn, flow);
}
