//! What is known of a room: how many are in it, and how long the last message took to all of them.
//!
//! `GET /rooms/{name}` tells it once. A WebSocket at a room's path that offers the subprotocol
//! `throng.events` is told when it changes, and is no member: it never gets a message of the room,
//! and the room never gets one of its. Nothing is ever put among the messages of a room.

mod tell;

use std::borrow::Cow;
use std::time::Duration;

use super::room::{Setup, named};
use crate::http::{Request, Response, Status, Subprotocols};
use crate::hub::{HIDDEN, TopicInfo};
use crate::protocol::{Context, Flow, Opening, Protocol, Route};
use crate::stats::Refusal;
use crate::wire::{CloseCode, Kind};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Events;

/// What there is to tell of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    members: u32,
    /// Microseconds.
    fanout: Option<u32>,
}

/// The subprotocol, as clients offer it.
pub const SUBPROTOCOL: &str = "throng.events";

/// What the topics begin with that watchers are subscribed to. Nothing is published there: it is
/// how a connection knows which room it watches, for which its record has no place.
const WATCHERS: char = HIDDEN;

/// What is said at most in a second to all who watch a room, if they are no more than its members:
/// a page that shows the number has one connection of each.
const EVENTS_PER_SECOND: u32 = 10_000;

impl Protocol for Events {
    type Conn = ();
    type Setup = Setup;

    const PATHS: &'static [&'static str] = &["/rooms/NAME"];

    fn paths(setup: &Setup) -> Vec<Cow<'_, str>> {
        let paths = Self::PATHS.iter().filter(|_| setup.room_info);
        paths.map(|path| Cow::Borrowed(*path)).collect()
    }

    fn route<'a>(setup: &Setup, request: &Request<'a>) -> Option<Route<'a, ()>> {
        let asked = named(request, "/rooms/");
        let is_asked = asked.is_some();
        let watched = || setup.room(request).filter(|_| is_offered(request));
        let room = asked.or_else(watched)?;
        if !setup.room_info {
            return Some(Route::Response(off()));
        }
        if let Err(refused) = setup.rights(&room) {
            return Some(Route::Response(refused));
        }
        if is_asked {
            return Some(Route::Topic(room, answer));
        }
        let subprotocols = Subprotocols::Listed(&[SUBPROTOCOL]);
        let topic = Some(Cow::Owned(format!("{WATCHERS}{room}")));
        Some(Route::WebSocket(Opening { conn: (), subprotocols, topic }))
    }

    fn open(_setup: &Setup, _conn: &mut (), cx: &mut Context<'_>, _request: &Request<'_>) -> Flow {
        look(cx, true);
        Flow::Next
    }

    fn due(_setup: &Setup, _conn: &mut (), cx: &mut Context<'_>) -> Flow {
        // Who has not taken the last event is told later: only the newest is of any worth.
        let may_tell = !cx.is_behind();
        look(cx, may_tell);
        Flow::Next
    }

    fn message(
        _setup: &Setup,
        _conn: &mut (),
        _cx: &mut Context<'_>,
        _kind: Kind,
        _payload: &[u8],
    ) -> Flow {
        let reason = "throng.events only tells: publish on a connection without it";
        Flow::Close(CloseCode::POLICY, reason)
    }
}

/// Whether a client wants to be told of a room.
pub(super) fn is_offered(request: &Request<'_>) -> bool {
    let offers = request.head.texts("Sec-WebSocket-Protocol").flat_map(|field| field.split(','));
    // Names of subprotocols differ by case.
    offers.map(str::trim).any(|offer| offer == SUBPROTOCOL)
}

/// Tells what has changed, if it may, and looks again in a while.
fn look(cx: &mut Context<'_>, may_tell: bool) {
    let room = cx.topic().and_then(|topic| topic.strip_prefix(WATCHERS)).map(str::to_owned);
    let Some(room) = room else { return };
    let seen = Seen::of(cx.topic_info(&room));
    let mut told = cx.word();
    if told != seen.word() && may_tell {
        told = seen.word();
        cx.send(Kind::Text, tell::event(&room, seen).as_bytes());
    }
    cx.wake_in_with(pause(seen.members), told);
}

impl Seen {
    fn of(info: Option<TopicInfo>) -> Self {
        info.map_or_else(Self::default, |info| Self {
            members: info.members,
            fanout: info.fanout_micros,
        })
    }

    /// All of it in a word that is never 0: that is of who was told nothing yet.
    fn word(self) -> u64 {
        let fanout = self.fanout.map_or(1, |micros| micros.saturating_add(2));
        u64::from(self.members) << 32 | u64::from(fanout)
    }
}

/// How long nothing more is told: a second, and longer in rooms of very many.
fn pause(members: u32) -> Duration {
    Duration::from_secs(u64::from(members.div_ceil(EVENTS_PER_SECOND).max(1)))
}

/// The response to who asks about a room.
fn answer(room: &str, info: Option<TopicInfo>) -> Response {
    Response::json(tell::answer(room, Seen::of(info)))
}

/// The response where nothing is told.
fn off() -> Response {
    let text = "this server does not tell who is in its rooms (room_info = false)\n";
    Response::text(Status::NotFound, text).refusing(Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_state_is_another_word() {
        let states = (0..1000).flat_map(|members| {
            [None, Some(0), Some(1), Some(40_100)].map(|fanout| Seen { members, fanout }.word())
        });
        let words: std::collections::HashSet<_> = states.collect();
        assert!(words.len() == 4000 && !words.contains(&0));
    }

    #[test]
    fn large_rooms_are_told_of_less_often() {
        for (members, seconds) in [(0, 1), (1, 1), (10_000, 1), (10_001, 2), (1_000_000, 100)] {
            assert_eq!(pause(members), Duration::from_secs(seconds), "{members}");
        }
    }
}
