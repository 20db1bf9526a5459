//! Requests that those outside answer: the worker takes the body, asks, and sends the answer.

use crate::driver::Wake;
use crate::http::{Request, Response, Status};
use crate::id::ConnId;
use crate::limits::{HELD_REQUESTS_MAX, RETRY_AFTER_SECONDS};
use crate::protocol::{Answer, Protocols};
use crate::stats::Refusal;
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::ingress::ingest::Then;
use crate::worker::ingress::{access, refusals, requests};

/// Holds a request whose body may have so many bytes.
pub(crate) fn hold<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    request: &Request<'_>,
    bytes_max: usize,
) {
    let length = usize::try_from(request.body_bytes).unwrap_or(usize::MAX);
    if length > bytes_max {
        let text = format!("at most {bytes_max} bytes are taken here\n");
        let response = Response::text(Status::ContentTooLarge, text);
        return refuse(core, conn, request, response.refusing(Refusal::BadRequest));
    }
    let Some(place) = core.parts.admission.held.take(HELD_REQUESTS_MAX) else {
        return refuse(core, conn, request, busy());
    };
    let every = core.parts.config().access_log;
    access::note(&mut core.parts.admission, every, conn, request, None);
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::Http(http) = &mut connection.link else { return };
    http.hold(request, length, place);
    connection.clear(flag::RESPONDED);
    if length > 0 && request.head.list_holds("Expect", "100-continue") {
        core.append(conn, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
    }
    core.arm(conn, core.parts.config().handshake_timeout);
}

/// Goes on with the body of a request that is held.
pub(crate) fn body_step<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    input: &mut &mut [u8],
) -> Then {
    let Some(connection) = core.table.get_mut(conn) else { return Then::Stop };
    let Link::Http(http) = &mut connection.link else { return Then::Stop };
    let Some(held) = http.receive_body(input) else { return Then::Stop };
    // The answer has its own time, which whoever counts questions keeps.
    connection.deadline = 0;
    let bytes = held.memory();
    let asked = core.parts.said.asks.ask_much(conn, Box::new(held), bytes);
    assert!(asked.is_some(), "one request at a time is held");
    Then::Next
}

/// Sends the answer, if one is owed; that nobody has answered is one too.
pub(crate) fn answer<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, answer: Answer) {
    let is_stopping = core.parts.admission.stopping.is_closing();
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::Http(http) = &mut connection.link else { return };
    let Some(owed) = http.owed() else { return };
    http.answered();
    let response = answer.and_then(|answer| answer.downcast::<Response>().ok());
    let mut response = response.map_or_else(busy, |response| *response);
    // Who has finished asks nothing more than what lies here.
    let has_finished = connection.has(flag::CLOSE_WHEN_SENT) && connection.stash.is_none();
    response.closes |= owed.is_last || is_stopping || has_finished;
    refusals::note(&core.parts, conn, &response, None);
    requests::respond(core, conn, response, owed.is_head);
}

fn refuse<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    request: &Request<'_>,
    response: Response,
) {
    let every = core.parts.config().access_log;
    let status = Some(response.status);
    access::note(&mut core.parts.admission, every, conn, request, status);
    refusals::note(&core.parts, conn, &response, Some(request));
    // The body is not read, so nothing can be understood behind it.
    requests::respond(core, conn, response.closing(), request.is_head());
}

/// Too many are held, or nobody answers.
fn busy() -> Response {
    let text = "nobody answers this request now: try again in a moment\n";
    Response::text(Status::ServiceUnavailable, text)
        .field("Retry-After", &RETRY_AFTER_SECONDS.to_string())
}
