//! Prices that a thread outside publishes ten times a second, to everybody at `/room/prices`.
//!
//! `cargo run --release --example prices`, then `new WebSocket("ws://127.0.0.1:8080/room/prices")`.

use std::env;
use std::error::Error;
use std::thread;
use std::time::Duration;

use throng::config::Config;
use throng::server::{Busy, Server};
use throng::wire::Kind;

#[expect(clippy::disallowed_methods, reason = "no worker sleeps in this thread")]
fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let config = Config { listen: vec![address.parse()?], ..Config::default() };
    let server = Server::start(config)?;
    println!("prices on {}/room/prices", server.addresses()[0]);
    let handle = server.handle();
    thread::spawn(move || {
        let mut price = 10_000_i64;
        for round in 0_i64.. {
            price += (round * 7919) % 21 - 10;
            let text = format!("{}.{:02}", price / 100, price % 100);
            if let Err(Busy) = handle.publish("prices", Kind::Text, text.as_bytes()) {
                // A price that is late is worth nothing: the next one comes soon.
                println!("a worker does not keep up: {text} was left out");
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    server.join()?;
    Ok(())
}
