//! The opening handshake (RFC 6455, 4.2).

use super::request::Request;
use super::response::Response;
use super::status::Status;
use crate::config::{AllowedOrigins, Compression};
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
    allowed: &AllowedOrigins,
    compression: Compression,
    subprotocols: Subprotocols,
) -> Result<Handshake<'a>, Response> {
    let head = &request.head;
    let asks = head.list_holds("Connection", "Upgrade") && head.list_holds("Upgrade", "websocket");
    if !asks || head.method != "GET" || !head.is_1_1 {
        let text = "this path speaks WebSocket: connect with ws:// or wss://\n";
        return Err(upgrade_required(text));
    }
    if head.only("Sec-WebSocket-Version") != Some("13") {
        return Err(upgrade_required("WebSocket version 13 is spoken here\n"));
    }
    let bad = |text| Response::text(Status::BadRequest, text).closing();
    let key =
        head.only("Sec-WebSocket-Key").ok_or_else(|| bad("one Sec-WebSocket-Key is needed\n"))?;
    let accept =
        accept_key(key.as_bytes()).ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes\n"))?;
    if head.has("Origin") {
        let origin = head.only("Origin").ok_or_else(|| bad("bad Origin\n"))?;
        if !is_same_host(origin, request.host) && !allowed.allows(origin) {
            let text = "this origin is not allowed; the server's --allowed-origins widens that\n";
            return Err(Response::text(Status::Forbidden, text).closing());
        }
    }
    let subprotocol = pick(head.texts("Sec-WebSocket-Protocol"), subprotocols)
        .map_err(|()| bad("bad Sec-WebSocket-Protocol\n"))?;
    let deflate = match compression {
        Compression::On => extension::negotiate(head.texts("Sec-WebSocket-Extensions")),
        Compression::Off => None,
    };
    Ok(Handshake { accept, subprotocol, deflate })
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
        .closing()
}

/// Whether a page comes from the host that it connects to: the default port may be left out on
/// either side. No page has an origin of ws or wss, but clients that are no browser make one of
/// the address that they connect to (Starscream).
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => return false,
    };
    let bare = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_suffix(default_port).map(str::to_owned).unwrap_or(text)
    };
    !authority.is_empty() && bare(authority) == bare(host)
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
        let allowed = "https://good.example".parse().expect("a good list");
        let handshake =
            upgrade(&request, &allowed, Compression::On, subprotocols).map_err(|r| r.status)?;
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
        assert!(is_same_host("https://a.example", "a.example:443"));
        assert!(is_same_host("http://a.example:80", "a.example"));
        assert!(is_same_host("ws://a.example:80", "a.example"));
        assert!(is_same_host("wss://a.example", "a.example:443"));
        assert!(!is_same_host("https://a.example", "a.example:80"));
        assert!(!is_same_host("wss://a.example", "a.example:80"));
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
