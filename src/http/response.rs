//! Responses.

use std::borrow::Cow;
use std::time::Duration;

use super::status::Status;
use crate::stats::Refusal;

/// Bytes that lie in the program. The pointer to the slice is one word, so that a queue of such
/// takes no more than one of others.
pub type File = &'static &'static [u8];

/// A response whose body is at hand.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The connection ends behind it.
    pub closes: bool,
    /// Why the request is refused, if it is: such a response is counted, and told in the log.
    pub refusal: Option<Refusal>,
    fields: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// A line, which stands behind the head in the same memory.
    Line(Cow<'static, str>),
    /// Sent from where it lies: who asks again and again and takes nothing has no copies.
    File(File),
}

/// What a response says that depends on when and to whom it is sent.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The request was HEAD: the response ends with its head.
    pub is_head: bool,
    /// Now, as [`super::Dates`] writes it.
    pub date: &'a str,
    /// How long the connection may wait for the next request.
    pub keep_alive: Duration,
}

impl Response {
    /// A response in a line of text.
    #[must_use]
    pub fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        let body = Body::Line(text.into());
        Self::new(status, body).field("Content-Type", "text/plain; charset=utf-8")
    }

    /// A value in JSON, of which pages of all hosts may know.
    #[must_use]
    pub fn json(text: String) -> Self {
        Self::new(Status::Ok, Body::Line(text.into()))
            .field("Content-Type", "application/json")
            .field("Access-Control-Allow-Origin", "*")
            .field("Cache-Control", "no-store")
    }

    /// A text of that media type.
    #[must_use]
    pub fn of_type(status: Status, media_type: &str, text: String) -> Self {
        Self::new(status, Body::Line(text.into())).field("Content-Type", media_type)
    }

    /// A file of that media type.
    #[must_use]
    pub fn file(media_type: &'static str, file: File) -> Self {
        Self::new(Status::Ok, Body::File(file)).field("Content-Type", media_type)
    }

    /// A response without a body.
    #[must_use]
    pub fn empty(status: Status) -> Self {
        Self::new(status, Body::Line(Cow::Borrowed("")))
    }

    fn new(status: Status, body: Body) -> Self {
        Self { status, closes: false, refusal: None, fields: String::new(), body }
    }

    /// Adds a field. One that would be more than one line is left out: nothing of a peer's comes
    /// here unchecked, but if it did, it could write responses of its own.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        let is_line = |text: &str| !text.contains(['\r', '\n', '\0']);
        let is_field = is_line(name) && is_line(value);
        debug_assert!(is_field, "a field is one line: {name:?}: {value:?}");
        if is_field {
            self.fields.extend([name, ": ", value, "\r\n"]);
        }
        self
    }

    /// Says why the request is refused.
    #[must_use]
    pub fn refusing(mut self, why: Refusal) -> Self {
        self.refusal = Some(why);
        self
    }

    /// What it says in words; nothing of files.
    #[must_use]
    pub fn words(&self) -> &str {
        match &self.body {
            Body::Line(text) => text,
            Body::File(_) => "",
        }
    }

    /// Ends the connection behind this response.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Appends the response, but a file: that is given back, to be sent behind it.
    pub fn encode(&self, context: &Context<'_>, out: &mut Vec<u8>) -> Option<File> {
        self.encode_head(context, out);
        match &self.body {
            _ if context.is_head || self.status.has_no_body() => None,
            Body::Line(text) => {
                out.extend_from_slice(text.as_bytes());
                None
            }
            Body::File(file) => Some(*file),
        }
    }

    fn encode_head(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        let (code, reason) = (self.status as u16, self.status.reason());
        let date = context.date;
        let connection = match (self.status, self.closes) {
            // Where there is an Upgrade, Connection names it (RFC 9110, 7.8).
            (Status::UpgradeRequired, true) => "upgrade, close".to_owned(),
            (_, true) => "close".to_owned(),
            // No field of the RFC, but what clients and proxies know of it keeps them from sending
            // the next request just as the connection ends.
            (_, false) => {
                format!("keep-alive\r\nKeep-Alive: timeout={}", context.keep_alive.as_secs())
            }
        };
        let mut head = format!(
            "HTTP/1.1 {code} {reason}\r\nDate: {date}\r\n{}Connection: {connection}\r\n",
            self.fields
        );
        if !self.status.has_no_body() {
            head += &format!("Content-Length: {}\r\n", self.body.length());
        }
        head += "\r\n";
        out.extend_from_slice(head.as_bytes());
    }
}

impl Body {
    fn length(&self) -> usize {
        match self {
            Self::Line(text) => text.len(),
            Self::File(file) => file.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(response: &Response, is_head: bool) -> (String, Option<File>) {
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        let context = Context { is_head, date, keep_alive: Duration::from_secs(75) };
        let mut out = Vec::new();
        let file = response.encode(&context, &mut out);
        (String::from_utf8(out).expect("ascii"), file)
    }

    #[test]
    fn a_head_has_the_length_but_not_the_body() {
        let response = Response::text(Status::NotFound, "no\n").field("A", "b").closing();
        let expected = "HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                        Content-Type: text/plain; charset=utf-8\r\n\
                        A: b\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(encoded(&response, true), (expected.to_owned(), None));
        assert_eq!(encoded(&response, false), (format!("{expected}no\n"), None));
    }

    #[test]
    fn a_file_is_not_copied() {
        static FILE: &[u8] = b"body";
        let response = Response::file("text/css", &FILE);
        let (head, file) = encoded(&response, false);
        assert!(head.ends_with("\r\nContent-Length: 4\r\n\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n"));
        assert!(file.is_some_and(|file| std::ptr::eq(*file, FILE)));
        assert_eq!(encoded(&response, true), (head, None));
    }

    #[test]
    fn a_response_that_never_has_a_body_says_no_length() {
        let (head, _) = encoded(&Response::empty(Status::NoContent), false);
        assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-"), "{head}");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a field is one line")]
    fn a_field_of_two_lines_is_a_fault_of_ours() {
        let _ = Response::empty(Status::Ok).field("Location", "/\r\nSet-Cookie: a=b");
    }

    #[test]
    #[cfg(not(debug_assertions))]
    fn a_field_of_two_lines_is_left_out() {
        for value in ["/\r\nSet-Cookie: a=b", "/\nSet-Cookie: a=b", "/\rx", "/\0"] {
            let response = Response::empty(Status::Ok).field("Location", value);
            assert!(!encoded(&response, false).0.contains("Location"), "{value:?}");
        }
    }
}
