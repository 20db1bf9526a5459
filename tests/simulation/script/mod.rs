//! A protocol of the simulation that does all that a protocol can do, as its messages say.
//!
//! What each message has it do stands in a [`Ledger`] that clients, workers and those outside
//! share; what it has done stands there too, so that clients know to the message what they are to
//! get.

mod actor;
mod ledger;
mod op;
mod outside;
mod person;

pub(crate) use actor::Actor;
pub(crate) use ledger::Pad;
pub(crate) use outside::Outside;

use throng::config::Delivery;
use throng::http::{Request, Subprotocols};
use throng::protocol::{Answer, Context, Flow, Opening, Protocol, Route, Ticket, echo, page, room};
use throng::wire::Kind;

use crate::faults::Fault;
use person::{Call, Person};

throng::protocols! {
    /// What the simulated workers speak.
    Simulated, Spoken, Setups:
    Page = page: page::Page,
    Echo = echo: echo::Echo,
    Room = room: room::Room,
    Script = script: Script,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script;

/// Topics that connections subscribe to.
pub(crate) const TOPICS: u8 = 3;

/// Where it is found; the number of the client follows.
pub(crate) const PATH: &str = "/script/";

/// The name of a topic.
pub(crate) fn topic_name(topic: u8) -> String {
    format!("script {topic}")
}

/// What a client is subscribed to from the start.
fn first_topic(id: u32) -> Option<u8> {
    id.is_multiple_of(2).then_some((id / 2) as u8 % TOPICS)
}

impl Protocol for Script {
    type Conn = Box<Person>;
    type Setup = Pad;

    const PATHS: &'static [&'static str] = &["/script/NUMBER"];

    fn delivery(pad: &Pad, topic: &str) -> Delivery {
        let number = (0..TOPICS).find(|number| topic_name(*number) == topic);
        number.map_or_else(Delivery::default, |number| pad.ledger().deliveries[usize::from(number)])
    }

    fn route<'a>(_pad: &Pad, request: &Request<'a>) -> Option<Route<'a, Box<Person>>> {
        let id: u32 = request.segment_behind(PATH, 10)?.parse().ok()?;
        let topic = first_topic(id).map(|topic| topic_name(topic).into());
        let conn = Box::new(Person::new(id));
        Some(Route::WebSocket(Opening { conn, subprotocols: Subprotocols::First, topic }))
    }

    fn open(
        pad: &Pad,
        person: &mut Box<Person>,
        cx: &mut Context<'_>,
        _request: &Request<'_>,
    ) -> Flow {
        Call::new(pad, person, cx).open()
    }

    fn message(
        pad: &Pad,
        person: &mut Box<Person>,
        cx: &mut Context<'_>,
        kind: Kind,
        payload: &[u8],
    ) -> Flow {
        Call::new(pad, person, cx).message(kind, payload)
    }

    fn answer(
        pad: &Pad,
        person: &mut Box<Person>,
        cx: &mut Context<'_>,
        ticket: Ticket,
        answer: Answer,
    ) -> Flow {
        if pad.ledger().fault == Fault::TwiceAnswered {
            Call::new(pad, person, cx).answer(ticket, None);
        }
        Call::new(pad, person, cx).answer(ticket, answer)
    }

    fn due(pad: &Pad, person: &mut Box<Person>, cx: &mut Context<'_>) -> Flow {
        Call::new(pad, person, cx).due()
    }
}
