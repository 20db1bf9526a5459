//! The smallest server: every message comes back.
//!
//! `cargo run --release --example echo`, then `new WebSocket("ws://127.0.0.1:8080/echo")`.

use std::env;
use std::error::Error;

use throng::config::Config;
use throng::protocol::echo::Echo;
use throng::server::Server;

throng::protocols! {
    /// What it speaks.
    OnlyEcho, Spoken, Setups:
    Echo = echo: Echo,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let config = Config { listen: vec![address.parse()?], ..Config::default() };
    let server = Server::start_with::<OnlyEcho>(config, Setups::default())?;
    println!("echoes on {}", server.addresses()[0]);
    server.join()?;
    Ok(())
}
