//! A request that was understood.

use std::borrow::Cow;

use super::response::Response;
use super::status::Status;
use crate::wire::head::Head;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// What is there.
    Get,
    /// The same response without its body.
    Head,
    /// What may be asked.
    Options,
    /// To take a body.
    Post,
}

/// What may be asked of any path, as it stands in `Allow`.
pub(super) const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

/// A request, of which a body may follow.
#[derive(Debug)]
pub struct Request<'a> {
    /// The head, with all fields.
    pub head: Head<'a>,
    /// What it asks for.
    pub method: Method,
    /// The path of the target, still percent-encoded.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// The authority the client means: of an absolute target, else of `Host`.
    pub host: &'a str,
    /// The connection ends behind the response.
    pub is_last: bool,
    /// Bytes of the body that follows.
    pub body_bytes: u64,
}

impl<'a> Request<'a> {
    /// Checks what RFC 9112 demands of a head, and that nothing in it could be smuggled.
    ///
    /// # Errors
    ///
    /// The response that refuses it.
    pub(super) fn check(head: Head<'a>) -> Result<Self, Response> {
        let body_bytes = body_bytes(&head)?;
        let method = Method::parse(head.method)?;
        let host = check_host(&head)?;
        let (authority, path_and_query) = match (method, head.target) {
            // Of the server as a whole (RFC 9112, 3.2.4).
            (Method::Options, "*") => (None, "*"),
            (_, target) => split_target(target)?,
        };
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let is_last = head.list_holds("Connection", "close")
            || !head.is_1_1 && !head.list_holds("Connection", "keep-alive");
        Ok(Self { path, query, host: authority.unwrap_or(host), method, is_last, body_bytes, head })
    }

    /// Whether the response has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// The response to a request that would have a body taken, or may not have one at all, where
    /// none is.
    #[must_use]
    pub fn refuse_body(&self) -> Option<Response> {
        if self.body_bytes > 0 {
            let text =
                "no body is expected here: messages are published at the port for operators\n";
            return Some(Response::text(Status::ContentTooLarge, text).closing());
        }
        (self.method == Method::Post).then(not_allowed)
    }

    /// Whether it asks for an upgrade to WebSocket, well or not.
    #[must_use]
    pub fn asks_for_websocket(&self) -> bool {
        let head = &self.head;
        head.list_holds("Connection", "Upgrade") && head.list_holds("Upgrade", "websocket")
    }

    /// The path's only segment behind a prefix, percent-decoded, if it is one of at most `max`
    /// bytes of UTF-8.
    #[must_use]
    pub fn segment_behind(&self, prefix: &str, max: usize) -> Option<Cow<'a, str>> {
        let segment = self.path.strip_prefix(prefix)?;
        if segment.is_empty() || segment.contains('/') {
            return None;
        }
        percent_decode(segment).filter(|name| name.len() <= max)
    }
}

impl Method {
    /// Methods that exist are refused as such, others as unknown (RFC 9110, 15.5.6 and 15.6.2).
    fn parse(text: &str) -> Result<Self, Response> {
        match text {
            "GET" => Ok(Self::Get),
            "HEAD" => Ok(Self::Head),
            "OPTIONS" => Ok(Self::Options),
            "POST" => Ok(Self::Post),
            "PUT" | "DELETE" | "CONNECT" | "TRACE" | "PATCH" => Err(not_allowed()),
            _ => {
                let text = "this method is not known here: GET and HEAD only\n";
                Err(Response::text(Status::NotImplemented, text).closing())
            }
        }
    }
}

/// The value of a name in a query, percent-decoded: the first of that name.
#[must_use]
pub fn query_value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    percent_decode(pairs.find(|(key, _)| *key == name)?.1)
}

fn bad(text: &'static str) -> Response {
    Response::text(Status::BadRequest, text).closing()
}

fn not_allowed() -> Response {
    let response = Response::text(Status::MethodNotAllowed, "GET and HEAD only\n");
    response.field("Allow", ALLOWED_METHODS).closing()
}

/// The length of the body. A body is read, or the connection is ended; two readers that disagree
/// about its length are how requests are smuggled, so doubt ends the connection.
fn body_bytes(head: &Head<'_>) -> Result<u64, Response> {
    if head.has("Transfer-Encoding") {
        return Err(bad("a request body without Content-Length is not taken here\n"));
    }
    let mut lengths = head.values("Content-Length");
    let number = |length: &[u8]| {
        let digits = std::str::from_utf8(length).ok()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
        // One that is too long for a number is too long.
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(0),
        (Some(length), None) => number(length).ok_or_else(|| bad("bad Content-Length\n")),
        _ => Err(bad("bad Content-Length\n")),
    }
}

