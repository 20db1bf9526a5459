//! Responses.

use std::fmt::Write;

/// A status with its reason phrase (RFC 9110, 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The upgrade is accepted.
    SwitchingProtocols = 101,
    /// Here it is.
    Ok = 200,
    /// The client has it already.
    NotModified = 304,
    /// Not a request.
    BadRequest = 400,
    /// A page of another host may not connect.
    Forbidden = 403,
    /// No such path.
    NotFound = 404,
    /// Neither GET nor HEAD.
    MethodNotAllowed = 405,
    /// A body where none is expected.
    ContentTooLarge = 413,
    /// The path speaks WebSocket, of version 13.
    UpgradeRequired = 426,
    /// The head is too large.
    FieldsTooLarge = 431,
    /// No room for more connections, or stopping.
    ServiceUnavailable = 503,
    /// Neither HTTP/1.0 nor 1.1.
    VersionNotSupported = 505,
}

impl Status {
    fn reason(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "Switching Protocols",
            Self::Ok => "OK",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::ContentTooLarge => "Content Too Large",
            Self::UpgradeRequired => "Upgrade Required",
            Self::FieldsTooLarge => "Request Header Fields Too Large",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// A response whose body is at hand.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The connection ends behind it.
    pub closes: bool,
    fields: String,
    body: &'static [u8],
}

impl Response {
    /// A response with a body of that media type.
    #[must_use]
    pub fn new(status: Status, media_type: &str, body: &'static [u8]) -> Self {
        let mut response = Self { status, closes: false, fields: String::new(), body };
        if !media_type.is_empty() {
            response = response.field("Content-Type", media_type);
        }
        response
    }

    /// A response in a line of text.
    #[must_use]
    pub fn text(status: Status, text: &'static str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.as_bytes())
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        write!(self.fields, "{name}: {value}\r\n").expect("a string takes everything");
        self
    }

    /// Ends the connection behind this response.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Appends the response; to HEAD it has no body, only its length.
    pub fn encode(&self, is_head: bool, out: &mut Vec<u8>) {
        let (code, reason) = (self.status as u16, self.status.reason());
        let connection = match (self.status, self.closes) {
            // Where there is an Upgrade, Connection names it (RFC 9110, 7.8).
            (Status::UpgradeRequired, true) => "upgrade, close",
            (_, true) => "close",
            (_, false) => "keep-alive",
        };
        let mut head =
            format!("HTTP/1.1 {code} {reason}\r\n{}Connection: {connection}\r\n", self.fields);
        if self.status != Status::NotModified {
            write!(head, "Content-Length: {}\r\n", self.body.len()).expect("as above");
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        if !is_head {
            out.extend_from_slice(self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_the_length_but_not_the_body() {
        let response = Response::text(Status::NotFound, "no\n").field("A", "b").closing();
        let (mut get, mut head) = (Vec::new(), Vec::new());
        response.encode(false, &mut get);
        response.encode(true, &mut head);
        let expected = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                        A: b\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head), expected);
        assert_eq!(get, [head, b"no\n".to_vec()].concat());
    }
}
