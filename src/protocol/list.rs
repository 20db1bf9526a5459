//! The one list of what is spoken.

use std::borrow::Cow;

use crate::config::{Config, Delivery};
use crate::http::Request;
use crate::protocol::{
    Answer, Context, Flow, Persist, Route, Ticket, api, echo, events, page, room,
};
use crate::wire::Kind;

/// A list of protocols: [`crate::protocols!`] writes it.
pub trait Protocols: std::fmt::Debug + 'static {
    /// What a connection speaks, and what that knows of it.
    type Spoken: std::fmt::Debug + Persist;
    /// What the connections of each protocol have in common.
    type Setups: std::fmt::Debug + Send + Sync;

    /// The names of the protocols, in their order.
    const NAMES: &'static [&'static str];

    /// The number of a protocol in that order.
    fn number(spoken: &Self::Spoken) -> u8;

    /// As [`crate::protocol::Protocol::delivery`], of the protocol with that number.
    fn delivery(setups: &Self::Setups, number: u8, topic: &str) -> Delivery;

    /// Where they are found, each path once.
    fn paths(setups: &Self::Setups) -> Vec<Cow<'_, str>>;

    /// What a request leads to: the first in the list whose request it is.
    fn route<'a>(setups: &Self::Setups, request: &Request<'a>) -> Option<Route<'a, Self::Spoken>>;

    /// The name of what is spoken, as it stands in the list.
    fn name(spoken: &Self::Spoken) -> &'static str;

    /// As [`crate::protocol::Protocol::ECHOES`].
    fn echoes(spoken: &Self::Spoken) -> bool;

    /// As [`crate::protocol::Protocol::open`].
    fn open(
        setups: &Self::Setups,
        spoken: &mut Self::Spoken,
        cx: &mut Context<'_>,
        request: &Request<'_>,
    ) -> Flow;

    /// As [`crate::protocol::Protocol::answer`].
    fn answer(
        setups: &Self::Setups,
        spoken: &mut Self::Spoken,
        cx: &mut Context<'_>,
        ticket: Ticket,
        answer: Answer,
    ) -> Flow;

    /// As [`crate::protocol::Protocol::due`].
    fn due(setups: &Self::Setups, spoken: &mut Self::Spoken, cx: &mut Context<'_>) -> Flow;

    /// As [`crate::protocol::Protocol::message`].
    fn message(
        setups: &Self::Setups,
        spoken: &mut Self::Spoken,
        cx: &mut Context<'_>,
        kind: Kind,
        payload: &[u8],
    ) -> Flow;
}

