//! The chat page at `/`, in the binary so that nothing has to be installed beside it.

use crate::http::{File, Response};

/// Nothing but our own files runs, and only WebSockets are opened. Browsers differ in whether
/// 'self' covers them, hence the two schemes.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

static INDEX: &[u8] = include_bytes!("page/index.html");
static STYLE: &[u8] = include_bytes!("page/chat.css");
static SCRIPT: &[u8] = include_bytes!("page/chat.js");

/// The file at a path.
#[must_use]
pub fn find(path: &str) -> Option<Response> {
    let (media_type, file): (_, File) = match path {
        "/" => ("text/html; charset=utf-8", &INDEX),
        "/chat.css" => ("text/css; charset=utf-8", &STYLE),
        "/chat.js" => ("text/javascript; charset=utf-8", &SCRIPT),
        _ => return None,
    };
    let response = Response::file(media_type, file)
        .field("Content-Security-Policy", POLICY)
        .field("X-Content-Type-Options", "nosniff")
        .field("Referrer-Policy", "no-referrer")
        .field("Cache-Control", "no-cache");
    Some(response)
}
