//! Who is refused, why, and what the log says of it.

use crate::driver::Wake;
use crate::http::{Request, Response, Status};
use crate::id::ConnId;
use crate::limits::{REFUSALS_MAX, RETRY_AFTER_SECONDS};
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::worker::connection::flag;
use crate::worker::core::{Core, Parts};
use crate::worker::ingress::requests;
use crate::worker::life::{ending, goodbye};
use crate::worker::notices::{Notice, Untold};

/// One connection too many or too late: 503. Of those for which there is no room only a few are
/// told at a time.
pub(crate) fn refuse<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, why: Refusal) {
    let has_room = core.table.get_mut(conn).is_some_and(|it| it.has(flag::COUNTED));
    core.parts.admission.refusals += usize::from(!has_room);
    let response = unavailable(&core.parts, conn, why);
    note(&core.parts, &response, None);
    if !has_room && core.parts.admission.refusals > REFUSALS_MAX {
        core.parts.counters.dropped.add(1);
        return ending::close_soon(core, conn);
    }
    core.parts.counters.refused.add(1);
    requests::respond(core, conn, response, false);
}

/// Why nobody is let in, and when to try again.
pub(crate) fn unavailable<W: Wake, L: Protocols>(
    parts: &Parts<W, L>,
    conn: ConnId,
    why: Refusal,
) -> Response {
    let (text, seconds) = match why {
        Refusal::Draining => {
            ("the server is stopping\n", goodbye::retry_after(parts.config(), conn.index))
        }
        _ => ("no room for more connections now\n", RETRY_AFTER_SECONDS),
    };
    Response::text(Status::ServiceUnavailable, text)
        .field("Retry-After", &seconds.to_string())
        .refusing(why)
        .closing()
}

/// Names what is there.
pub(crate) fn nothing_here<L: Protocols>(setups: &L::Setups, asked: &str) -> Response {
    let mut paths = L::paths(setups);
    // What is there for a page is not there for a WebSocket.
    paths.retain(|path| path != asked);
    let text = match paths.split_last() {
        Some((last, [])) => format!("nothing here: try {last}\n"),
        Some((last, others)) => format!("nothing here: try {} or {last}\n", others.join(", ")),
        None => "nothing here\n".to_owned(),
    };
    Response::text(Status::NotFound, text).refusing(Refusal::NotFound)
}

/// Counts a response that refuses something, and tells the operator of it now and then.
pub(crate) fn note<W: Wake, L: Protocols>(
    parts: &Parts<W, L>,
    response: &Response,
    request: Option<&Request<'_>>,
) {
    let Some(why) = response.refusal else { return };
    parts.counters.refusals.of(why).add(1);
    // Who looks for a page that is not there is no news: browsers ask for icons, scanners for all.
    let is_news = why != Refusal::NotFound || request.is_some_and(Request::asks_for_websocket);
    if is_news {
        let now = parts.clock.now;
        parts.shared.notices.tell(Notice::Refused(why), now, |untold| {
            write(why, response, request, untold);
        });
    }
}

fn write(why: Refusal, response: &Response, request: Option<&Request<'_>>, untold: Untold) {
    let status = response.status as u16;
    let words = response.words().trim_end().replace('\n', "; ");
    let remedy = remedy(why);
    let of = request.map(of_request).unwrap_or_default();
    match why {
        Refusal::Draining | Refusal::Handshake | Refusal::BadRequest => {
            tracing::info!("refused with {status}{of}: {words}{remedy}{untold}");
        }
        _ => tracing::warn!("refused with {status}{of}: {words}{remedy}{untold}"),
    }
}

/// What the operator can do, where those who are refused are not told.
fn remedy(why: Refusal) -> &'static str {
    match why {
        Refusal::ConnectionLimit => {
            "; --max-connections and the limit of descriptors say how many there may be, and \
             `throng doctor` which of them binds"
        }
        Refusal::Memory => {
            "; the process is over its budget of memory: raise --memory, or have fewer connections"
        }
        Refusal::BadRequest => {
            "; such bytes also come of https:// and wss:// towards a port without TLS"
        }
        Refusal::IpConnections => "; `limits.per_ip.connections` says how many there may be",
        Refusal::IpConnectRate => "; `limits.per_ip.connect_rate` says how fast they may come",
        Refusal::RoomLimit => "; `limits.rooms` says how many there may be",
        Refusal::ProxyHeader => {
            "; `proxy_protocol` says whether `trusted_proxies` send headers of the PROXY protocol"
        }
        Refusal::Draining
        | Refusal::Origin
        | Refusal::Host
        | Refusal::NotFound
        | Refusal::RoomDisabled
        | Refusal::Handshake => "",
    }
}

/// Bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 200;

/// What was asked for; a query may hold what is secret.
fn of_request(request: &Request<'_>) -> String {
    format!(" {} {:?}", request.head.method, cut(request.path, PATH_BYTES_MAX))
}

/// The first bytes of a text, in whole characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 5), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
    }
}
