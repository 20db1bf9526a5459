//! Requests and what they lead to: a response, or the upgrade.

use crate::driver::Wake;
use crate::http::{self, Context, Handshake, Method, Request, Response, Status};
use crate::id::ConnId;
use crate::limits::{REFUSALS_MAX, REQUEST_COST, RETRY_AFTER_SECONDS};
use crate::protocol::{Flow, Opening, Protocols, Route};
use crate::websocket::Session;
use crate::worker::connection::{Link, flag};
use crate::worker::core::{Core, Parts};
use crate::worker::egress::membership;
use crate::worker::ingress::ingest::Then;
use crate::worker::ingress::staged;
use crate::worker::ingress::visit::Visit;
use crate::worker::life::ending;

/// One request too many or too late: 503, unless many are being told already.
pub(crate) fn refuse<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    core.parts.admission.refusals += 1;
    if core.parts.admission.refusals > REFUSALS_MAX {
        core.parts.counters.dropped.add(1);
        return ending::close_soon(core, conn);
    }
    core.parts.counters.refused.add(1);
    respond(core, conn, unavailable(core), false);
}

/// Why nobody is let in, and when to try again.
pub(crate) fn unavailable<W: Wake, L: Protocols>(core: &Core<W, L>) -> Response {
    let text = match core.parts.stopping {
        Some(_) => "the server is stopping\n",
        None => "no room for more connections now\n",
    };
    Response::text(Status::ServiceUnavailable, text)
        .field("Retry-After", &RETRY_AFTER_SECONDS.to_string())
        .closing()
}

pub(crate) fn http_step<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    input: &mut &mut [u8],
) -> Then {
    let Some(connection) = core.table.get_mut(conn) else { return Then::Stop };
    let Link::Http(http) = &mut connection.link else { return Then::Stop };
    let arrived = match http.receive(input) {
        Ok(arrived) => arrived,
        Err(error) => {
            core.parts.budget.pay(REQUEST_COST);
            respond(core, conn, http::refusal(error), false);
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
    match http::request(head) {
        Ok(request) => answer(core, conn, &request),
        Err(response) => respond(core, conn, response, false),
    }
    Then::Next
}

fn answer<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, request: &Request<'_>) {
    match upgrade(core, request) {
        Ok((handshake, opening)) => open(core, conn, request, &handshake, opening),
        Err(mut response) => {
            response.closes |= request.is_last;
            respond(core, conn, response, request.is_head());
        }
    }
}

fn upgrade<'a, W: Wake, L: Protocols>(
    core: &Core<W, L>,
    request: &Request<'a>,
) -> Result<(Handshake<'a>, Opening<'a, L::Spoken>), Response> {
    if core.parts.stopping.is_some() {
        return Err(unavailable(core));
    }
    let config = core.parts.config();
    // Only HTTP/1.0 may leave Host out; no browser speaks it, so nothing is rebound.
    let names_host = request.head.is_1_1 || !request.host.is_empty();
    if names_host && !config.allowed_hosts.allows(request.host) {
        return Err(http::misdirected());
    }
    if request.method == Method::Options {
        return Err(http::options());
    }
    let opening = match L::route(&core.parts.setups, request) {
        Some(Route::WebSocket(opening)) => opening,
        Some(Route::Response(response)) => return Err(response),
        None => return Err(nothing_here::<L>()),
    };
    let (origins, subprotocols) = (&config.allowed_origins, opening.subprotocols);
    let handshake = http::upgrade(request, origins, config.compression, subprotocols)?;
    Ok((handshake, opening))
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
    let Parts { life, .. } = &mut core.parts;
    let place = life.cohorts.join(conn.index, life.pings.as_ref());
    let Some(connection) = core.table.get_mut(conn) else { return };
    connection.link = Link::WebSocket(Session::new(handshake.deflate));
    connection.spoken = Some(opening.conn);
    connection.deadline = 0;
    connection.set_place(place);
    connection.clear(flag::RESPONDED);
    life.end_send(conn, connection);
    if let Some(topic) = &opening.topic {
        membership::subscribe(core, conn, topic);
    }
    let flow = Visit::of(core, conn).map_or(Flow::Next, |mut visit| visit.open(request));
    staged::carry_out_call(core, conn, flow);
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
