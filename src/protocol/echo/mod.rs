//! `/echo`: every message comes back. It never keeps anything of one.

use crate::http::{Request, Subprotocols};
use crate::protocol::{Context, Flow, Protocol, Route};
use crate::wire::Kind;

/// Where it is found.
pub const PATH: &str = "/echo";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Protocol for Echo {
    type Conn = ();
    type Setup = ();

    const PATHS: &'static [&'static str] = &[PATH];
    const ECHOES: bool = true;

    fn route((): &(), request: &Request<'_>) -> Option<Route<()>> {
        (request.path == PATH).then_some(Route::WebSocket((), Subprotocols::First))
    }

    #[inline]
    fn message((): &(), (): &mut (), cx: &mut Context<'_>, kind: Kind, payload: &[u8]) -> Flow {
        cx.send(kind, payload);
        Flow::Next
    }
}
