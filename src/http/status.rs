//! Status codes.

/// A status with its reason phrase (RFC 9110, 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The upgrade is accepted.
    SwitchingProtocols = 101,
    /// Here it is.
    Ok = 200,
    /// Done, and there is nothing to show.
    NoContent = 204,
    /// The client has it already.
    NotModified = 304,
    /// Not a request.
    BadRequest = 400,
    /// A key is needed.
    Unauthorized = 401,
    /// A page of another host may not connect.
    Forbidden = 403,
    /// No such path.
    NotFound = 404,
    /// A method that exists and is not served here.
    MethodNotAllowed = 405,
    /// A body without its length.
    LengthRequired = 411,
    /// A body where none is expected, or one that is too long.
    ContentTooLarge = 413,
    /// A body of a kind that is not taken here.
    UnsupportedMediaType = 415,
    /// The request is for a host that this server does not serve.
    MisdirectedRequest = 421,
    /// The path speaks WebSocket, of version 13.
    UpgradeRequired = 426,
    /// More than one client may take.
    TooManyRequests = 429,
    /// The head is too large.
    FieldsTooLarge = 431,
    /// A fault of ours.
    InternalServerError = 500,
    /// A method that nobody knows.
    NotImplemented = 501,
    /// No room for more connections, or stopping.
    ServiceUnavailable = 503,
    /// Neither HTTP/1.0 nor 1.1.
    VersionNotSupported = 505,
}

impl Status {
    /// Those that an answer may have.
    const OF_ANSWERS: [Self; 15] = [
        Self::Ok,
        Self::NoContent,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::ContentTooLarge,
        Self::UnsupportedMediaType,
        Self::MisdirectedRequest,
        Self::TooManyRequests,
        Self::InternalServerError,
        Self::NotImplemented,
        Self::ServiceUnavailable,
    ];

    /// The status of that code, of those that an answer to a request may have.
    #[must_use]
    pub fn of_code(code: u16) -> Option<Self> {
        Self::OF_ANSWERS.into_iter().find(|status| *status as u16 == code)
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "Switching Protocols",
            Self::Ok => "OK",
            Self::NoContent => "No Content",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::LengthRequired => "Length Required",
            Self::ContentTooLarge => "Content Too Large",
            Self::UnsupportedMediaType => "Unsupported Media Type",
            Self::MisdirectedRequest => "Misdirected Request",
            Self::UpgradeRequired => "Upgrade Required",
            Self::TooManyRequests => "Too Many Requests",
            Self::FieldsTooLarge => "Request Header Fields Too Large",
            Self::InternalServerError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// Such a response ends with its head and says no length (RFC 9110, 6.4.1 and 8.6).
    pub(super) fn has_no_body(self) -> bool {
        matches!(self, Self::SwitchingProtocols | Self::NoContent | Self::NotModified)
    }
}
