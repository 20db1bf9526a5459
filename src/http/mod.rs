//! One HTTP/1.1 connection: bytes to requests, and what answers them.
//!
//! A request is answered with a response, or with an upgrade that replaces this connection by a
//! session; or it is held, with its body, until somebody else has answered it. This module never
//! does I/O and never decides what a path means.

mod date;
mod forwarded;
mod held;
mod origin;
mod request;
mod response;
mod status;
mod upgrade;

pub use date::Dates;
pub use forwarded::client as forwarded_client;
pub use held::{Held, Owed, Place, Places};
pub use request::{Method, Request, query_value};
pub use response::{Context, File, Response};
pub use status::Status;
pub use upgrade::{Handshake, Subprotocols, upgrade};

use crate::stats::Refusal;
use crate::wire::head::{Head, HeadError, end_of_head};
use crate::wire::proxy;
use held::Body;

/// What has come of a request, or what is owed for one; a connection between requests owns nothing.
#[derive(Debug, Default)]
pub struct Connection {
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
enum Partial {
    /// A header of the PROXY protocol is to come before the first request: what has come of it.
    Preamble(Vec<u8>),
    /// A head that has not come whole.
    Head(Vec<u8>),
    /// A body that has not.
    Body(Body),
    /// A request that somebody else answers, which takes its place until then.
    Held(Owed, #[expect(dead_code, reason = "it is given back by being dropped")] Place),
}

/// What a connection has begun to say, as it is written out.
#[derive(Debug)]
pub enum Begun {
    /// Nothing: it is between requests.
    Nothing,
    /// A head that has not come whole.
    Head(Vec<u8>),
    /// A header of the PROXY protocol that has not, or of which nothing has come.
    Preamble(Vec<u8>),
}

/// Where a head is to be found.
#[derive(Debug)]
pub enum Arrived<'i> {
    /// More bytes are needed.
    Nothing,
    /// A whole head among the bytes that came.
    Whole(&'i [u8]),
    /// A head that came in pieces.
    Pieced(Vec<u8>),
}

impl Arrived<'_> {
    /// The head, if it is there.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::Whole(bytes) => Some(bytes),
            Self::Pieced(bytes) => Some(bytes),
        }
    }
}

impl Connection {
    /// One that begins with a header of the PROXY protocol.
    #[must_use]
    pub fn with_preamble() -> Self {
        Self { partial: Some(Box::new(Partial::Preamble(Vec::new()))) }
    }

