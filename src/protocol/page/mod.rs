//! The chat page at `/`, in the binary so that nothing has to be installed beside it. All that it
//! asks for is relative to where it was found, so it may stand under any path of a proxy. It never
//! takes an upgrade: that is a room's.

use crate::http::{File, Request, Response};
use crate::protocol::{Context, Flow, Persist, Protocol, Route};
use crate::wire::Kind;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Page;

/// What is known of a connection: there is none.
#[derive(Debug)]
pub enum Never {}

impl Persist for Never {
    fn put(&self, _out: &mut Vec<u8>) {
        match *self {}
    }

    fn take(_input: &mut &[u8]) -> Option<Self> {
        None
    }
}

impl Protocol for Page {
    type Conn = Never;
    type Setup = ();

    const PATHS: &'static [&'static str] = &["/"];

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, Never>> {
        // What everybody types first is ws://host:8080, and that is for the rooms.
        let response = find(request.path).filter(|_| !request.asks_for_websocket());
        response.map(Route::Response)
    }

    fn message(
        (): &(),
        conn: &mut Never,
        _cx: &mut Context<'_>,
        _kind: Kind,
        _payload: &[u8],
    ) -> Flow {
        match *conn {}
    }
}

/// Nothing but our own files runs, and only WebSockets are opened. Browsers differ in whether
/// 'self' covers them, hence the two schemes.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

static INDEX: &[u8] = include_bytes!("index.html");
static STYLE: &[u8] = include_bytes!("chat.css");
static SCRIPT: &[u8] = include_bytes!("chat.js");
static LINK: &[u8] = include_bytes!("link.js");
static PEOPLE: &[u8] = include_bytes!("people.js");

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The file at a path.
#[must_use]
pub fn find(path: &str) -> Option<Response> {
    let (media_type, file): (_, File) = match path {
        "/" => ("text/html; charset=utf-8", &INDEX),
        "/chat.css" => ("text/css; charset=utf-8", &STYLE),
        "/chat.js" => (JAVASCRIPT, &SCRIPT),
        "/link.js" => (JAVASCRIPT, &LINK),
        "/people.js" => (JAVASCRIPT, &PEOPLE),
        _ => return None,
    };
    let response = Response::file(media_type, file)
        .field("Content-Security-Policy", POLICY)
        .field("X-Content-Type-Options", "nosniff")
        .field("Referrer-Policy", "no-referrer")
        .field("Cache-Control", "no-cache");
    Some(response)
}
