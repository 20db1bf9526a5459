//! Connections of the operator's port: how many, and how long they may take.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::dashboard;
use crate::port::Port;
use crate::respond;
use crate::router;
use crate::state::State;

/// Connections at once. Those behind get a 503.
pub(crate) const CONNECTIONS_MAX: usize = 128;

/// Connections that are told so at once; those behind are closed without a word.
const REFUSED_MAX: usize = 32;

/// How long a caller may take for a request's head, and idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one that is refused may take for its request.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a caller may take nothing of what is sent to it.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request's head, as far as they have to be held.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long accepting rests where descriptors or memory are short.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(200);

/// Serves until it is dropped; until it listens it only sends on what the server's mail had no room
/// for.
pub(crate) async fn serve(port: Port, state: Arc<State>) {
    let forwarding = Arc::clone(&state);
    tokio::spawn(async move { forwarding.started().await.publisher.forward().await });
    let listener = match tokio::net::TcpListener::from_std(port.listener().await) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the operator's port cannot be served"),
    };
    let router = router::router(Arc::clone(&state));
    tokio::spawn(dashboard::tell(state));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let refusals = Arc::new(Semaphore::new(REFUSED_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &router, &places, &refusals),
            Err(error) => {
                tracing::debug!(%error, "the operator's port accepts nobody for a moment");
                sleep(SHORTAGE_PAUSE).await;
            }
        }
    }
}

fn admit(stream: TcpStream, router: &Router, places: &Arc<Semaphore>, refusals: &Arc<Semaphore>) {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        tokio::spawn(converse(stream, router.clone(), place));
    } else if let Ok(place) = Arc::clone(refusals).try_acquire_owned() {
        tokio::spawn(refuse(stream, place));
    }
}

fn connection() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    // Who has finished may still read the answer.
    builder.half_close(true);
    builder
}

async fn converse(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    let socket = SockRef::from(&stream);
    // Without them it works as well, but who vanishes keeps its place for longer.
    let _ = socket.set_tcp_user_timeout(Some(TAKE_TIMEOUT));
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let conversation = connection().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = conversation.await {
        tracing::debug!(%error, "a connection of the operator's port has failed");
    }
}

async fn refuse(stream: TcpStream, _place: OwnedSemaphorePermit) {
    let answer = |_| async {
        let text = "too many connections of the operator's port: close some";
        Ok::<Response, Infallible>(respond::later(text))
    };
    let service = hyper::service::service_fn(answer);
    let mut builder = connection();
    builder.keep_alive(false);
    let conversation = builder.serve_connection(TokioIo::new(stream), service);
    // Whoever does not hear it is refused all the same.
    let _ = timeout(REFUSED_TIMEOUT, conversation).await;
}
