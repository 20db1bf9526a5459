//! A door: the first message is a token, and a thread outside says whose it is. Until then nothing
//! else is handled; then messages come back. `ws://127.0.0.1:8080/door` lets `open sesame` in.

use std::{env, error::Error, thread, time::Duration};

use throng::config::Config;
use throng::http::{Request, Subprotocols};
use throng::protocol::{Answer, Context, Flow, Opening, Protocol, Route, Ticket};
use throng::server::Server;
use throng::wire::{CloseCode, Kind};

const NO: Flow = Flow::Close(CloseCode::POLICY, "nobody knows this token");

struct Door;

impl Protocol for Door {
    type Conn = bool;
    type Setup = ();
    const PATHS: &'static [&'static str] = &["/door"];

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, bool>> {
        let opening = Opening { conn: false, subprotocols: Subprotocols::First, topic: None };
        (request.path == "/door").then_some(Route::WebSocket(opening))
    }

    fn message((): &(), is_in: &mut bool, cx: &mut Context<'_>, kind: Kind, said: &[u8]) -> Flow {
        if *is_in {
            cx.send(kind, said);
            return Flow::Next;
        }
        cx.ask(said.to_vec()).map_or(NO, |_| Flow::Park)
    }

    fn answer((): &(), is_in: &mut bool, cx: &mut Context<'_>, _: Ticket, name: Answer) -> Flow {
        let Some(name) = name.and_then(|name| name.downcast::<String>().ok()) else { return NO };
        *is_in = true;
        cx.send(Kind::Text, format!("welcome, {name}").as_bytes());
        Flow::Next
    }
}

throng::protocols! { /** What it speaks. */ OnlyDoor, Spoken, Setups: Door = door: Door }

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let config = Config { listen: vec![address.parse()?], ..Config::default() };
    let server = Server::start_with::<OnlyDoor>(config, Setups::default())?;
    println!("a door on {}/door", server.addresses()[0]);
    let mut questions = server.questions();
    thread::spawn(move || {
        while let Ok(asked) = questions.next(Duration::from_secs(60)) {
            let known = asked.filter(|asked| asked.body() == Some(&b"open sesame".to_vec()));
            known.into_iter().for_each(|asked| asked.answer("Ali Baba".to_owned()));
        }
    });
    server.join()?;
    Ok(())
}
