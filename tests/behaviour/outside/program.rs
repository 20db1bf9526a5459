//! A program of somebody else: words are spoken in capitals, to everybody; a thread that is asked
//! decides who may shout; each line of standard input is published, and its end stops the server.

use std::error::Error;
use std::io::{self, BufRead};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng::config::{AllowedOrigins, Backend, Compression, Config};
use throng::http::{Request, Subprotocols};
use throng::protocol::{Answer, Context, Flow, Opening, Protocol, Route, Ticket, echo::Echo};
use throng::server::{Asked, Busy, Handle, Questions, Server, StartError, Stopper};
use throng::stats::Counts;
use throng::wire::{CloseCode, Kind};

/// What it knows of a connection.
#[derive(Debug, Deserialize, Serialize)]
enum Voice {
    Unknown,
    Loud,
}

/// What connections have in common.
#[derive(Debug, Default)]
struct Hall {
    topic: &'static str,
}

struct Shout;

impl Protocol for Shout {
    type Conn = Voice;
    type Setup = Hall;
    const PATHS: &'static [&'static str] = &["/shout"];

    fn route<'a>(hall: &Hall, request: &Request<'a>) -> Option<Route<'a, Voice>> {
        let topic = Some(hall.topic.into());
        let opening = Opening { conn: Voice::Unknown, subprotocols: Subprotocols::First, topic };
        (request.path == "/shout").then_some(Route::WebSocket(opening))
    }

    fn message(_: &Hall, me: &mut Voice, cx: &mut Context<'_>, _: Kind, said: &[u8]) -> Flow {
        match me {
            Voice::Unknown => cx.ask(said.to_vec()).map_or(NO, |_: Ticket| Flow::Park),
            Voice::Loud => {
                cx.publish(Kind::Text, &said.to_ascii_uppercase());
                Flow::Next
            }
        }
    }

    fn answer(_: &Hall, me: &mut Voice, cx: &mut Context<'_>, _: Ticket, yes: Answer) -> Flow {
        if yes.is_none_or(|yes| !yes.is::<Yes>()) {
            return NO;
        }
        *me = Voice::Loud;
        cx.send(Kind::Text, b"go on");
        Flow::Next
    }
}

const NO: Flow = Flow::Close(CloseCode::POLICY, "quiet");

struct Yes;

throng::protocols! {
    /// What is spoken here.
    Ours, Spoken, Setups:
    Shout = shout: Shout,
    Echo = echo: Echo,
}

/// Everything that a program may want to keep of a server.
struct Hands {
    handle: Handle,
    stopper: Stopper,
}

fn start(address: &str) -> Result<Server, StartError> {
    let config = Config {
        listen: vec![address.parse().expect("the test gives an address")],
        workers: 2,
        backend: "auto".parse::<Backend>().expect("it is one"),
        compression: Compression::Off,
        allowed_origins: "https://*.example".parse::<AllowedOrigins>().expect("it is a list"),
        ..Config::default()
    };
    Server::start_with::<Ours>(config, Setups { shout: Hall { topic: "hall" }, echo: () })
}

fn answer(mut questions: Questions) -> io::Result<()> {
    loop {
        let asked: Option<Asked> = questions.next(Duration::from_secs(60))?;
        if let Some(asked) = asked.filter(|asked| asked.body() == Some(&b"may I?".to_vec())) {
            asked.answer(Yes);
        }
    }
}

/// Until the input ends.
fn publish(hands: Hands) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        while let Err(Busy) = hands.handle.publish("hall", Kind::Text, line.as_bytes()) {
            thread::yield_now();
        }
    }
    hands.stopper.stop();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("an address is needed")?;
    let server = start(&address)?;
    println!("shouts on {}/shout", server.addresses()[0]);
    let questions = server.questions();
    thread::spawn(move || answer(questions));
    let hands = Hands { handle: server.handle(), stopper: server.stopper() };
    thread::spawn(move || publish(hands));
    let counts: Counts = server.join()?;
    if counts.upgraded != 3 { Err(format!("three came, not {}", counts.upgraded))? }
    Ok(())
}
