//! A protocol of this test: how often a button was pressed, by everybody together.
//!
//! `press` counts, `others` tells all but who says it, `name:X` asks a thread outside whether that
//! is a good name, `who` tells the name; who is named hears a tick by a timer of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng::http::{Request, Subprotocols};
use throng::protocol::{Answer, Context, Flow, Opening, Protocol, Route, Ticket};
use throng::wire::{CloseCode, Kind};

/// How often those who are named hear that they are.
pub(crate) const TICK: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Counter;

/// What is known of one connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Person {
    name: Option<String>,
    ticks: u32,
}

/// What the thread outside is asked.
#[derive(Debug)]
pub(crate) struct MayBeCalled(pub(crate) String);

impl Protocol for Counter {
    type Conn = Box<Person>;
    type Setup = String;

    const PATHS: &'static [&'static str] = &["/counter"];

    fn route<'a>(topic: &String, request: &Request<'a>) -> Option<Route<'a, Box<Person>>> {
        (request.path == "/counter").then(|| {
            let topic = Some(topic.clone().into());
            let (conn, subprotocols) = (Box::default(), Subprotocols::First);
            Route::WebSocket(Opening { conn, subprotocols, topic })
        })
    }

    fn open(
        _topic: &String,
        _person: &mut Box<Person>,
        cx: &mut Context<'_>,
        _request: &Request<'_>,
    ) -> Flow {
        cx.send(Kind::Text, b"welcome");
        Flow::Next
    }

    fn message(
        _topic: &String,
        person: &mut Box<Person>,
        cx: &mut Context<'_>,
        kind: Kind,
        payload: &[u8],
    ) -> Flow {
        match (kind, payload) {
            (Kind::Text, b"press") => cx.publish(Kind::Text, b"pressed"),
            (Kind::Text, b"others") => cx.publish_to_others(Kind::Text, b"for you"),
            (Kind::Text, b"who") => {
                let name = person.name.as_deref().unwrap_or("nobody");
                cx.send(Kind::Text, name.as_bytes());
            }
            (Kind::Text, [b'n', b'a', b'm', b'e', b':', name @ ..]) => {
                let name = String::from_utf8_lossy(name).into_owned();
                if cx.ask(MayBeCalled(name)).is_some() {
                    return Flow::Park;
                }
                cx.send(Kind::Text, b"too many questions");
            }
            _ => return Flow::Close(CloseCode::POLICY, "press, who or name:X"),
        }
        Flow::Next
    }

    fn answer(
        _topic: &String,
        person: &mut Box<Person>,
        cx: &mut Context<'_>,
        _ticket: Ticket,
        answer: Answer,
    ) -> Flow {
        person.name = answer.and_then(|body| body.downcast().ok()).map(|name| *name);
        cx.send(Kind::Text, if person.name.is_some() { b"named" } else { b"not named" });
        if person.name.is_some() {
            cx.wake_in(TICK);
        }
        Flow::Next
    }

    fn due(_topic: &String, person: &mut Box<Person>, cx: &mut Context<'_>) -> Flow {
        person.ticks += 1;
        cx.send(Kind::Text, format!("tick {}", person.ticks).as_bytes());
        cx.wake_in(TICK);
        Flow::Next
    }
}
