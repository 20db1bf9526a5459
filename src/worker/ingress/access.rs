//! The access log: one in so many requests, with its status. Off unless the operator wants it.

use crate::http::Request;
use crate::worker::ingress::refusals::cut;

/// How many requests of a worker pass until one is logged.
#[derive(Debug, Default)]
pub(crate) struct Access {
    passed: u32,
}

/// Bytes of what a client says that it is.
const AGENT_BYTES_MAX: usize = 100;

/// Bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 500;

impl Access {
    /// Logs a request if it is its turn: one in `every`, none if that is 0.
    #[inline]
    pub(crate) fn note(&mut self, every: u32, request: &Request<'_>, status: u16) {
        if every == 0 {
            return;
        }
        self.passed += 1;
        if self.passed >= every {
            self.passed = 0;
            write(request, status);
        }
    }
}

/// A query may hold what is secret, and is left out.
#[inline(never)]
fn write(request: &Request<'_>, status: u16) {
    let head = &request.head;
    let agent = head.texts("User-Agent").next().unwrap_or_default();
    tracing::info!(
        target: "access",
        status,
        upgrade = request.asks_for_websocket(),
        path = cut(request.path, PATH_BYTES_MAX),
        agent = cut(agent, AGENT_BYTES_MAX),
        "{}",
        head.method
    );
}
