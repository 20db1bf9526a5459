//! Percent-encoded paths: the room that a request leads to.

use throng::http;
use throng::limits::ROOM_NAME_BYTES_MAX;
use throng::protocol::room;

use crate::source::outcome;

pub(crate) const WORDS: &[&[u8]] =
    &[b"%", b"%2f", b"%2F", b"%C3%A9", b"%ff", b"%00", b"?", b"/", b"..", b"%25", b"&name=", b"="];

pub(crate) fn check(input: &[u8]) -> u64 {
    let mut head = b"GET /room/".to_vec();
    head.extend_from_slice(input);
    head.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n\r\n");
    let Ok(request) = http::request(&head) else { return outcome(0) };
    let segment = request.path.strip_prefix("/room/");
    let is_name = |name: &String| {
        name.len() <= ROOM_NAME_BYTES_MAX && !name.chars().any(|c| c < ' ' || c == '\u{7f}')
    };
    let expected = segment.and_then(decoded).filter(is_name);
    let found = room::name(&request);
    assert_eq!(found.as_deref(), expected.as_deref());
    if let Some(query) = request.query {
        let value = http::query_value(query, "name");
        let pairs = || query.split('&').filter_map(|pair| pair.strip_prefix("name"));
        let first = pairs().find(|rest| rest.is_empty() || rest.starts_with('='));
        let text = first.map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        assert_eq!(value.as_deref(), text.and_then(percent_decoded).as_deref());
    }
    outcome((1, found.as_deref().map(|name| (name.len().min(300) / 8, name.is_ascii()))))
}

/// A segment that is a name: another way to say it.
fn decoded(segment: &str) -> Option<String> {
    if segment.is_empty() || segment.contains('/') { None } else { percent_decoded(segment) }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits =
            part.get(..2).filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}
