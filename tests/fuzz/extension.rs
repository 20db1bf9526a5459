//! The negotiation of compression: what is agreed was offered, and is within RFC 7692.

use throng::wire::deflate::WINDOW_BITS;
use throng::wire::extension::negotiate;

use crate::source::outcome;

pub(crate) const WORDS: &[&[u8]] = &[
    b"permessage-deflate",
    b"; server_no_context_takeover",
    b"; client_no_context_takeover",
    b"; server_max_window_bits=",
    b"; client_max_window_bits",
    b"=15",
    b"=8",
    b"=\"10\"",
    b"\"",
    b"\\",
    b",",
    b";",
    b"\n",
    b" ",
    b"foo; a=\"b, c\"",
];

pub(crate) fn check(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let agreed = negotiate(text.split('\n'));
    let Some(agreed) = agreed else { return outcome(0) };
    assert!((9..=WINDOW_BITS).contains(&agreed.window_bits));
    let answer = agreed.answer();
    let mut words = answer.split("; ");
    assert_eq!(words.next(), Some("permessage-deflate"));
    let lower = text.to_ascii_lowercase();
    assert!(lower.contains("permessage-deflate"), "it was offered");
    let mut bits = None;
    for word in words {
        match word.split_once('=') {
            // Both may be said without having been offered (RFC 7692, 7.1.1).
            None => assert!(word.ends_with("_no_context_takeover"), "{answer}"),
            Some(("server_max_window_bits", value)) => {
                assert!(lower.contains("server_max_window_bits"), "{answer} was not offered");
                assert!(lower.contains(value), "{answer} was not offered");
                assert_eq!(bits.replace(value.to_owned()), None, "{answer}");
            }
            Some(_) => panic!("{answer}"),
        }
    }
    match &bits {
        Some(bits) => assert_eq!(*bits, agreed.window_bits.to_string()),
        None => assert_eq!(agreed.window_bits, WINDOW_BITS),
    }
    // A client whose offer is our answer gets the same.
    assert_eq!(negotiate([answer.as_str()].into_iter()), Some(agreed));
    outcome((1, bits, text.matches([',', '\n']).count().min(3)))
}
