//! The access log: one in so many requests, with its status. Off unless the operator wants it.

use crate::http::{Request, Status};
use crate::id::ConnId;
use crate::worker::core::Admission;
use crate::worker::ingress::refusals::cut;
use crate::worker::limits::Client;

/// How many requests of a worker pass until one is logged.
#[derive(Debug, Default)]
pub(crate) struct Access {
    passed: u32,
}

/// Bytes of what a client says that it is.
const AGENT_BYTES_MAX: usize = 100;

/// Bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 500;

/// Logs a request if it is its turn: one in `every`, none if that is 0. Without a status somebody
/// else is to answer, and nobody knows it yet.
#[inline]
pub(crate) fn note(
    admission: &mut Admission,
    every: u32,
    conn: ConnId,
    request: &Request<'_>,
    status: Option<Status>,
) {
    if admission.access.is_due(every) {
        write(request, status, admission.clients.who(conn.index));
    }
}

impl Access {
    #[inline]
    fn is_due(&mut self, every: u32) -> bool {
        if every == 0 {
            return false;
        }
        self.passed += 1;
        let is_due = self.passed >= every;
        if is_due {
            self.passed = 0;
        }
        is_due
    }
}

/// A query may hold what is secret, and is left out.
#[inline(never)]
fn write(request: &Request<'_>, status: Option<Status>, client: Client) {
    let head = &request.head;
    let agent = head.texts("User-Agent").next().unwrap_or_default();
    tracing::info!(
        target: "access",
        status = status.map(|status| status as u16),
        client = client.known().map(tracing::field::display),
        upgrade = request.asks_for_websocket(),
        path = cut(request.path, PATH_BYTES_MAX),
        agent = cut(agent, AGENT_BYTES_MAX),
        "{}",
        head.method
    );
}