    /// What has come of the header before the first request, while that is not whole. Nothing else
    /// is taken before [`Connection::end_preamble`].
    pub fn preamble(&mut self) -> Option<&mut Vec<u8>> {
        match self.partial.as_deref_mut() {
            Some(Partial::Preamble(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The header before the first request has come.
    pub fn end_preamble(&mut self) {
        assert!(self.preamble().is_some(), "it is awaited");
        self.partial = None;
    }

    /// Takes from `input` what belongs to the next request head; what follows it stays.
    ///
    /// # Errors
    ///
    /// If no head can come of these bytes: [`refusal`] makes the response.
    pub fn receive<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Arrived<'i>, HeadError> {
        self.join_line_end(input);
        if self.partial.is_none() {
            skip_empty_lines(input);
            if let Some(length) = end_of_head(input, 0)? {
                let (head, rest) = std::mem::take(input).split_at_mut(length);
                *input = rest;
                return Ok(Arrived::Whole(head));
            }
            if input.is_empty() {
                return Ok(Arrived::Nothing);
            }
        }
        let (before, found) = self.extend_head(input)?;
        let Some(length) = found else {
            *input = &mut [];
            return Ok(Arrived::Nothing);
        };
        let head_here = length - before;
        *input = &mut std::mem::take(input)[head_here..];
        let Some(Partial::Head(mut head)) = self.partial.take().map(|partial| *partial) else {
            return Ok(Arrived::Nothing);
        };
        head.truncate(length);
        Ok(Arrived::Pieced(head))
    }

    /// Adds to the head that has not come whole: how long it was, and how long it is if it ends
    /// here.
    fn extend_head(&mut self, input: &[u8]) -> Result<(usize, Option<usize>), HeadError> {
        let partial = self.partial.get_or_insert_with(|| Box::new(Partial::Head(Vec::new())));
        let Partial::Head(head) = &mut **partial else {
            unreachable!("a body is taken by receive_body, and behind it nothing before the answer")
        };
        let before = head.len();
        head.extend_from_slice(input);
        Ok((before, end_of_head(head, before)?))
    }

    /// Holds a request in this place, of which so many bytes of a body follow.
    pub fn hold(&mut self, request: &Request<'_>, body_bytes: usize, place: Place) {
        self.partial = Some(Box::new(Partial::Body(Body::new(request, body_bytes, place))));
    }

    /// Whether the body of a held request follows.
    #[must_use]
    pub fn awaits_body(&self) -> bool {
        matches!(self.partial.as_deref(), Some(Partial::Body(_)))
    }

    /// Takes of the input what belongs to the body; gives the held request when it is whole. From
    /// then on the connection owes the answer.
    pub fn receive_body(&mut self, input: &mut &mut [u8]) -> Option<Held> {
        let Some(Partial::Body(body)) = self.partial.as_deref_mut() else { return None };
        if !body.receive(input) {
            return None;
        }
        let Some(Partial::Body(body)) = self.partial.take().map(|partial| *partial) else {
            return None;
        };
        let (held, owed, place) = body.into_parts();
        self.partial = Some(Box::new(Partial::Held(owed, place)));
        Some(held)
    }

    /// How the answer to a held request is to be, if one is owed.
    #[must_use]
    pub fn owed(&self) -> Option<Owed> {
        match self.partial.as_deref() {
            Some(Partial::Held(owed, _)) => Some(*owed),
            _ => None,
        }
    }

    /// A held request has its answer.
    pub fn answered(&mut self) {
        assert!(self.owed().is_some(), "an answer is owed");
        self.partial = None;
    }

    /// One that goes on with what another has begun, if nothing of that is whole.
    #[must_use]
    pub fn of_begun(begun: Begun) -> Option<Self> {
        let partial = match begun {
            Begun::Nothing => return Some(Self::default()),
            Begun::Head(head) => {
                let is_partial = end_of_head(&head, 0).is_ok_and(|end| end.is_none());
                is_partial.then_some(Partial::Head(head))
            }
            Begun::Preamble(bytes) => {
                let is_partial = proxy::parse(&bytes) == proxy::Parsed::Incomplete;
                is_partial.then_some(Partial::Preamble(bytes))
            }
        };
        partial.map(|partial| Self { partial: Some(Box::new(partial)) })
    }

    /// What has come and is not whole. A held request cannot be written out.
    #[must_use]
    pub fn into_begun(self) -> Begun {
        match self.partial.map(|partial| *partial) {
            None => Begun::Nothing,
            Some(Partial::Head(head)) => Begun::Head(head),
            Some(Partial::Preamble(bytes)) => Begun::Preamble(bytes),
            Some(Partial::Body(_) | Partial::Held(..)) => {
                unreachable!("who holds a request is not written out")
            }
        }
    }

    /// Whether a request is held, with its body or without.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.partial.as_deref(), Some(Partial::Body(_) | Partial::Held(..)))
    }

    /// Bytes of memory that a part of a request takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self.partial.as_deref() {
            Some(Partial::Head(bytes) | Partial::Preamble(bytes)) => bytes.capacity(),
            Some(Partial::Body(body)) => body.memory(),
            Some(Partial::Held(..)) | None => 0,
        }
    }

    /// An empty line before a request may come in two pieces.
    fn join_line_end(&mut self, input: &mut &mut [u8]) {
        if !self.is_partial() && self.partial.is_some() && input.starts_with(b"\n") {
            self.partial = None;
            *input = &mut std::mem::take(input)[1..];
        }
    }

    /// Whether a part of a request, or of what comes before it, has come; half of an empty line is
    /// none.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        match self.partial.as_deref() {
            Some(Partial::Head(head)) => head[..] != *b"\r",
            Some(Partial::Preamble(bytes)) => !bytes.is_empty(),
            Some(Partial::Body(_) | Partial::Held(..)) => true,
            None => false,
        }
    }
}

