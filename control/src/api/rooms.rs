//! `GET /api/rooms`: all rooms, page by page; `POST /api/rooms/{name}`: the body is a message.

use std::cmp::Reverse;
use std::str::from_utf8;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use throng::hub::TopicInfo;
use throng::wire::Kind;
use tokio::time::Instant;

use super::{methods, name};
use crate::respond;
use crate::state::State;

/// Rooms of a page: where nobody says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// What is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    limit: Option<usize>,
    cursor: Option<String>,
    sort: Option<Sort>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    /// Those with the most members; of these the first by name.
    #[default]
    Members,
    /// The first by name.
    Name,
}

#[derive(Debug, Serialize)]
struct Page {
    rooms: Vec<Room>,
    /// Rooms of all pages.
    total: usize,
    /// Where the next page begins; without it this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Room {
    room: String,
    members: u32,
    /// From the latest publish until all have it.
    fanout_seconds: Option<f64>,
    /// Messages that members lost who did not keep up, each as often as somebody lost it.
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Published {
    result: Members,
}

/// Who may hear it.
#[derive(Debug, Serialize)]
struct Members {
    members: u32,
}

/// A room's place in a list: smaller ones come first.
type Rank = (Reverse<u32>, String);

/// Lists them.
pub(super) async fn list(Shared(state): Shared<Arc<State>>, Query(wish): Query<Wish>) -> Response {
    let Some(server) = state.server() else { return methods::starting() };
    let sort = wish.sort.unwrap_or_default();
    let after = match wish.cursor.as_deref().map(parse) {
        Some(None) => {
            let line = "cursor: take the one that the page before has given";
            return respond::text(StatusCode::BAD_REQUEST, line);
        }
        after => after.flatten(),
    };
    let limit = wish.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let page = page(server.monitor.topics(), sort, after, limit);
    respond::json(StatusCode::OK, &page)
}

/// A page takes one pass over all rooms, and the sorting of what it shows.
fn page(topics: Vec<TopicInfo>, sort: Sort, after: Option<Rank>, limit: usize) -> Page {
    let total = topics.len();
    let rank = |topic: &TopicInfo| -> Rank {
        let members = match sort {
            Sort::Members => topic.members,
            Sort::Name => 0,
        };
        (Reverse(members), topic.name.clone())
    };
    let mut ranked: Vec<(Rank, TopicInfo)> =
        topics.into_iter().map(|topic| (rank(&topic), topic)).collect();
    ranked.retain(|(rank, _)| after.as_ref().is_none_or(|after| rank > after));
    let has_more = ranked.len() > limit;
    if has_more {
        ranked.select_nth_unstable_by(limit - 1, |(a, _), (b, _)| a.cmp(b));
        ranked.truncate(limit);
    }
    ranked.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let last = ranked.last().filter(|_| has_more);
    let cursor = last.map(|((Reverse(members), name), _)| format!("{members}:{name}"));
    Page { rooms: ranked.into_iter().map(|(_, topic)| topic.into()).collect(), total, cursor }
}

fn parse(cursor: &str) -> Option<Rank> {
    let (members, name) = cursor.split_once(':')?;
    Some((Reverse(members.parse().ok()?), name.to_owned()))
}

impl From<TopicInfo> for Room {
    fn from(topic: TopicInfo) -> Self {
        let fanout_seconds = topic.fanout_micros.map(|micros| f64::from(micros) / 1e6);
        let TopicInfo { name: room, members, dropped, .. } = topic;
        Self { room, members, fanout_seconds, dropped }
    }
}

/// Publishes.
pub(super) async fn publish(
    Shared(state): Shared<Arc<State>>,
    Path(room): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(server) = state.server() else { return methods::starting() };
    if name::checked(&room).is_err() {
        return respond::text(StatusCode::NOT_FOUND, name::NEEDED);
    }
    let Some(kind) = kind(&headers, &body) else {
        let line = "the body is not UTF-8: for a binary message say \
                    Content-Type: application/octet-stream";
        return respond::text(StatusCode::BAD_REQUEST, line);
    };
    match server.publisher.publish(&room, &[(kind, &*body)], Instant::now()).await {
        Ok(()) => {
            let members = server.monitor.topic(&room).map_or(0, |topic| topic.members);
            respond::json(StatusCode::OK, &Published { result: Members { members } })
        }
        Err(_) => respond::later("a worker does not keep up: try again in a moment"),
    }
}

/// Text or binary, as the type of the content has it; where that says neither, text if it may be
/// one. Nothing if it has to be text and is none.
fn kind(headers: &HeaderMap, body: &[u8]) -> Option<Kind> {
    let content = headers.get(CONTENT_TYPE).and_then(|content| content.to_str().ok());
    let content = content.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let content = content.to_ascii_lowercase();
    let is_text =
        content.starts_with("text/") || content == "application/json" || content.ends_with("+json");
    match from_utf8(body) {
        _ if content == "application/octet-stream" => Some(Kind::Binary),
        Ok(_) => Some(Kind::Text),
        Err(_) if is_text => None,
        Err(_) => Some(Kind::Binary),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(list: &[(&str, u32)]) -> Vec<TopicInfo> {
        let topic = |&(name, members): &(&str, u32)| TopicInfo {
            name: name.into(),
            members,
            fanout_micros: None,
            dropped: 0,
        };
        list.iter().map(topic).collect()
    }

    fn names(sort: Sort) -> Vec<Vec<String>> {
        let list = topics(&[("c", 5), ("a:1", 1), ("b", 5), ("d", 9), ("e", 1)]);
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = page(list.clone(), sort, after, 2);
            assert_eq!(page.total, 5);
            pages.push(page.rooms.into_iter().map(|room| room.room).collect());
            let Some(cursor) = page.cursor else { return pages };
            after = parse(&cursor);
        }
    }

    #[test]
    fn pages_have_each_room_once_in_their_order() {
        assert_eq!(names(Sort::Members), [vec!["d", "b"], vec!["c", "a:1"], vec!["e"]]);
        assert_eq!(names(Sort::Name), [vec!["a:1", "b"], vec!["c", "d"], vec!["e"]]);
    }

    #[test]
    fn the_type_of_the_content_decides() {
        let of = |content: &'static str, body: &[u8]| {
            let mut headers = HeaderMap::new();
            if !content.is_empty() {
                headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(content));
            }
            kind(&headers, body)
        };
        for text in ["", "text/plain", "Application/JSON; charset=utf-8", "application/a+json"] {
            assert_eq!(of(text, b"a"), Some(Kind::Text), "{text}");
        }
        assert_eq!(of("application/x-www-form-urlencoded", b"a"), Some(Kind::Text));
        assert_eq!(of("application/octet-stream", b"a"), Some(Kind::Binary));
        assert_eq!(of("", b"\xff"), Some(Kind::Binary));
        assert_eq!(of("text/plain", b"\xff"), None);
    }
}
