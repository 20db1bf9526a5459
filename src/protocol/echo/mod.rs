//! `/echo`: every message comes back. It never keeps anything of one.

use crate::http::{Request, Subprotocols};
use crate::protocol::{Context, Flow, Opening, Protocol, Route};
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

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, ()>> {
        let opening = Opening { conn: (), subprotocols: Subprotocols::First, topic: None };
        (request.path == PATH).then_some(Route::WebSocket(opening))
    }

    #[inline]
    fn message((): &(), (): &mut (), cx: &mut Context<'_>, kind: Kind, payload: &[u8]) -> Flow {
        cx.send(kind, payload);
        Flow::Next
    }
}
