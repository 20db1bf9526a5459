//! Commands that come alone: `POST /api/publish` and the like.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::command::{Broadcast, Disconnect, Publish};
use super::data::Message;
use super::fault::{self, Fault};
use super::info;
use super::name::checked;
use super::pace::Pace;
use crate::respond;
use crate::state::{Server, State};

/// `{}`.
#[derive(Debug, Serialize)]
pub(super) struct Nothing {}

/// What came of a broadcast, room by room.
#[derive(Debug, Serialize)]
pub(super) struct Responses {
    responses: Vec<Outcome>,
}

/// Of one room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Nothing),
    Error(Fault),
}

/// `POST /api/publish`.
pub(super) async fn publish(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(server) = state.server() else { return starting() };
    let wish: Publish<'_> = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return unreadable(&error),
    };
    let result = match wish.parts() {
        Ok((room, message)) => {
            let until = Pace::new().until;
            let published = server.publisher.publish(&room, &[message], until).await;
            published.map(|()| Nothing {}).map_err(|_| Fault::TOO_MANY)
        }
        Err(fault) => Err(fault),
    };
    fault::respond(&headers, result)
}

/// `POST /api/broadcast`.
pub(super) async fn broadcast(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(server) = state.server() else { return starting() };
    match serde_json::from_slice(&body) {
        Ok(wish) => fault::respond(&headers, broadcast_to(server, wish, &mut Pace::new()).await),
        Err(error) => unreadable(&error),
    }
}

/// `POST /api/disconnect`.
pub(super) async fn disconnect(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(server) = state.server() else { return starting() };
    match serde_json::from_slice::<Disconnect<'_>>(&body) {
        Ok(wish) => {
            let work = super::disconnect::disconnect(server, wish);
            fault::respond(&headers, Pace::new().wait(work).await)
        }
        Err(error) => unreadable(&error),
    }
}

/// `POST /api/info`.
pub(super) async fn info(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    match state.server() {
        Some(server) => fault::respond(&headers, Ok(info::info(server))),
        None => starting(),
    }
}

/// Publishes a message to several rooms, each by itself.
pub(super) async fn broadcast_to(
    server: &Server,
    wish: Broadcast<'_>,
    pace: &mut Pace,
) -> Result<Responses, Fault> {
    let (rooms, message) = wish.parts()?;
    if rooms.len() > super::batch::COMMANDS_MAX {
        return Err(Fault::BAD_REQUEST);
    }
    let message = [message];
    let mut responses = Vec::with_capacity(rooms.len());
    for room in rooms {
        responses.push(match broadcast_to_one(server, &room, &message, pace).await {
            Ok(()) => Outcome::Result(Nothing {}),
            Err(fault) => Outcome::Error(fault),
        });
    }
    Ok(Responses { responses })
}

async fn broadcast_to_one(
    server: &Server,
    room: &str,
    message: &[Message<'_>; 1],
    pace: &mut Pace,
) -> Result<(), Fault> {
    let room = checked(room)?;
    if pace.is_over() {
        return Err(Fault::TOO_MANY);
    }
    let published = server.publisher.publish(room, message, pace.until).await;
    pace.pay(message[0].1.len()).await;
    published.map_err(|_| Fault::TOO_MANY)
}

/// There is no server yet.
pub(super) fn starting() -> Response {
    respond::later("the server starts")
}

/// The body is not what it has to be.
pub(super) fn unreadable(error: &serde_json::Error) -> Response {
    respond::text(StatusCode::BAD_REQUEST, &format!("Bad Request: {error}"))
}
