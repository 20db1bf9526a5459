//! What is said on connections: a folder for each protocol, and [`Builtin`], the one list of them.
//!
//! A protocol turns requests and messages into answers. It never does I/O, never reads a clock and
//! never touches another connection: all it has is what it knows of its own and what its
//! [`Context`] lends it.

pub mod api;
mod asks;
mod context;
pub mod echo;
pub mod events;
mod list;
pub mod page;
mod persist;
pub mod room;

pub use asks::{Answer, Asks, Body, Question, Ticket};
pub use context::{Context, Out, Staged, Step};
pub use list::{Builtin, Protocols, Setups, Spoken};
pub use persist::Persist;

use std::borrow::Cow;

use crate::config::Delivery;
use crate::http::{Request, Response, Subprotocols};
use crate::hub::TopicInfo;
use crate::wire::{CloseCode, Kind};

/// What is spoken on some connections. Which one a connection speaks its request decides; calls go
/// by one `match` over the list and are inlined.
pub trait Protocol {
    /// What it knows of one connection: plain data of four bytes at most, else in a box, that can
    /// be written out for another process to go on with.
    type Conn: std::fmt::Debug + Persist;
    /// What all its connections have in common: keys, limits.
    type Setup: std::fmt::Debug + Send + Sync;

    /// Where it is found, for who asks for something that is not there.
    const PATHS: &'static [&'static str];

    /// All paths where it is found, if its setup has others than [`Self::PATHS`].
    fn paths(_setup: &Self::Setup) -> Vec<Cow<'_, str>> {
        Self::PATHS.iter().map(|path| Cow::Borrowed(*path)).collect()
    }

    /// Each message is the reply to itself, so that replies may be made of the bytes that came,
    /// without a call for each.
    const ECHOES: bool = false;

    /// How what is published in a topic comes to its subscribers, if the first of them on a worker
    /// speaks this. Asked when the topic is opened there, and again when the options have changed.
    fn delivery(_setup: &Self::Setup, _topic: &str) -> Delivery {
        Delivery::default()
    }

    /// What a request leads to, if it is this protocol's.
    fn route<'a>(setup: &Self::Setup, request: &Request<'a>) -> Option<Route<'a, Self::Conn>>;

    /// A connection has opened by such a request. What is sent comes behind the 101.
    fn open(
        _setup: &Self::Setup,
        _conn: &mut Self::Conn,
        _cx: &mut Context<'_>,
        _request: &Request<'_>,
    ) -> Flow {
        Flow::Next
    }

    /// What became of a question that it has asked.
    fn answer(
        _setup: &Self::Setup,
        _conn: &mut Self::Conn,
        _cx: &mut Context<'_>,
        _ticket: Ticket,
        _answer: Answer,
    ) -> Flow {
        Flow::Next
    }

    /// The moment has come that it has set by [`Context::wake_in`].
    fn due(_setup: &Self::Setup, _conn: &mut Self::Conn, _cx: &mut Context<'_>) -> Flow {
        Flow::Next
    }

    /// A message has come.
    fn message(
        setup: &Self::Setup,
        conn: &mut Self::Conn,
        cx: &mut Context<'_>,
        kind: Kind,
        payload: &[u8],
    ) -> Flow;
}

/// What a request leads to.
#[derive(Debug)]
pub enum Route<'a, C> {
    /// An answer; the connection may ask again.
    Response(Response),
    /// The request is held, with a body of so many bytes at most, until one of those outside has
    /// answered it ([`crate::server::Questions`]): a [`crate::http::Held`] is asked, and the answer
    /// is a [`Response`].
    Held(usize),
    /// An upgrade to WebSocket, if the request asks for one.
    WebSocket(Opening<'a, C>),
    /// An answer that says what is known of a topic; nothing if nobody is subscribed to it.
    Topic(Cow<'a, str>, fn(&str, Option<TopicInfo>) -> Response),
}

/// How a connection opens.
#[derive(Debug)]
pub struct Opening<'a, C> {
    /// What the protocol knows of it.
    pub conn: C,
    /// Which subprotocols it may have.
    pub subprotocols: Subprotocols,
    /// What it is subscribed to from the start.
    pub topic: Option<Cow<'a, str>>,
}

impl<'a, C> Opening<'a, C> {
    /// The same of another connection's knowledge.
    pub fn map<T>(self, conn: impl FnOnce(C) -> T) -> Opening<'a, T> {
        let Self { subprotocols, topic, .. } = self;
        Opening { conn: conn(self.conn), subprotocols, topic }
    }
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next message may come.
    Next,
    /// Messages wait until a question is answered that is open; pings and the end of the connection
    /// do not.
    Park,
    /// It is closed, with a code and a reason.
    Close(CloseCode, &'static str),
}