/// Writes a list of protocols: its name, and the names of its `Spoken` and `Setups`; then a line
/// for each protocol.
#[macro_export]
macro_rules! protocols {
    ($(#[$doc:meta])* $list:ident, $spoken:ident, $setups:ident:
     $($variant:ident = $field:ident: $protocol:ty),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $list;

        /// What a connection speaks.
        #[derive(Debug)]
        #[expect(missing_docs, reason = "each is its protocol")]
        pub enum $spoken { $($variant(<$protocol as $crate::protocol::Protocol>::Conn)),+ }

        /// What the connections of each protocol have in common.
        #[derive(Debug, Default)]
        #[expect(missing_docs, reason = "each is its protocol")]
        pub struct $setups { $(pub $field: <$protocol as $crate::protocol::Protocol>::Setup),+ }

        /// The name of its protocol comes first, so that lists may differ in what else they have.
        impl $crate::protocol::Persist for $spoken {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(conn) => {
                        $crate::protocol::Persist::put(&stringify!($field).to_owned(), out);
                        $crate::protocol::Persist::put(conn, out);
                    })+
                }
            }

            fn take(input: &mut &[u8]) -> Option<Self> {
                let name: String = $crate::protocol::Persist::take(input)?;
                match name.as_str() {
                    $(stringify!($field) => {
                        $crate::protocol::Persist::take(input).map(Self::$variant)
                    })+
                    _ => None,
                }
            }
        }

        impl $crate::protocol::Protocols for $list {
            type Spoken = $spoken;
            type Setups = $setups;

            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            fn number(spoken: &$spoken) -> u8 {
                let name = <Self as $crate::protocol::Protocols>::name(spoken);
                let names = <Self as $crate::protocol::Protocols>::NAMES.iter();
                names.zip(0..).find(|(other, _)| **other == name).map_or(0, |(_, number)| number)
            }

            fn delivery(setups: &$setups, number: u8, topic: &str) -> $crate::config::Delivery {
                use $crate::protocol::Protocol;
                match <Self as $crate::protocol::Protocols>::NAMES[usize::from(number)] {
                    $(stringify!($field) => {
                        <$protocol as Protocol>::delivery(&setups.$field, topic)
                    })+
                    _ => $crate::config::Delivery::default(),
                }
            }

            fn paths(setups: &$setups) -> Vec<::std::borrow::Cow<'_, str>> {
                let mut paths = Vec::new();
                $(for path in <$protocol as $crate::protocol::Protocol>::paths(&setups.$field) {
                    if !paths.contains(&path) {
                        paths.push(path);
                    }
                })+
                paths
            }

            fn route<'a>(
                setups: &$setups,
                request: &$crate::http::Request<'a>,
            ) -> Option<$crate::protocol::Route<'a, $spoken>> {
                use $crate::protocol::{Protocol, Route};
                $(if let Some(route) = <$protocol as Protocol>::route(&setups.$field, request) {
                    return Some(match route {
                        Route::Response(response) => Route::Response(response),
                        Route::Topic(topic, tell) => Route::Topic(topic, tell),
                        Route::Held(bytes_max) => Route::Held(bytes_max),
                        Route::WebSocket(opening) => {
                            Route::WebSocket(opening.map($spoken::$variant))
                        }
                    });
                })+
                None
            }

            fn name(spoken: &$spoken) -> &'static str {
                match spoken {
                    $($spoken::$variant(_) => stringify!($field)),+
                }
            }

            #[inline]
            fn echoes(spoken: &$spoken) -> bool {
                match spoken {
                    $($spoken::$variant(_) => {
                        <$protocol as $crate::protocol::Protocol>::ECHOES
                    })+
                }
            }

            fn open(
                setups: &$setups,
                spoken: &mut $spoken,
                cx: &mut $crate::protocol::Context<'_>,
                request: &$crate::http::Request<'_>,
            ) -> $crate::protocol::Flow {
                use $crate::protocol::Protocol;
                match spoken {
                    $($spoken::$variant(conn) => {
                        <$protocol as Protocol>::open(&setups.$field, conn, cx, request)
                    })+
                }
            }

            fn answer(
                setups: &$setups,
                spoken: &mut $spoken,
                cx: &mut $crate::protocol::Context<'_>,
                ticket: $crate::protocol::Ticket,
                answer: $crate::protocol::Answer,
            ) -> $crate::protocol::Flow {
                use $crate::protocol::Protocol;
                match spoken {
                    $($spoken::$variant(conn) => {
                        <$protocol as Protocol>::answer(&setups.$field, conn, cx, ticket, answer)
                    })+
                }
            }

            fn due(
                setups: &$setups,
                spoken: &mut $spoken,
                cx: &mut $crate::protocol::Context<'_>,
            ) -> $crate::protocol::Flow {
                use $crate::protocol::Protocol;
                match spoken {
                    $($spoken::$variant(conn) => {
                        <$protocol as Protocol>::due(&setups.$field, conn, cx)
                    })+
                }
            }

            #[inline]
            fn message(
                setups: &$setups,
                spoken: &mut $spoken,
                cx: &mut $crate::protocol::Context<'_>,
                kind: $crate::wire::Kind,
                payload: &[u8],
            ) -> $crate::protocol::Flow {
                use $crate::protocol::Protocol;
                match spoken {
                    $($spoken::$variant(conn) => {
                        <$protocol as Protocol>::message(&setups.$field, conn, cx, kind, payload)
                    })+
                }
            }
        }
    };
}

protocols! {
    /// What the server speaks as it is.
    Builtin, Spoken, Setups:
    Page = page: page::Page,
    Echo = echo: echo::Echo,
    Room = room: room::Room,
    Events = events: events::Events,
    Api = api: api::Api,
}

/// As the options say.
impl From<&Config> for Setups {
    fn from(config: &Config) -> Self {
        let rooms = room::Setup::of(config);
        Self { page: (), echo: (), room: rooms.clone(), events: rooms, api: api::Setup::of(config) }
    }
}
