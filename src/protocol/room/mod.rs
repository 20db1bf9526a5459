//! `/room/{name}`, and the paths that are routed to rooms: every message goes to everybody in the
//! room, its sender included unless the rules say otherwise. It never looks into one, and never
//! says anything itself: who wants to know of a room speaks [`super::events`].

mod setup;

pub use setup::Setup;
pub(super) use setup::named;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::events;
use crate::config::Delivery;
use crate::http::{Request, Subprotocols};
use crate::protocol::{Context, Flow, Opening, Protocol, Route};
use crate::wire::{CloseCode, Kind};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Room;

/// Somebody in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    rights: Rights,
    /// Which of the operator's rules say so: others come with a reload.
    version: u8,
}

/// What somebody may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rights {
    /// It publishes to all, itself included.
    Speaks,
    /// It publishes to all others.
    SpeaksToOthers,
    /// It publishes nothing.
    Listens,
}

/// Where rooms are found.
pub(super) const PATH: &str = "/room/NAME";

impl Protocol for Room {
    type Conn = Member;
    type Setup = Setup;

    const PATHS: &'static [&'static str] = &[PATH];

    fn paths(setup: &Setup) -> Vec<Cow<'_, str>> {
        setup.paths()
    }

    fn delivery(setup: &Setup, room: &str) -> Delivery {
        setup.rules.of(room).map_or_else(Delivery::default, |rule| rule.delivery)
    }

    fn route<'a>(setup: &Setup, request: &Request<'a>) -> Option<Route<'a, Member>> {
        let room = setup.room(request)?;
        if events::is_offered(request) {
            return None;
        }
        Some(match setup.rights(&room) {
            Ok(rights) => {
                let conn = Member { rights, version: setup.version };
                let (subprotocols, topic) = (Subprotocols::First, Some(room));
                Route::WebSocket(Opening { conn, subprotocols, topic })
            }
            Err(refused) => Route::Response(refused),
        })
    }

    #[inline]
    fn message(
        setup: &Setup,
        conn: &mut Member,
        cx: &mut Context<'_>,
        kind: Kind,
        payload: &[u8],
    ) -> Flow {
        if conn.version != setup.version && !conn.renew(setup, cx) {
            return Flow::Close(CloseCode::POLICY, "the server's rules have closed this room");
        }
        match conn.rights {
            Rights::Speaks => cx.publish(kind, payload),
            Rights::SpeaksToOthers => cx.publish_to_others(kind, payload),
            Rights::Listens => {
                return Flow::Close(CloseCode::POLICY, "clients do not publish in this room");
            }
        }
        Flow::Next
    }
}

impl Member {
    /// One in a room without a rule.
    pub const SPEAKS: Self = Self { rights: Rights::Speaks, version: 0 };

    /// Looks at rules that have changed since; false if there is no such room any more.
    #[inline(never)]
    fn renew(&mut self, setup: &Setup, cx: &Context<'_>) -> bool {
        self.version = setup.version;
        let rights = cx.topic().map(|room| setup.rights(room));
        match rights {
            Some(Ok(rights)) => self.rights = rights,
            Some(Err(_)) => return false,
            // It has left, and nobody hears it.
            None => {}
        }
        true
    }
}

/// The room that a request names: one path segment, percent-decoded.
#[must_use]
pub fn name<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    named(request, "/room/")
}
