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

/// JSON without white space between its words.
fn compact(json: &str) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let Some(first) = json.bytes().position(|byte| is_space(&byte)) else {
        return Cow::Borrowed(json.as_bytes());
    };
    let mut compact = Vec::with_capacity(json.len());
    let (mut is_string, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        if is_string || !is_space(&byte) {
            compact.push(byte);
        }
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            _ => {}
        }
    }
    debug_assert!(compact.len() >= first, "what came before it stays");
    Cow::Owned(compact)
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
