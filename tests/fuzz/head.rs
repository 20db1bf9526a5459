//! Requests and the handshake: from bytes in any pieces to a response.

use std::time::Duration;

use throng::config::Config;
use throng::http::{self, Connection, Context, Subprotocols};
use throng::protocol::{Builtin, Protocols, Route, Setups};
use throng::wire::head::HeadError;

use crate::source::{outcome, pieces};

pub(crate) const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"GET / HTTP/1.1\r\n",
    b"HEAD /echo HTTP/1.0\r\n",
    b"/room/",
    b"%2f",
    b"%",
    b"http://",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Host: a\r\n",
    b"Connection: keep-alive, Upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Sec-WebSocket-Version: 13\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Sec-WebSocket-Protocol: chat\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b"Origin: http://a\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"PROXY TCP4 192.0.2.7 ",
    b"\r\n\r\n\0\r\nQUIT\n",
];

/// The heads that come, until there is an error or no more of them.
fn heads(pieces: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Option<HeadError>) {
    let (mut connection, mut heads) = (Connection::default(), Vec::new());
    for mut piece in pieces {
        let mut input = &mut piece[..];
        loop {
            let before = input.len();
            match connection.receive(&mut input) {
                Ok(arrived) => match arrived.bytes() {
                    Some(head) => heads.push(head.to_vec()),
                    None => break assert!(input.is_empty(), "all is taken"),
                },
                // How much had come decides which of two faults is seen first.
                Err(HeadError::TooLarge) => return (heads, Some(HeadError::Malformed)),
                Err(error) => return (heads, Some(error)),
            }
            assert!(input.len() < before, "a head takes bytes");
        }
    }
    (heads, None)
}

pub(crate) fn check(input: &[u8]) -> u64 {
    let whole = heads(vec![input.to_vec()]);
    for round in 0..2 {
        assert_eq!(heads(pieces(input, round)), whole, "wherever it is cut");
    }
    let (heads, error) = whole;
    let answers: Vec<u64> = heads.iter().map(|head| answer(head)).collect();
    outcome((error.map(|error| error as u8), answers))
}

fn answer(head: &[u8]) -> u64 {
    let request = match http::request(head) {
        Ok(request) => request,
        Err(response) => return refused(&response),
    };
    // Another reader of the same bytes finds the same request, and no other behind it.
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut other = httparse::Request::new(&mut fields);
    assert_eq!(other.parse(head), Ok(httparse::Status::Complete(head.len())));
    assert_eq!(other.method, Some(request.head.method));
    assert_eq!(other.path, Some(request.head.target));
    assert!(
        request.head.target.ends_with(request.path)
            || request.query.is_some()
            || request.path == "/"
    );
    let is_name = |name: &str| other.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    assert!(!is_name("Transfer-Encoding"), "nobody else may see a body");
    let setups = Setups::default();
    let route = Builtin::route(&setups, &request);
    if let Some(response) = request.refuse_body() {
        return refused(&response);
    }
    let subprotocols = match route {
        Some(Route::Response(response)) => return refused(&response),
        Some(Route::WebSocket(opening)) => opening.subprotocols,
        Some(Route::Topic(..)) => return outcome(3),
        Some(Route::Held(..)) => return outcome(4),
        None => return outcome(2),
    };
    let config = Config::default();
    let handshake = match http::upgrade(&request, &config, subprotocols) {
        Ok(handshake) => handshake,
        Err(response) => return refused(&response),
    };
    let only = Subprotocols::Listed(&["chat"]);
    let listed = http::upgrade(&request, &config, only);
    let listed = listed.expect("which subprotocols there are refuses nobody").subprotocol;
    assert!(listed.is_none() || listed == Some("chat"));
    let mut out = Vec::new();
    handshake.encode(&mut out);
    let has = [handshake.subprotocol.is_some(), handshake.deflate.is_some()];
    check_response(&out, 3 + has.iter().filter(|has| **has).count());
    outcome((1, has, handshake.subprotocol.map(str::len), request.head.is_1_1))
}

fn refused(response: &http::Response) -> u64 {
    for is_head in [false, true] {
        let mut out = Vec::new();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let keep_alive = Duration::from_secs(75);
        response.encode(&Context { is_head, date, keep_alive }, &mut out);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut other = httparse::Response::new(&mut fields);
        let parsed = other.parse(&out).expect("our response is one");
        assert!(parsed.is_complete() && other.code.is_some_and(|code| (200..600).contains(&code)));
    }
    outcome((0, response.status as u16, response.closes))
}

/// Nothing that the client sent adds a line to ours.
fn check_response(bytes: &[u8], count: usize) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut other = httparse::Response::new(&mut fields);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!((other.code, other.headers.len()), (Some(101), count));
}
