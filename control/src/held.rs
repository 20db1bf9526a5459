//! Requests that came to the listeners of clients, and are answered here all the same: a worker
//! holds each until it has its answer.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use throng::http::{self, Held, Status};
use throng::server::{Asked, Questions};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use crate::access::Way;
use crate::router;
use crate::state::State;

/// Requests at work at once; more are told to try again.
const AT_WORK_MAX: usize = 128;

/// How long the thread sleeps at once: when nobody asks any more it is to end.
const NAP: Duration = Duration::from_secs(1);

/// Answers what workers hold, on a thread that ends with the server.
pub(crate) fn answer_all(
    runtime: Handle,
    state: Arc<State>,
    mut questions: Questions,
) -> io::Result<()> {
    let router = router::router(state);
    let places = Arc::new(Semaphore::new(AT_WORK_MAX));
    let answer_all = move || {
        while !questions.has_ended() {
            match questions.next(NAP) {
                Ok(Some(asked)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => drop(runtime.spawn(answer(router.clone(), asked, place))),
                    // Nobody has answered it then: the worker says so, and to try again.
                    Err(_) => drop(asked),
                },
                Ok(None) => {}
                Err(error) => return tracing::error!(%error, "requests of clients wait for nobody"),
            }
        }
    };
    thread::Builder::new().name("operator-held".into()).spawn(answer_all).map(drop)
}

async fn answer(mut router: Router, mut asked: Asked, _place: OwnedSemaphorePermit) {
    // Whatever else is asked somebody else answers, or nobody.
    let Some(held) = asked.take_body::<Held>() else { return };
    let Some(request) = request(held) else {
        let text = "the target of this request is none\n";
        return asked.answer(http::Response::text(Status::BadRequest, text));
    };
    let response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    asked.answer(of_worker(response).await);
}

/// As the router takes it; nothing if that cannot be.
fn request(held: Held) -> Option<Request<Body>> {
    let target = match &held.query {
        Some(query) => format!("{}?{query}", held.path),
        None => held.path,
    };
    let method = match held.method {
        http::Method::Post => Method::POST,
        // Of HEAD too: the worker sends the head alone, with the length that the body would have.
        http::Method::Get | http::Method::Head | http::Method::Options => Method::GET,
    };
    let mut request = Request::builder().method(method).uri(target).extension(Way::Clients);
    for (name, value) in &held.fields {
        request = request.header(name.as_str(), value.as_slice());
    }
    request.body(Body::from(held.body)).ok()
}

/// As the worker sends it.
async fn of_worker(response: Response) -> http::Response {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    let text = body.ok().and_then(|body| String::from_utf8(body).ok());
    let (Some(text), Some(status)) = (text, Status::of_code(head.status.as_u16())) else {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        tracing::error!(status = head.status.as_u16(), "an answer that no worker can send");
        return http::Response::text(Status::InternalServerError, status.as_str().to_owned());
    };
    let value = |value: &axum::http::HeaderValue| value.to_str().map(str::to_owned).ok();
    let media_type = head.headers.get(CONTENT_TYPE).and_then(value);
    let media_type = media_type.as_deref().unwrap_or("text/plain; charset=utf-8");
    let mut answer = http::Response::of_type(status, media_type, text);
    for (name, field) in &head.headers {
        if let Some(field) = value(field)
            && ![CONTENT_TYPE, CONTENT_LENGTH].contains(name)
        {
            answer = answer.field(name.as_str(), &field);
        }
    }
    answer
}
