//! Headers of the PROXY protocol: bounded, and the same wherever they are cut.

use throng::limits::PROXY_HEADER_BYTES_MAX;
use throng::wire::proxy::{Parsed, parse, receive};

use crate::source::{outcome, pieces};

pub(crate) const WORDS: &[&[u8]] = &[
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b"192.0.2.7 ",
    b"2001:db8::1 ",
    b"65535",
    b"\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21\x11\0\x0c",
    b"\x21\x21\0\x24",
    b"\x21\x31\0\xd8",
    b"\x20\0\0\0",
    b"\x03\0\x04",
    b"\x04\0\0",
];

/// What is found in pieces, and what is left behind it.
fn found(pieces: Vec<Vec<u8>>) -> (Parsed, Vec<u8>) {
    let (mut before, mut parsed, mut left) = (Vec::new(), Parsed::Incomplete, Vec::new());
    for mut piece in pieces {
        let mut input = &mut piece[..];
        if parsed == Parsed::Incomplete {
            parsed = receive(&mut before, &mut input);
            assert!(before.len() <= PROXY_HEADER_BYTES_MAX, "what is kept is bounded");
        }
        left.extend_from_slice(input);
    }
    (parsed, left)
}

pub(crate) fn check(input: &[u8]) -> u64 {
    let whole = found(vec![input.to_vec()]);
    for round in 0..2 {
        let (parsed, left) = found(pieces(input, round));
        match (whole.0, parsed) {
            // How much had come decides which of two faults is seen first.
            (Parsed::Bad(_), Parsed::Bad(_)) => {}
            (expected, _) => assert_eq!((parsed, &left), (expected, &whole.1)),
        }
    }
    let kind = match whole.0 {
        Parsed::Incomplete => {
            assert!(input.len() < PROXY_HEADER_BYTES_MAX, "no header is so long");
            (0, 0)
        }
        Parsed::Bad(why) => (1, why.len()),
        Parsed::Header { source, bytes } => {
            assert_eq!(whole.1, input[bytes..], "what is behind it stays");
            assert_eq!(parse(&input[..bytes]), whole.0, "it stands for itself");
            (2 + u64::from(source.is_some()) + u64::from(source.is_some_and(|ip| ip.is_ipv6())), 0)
        }
    };
    outcome(kind)
}
