//! What clients find at which path, and what is spoken there once a session is open.
//!
//! One file for each. A protocol turns requests and messages into answers; it never changes
//! a connection and never knows who else is connected.

pub mod echo;
pub mod page;
pub mod room;

use std::borrow::Cow;

use crate::http::{self, Method, Request, Response, Status, Subprotocols};

/// What a request leads to.
#[derive(Debug)]
pub enum Route<'a> {
    /// An answer; the connection may ask again.
    Response(Response),
    /// An upgrade to WebSocket, if the request asks for one.
    Upgrade(Endpoint<'a>),
}

/// What is spoken on a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// Every message comes back.
    Echo,
    /// Every message goes to everybody in the room of this name.
    Room(Cow<'a, str>),
}

impl Endpoint<'_> {
    /// The subprotocols of the endpoint: raw ones carry whatever the client names first.
    #[must_use]
    pub fn subprotocols(&self) -> Subprotocols {
        Subprotocols::First
    }
}

/// Finds what a request leads to.
#[must_use]
pub fn route<'a>(request: &Request<'a>) -> Route<'a> {
    if request.method == Method::Options {
        return Route::Response(http::options());
    }
    if let Some(response) = page::find(request.path) {
        return Route::Response(response);
    }
    if request.path == echo::PATH {
        return Route::Upgrade(Endpoint::Echo);
    }
    match room::name(request) {
        Some(name) => Route::Upgrade(Endpoint::Room(name)),
        None => Route::Response(Response::text(
            Status::NotFound,
            "nothing here: try /, /echo or /room/NAME\n",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(path: &str) -> Option<String> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let request = http::request(head.as_bytes()).expect("a good request");
        match route(&request) {
            Route::Response(_) => None,
            Route::Upgrade(endpoint) => Some(format!("{endpoint:?}")),
        }
    }

    #[test]
    fn paths() {
        assert_eq!(endpoint("/echo?x=1").as_deref(), Some("Echo"));
        assert_eq!(endpoint("/room/a%20b").as_deref(), Some("Room(\"a b\")"));
        for other in ["/", "/chat.js", "/echo/", "/room", "/room/", "/room/a/b", "/room/%ff"] {
            assert_eq!(endpoint(other), None, "{other}");
        }
    }
}