/// HTTP/1.1 has exactly one `Host` (RFC 9112, 3.2); the older version may leave it out.
fn check_host<'a>(head: &Head<'a>) -> Result<&'a str, Response> {
    let host = match head.only("Host") {
        None if !head.has("Host") && !head.is_1_1 => "",
        None => return Err(bad("exactly one Host is needed\n")),
        Some(host) => host,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]!$&'()*+;=%".contains(c);
    if host.chars().all(is_plain) { Ok(host) } else { Err(bad("bad Host\n")) }
}

/// Splits `/path?query` or `http://authority/path?query` (RFC 9112, 3.2.1 and 3.2.2).
fn split_target(target: &str) -> Result<(Option<&str>, &str), Response> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let scheme = ["http://", "https://", "ws://", "wss://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return Err(bad("bad request target\n")) };
    let rest = &target[scheme.len()..];
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => rest.split_at(at),
        Some(_) => return Err(bad("bad request target\n")),
        None => (rest, "/"),
    };
    if authority.is_empty() || authority.contains('@') {
        return Err(bad("bad request target\n"));
    }
    Ok((Some(authority), path))
}

fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digit = |d: u8| char::from(d).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = behind;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str) -> Result<(String, Option<String>, String, bool), Status> {
        let bytes = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let head = Head::parse(bytes.as_bytes()).expect("the head parses");
        let request = Request::check(head).and_then(|request| match request.refuse_body() {
            Some(response) => Err(response),
            None => Ok(request),
        });
        request
            .map(|r| (r.path.into(), r.query.map(Into::into), r.host.into(), r.is_last))
            .map_err(|response| response.status)
    }

    #[test]
    fn targets() {
        let full = check("GET http://b:80/x?y HTTP/1.1\nHost: a").expect("absolute form");
        assert_eq!(full, ("/x".into(), Some("y".into()), "b:80".into(), false));
        let bare = check("GET http://b HTTP/1.1\nHost: a\nConnection: close").expect("no path");
        assert_eq!(bare, ("/".into(), None, "b".into(), true));
        for bad in ["*", "a:80", "ftp://a/", "http:///x", "http://u@b/"] {
            let head = format!("GET {bad} HTTP/1.1\nHost: a");
            assert_eq!(check(&head), Err(Status::BadRequest), "{bad}");
        }
    }

    #[test]
    fn refusals() {
        for (lines, status) in [
            ("POST / HTTP/1.1\nHost: a\nContent-Length: 0", Status::MethodNotAllowed),
            ("CONNECT a:80 HTTP/1.1\nHost: a", Status::MethodNotAllowed),
            ("BREW / HTTP/1.1\nHost: a", Status::NotImplemented),
            ("get / HTTP/1.1\nHost: a", Status::NotImplemented),
            ("HEAD * HTTP/1.1\nHost: a", Status::BadRequest),
            ("GET / HTTP/1.1", Status::BadRequest),
            ("GET / HTTP/1.1\nHost: a\nHost: a", Status::BadRequest),
            ("GET / HTTP/1.1\nHost: a/b", Status::BadRequest),
            ("GET / HTTP/1.1\nHost: a\nContent-Length: 5", Status::ContentTooLarge),
            ("GET / HTTP/1.1\nHost: a\nContent-Length: +5", Status::BadRequest),
            ("GET / HTTP/1.1\nHost: a\nContent-Length: 0\nContent-Length: 0", Status::BadRequest),
            ("GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", Status::BadRequest),
        ] {
            assert_eq!(check(lines), Err(status), "{lines}");
        }
        assert_eq!(check("OPTIONS * HTTP/1.0").map(|found| found.0).as_deref(), Ok("*"));
        assert_eq!(check("OPTIONS /x HTTP/1.0").map(|found| found.0).as_deref(), Ok("/x"));
        assert!(check("GET / HTTP/1.0").expect("HTTP/1.0 needs no Host").3);
        assert!(!check("GET / HTTP/1.0\nConnection: keep-alive").expect("asks to stay").3);
    }

    #[test]
    fn segments_and_queries() {
        let bytes = b"GET /room/caf%C3%A9?x=1&name=a%20b&name=c HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = Head::parse(bytes).expect("the head parses");
        let request = Request::check(head).expect("a good request");
        assert_eq!(request.segment_behind("/room/", 9).as_deref(), Some("café"));
        assert_eq!(request.segment_behind("/room/", 4), None);
        assert_eq!(query_value(request.query.expect("a query"), "name").as_deref(), Some("a b"));
        assert_eq!(percent_decode("%zz"), None);
        assert_eq!(percent_decode("%e2"), None);
        assert_eq!(percent_decode("%4"), None);
    }
}
