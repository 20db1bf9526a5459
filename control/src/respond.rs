//! Responses that several paths give.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

/// What a body is.
pub(crate) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A response with a body, which nobody may keep.
pub(crate) fn with(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// A line of text.
pub(crate) fn text(status: StatusCode, line: &str) -> Response {
    with(status, TEXT, format!("{line}\n"))
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("our own values have text keys");
    with(status, JSON, body)
}

/// 503, to be tried again in a second.
pub(crate) fn later(line: &str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, line);
    set(&mut response, RETRY_AFTER, "1");
    response
}

/// 401, with the way to show a key.
pub(crate) fn unauthorized(line: &str) -> Response {
    let mut response = text(StatusCode::UNAUTHORIZED, line);
    set(&mut response, WWW_AUTHENTICATE, "Bearer");
    response
}

/// Sets a field.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
