//! What is published, as it stands in a command.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use throng::wire::Kind;

use super::fault::Fault;

/// A text that is borrowed from the request where nothing in it is escaped.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A message.
pub(super) type Message<'a> = (Kind, Cow<'a, [u8]>);

/// The message in `data`, or else in `b64data`: a string is sent as its text, other JSON as
/// compact JSON, and what was base64 as binary.
pub(super) fn message<'a>(
    data: Option<&'a RawValue>,
    b64data: Option<&Text<'_>>,
) -> Result<Message<'a>, Fault> {
    match (data, b64data) {
        (Some(data), _) => Ok((Kind::Text, text(data)?)),
        (None, Some(Text(b64data))) => {
            let bytes = STANDARD.decode(b64data.as_bytes()).map_err(|_| Fault::BAD_REQUEST)?;
            Ok((Kind::Binary, Cow::Owned(bytes)))
        }
        (None, None) => Err(Fault::BAD_REQUEST),
    }
}

fn text(data: &RawValue) -> Result<Cow<'_, [u8]>, Fault> {
    let json = data.get();
    if !json.starts_with('"') {
        return Ok(compact(json));
    }
    let Text(text) = serde_json::from_str(json).map_err(|_| Fault::BAD_REQUEST)?;
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// JSON without white space between its words. It is copied only where there is some.
fn compact(json: &str) -> Cow<'_, [u8]> {
    let bytes = json.as_bytes();
    let Some(first) = space(bytes) else { return Cow::Borrowed(bytes) };
    let mut compact = Vec::with_capacity(bytes.len());
    let (mut rest, mut at) = (bytes, first);
    loop {
        compact.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        at = match space(rest) {
            Some(at) => at,
            None => break,
        };
    }
    compact.extend_from_slice(rest);
    Cow::Owned(compact)
}

/// The first white space outside of strings, in what begins outside of one.
fn space(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => return Some(at),
            b'"' => at = end_of_string(json, at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Behind the quote that ends a string, which begins here.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    loop {
        match json.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return at + 1,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<(Kind, Vec<u8>), Fault> {
        let raw: &RawValue = serde_json::from_str(json).expect("it is JSON");
        message(Some(raw), None).map(|(kind, bytes)| (kind, bytes.into_owned()))
    }

    #[test]
    fn strings_are_sent_as_their_text_and_other_json_compact() {
        for (json, text) in [
            (r#""hello""#, "hello"),
            (r#""a\n\"b\" \u00e9""#, "a\n\"b\" é"),
            (r#"{"a": [1, 2],  "b c": "d  \" e \\" }"#, r#"{"a":[1,2],"b c":"d  \" e \\"}"#),
            ("[1,2]", "[1,2]"),
            ("null", "null"),
            ("\"\"", ""),
        ] {
            assert_eq!(of(json), Ok((Kind::Text, text.as_bytes().to_vec())), "{json}");
        }
        assert_eq!(of(r#""\ud800""#), Err(Fault::BAD_REQUEST), "half a character");
    }

    #[test]
    fn base64_is_binary() {
        let of = |text: &str| {
            let text = Text(Cow::Borrowed(text));
            message(None, Some(&text)).map(|(kind, bytes)| (kind, bytes.into_owned()))
        };
        assert_eq!(of("AAEC"), Ok((Kind::Binary, vec![0, 1, 2])));
        assert_eq!(of("%"), Err(Fault::BAD_REQUEST));
        assert_eq!(message(None, None), Err(Fault::BAD_REQUEST));
    }
}
