//! `Sec-WebSocket-Extensions`: the negotiation of permessage-deflate (RFC 7692, 5 and 7.1).

use super::deflate::WINDOW_BITS;

/// What was agreed: no context takeover in either direction, and this window for what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The largest window that the client reads with, as a power of two: 9 to 15.
    pub window_bits: u8,
    /// The client named a window, so the answer names it too.
    named_window: bool,
}

impl Agreed {
    /// The value of the answer's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut value =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        if self.named_window {
            value += &format!("; server_max_window_bits={}", self.window_bits);
        }
        value
    }
}

/// Takes the first offer of permessage-deflate that we can keep; the offers of several fields
/// stand in one list, in order.
#[must_use]
pub fn negotiate<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Agreed> {
    fields.flat_map(|field| split_unquoted(field, ',')).find_map(accept)
}

fn accept(offer: &str) -> Option<Agreed> {
    let mut words = split_unquoted(offer, ';').map(str::trim);
    if !words.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut seen = Vec::new();
    let mut agreed = Agreed { window_bits: WINDOW_BITS, named_window: false };
    for word in words {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquote(value.trim())?)),
            None => (word, None),
        };
        let name = name.to_ascii_lowercase();
        match (name.as_str(), value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // Any window of the client's fits into the largest, which is what we inflate with.
            ("client_max_window_bits", value) => {
                value.map_or(Some(WINDOW_BITS), window_bits)?;
            }
            // zlib has no raw window of 2^8, so an offer that asks for it is declined.
            ("server_max_window_bits", Some(value)) => {
                let bits = window_bits(value).filter(|bits| *bits > 8)?;
                agreed = Agreed { window_bits: bits, named_window: true };
            }
            _ => return None,
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(agreed)
}

/// 8 to 15 without leading zeros (RFC 7692, 7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}

/// The text of a token or a quoted string; escapes are not worth keeping where only digits count.
fn unquote(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\'])),
        None => (!value.is_empty() && !value.contains('"')).then_some(value),
    }
}

/// Splits at a separator that does not stand between quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(offer: &str) -> Option<u8> {
        negotiate([offer].into_iter()).map(|agreed| agreed.window_bits)
    }

    #[test]
    fn offers_that_are_kept() {
        for (offer, bits) in [
            ("permessage-deflate", 15),
            ("permessage-deflate; client_max_window_bits", 15),
            ("permessage-deflate; client_max_window_bits=8", 15),
            ("Permessage-Deflate;server_max_window_bits=9", 9),
            ("permessage-deflate; server_max_window_bits=\"10\"", 10),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15),
            ("x-webkit-deflate-frame, permessage-deflate", 15),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", 15),
            ("foo; a=\",permessage-deflate\", permessage-deflate; server_max_window_bits=12", 12),
        ] {
            assert_eq!(window(offer), Some(bits), "{offer}");
        }
    }

    #[test]
    fn offers_that_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=10",
            "permessage-deflate; unknown",
            "permessage-deflate; server_max_window_bits=\"1\"0\"",
        ] {
            assert_eq!(window(offer), None, "{offer}");
        }
    }

    #[test]
    fn the_answer_names_what_was_agreed() {
        let agreed =
            negotiate(["foo", "permessage-deflate; server_max_window_bits=10"].into_iter());
        assert_eq!(
            agreed.expect("a good offer in the second field").answer(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10"
        );
    }
}
