//! `/room/{name}`: every message goes to everybody in the room, its sender included.

use std::borrow::Cow;

use crate::http::Request;
use crate::limits::ROOM_NAME_BYTES_MAX;

/// The room that a request names: one path segment, percent-decoded.
#[must_use]
pub fn name<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    request.segment_behind("/room/", ROOM_NAME_BYTES_MAX)
}
