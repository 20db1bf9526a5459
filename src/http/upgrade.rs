//! The opening handshake (RFC 6455, 4.2).

use std::borrow::Cow;

use super::origin;
use super::request::{Request, query_value};
use super::response::Response;
use super::status::Status;
use crate::config::{Compression, Config};
use crate::stats::Refusal;
use crate::wire::accept::accept_key;
use crate::wire::extension::{self, Agreed};

/// Which subprotocol a route picks among those that a client offers.
#[derive(Clone, Copy, Debug)]
pub enum Subprotocols {
    /// The client's first, whatever it is: browsers fail a connection where they offered some and
    /// none was picked, and a raw route carries any.
    First,
    /// The first of the client's that is listed here; none if there is none.
    Listed(&'static [&'static str]),
}

/// A handshake that was accepted.
#[derive(Debug)]
pub struct Handshake<'a> {
    accept: String,
    /// The subprotocol that was picked.
    pub subprotocol: Option<&'a str>,
    /// What was agreed about compression.
    pub deflate: Option<Agreed>,
}

/// Checks a request for an upgrade to WebSocket.
///
/// # Errors
///
/// The response that refuses it.
pub fn upgrade<'a>(
    request: &Request<'a>,
    config: &Config,
    subprotocols: Subprotocols,
) -> Result<Handshake<'a>, Response> {
    let head = &request.head;
    if !request.asks_for_websocket() || head.method != "GET" || !head.is_1_1 {
        return Err(no_upgrade(request, config));
    }
    if head.only("Sec-WebSocket-Version") != Some("13") {
        return Err(upgrade_required("WebSocket version 13 is spoken here\n"));
    }
    let key =
        head.only("Sec-WebSocket-Key").ok_or_else(|| bad("one Sec-WebSocket-Key is needed\n"))?;
    let accept =
        accept_key(key.as_bytes()).ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes\n"))?;
    if head.has("Origin") {
        let origin = head.only("Origin").ok_or_else(|| bad("bad Origin\n"))?;
        origin::check(origin, request.host, config)?;
    }
    let subprotocol = pick(head.texts("Sec-WebSocket-Protocol"), subprotocols)
        .map_err(|()| bad("bad Sec-WebSocket-Protocol\n"))?;
    let deflate = match config.compression {
        Compression::On => extension::negotiate(head.texts("Sec-WebSocket-Extensions")),
        Compression::Off => None,
    };
    Ok(Handshake { accept, subprotocol, deflate })
}

/// What who asks for no upgrade is told: browsers show nothing of why one was refused, so a page
/// asks again, as an ordinary request, with its origin in the query, since they leave out the field
/// where page and server agree.
fn no_upgrade(request: &Request<'_>, config: &Config) -> Response {
    let asked = request.query.and_then(|query| query_value(query, "origin"));
    let origin = request.head.only("Origin").map(Cow::Borrowed).or(asked);
    if let Some(Err(refused)) = origin.map(|origin| origin::check(&origin, request.host, config)) {
        return refused;
    }
    upgrade_required("this path speaks WebSocket: connect with ws:// or wss://\n")
}

fn bad(text: &'static str) -> Response {
    Response::text(Status::BadRequest, text).refusing(Refusal::Handshake).closing()
}

impl Handshake<'_> {
    /// Appends the 101 response.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(self.accept.as_bytes());
        if let Some(subprotocol) = self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(subprotocol.as_bytes());
        }
        if let Some(deflate) = self.deflate {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            out.extend_from_slice(deflate.answer().as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

fn upgrade_required(text: &'static str) -> Response {
    Response::text(Status::UpgradeRequired, text)
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .refusing(Refusal::Handshake)
        .closing()
}

fn pick<'a>(
    offers: impl Iterator<Item = &'a str>,
    subprotocols: Subprotocols,
) -> Result<Option<&'a str>, ()> {
    let tokens = offers.flat_map(|field| field.split(',')).map(str::trim);
    // Empty elements of a list count for nothing (RFC 9110, 5.6.1.2).
    let tokens: Vec<&str> = tokens.filter(|token| !token.is_empty()).collect();
    if !tokens.iter().all(|token| is_token(token)) || !are_unique(&tokens) {
        return Err(());
    }
    let is_ours = |token: &&str| match subprotocols {
        Subprotocols::First => true,
        Subprotocols::Listed(list) => list.contains(token),
    };
    Ok(tokens.into_iter().find(is_ours))
}

