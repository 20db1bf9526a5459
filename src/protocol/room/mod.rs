//! `/room/{name}`: every message goes to everybody in the room, its sender included. It
//! never looks into one.

use std::borrow::Cow;

use crate::http::{Request, Subprotocols};
use crate::limits::ROOM_NAME_BYTES_MAX;
use crate::protocol::{Context, Flow, Opening, Protocol, Route};
use crate::wire::Kind;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Room;

impl Protocol for Room {
    type Conn = ();
    type Setup = ();

    const PATHS: &'static [&'static str] = &["/room/NAME"];

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, ()>> {
        let topic = Some(name(request)?);
        Some(Route::WebSocket(Opening { conn: (), subprotocols: Subprotocols::First, topic }))
    }

    #[inline]
    fn message((): &(), (): &mut (), cx: &mut Context<'_>, kind: Kind, payload: &[u8]) -> Flow {
        cx.publish(kind, payload);
        Flow::Next
    }
}

/// The room that a request names: one path segment, percent-decoded.
#[must_use]
pub fn name<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    request.segment_behind("/room/", ROOM_NAME_BYTES_MAX)
}