/// A server should bear an empty line before a request (RFC 9112, 2.2).
fn skip_empty_lines(input: &mut &mut [u8]) {
    while input.starts_with(b"\r\n") {
        *input = &mut std::mem::take(input)[2..];
    }
}

/// Parses and checks a head that [`Connection::receive`] found.
///
/// # Errors
///
/// The response that refuses it; the connection ends behind it.
pub fn request(head: &[u8]) -> Result<Request<'_>, Response> {
    let head = Head::parse(head).map_err(refusal)?;
    Request::check(head).map_err(|response| response.refusing(Refusal::BadRequest))
}

/// The response to OPTIONS, of any path and of `*`: what load balancers ask to see whether a server
/// lives. It allows no page of another host anything.
#[must_use]
pub fn options() -> Response {
    Response::empty(Status::NoContent).field("Allow", request::ALLOWED_METHODS)
}

/// The response to a request for a host that the operator did not name. Not 403: it says nothing
/// of who asks, and 421 is the status of a request that came to the wrong server (RFC 9110,
/// 15.5.20). The connection may go on, since a proxy brings requests for several hosts on one.
#[must_use]
pub fn misdirected(host: &str) -> Response {
    let text = format!(
        "the host {host:?} is not served here; the server's option --allowed-hosts widens that\n"
    );
    Response::text(Status::MisdirectedRequest, text).refusing(Refusal::Host)
}

/// The response to bytes that are no request.
#[must_use]
pub fn refusal(error: HeadError) -> Response {
    let why = match error {
        HeadError::ProxyHeader => Refusal::ProxyHeader,
        HeadError::Malformed | HeadError::TooLarge | HeadError::Version => Refusal::BadRequest,
    };
    match error {
        HeadError::Malformed => Response::text(Status::BadRequest, "not an HTTP/1.1 request\n"),
        HeadError::TooLarge => {
            Response::text(Status::FieldsTooLarge, "the request head is too large\n")
        }
        HeadError::Version => {
            Response::text(Status::VersionNotSupported, "HTTP/1.1 is spoken here\n")
        }
        HeadError::ProxyHeader => {
            Response::text(Status::BadRequest, "no PROXY header is expected here\n")
        }
    }
    .refusing(why)
    .closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_head_in_any_two_pieces_and_the_bytes_behind_it() {
        let all = [HEAD, b"\x81\x80rest"].concat();
        (0..all.len()).for_each(|cut| expect_head(&all[..cut], &all[cut..]));
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped_however_they_are_cut() {
        for lines in [1, 2, 5].map(|count| b"\r\n".repeat(count)) {
            let all = [&lines[..], HEAD, b"\x81\x80rest"].concat();
            (0..all.len()).for_each(|cut| expect_head(&all[..cut], &all[cut..]));
        }
    }

    #[test]
    fn a_lone_carriage_return_before_a_request_is_refused() {
        for bytes in [&b"\r\rGET / HTTP/1.1\r\n\r\n"[..], b"\rGET / HTTP/1.1\r\n\r\n"] {
            let mut connection = Connection::default();
            let mut first = bytes[..1].to_vec();
            assert!(connection.receive(&mut &mut first[..]).is_ok_and(|a| a.bytes().is_none()));
            let mut second = bytes[1..].to_vec();
            let head = connection.receive(&mut &mut second[..]).expect("lines end well");
            assert!(request(head.bytes().expect("it is whole")).is_err());
        }
    }

    /// One head comes of the two pieces, and what is behind it stays.
    fn expect_head(first: &[u8], second: &[u8]) {
        let cut = first.len();
        let mut connection = Connection::default();
        let (mut first, mut second) = (first.to_vec(), second.to_vec());
        let (mut first, mut second) = (&mut first[..], &mut second[..]);
        let mut found = connection.receive(&mut first).expect("a good start");
        if found.bytes().is_none() {
            assert!(first.is_empty());
            found = connection.receive(&mut second).expect("a good rest");
        }
        assert_eq!(found.bytes(), Some(HEAD), "{cut}");
        assert_eq!([first, second].concat(), b"\x81\x80rest", "{cut}");
        assert!(!connection.is_partial());
    }
}
