//! Who is refused, why, and what the log says of it.

use crate::driver::Wake;
use crate::http::{Request, Response, Status};
use crate::id::ConnId;
use crate::limits::{RATE_RETRY_SECONDS, REFUSALS_MAX, RETRY_AFTER_SECONDS};
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::worker::connection::flag;
use crate::worker::core::{Core, Parts};
use crate::worker::ingress::requests;
use crate::worker::life::{ending, goodbye};
use crate::worker::limits::Limit;
use crate::worker::notices::{Notice, Untold};

/// One connection too many or too late: 503, or 429 where its own address has too many. Who comes
/// while the server stops keeps its place; of the others, which have none any more, only a few are
/// told at a time.
pub(crate) fn refuse<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, why: Refusal) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let has_place = connection.has(flag::COUNTED);
    let keeps_place = has_place && why == Refusal::Draining;
    if !keeps_place {
        core.parts.admission.refusals += 1;
    }
    if has_place && !keeps_place {
        connection.clear(flag::COUNTED);
        core.parts.shared.discharge();
    }
    let response = unavailable(&core.parts, conn, why);
    note(&core.parts, conn, &response, None);
    if !keeps_place && core.parts.admission.refusals > REFUSALS_MAX {
        core.parts.counters.turned_away.add(1);
        return ending::close_soon(core, conn);
    }
    core.parts.counters.refused.add(1);
    requests::respond(core, conn, response, false);
}

/// Why somebody is not let in, and when to try again.
pub(crate) fn unavailable<W: Wake, L: Protocols>(
    parts: &Parts<W, L>,
    conn: ConnId,
    why: Refusal,
) -> Response {
    let (status, text, seconds) = match why {
        Refusal::Draining => {
            let seconds = goodbye::retry_after(
                parts.config(),
                &parts.admission.stopping,
                conn.index,
                parts.clock.now,
            );
            (Status::ServiceUnavailable, "the server is stopping\n", seconds)
        }
        Refusal::RoomLimit => {
            (Status::ServiceUnavailable, "no room may be opened now\n", RETRY_AFTER_SECONDS)
        }
        Refusal::IpConnections => {
            let text = "your address has as many connections as it may\n";
            (Status::TooManyRequests, text, RETRY_AFTER_SECONDS)
        }
        Refusal::IpConnectRate => {
            let text = "connections of your address come faster than they may\n";
            (Status::TooManyRequests, text, RATE_RETRY_SECONDS)
        }
        _ => {
            let text = "no room for more connections now\n";
            (Status::ServiceUnavailable, text, RETRY_AFTER_SECONDS)
        }
    };
    Response::text(status, text).field("Retry-After", &seconds.to_string()).refusing(why).closing()
}

/// A connection whose requests are more than it may send.
pub(crate) fn too_fast(limit: Limit) -> Response {
    Response::text(Status::TooManyRequests, format!("{limit}\n"))
        .field("Retry-After", &RATE_RETRY_SECONDS.to_string())
        .refusing(Refusal::RateLimit)
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
    conn: ConnId,
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
            let of = request.map(of_request).unwrap_or_default();
            let client = parts.admission.clients.who(conn.index).known();
            let client = client.map(|client| format!(" of {client}")).unwrap_or_default();
            write(why, response, &format!("{of}{client}"), untold);
        });
    }
}

fn write(why: Refusal, response: &Response, of: &str, untold: Untold) {
    let status = response.status as u16;
    let words = response.words().trim_end().replace('\n', "; ");
    let remedy = remedy(why);
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
        Refusal::RateLimit => {
            "; `limits.messages_per_second` and `limits.bytes_per_second` say how much may come, \
             and `limits.over` is close"
        }
        Refusal::RoomLimit => "; `limits.rooms` says how many there may be",
        Refusal::ProxyHeader => {
            "; connections of `trusted_proxies`, and no others, begin with a PROXY header where \
             `proxy_protocol` is true: name the proxy there, or let it send one (HAProxy: \
             send-proxy-v2)"
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
