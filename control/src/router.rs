//! Which path leads where. The router needs no socket: it makes a response of a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use crate::state::State;
use crate::{access, api, dashboard, health, metrics, respond};

/// Bytes of a body at most: 413 above.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a body may take: 408 then.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// All paths, behind the guard.
pub(crate) fn router(state: Arc<State>) -> Router {
    let page = |router: Router<Arc<State>>, path: &'static str| {
        router.route(path, get(move || async move { dashboard::file(path) }))
    };
    dashboard::paths()
        .fold(Router::new(), page)
        .route("/health", get(health::health))
        .route("/healthz", get(health::health))
        .route("/livez", get(health::health))
        .route("/ready", get(health::ready))
        .route("/readyz", get(health::ready))
        .route("/events", get(dashboard::events))
        .route("/metrics", get(metrics::metrics))
        .nest("/api", api::router())
        .fallback(|| async { respond::text(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async {
            respond::text(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .layer(from_fn(whole_body))
        .layer(from_fn_with_state(Arc::clone(&state), access::guard))
        .with_state(state)
}

/// Waits for the body, as long and as large as it may be.
async fn whole_body(request: Request, next: axum::middleware::Next) -> Response {
    let (head, body) = request.into_parts();
    let body = match timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let line = "a body may have 1 MiB: send less at once";
            return respond::text(StatusCode::PAYLOAD_TOO_LARGE, line);
        }
        Ok(Err(_)) => return respond::text(StatusCode::BAD_REQUEST, "the body cannot be read"),
        Err(_) => {
            return respond::text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
        }
    };
    next.run(Request::from_parts(head, body.into())).await
}
