//! The chat page at `/`, in the binary so that nothing has to be installed beside it.

use crate::http::{Response, Status};

/// Nothing but our own files runs, and only WebSockets are opened. Browsers differ in whether
/// 'self' covers them, hence the two schemes.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The file at a path.
#[must_use]
pub fn find(path: &str) -> Option<Response> {
    let (media_type, bytes): (_, &'static [u8]) = match path {
        "/" => ("text/html; charset=utf-8", include_bytes!("page/index.html")),
        "/chat.css" => ("text/css; charset=utf-8", include_bytes!("page/chat.css")),
        "/chat.js" => ("text/javascript; charset=utf-8", include_bytes!("page/chat.js")),
        _ => return None,
    };
    let response = Response::new(Status::Ok, media_type, bytes)
        .field("Content-Security-Policy", POLICY)
        .field("X-Content-Type-Options", "nosniff")
        .field("Referrer-Policy", "no-referrer")
        .field("Cache-Control", "no-cache");
    Some(response)
}
