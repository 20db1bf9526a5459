//! `/api/…`, `/health` and `/ready` on the listeners of clients, for those who have one port for
//! all. Requests are held until the operator's side answers; it never upgrades, and never looks
//! into a request.

use crate::config::Config;
use crate::http::{Method, Request};
use crate::limits::API_BODY_BYTES_MAX;
use crate::protocol::page::Never;
use crate::protocol::{Context, Flow, Protocol, Route};
use crate::wire::Kind;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Api;

/// Whether it is there at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    is_public: bool,
}

impl Setup {
    /// As the options have it.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { is_public: config.api_public }
    }
}

/// What is asked by programs that watch a server.
const PROBES: [&str; 5] = ["/health", "/healthz", "/livez", "/ready", "/readyz"];

impl Protocol for Api {
    type Conn = Never;
    type Setup = Setup;

    const PATHS: &'static [&'static str] = &[];

    fn route<'a>(setup: &Setup, request: &Request<'a>) -> Option<Route<'a, Never>> {
        let is_ours = request.path.starts_with("/api/") || PROBES.contains(&request.path);
        let may_be = matches!(request.method, Method::Get | Method::Head | Method::Post);
        (setup.is_public && is_ours && may_be).then_some(Route::Held(API_BODY_BYTES_MAX))
    }

    fn message(
        _setup: &Setup,
        conn: &mut Never,
        _cx: &mut Context<'_>,
        _kind: Kind,
        _payload: &[u8],
    ) -> Flow {
        match *conn {}
    }
}
