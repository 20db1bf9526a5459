//! Where to connect to, and with which request.

use std::net::{SocketAddr, ToSocketAddrs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::template::Template;

/// What RFC 6455 appends to the key, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An address of the form `ws://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// As the Host field wants it.
    pub(crate) authority: String,
    /// Begins with a slash.
    pub(crate) path: String,
}

impl Url {
    /// Takes an address apart.
    pub(crate) fn parse(text: &str, scheme: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) else {
            return Err(format!("{text}: an address like {scheme}://HOST:PORT/PATH is needed"));
        };
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        if authority.is_empty() || authority.contains('@') {
            return Err(format!("{text}: a host is needed, and no user"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { authority: authority.to_owned(), path })
    }

    /// The first address that the host has.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, String> {
        let has_port =
            self.authority.rfind(':').is_some_and(|at| !self.authority[at..].contains(']'));
        let authority =
            if has_port { self.authority.clone() } else { format!("{}:80", self.authority) };
        let mut addresses =
            authority.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
        addresses.next().ok_or_else(|| format!("{authority} has no address"))
    }
}

/// Everything that a connection needs to open.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    path: Template,
    /// Everything of the request behind the path.
    tail: String,
    /// What Sec-WebSocket-Accept must say.
    accept: String,
    /// Messages that a client sends when it is open.
    pub(crate) on_open: Vec<Template>,
    /// Messages of the server, and what a client answers.
    pub(crate) replies: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Target {
    /// A target whose clients all send the same key: each server has to work as much for it as for
    /// fresh ones, and each response can be checked.
    pub(crate) fn new(
        url: &Url,
        headers: &[String],
        subprotocols: &[String],
    ) -> Result<Self, String> {
        let key = STANDARD.encode(b"loadtest is here");
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
        let mut tail = format!(
            " HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            url.authority
        );
        if !subprotocols.is_empty() {
            tail += &format!("Sec-WebSocket-Protocol: {}\r\n", subprotocols.join(", "));
        }
        for header in headers {
            tail += &format!("{header}\r\n");
        }
        tail += "\r\n";
        Ok(Self {
            address: url.resolve()?,
            path: Template::new(&url.path),
            tail,
            accept,
            on_open: Vec::new(),
            replies: Vec::new(),
        })
    }

    /// Makes `{room}` the number of a client divided by `clients`.
    pub(crate) fn set_room_size(&mut self, clients: u32) {
        let templates = std::iter::once(&mut self.path).chain(&mut self.on_open);
        templates.for_each(|template| template.set_room_size(clients));
    }

    /// Appends the request of one client.
    pub(crate) fn write_request(&self, client: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET ");
        self.path.write(client, b"", out);
        out.extend_from_slice(self.tail.as_bytes());
    }

    /// The answer to a message of the server, if one was given.
    pub(crate) fn reply_to(&self, message: &[u8]) -> Option<&[u8]> {
        let mut replies = self.replies.iter();
        replies.find(|(to, _)| to == message).map(|(_, reply)| &**reply)
    }

    /// Whether a response has opened the connection: bytes of its head, `None` while it is not
    /// complete, or what is wrong with it.
    pub(crate) fn judge_response(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > RESPONSE_BYTES_MAX => {
                return Err("handshake: a response head of more than 16 KiB".into());
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("handshake: not a response of HTTP/1.1: {error}")),
        };
        match response.code {
            Some(101) => {}
            code => return Err(format!("handshake: status {}", code.unwrap_or(0))),
        }
        let accept = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
        match accept {
            Some(header) if header.value == self.accept.as_bytes() => Ok(Some(length)),
            _ => Err("handshake: Sec-WebSocket-Accept is missing or wrong".into()),
        }
    }
}

const RESPONSE_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = Url::parse("ws://127.0.0.1:8080/room/a?b", "ws").expect("it is an address");
        assert_eq!(url, Url { authority: "127.0.0.1:8080".into(), path: "/room/a?b".into() });
        assert_eq!(url.resolve(), Ok(SocketAddr::from(([127, 0, 0, 1], 8080))));
        let url = Url::parse("ws://[::1]", "ws").expect("it is an address");
        assert_eq!(url.path, "/");
        assert_eq!(url.resolve().map(|address| address.port()), Ok(80));
        for bad in ["http://a/", "ws:///x", "ws://a@b/", "wss://a/", "127.0.0.1:80"] {
            assert!(Url::parse(bad, "ws").is_err(), "{bad}");
        }
    }

    fn target() -> Target {
        let url = Url::parse("ws://127.0.0.1:1/{id}", "ws").expect("it is an address");
        Target::new(&url, &["A: b".into()], &["p".into(), "q".into()]).expect("it resolves")
    }

    #[test]
    fn a_request_has_all_that_was_asked_for() {
        let mut request = Vec::new();
        target().write_request(7, &mut request);
        let request = String::from_utf8(request).expect("it is text");
        assert!(request.starts_with("GET /7 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        assert!(request.contains("\r\nSec-WebSocket-Protocol: p, q\r\nA: b\r\n\r\n"));
    }

    #[test]
    fn responses_are_judged() {
        let target = target();
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {}\r\n\r\n",
            target.accept
        );
        assert_eq!(target.judge_response(good.as_bytes()), Ok(Some(good.len())));
        assert_eq!(target.judge_response(&good.as_bytes()[..30]), Ok(None));
        let other = good.replace(&target.accept, "AAAA");
        assert!(target.judge_response(other.as_bytes()).is_err());
        let refused = target.judge_response(b"HTTP/1.1 503 Busy\r\n\r\n");
        assert_eq!(refused, Err("handshake: status 503".into()));
    }
}
