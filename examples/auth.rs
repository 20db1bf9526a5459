//! A door: the first message is a token, and a thread outside says who that is. Until then nothing
//! else is handled.
//!
//! `cargo run --release --example auth`; `ws://127.0.0.1:8080/door` lets `open sesame` in.

use std::error::Error;
use std::thread;
use std::time::Duration;

use throng::config::Config;
use throng::http::{Request, Subprotocols};
use throng::protocol::{Answer, Context, Flow, Opening, Protocol, Route, Ticket};
use throng::server::Server;
use throng::wire::{CloseCode, Kind};

#[derive(Debug)]
struct Door;

impl Protocol for Door {
    type Conn = bool;
    type Setup = ();
    const PATHS: &'static [&'static str] = &["/door"];

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, bool>> {
        let opening = Opening { conn: false, subprotocols: Subprotocols::First, topic: None };
        (request.path == "/door").then_some(Route::WebSocket(opening))
    }

    fn message((): &(), is_in: &mut bool, cx: &mut Context<'_>, _: Kind, said: &[u8]) -> Flow {
        if *is_in {
            cx.send(Kind::Binary, said);
            return Flow::Next;
        }
        let asked = cx.ask(said.to_vec());
        if asked.is_some() { Flow::Park } else { Flow::Close(CloseCode::POLICY, "too often") }
    }

    fn answer((): &(), is_in: &mut bool, cx: &mut Context<'_>, _: Ticket, answer: Answer) -> Flow {
        let Some(name) = answer.and_then(|body| body.downcast::<String>().ok()) else {
            return Flow::Close(CloseCode::POLICY, "nobody knows this token");
        };
        *is_in = true;
        cx.send(Kind::Text, format!("welcome, {name}").as_bytes());
        Flow::Next
    }
}

throng::protocols! {
    /// What it speaks.
    OnlyDoor, Spoken, Setups:
    Door = door: Door,
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start_with::<OnlyDoor>(Config::default(), Setups::default())?;
    let mut questions = server.questions();
    thread::spawn(move || {
        while let Ok(asked) = questions.next(Duration::from_secs(60)) {
            let Some(asked) = asked else { continue };
            if asked.body() == Some(&b"open sesame".to_vec()) {
                asked.answer("Ali Baba".to_owned());
            }
        }
    });
    server.join()?;
    Ok(())
}