/// A client names each subprotocol once (RFC 6455, 4.1). Sorted, as a head has room for thousands
/// of names, and to compare each with all others would take a tenth of a second.
fn are_unique(tokens: &[&str]) -> bool {
    let mut sorted = tokens.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

/// A token of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::Head;

    const GOOD: &str = "GET /echo HTTP/1.1\nHost: a.example:8080\nUpgrade: WebSocket\n\
                        Connection: keep-alive, Upgrade\nSec-WebSocket-Version: 13\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn answer(lines: &str, subprotocols: Subprotocols) -> Result<String, Status> {
        let bytes = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let head = Head::parse(bytes.as_bytes()).expect("the head parses");
        let request = Request::check(head).map_err(|response| response.status)?;
        let allowed_origins = "https://good.example".parse().expect("a good list");
        let config = Config { allowed_origins, ..Config::default() };
        let handshake = upgrade(&request, &config, subprotocols).map_err(|r| r.status)?;
        let mut out = Vec::new();
        handshake.encode(&mut out);
        Ok(String::from_utf8(out).expect("ascii"))
    }

    fn with(line: &str) -> Result<String, Status> {
        answer(&format!("{GOOD}\n{line}"), Subprotocols::First)
    }

    #[test]
    fn a_good_handshake() {
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(answer(GOOD, Subprotocols::First).as_deref(), Ok(expected));
    }

    #[test]
    fn handshakes_that_are_refused() {
        for (from, to, status) in [
            ("Upgrade: WebSocket\n", "", Status::UpgradeRequired),
            ("keep-alive, Upgrade", "keep-alive", Status::UpgradeRequired),
            ("Version: 13", "Version: 8", Status::UpgradeRequired),
            ("\nSec-WebSocket-Version: 13", "", Status::UpgradeRequired),
            ("HTTP/1.1", "HTTP/1.0", Status::UpgradeRequired),
            ("GET", "HEAD", Status::UpgradeRequired),
            ("b25jZQ==", "", Status::BadRequest),
            ("\nHost: a.example:8080", "", Status::BadRequest),
        ] {
            let lines = GOOD.replace(from, to);
            assert_eq!(answer(&lines, Subprotocols::First), Err(status), "{lines}");
        }
        let again = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(with(again), Err(Status::BadRequest));
    }

    #[test]
    fn origins() {
        for good in [
            "http://a.example:8080",
            "HTTP://A.example:8080",
            "ws://a.example:8080",
            "wss://a.example:8080",
            "https://good.example",
        ] {
            assert!(with(&format!("Origin: {good}")).is_ok(), "{good}");
        }
        for bad in ["http://a.example", "null", "https://evil.example", "ftp://a.example:8080"] {
            assert_eq!(with(&format!("Origin: {bad}")), Err(Status::Forbidden), "{bad}");
        }
    }

    #[test]
    fn a_page_learns_by_an_ordinary_request_why_it_was_refused() {
        let plain = GOOD.replace("Upgrade: WebSocket\n", "");
        for (query, status) in [
            ("?origin=https%3A%2F%2Fevil.example", Status::Forbidden),
            ("?origin=https%3A%2F%2Fgood.example", Status::UpgradeRequired),
            ("?origin=", Status::Forbidden),
        ] {
            let lines = plain.replace("/echo", &format!("/echo{query}"));
            assert_eq!(answer(&lines, Subprotocols::First), Err(status), "{query}");
        }
        let lines = format!("{plain}\nOrigin: https://evil.example");
        assert_eq!(answer(&lines, Subprotocols::First), Err(Status::Forbidden));
    }

    #[test]
    fn subprotocols() {
        let line = "Sec-WebSocket-Protocol: soap, wamp\nSec-WebSocket-Protocol: chat";
        let first = with(line).expect("any will do");
        assert!(first.contains("\r\nSec-WebSocket-Protocol: soap\r\n"), "{first}");
        let lines = format!("{GOOD}\n{line}");
        let listed = answer(&lines, Subprotocols::Listed(&["chat", "wamp"])).expect("two fit");
        assert!(listed.contains("\r\nSec-WebSocket-Protocol: wamp\r\n"), "{listed}");
        let none = answer(&lines, Subprotocols::Listed(&["other"])).expect("none is no fault");
        assert!(!none.contains("Sec-WebSocket-Protocol"), "{none}");
        let padded = with("Sec-WebSocket-Protocol: ,, chat ,").expect("empty elements count not");
        assert!(padded.contains("\r\nSec-WebSocket-Protocol: chat\r\n"), "{padded}");
        assert_eq!(with("Sec-WebSocket-Protocol: a b"), Err(Status::BadRequest));
    }

    #[test]
    fn a_subprotocol_that_is_named_twice_is_refused() {
        for twice in ["a, b, a", "a\nSec-WebSocket-Protocol: b, a"] {
            let line = format!("Sec-WebSocket-Protocol: {twice}");
            assert_eq!(with(&line), Err(Status::BadRequest), "{twice}");
        }
        assert!(with("Sec-WebSocket-Protocol: a, A").is_ok(), "names differ by case");
    }

    #[test]
    fn compression_is_agreed() {
        let line = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
        let answer = with(line).expect("a good offer");
        assert!(answer.contains("permessage-deflate; server_no_context_takeover"), "{answer}");
    }
}
