//! A chat: who opens `/chat` talks to everybody else there, with a number for a name.
//!
//! `cargo run --release --example chat`, then `new WebSocket("ws://127.0.0.1:8080/chat")`.

use std::env;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};

use throng::config::Config;
use throng::http::{Request, Subprotocols};
use throng::protocol::{Context, Flow, Opening, Protocol, Route};
use throng::server::Server;
use throng::wire::{CloseCode, Kind};

#[derive(Debug)]
struct Chat;

/// Shared by all connections: who has come so far.
#[derive(Debug, Default)]
struct Guests(AtomicU32);

impl Protocol for Chat {
    type Conn = u32;
    type Setup = Guests;
    const PATHS: &'static [&'static str] = &["/chat"];

    fn route<'a>(guests: &Guests, request: &Request<'a>) -> Option<Route<'a, u32>> {
        (request.path == "/chat").then(|| {
            let conn = guests.0.fetch_add(1, Ordering::Relaxed);
            let (subprotocols, topic) = (Subprotocols::First, Some("chat".into()));
            Route::WebSocket(Opening { conn, subprotocols, topic })
        })
    }

    fn message(_: &Guests, me: &mut u32, cx: &mut Context<'_>, kind: Kind, said: &[u8]) -> Flow {
        if kind == Kind::Binary {
            return Flow::Close(CloseCode::UNSUPPORTED_DATA, "text only");
        }
        let line = [format!("guest {me}: ").as_bytes(), said].concat();
        cx.publish(Kind::Text, &line);
        Flow::Next
    }
}

throng::protocols! {
    /// What it speaks.
    OnlyChat, Spoken, Setups:
    Chat = chat: Chat,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let config = Config { listen: vec![address.parse()?], ..Config::default() };
    let server = Server::start_with::<OnlyChat>(config, Setups::default())?;
    println!("a chat on {}/chat", server.addresses()[0]);
    server.join()?;
    Ok(())
}
