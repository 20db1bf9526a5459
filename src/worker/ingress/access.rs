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
        if self.is_due(every) {
            write(request, Some(status));
        }
    }

    /// The same of one that somebody else is to answer: nobody knows its status yet.
    pub(crate) fn note_held(&mut self, every: u32, request: &Request<'_>) {
        if self.is_due(every) {
            write(request, None);
        }
    }

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
fn write(request: &Request<'_>, status: Option<u16>) {
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
