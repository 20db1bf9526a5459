//! `GET /api/connections`: who is connected, page by page.

use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use throng::driver::HostAddress;
use throng::id::SubscriberId;
use throng::worker::{ConnectionInfo, Inquiry, PAGE_MAX, Report, Wanted};

use super::{disconnect, methods, name};
use crate::ask::{Unanswered, ask};
use crate::respond;
use crate::state::{Server, State};

/// Connections of a page where nobody says how many.
const PAGE: usize = 100;

/// What is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    limit: Option<usize>,
    cursor: Option<String>,
    room: Option<String>,
    address: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    connections: Vec<Connection>,
    /// Where the next page begins; without it this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Connection {
    client: String,
    worker: u16,
    address: Option<String>,
    protocol: Option<&'static str>,
    rooms: Vec<String>,
    queued_bytes: usize,
    sending: bool,
    /// Messages that it lost because it did not keep up.
    dropped: u64,
}

/// A place among all connections: a worker, and a slot of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(usize, u32);

/// See the module.
pub(super) async fn list(Shared(state): Shared<Arc<State>>, Query(wish): Query<Wish>) -> Response {
    let Some(server) = state.server() else { return methods::starting() };
    let address = match wish.address.as_deref().map(str::parse::<HostAddress>).transpose() {
        Ok(address) => address,
        Err(line) => return respond::text(StatusCode::BAD_REQUEST, &format!("address: {line}")),
    };
    let from = wish.cursor.as_deref().map_or(Some(Place(0, 0)), parse);
    let Some(from) = from else {
        let line = "cursor: take the one that the page before has given";
        return respond::text(StatusCode::BAD_REQUEST, line);
    };
    if wish.room.as_ref().is_some_and(|room| name::checked(room).is_err()) {
        return respond::text(StatusCode::BAD_REQUEST, &format!("room: {}", name::NEEDED));
    }
    let limit = wish.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    match page(server, from, limit, wish.room, address).await {
        Ok(page) => respond::json(StatusCode::OK, &page),
        Err(Unanswered) => respond::later("a worker does not answer"),
    }
}

async fn page(
    server: &Server,
    Place(mut worker, mut from): Place,
    limit: usize,
    topic: Option<String>,
    address: Option<HostAddress>,
) -> Result<Page, Unanswered> {
    let mut connections = Vec::new();
    while worker < server.monitor.facts().workers {
        let limit = limit - connections.len();
        let wanted = Wanted { topic: topic.clone(), address, from, limit };
        let report = ask(&server.monitor, worker, Inquiry::Connections(wanted)).await?;
        let Report::Connections { list, next } = report else { return Err(Unanswered) };
        let is_full = list.len() == limit;
        connections.extend(list.into_iter().map(Connection::from));
        if let (true, Some(next)) = (is_full, next) {
            return Ok(Page { connections, cursor: Some(format!("{worker}-{next}")) });
        }
        (worker, from) = (worker + 1, 0);
    }
    Ok(Page { connections, cursor: None })
}

fn parse(cursor: &str) -> Option<Place> {
    let (worker, slot) = cursor.split_once('-')?;
    Some(Place(worker.parse().ok()?, slot.parse().ok()?))
}

impl From<ConnectionInfo> for Connection {
    fn from(info: ConnectionInfo) -> Self {
        Self {
            client: disconnect::name(SubscriberId { worker: info.worker, conn: info.conn }),
            worker: info.worker.0,
            address: info.peer.map(|peer| peer.to_string()),
            protocol: info.protocol,
            rooms: info.topics,
            queued_bytes: info.queued_bytes,
            sending: info.is_sending,
            dropped: info.dropped,
        }
    }
}
