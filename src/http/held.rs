//! A request with a body, held until somebody else has answered it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::request::{Method, Request};

/// A whole request that owns its bytes, for an answer from elsewhere.
#[derive(Clone)]
pub struct Held {
    /// GET, HEAD or POST.
    pub method: Method,
    /// The path of the target, still percent-encoded.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// The authority the client means.
    pub host: String,
    /// All fields of the head, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Without what stands in fields and in the body: keys among them.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        f.debug_struct("Held")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("fields", &names.collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Places for requests that are held, of which there are so many.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<AtomicUsize>);

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Places);

impl Places {
    /// Takes one, if fewer than `max` are taken.
    #[must_use]
    pub fn take(&self, max: usize) -> Option<Place> {
        let grown = |taken| (taken < max).then_some(taken + 1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        taken.is_ok().then(|| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the response to a held request is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// It ends with its head.
    pub is_head: bool,
    /// The connection ends behind it.
    pub is_last: bool,
}

/// A held request of which the body has not come whole.
#[derive(Debug)]
pub(super) struct Body {
    held: Held,
    owed: Owed,
    left: usize,
    place: Place,
}

impl Held {
    /// Bytes of memory that it takes beside its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        let bytes = |(name, value): &(String, Vec<u8>)| name.len() + value.len();
        self.body.capacity() + self.fields.iter().map(bytes).sum::<usize>()
    }
}

/// What a body reserves before it has come: a length that is claimed costs nobody anything.
const RESERVED_BYTES_MAX: usize = 16 * 1024;

impl Body {
    pub(super) fn new(request: &Request<'_>, length: usize, place: Place) -> Self {
        let field = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_owned());
        let held = Held {
            method: request.method,
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            host: request.host.to_owned(),
            fields: request.head.fields().map(field).collect(),
            body: Vec::with_capacity(length.min(RESERVED_BYTES_MAX)),
        };
        let owed = Owed { is_head: request.is_head(), is_last: request.is_last };
        Self { held, owed, left: length, place }
    }

    /// Takes of the input what belongs to the body; true if that is whole.
    pub(super) fn receive(&mut self, input: &mut &mut [u8]) -> bool {
        let length = self.left.min(input.len());
        let (here, rest) = std::mem::take(input).split_at_mut(length);
        self.held.body.extend_from_slice(here);
        self.left -= here.len();
        *input = rest;
        self.left == 0
    }

    pub(super) fn into_parts(self) -> (Held, Owed, Place) {
        (self.held, self.owed, self.place)
    }

    pub(super) fn memory(&self) -> usize {
        self.held.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::Head;

    #[test]
    fn a_body_in_any_pieces_and_the_bytes_behind_it() {
        let head = b"POST /api/x?y HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 5\r\n\r\n";
        let head = Head::parse(head).expect("it is one");
        let request = Request::check(head).expect("a good request");
        for cut in 0..=8 {
            let places = Places::default();
            let place = places.take(1).expect("none is taken");
            let mut body = Body::new(&request, 5, place);
            assert!(places.take(1).is_none(), "it is taken");
            let mut bytes = *b"hello!!!";
            let (first, second) = bytes.split_at_mut(cut);
            let (mut first, mut second) = (first, second);
            let is_whole = body.receive(&mut first);
            assert_eq!(is_whole, cut >= 5, "{cut}");
            assert!(is_whole || body.receive(&mut second), "{cut}");
            assert_eq!(first.len() + second.len(), 3, "{cut}");
            let (held, owed, place) = body.into_parts();
            drop(place);
            assert!(places.take(1).is_some(), "it is given back");
            assert!(!format!("{held:?}").contains("hello"), "{held:?}");
            assert_eq!((&held.body[..], held.path.as_str()), (&b"hello"[..], "/api/x"));
            assert_eq!((held.query.as_deref(), held.fields.len()), (Some("y"), 3));
            assert_eq!(owed, Owed { is_head: false, is_last: false });
        }
    }
}
