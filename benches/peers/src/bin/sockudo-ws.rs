//! The server on sockudo-ws, whose own rooms it uses.

#![forbid(unsafe_code)]

use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use peers::{Args, BATCH, Route, serve, upgrade};
use sockudo_ws::{Config, Message, PubSub, SubscriberId, WebSocketStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;

fn main() -> Result<()> {
    let args = Args::parse();
    // Its clock needs a moment, better here than at the first connection.
    sockudo_ws::init_clock();
    let rooms = Arc::new(PubSub::new());
    serve(&args, move |stream| handle(stream, Arc::clone(&rooms)))
}

/// No compression is its default. Nor timers, since the others have none.
fn config() -> Config {
    Config::builder().auto_ping(false).idle_timeout(0).build()
}

async fn handle(mut stream: TcpStream, rooms: Arc<PubSub>) -> Result<()> {
    let route = upgrade(&mut stream).await?;
    let mut socket = WebSocketStream::server(stream, config());
    match route {
        Route::Echo => echo(&mut socket).await,
        Route::Room(name) => room(&mut socket, &rooms, &name).await,
    }
}

/// As its README has it: `next` flushes before it waits.
async fn echo(socket: &mut WebSocketStream<TcpStream>) -> Result<()> {
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.feed(message).await?,
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(())
}

/// A member of all rooms of its own, until it is dropped.
struct Subscriber<'a> {
    rooms: &'a PubSub,
    id: SubscriberId,
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        self.rooms.remove_subscriber(self.id);
    }
}

/// What was published meanwhile leaves together.
async fn room(socket: &mut WebSocketStream<TcpStream>, rooms: &PubSub, name: &str) -> Result<()> {
    let (sender, mut published) = unbounded_channel();
    let subscriber = Subscriber { rooms, id: rooms.create_subscriber(sender) };
    rooms.subscribe(subscriber.id, name);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            next = socket.next() => match next {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    rooms.publish(name, message);
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
            _ = published.recv_many(&mut batch, BATCH) => {
                for message in batch.drain(..) {
                    socket.feed(message).await?;
                }
                socket.flush().await?;
            }
        }
    }
}
