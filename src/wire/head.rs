//! The head of an HTTP/1.1 request (RFC 9112).
//!
//! Stricter than the RFC permits where leniency lets two readers of one connection disagree about
//! where a request ends: bare line feeds, folded lines and doubtful lengths are refused.

use std::mem::MaybeUninit;

use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};
use crate::wire::proxy::{V1_START, V2_START};

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not HTTP.
    Malformed,
    /// It is longer than [`HEAD_BYTES_MAX`] or has more than [`HEAD_FIELDS_MAX`] fields.
    TooLarge,
    /// It is HTTP of a version other than 1.0 and 1.1.
    Version,
    /// It is a header of the PROXY protocol, where none is expected.
    ProxyHeader,
}

/// The head of a request, borrowed from the bytes that came.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The method, case as sent.
    pub method: &'a str,
    /// The target as sent.
    pub target: &'a str,
    /// HTTP/1.1, else 1.0.
    pub is_1_1: bool,
    fields: Vec<(&'a str, &'a [u8])>,
}

/// Finds the end of a head: the length up to and with the empty line, or `None` if it has not
/// come. `searched` bytes were looked at before.
///
/// # Errors
///
/// If the bytes cannot become a head that is accepted.
pub fn end_of_head(bytes: &[u8], searched: usize) -> Result<Option<usize>, HeadError> {
    if let Some(found) = proxy_header(bytes) {
        return found.map_or(Ok(None), Err);
    }
    // A client that speaks TLS to this port sends no line feed for long: it need not wait for one.
    if bytes.first().is_some_and(|first| !first.is_ascii_graphic() && *first != b'\r') {
        return Err(HeadError::Malformed);
    }
    let start = searched.saturating_sub(3);
    for at in memchr::memchr_iter(b'\n', &bytes[start..]).map(|at| at + start) {
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(HeadError::Malformed);
        }
        if at >= 3 && bytes[at - 3..at - 1] == *b"\r\n" {
            let length = at + 1;
            return if length > HEAD_BYTES_MAX {
                Err(HeadError::TooLarge)
            } else {
                Ok(Some(length))
            };
        }
    }
    if bytes.len() >= HEAD_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(None) }
}

/// A header of the PROXY protocol, or `None` within while it may become one. That of version 2
/// begins with empty lines, which are skipped before.
#[inline]
fn proxy_header(bytes: &[u8]) -> Option<Option<HeadError>> {
    const BEHIND_EMPTY_LINES: &[u8] = V2_START.as_slice().split_at(4).1;
    match bytes.first() {
        Some(b'P') => bytes.starts_with(V1_START).then_some(Some(HeadError::ProxyHeader)),
        Some(0) if bytes.starts_with(BEHIND_EMPTY_LINES) => Some(Some(HeadError::ProxyHeader)),
        Some(0) if BEHIND_EMPTY_LINES.starts_with(bytes) => Some(None),
        _ => None,
    }
}

impl<'a> Head<'a> {
    /// Parses a whole head.
    ///
    /// # Errors
    ///
    /// If it is not one that is accepted.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HeadError> {
        if bytes.starts_with(b"PRI * HTTP/2.0") {
            return Err(HeadError::Version);
        }
        let mut fields = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(HeadError::Malformed),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            Err(_) => return Err(HeadError::Malformed),
        }
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(HeadError::Malformed);
        };
        let is_1_1 = request.version == Some(1);
        let fields = request.headers.iter().map(|field| (field.name, field.value)).collect();
        Ok(Self { method, target, is_1_1, fields })
    }

    /// All fields, in order, with their values as bytes.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().copied()
    }

    /// The values of all fields of that name, in order, as bytes.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        let same = move |field: &&(&str, &[u8])| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|field| field.1.trim_ascii())
    }

    /// The values of all fields of that name that are text.
    pub fn texts<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.values(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The value of a field that stands exactly once.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        let value = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
    }

    /// Whether a comma-separated list holds a token, in any case (RFC 9110, 5.6.1).
    #[must_use]
    pub fn list_holds(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.texts(name).flat_map(|value| value.split(','));
        tokens.any(|word| word.trim().eq_ignore_ascii_case(token))
    }

    /// Whether a field of that name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] =
        b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\nconnection: Keep-Alive, Upgrade\r\n\r\n";

    #[test]
    fn the_end_is_found_at_every_cut() {
        let mut with_more = GOOD.to_vec();
        with_more.extend(b"\x81\x80more");
        for cut in 0..GOOD.len() {
            assert_eq!(end_of_head(&GOOD[..cut], 0), Ok(None), "{cut}");
            assert_eq!(end_of_head(&with_more, cut), Ok(Some(GOOD.len())), "{cut}");
        }
    }

    #[test]
    fn fields_are_found() {
        let head = Head::parse(GOOD).expect("a good head");
        assert_eq!((head.method, head.target, head.is_1_1), ("GET", "/x?y=1", true));
        assert_eq!(head.only("HOST"), Some("a"));
        assert!(head.list_holds("Connection", "upgrade"));
        assert!(!head.list_holds("Connection", "keep"));
        assert!(!head.has("Origin"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            &b"GET / HTTP/1.1\nHost: a\n\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\nA: b\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            let refused = match end_of_head(bad, 0) {
                Ok(Some(length)) => Head::parse(&bad[..length]).is_err(),
                other => other.is_err(),
            };
            assert!(refused, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn headers_of_the_proxy_protocol_are_known_as_such() {
        let found = Err(HeadError::ProxyHeader);
        assert_eq!(end_of_head(b"PROXY TCP4 192.0.2.7", 0), found);
        assert_eq!(end_of_head(b"PROX", 0), Ok(None));
        assert_eq!(end_of_head(b"POST / HTTP/1.1\r\n\r\n", 0), Ok(Some(19)));
        let rest = &V2_START[4..];
        (1..rest.len()).for_each(|cut| assert_eq!(end_of_head(&rest[..cut], 0), Ok(None)));
        assert_eq!(end_of_head(rest, 0), found);
        assert_eq!(end_of_head(b"\0\r\nQUIt", 0), Err(HeadError::Malformed));
    }

    #[test]
    fn bounds() {
        let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'x'; HEAD_BYTES_MAX]].concat();
        assert_eq!(end_of_head(&long, 0), Err(HeadError::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEAD_FIELDS_MAX + 1));
        assert_eq!(Head::parse(many.as_bytes()).err(), Some(HeadError::TooLarge));
        let h2 = b"PRI * HTTP/2.0\r\n\r\n";
        assert_eq!(Head::parse(h2).err(), Some(HeadError::Version));
    }
}
