//! Errors of the API, with Centrifugo's numbers.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::ask::Unanswered;
use crate::respond;

/// What a command came to that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) message: &'static str,
}

impl Fault {
    /// A worker has not answered.
    pub(crate) const INTERNAL: Self = Self { code: 100, message: "internal server error" };
    /// Channels come later.
    pub(crate) const UNKNOWN_CHANNEL: Self = Self { code: 102, message: "unknown channel" };
    pub(crate) const METHOD_NOT_FOUND: Self = Self { code: 104, message: "method not found" };
    pub(crate) const BAD_REQUEST: Self = Self { code: 107, message: "bad request" };
    pub(crate) const NOT_AVAILABLE: Self = Self { code: 108, message: "not available" };
    /// Workers do not keep up: try again in a moment.
    pub(crate) const TOO_MANY: Self = Self { code: 111, message: "too many requests" };

    fn status(self) -> StatusCode {
        match self.code {
            102 | 104 => StatusCode::NOT_FOUND,
            107 | 108 => StatusCode::BAD_REQUEST,
            111 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Unanswered> for Fault {
    fn from(_: Unanswered) -> Self {
        Self::INTERNAL
    }
}

#[derive(Serialize)]
struct Done<T> {
    result: T,
}

#[derive(Serialize)]
struct NotDone {
    error: Fault,
}

/// `{"result":..}` or `{"error":..}`, with 200 as Centrifugo has it, or by request
/// (`X-Centrifugo-Error-Mode: transport`) the error with a status of its own.
pub(crate) fn respond<T: Serialize>(headers: &HeaderMap, result: Result<T, Fault>) -> Response {
    let mode = headers.get("x-centrifugo-error-mode").map(|mode| mode.as_bytes());
    match result {
        Ok(result) => respond::json(StatusCode::OK, &Done { result }),
        Err(Fault::TOO_MANY) => {
            let body = NotDone { error: Fault::TOO_MANY };
            let mut response = respond::json(StatusCode::SERVICE_UNAVAILABLE, &body);
            respond::set(&mut response, RETRY_AFTER, "1");
            response
        }
        Err(error) if mode == Some(b"transport") => respond::json(error.status(), &error),
        Err(error) => respond::json(StatusCode::OK, &NotDone { error }),
    }
}
