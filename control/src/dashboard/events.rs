//! `/events`: figures once a second, as server-sent events. Who is slow misses some, and nobody
//! waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::HeaderName;
use axum::response::Response;
use futures_util::stream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::figures::Figures;
use crate::respond;
use crate::state::State;

/// Pages that look at once: others get a 503. They leave places for the other paths.
const WATCHERS_MAX: usize = 64;

/// From one event to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Who looks, and the latest figures.
#[derive(Debug)]
pub(crate) struct Events {
    latest: watch::Sender<Bytes>,
    has_come: Notify,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { latest: watch::Sender::new(Bytes::new()), has_come: Notify::new() }
    }
}

/// Tells figures as long as somebody looks; it runs until it is dropped.
pub(crate) async fn tell(state: Arc<State>) {
    let server = state.started().await;
    let mut figures = Figures::default();
    loop {
        while state.events.latest.receiver_count() == 0 {
            state.events.has_come.notified().await;
        }
        let next = Instant::now() + INTERVAL;
        let json = figures.json(server).await;
        state.events.latest.send_replace(Bytes::from(format!("data: {json}\n\n")));
        sleep_until(next).await;
    }
}

/// See the module.
pub(crate) async fn events(Shared(state): Shared<Arc<State>>) -> Response {
    if state.server().is_none() {
        return respond::later("the server starts");
    }
    if state.events.latest.receiver_count() >= WATCHERS_MAX {
        return respond::later("too many look already: close some dashboards");
    }
    let receiver = state.events.latest.subscribe();
    state.events.has_come.notify_one();
    let events = stream::unfold(receiver, |mut receiver| async {
        receiver.changed().await.ok()?;
        let event = receiver.borrow_and_update().clone();
        Some((Ok::<_, Infallible>(event), receiver))
    });
    let body = Body::from_stream(events);
    let mut response = respond::with(StatusCode::OK, "text/event-stream", body);
    // Or nginx waits until it has a page of them.
    respond::set(&mut response, HeaderName::from_static("x-accel-buffering"), "no");
    response
}
