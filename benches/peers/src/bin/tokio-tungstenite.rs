//! The server on tokio-tungstenite.

#![forbid(unsafe_code)]

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{FutureExt, SinkExt, StreamExt};
use peers::{Args, BATCH, Rooms, Route, serve};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

fn main() -> Result<()> {
    let args = Args::parse();
    let config = WebSocketConfig::default().read_buffer_size(args.read_buffer);
    let rooms = Arc::new(Rooms::default());
    serve(&args, move |stream| handle(stream, config, Arc::clone(&rooms)))
}

#[expect(clippy::result_large_err, reason = "the library's callback is of this type")]
async fn handle(
    stream: TcpStream,
    config: WebSocketConfig,
    rooms: Arc<Rooms<Message>>,
) -> Result<()> {
    let mut route = None;
    let take_route = |request: &Request, response: Response| {
        route = Route::of(request.uri().path());
        let not_found = || {
            let mut response = ErrorResponse::new(None);
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        route.as_ref().map(|_| response).ok_or_else(not_found)
    };
    let mut socket = accept_hdr_async_with_config(stream, take_route, Some(config)).await?;
    match route.context("the upgrade had a route")? {
        Route::Echo => echo(&mut socket).await,
        Route::Room(name) => room(&mut socket, &rooms, &name).await,
    }
}

/// Replies to all that has come leave together.
async fn echo(socket: &mut WebSocketStream<TcpStream>) -> Result<()> {
    loop {
        let next = match socket.next().now_or_never() {
            Some(next) => next,
            None => {
                socket.flush().await?;
                socket.next().await
            }
        };
        match next {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                socket.feed(message).await?;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

/// What was published meanwhile leaves together.
async fn room(
    socket: &mut WebSocketStream<TcpStream>,
    rooms: &Rooms<Message>,
    name: &str,
) -> Result<()> {
    let (membership, mut published) = rooms.join(name);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            next = socket.next() => match next {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    membership.publish(&message);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
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
