//! The proof of a handshake: `Sec-WebSocket-Key` to `Sec-WebSocket-Accept` (RFC 6455, 4.2.2).

use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{PAD, STANDARD};
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Keys that some clients invent leave bits set that their last character has to spare.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// The answer to a key, or `None` if it is not 16 bytes in base64 (RFC 6455, 4.1).
#[must_use]
pub fn accept_key(key: &[u8]) -> Option<String> {
    let nonce = LENIENT.decode(key).ok()?;
    if nonce.len() != 16 {
        return None;
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Some(STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let answer = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn bits_to_spare_may_be_set() {
        assert!(accept_key(b"dGhlIHNhbXBsZSBub25jZR==").is_some());
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for bad in ["", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "????"] {
            assert_eq!(accept_key(bad.as_bytes()), None, "{bad}");
        }
    }
}
