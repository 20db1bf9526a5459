//! For whom proxies connect and ask: the header of the PROXY protocol before the first request,
//! and the fields of each. Who is not among `trusted_proxies` has no say in it.

use crate::driver::Wake;
use crate::http::{self, Request, Response, Status};
use crate::id::ConnId;
use crate::limits::REQUEST_COST;
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::wire::proxy::{self, Parsed};
use crate::worker::connection::Link;
use crate::worker::core::{Core, Parts};
use crate::worker::ingress::ingest::Then;
use crate::worker::ingress::{refusals, requests};
use crate::worker::limits::{self, Client};

/// A new connection, of a trusted proxy perhaps, which is to say first for whom it connects. It has
/// the time of a request for both.
pub(crate) fn begin<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Core { table, parts } = core;
    let config = parts.config();
    let is_awaited = config.proxy_protocol
        && parts.admission.clients.who(conn.index).is_in(&config.trusted_proxies);
    if is_awaited && let Some(connection) = table.get_mut(conn) {
        connection.link = Link::Http(http::Connection::with_preamble());
    }
}

/// Goes on with the header before the first request.
pub(crate) fn header_step<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    input: &mut &mut [u8],
) -> Then {
    let Core { table, parts } = core;
    let Some(connection) = table.get_mut(conn) else { return Then::Stop };
    let Link::Http(http) = &mut connection.link else { return Then::Stop };
    let Some(before) = http.preamble() else { return Then::Stop };
    match proxy::receive(before, input) {
        Parsed::Incomplete => return Then::Stop,
        Parsed::Bad(why) => {
            parts.budget.pay(REQUEST_COST);
            let text = format!("a PROXY header is needed first, and {why}\n");
            let response = Response::text(Status::BadRequest, text);
            let response = response.refusing(Refusal::ProxyHeader).closing();
            requests::refuse_bytes(core, conn, response);
        }
        Parsed::Header { source, .. } => {
            parts.budget.pay(REQUEST_COST);
            http.end_preamble();
            if let Some(ip) = source {
                parts.admission.clients.set(conn.index, Client::Host(ip));
                admit_source(core, conn);
            }
        }
    }
    Then::Next
}

/// Whom a header has named counts as if it had connected itself.
fn admit_source<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let is_client = !is_trusted(&core.parts, core.parts.admission.clients.who(conn.index));
    if is_client && let Some(why) = limits::admit(core, conn) {
        refusals::refuse(core, conn, why);
    }
}

/// Notes whom a request comes from: each on a connection of a proxy may be of another client.
pub(crate) fn name_client<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    request: &Request<'_>,
) {
    let Parts { admission, settings, .. } = parts;
    let (clients, trusted) = (&mut admission.clients, &settings.config.trusted_proxies);
    let has_say = clients.sender(conn.index).is_in(trusted);
    let named = has_say.then(|| http::forwarded_client(&request.head, |ip| trusted.contains(ip)));
    clients.name(conn.index, named.flatten());
}

/// Counts the client that a request for an upgrade names: or says over which limit it is. Who has
/// connected without a proxy is counted since then.
pub(crate) fn admit_named<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
) -> Option<Refusal> {
    let clients = &core.parts.admission.clients;
    let client = clients.who(conn.index);
    let is_named = clients.sender(conn.index) != client && !is_trusted(&core.parts, client);
    if is_named { limits::admit(core, conn) } else { None }
}

fn is_trusted<W: Wake, L: Protocols>(parts: &Parts<W, L>, client: Client) -> bool {
    client.is_in(&parts.config().trusted_proxies)
}
