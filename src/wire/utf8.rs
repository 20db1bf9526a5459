//! UTF-8 in pieces: text is refused at the first byte that cannot be right.

use serde::{Deserialize, Serialize};

/// A check of one text that arrives in pieces cut anywhere.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Utf8 {
    /// The start of a character whose end has not come.
    pending: [u8; 4],
    pending_len: u8,
}

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl Utf8 {
    /// Checks the next piece.
    ///
    /// # Errors
    ///
    /// As soon as no continuation could make the text valid.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.pending_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            self.pending[usize::from(self.pending_len)] = byte;
            self.pending_len += 1;
            piece = rest;
            let pending = &self.pending[..usize::from(self.pending_len)];
            match std::str::from_utf8(pending) {
                Ok(_) => self.pending_len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(NotUtf8),
            }
        }
        match simdutf8::compat::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                let tail = &piece[error.valid_up_to()..];
                self.pending[..tail.len()].copy_from_slice(tail);
                self.pending_len = tail.len() as u8;
                Ok(())
            }
            Err(_) => Err(NotUtf8),
        }
    }

    /// Whether it is what pieces of a text can lead to: nothing, or the start of a character.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let pending = self.pending.get(..usize::from(self.pending_len));
        pending.is_some_and(|pending| match std::str::from_utf8(pending) {
            Ok(text) => text.is_empty(),
            Err(error) => error.error_len().is_none() && error.valid_up_to() == 0,
        })
    }

    /// Whether the text may end here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pending_len == 0
    }
}

/// Whether a whole text is UTF-8.
#[must_use]
#[inline]
pub fn is_utf8(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(text: &[u8], size: usize) -> bool {
        let mut check = Utf8::default();
        text.chunks(size).all(|piece| check.feed(piece).is_ok()) && check.is_complete()
    }

    #[test]
    fn cuts_do_not_matter() {
        let texts: [&[u8]; 9] = [
            "κόσμε, 😀 and plain ascii, long enough for vectors: 0123456789abcdef".as_bytes(),
            b"\xce",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc0\xaf",
            b"\xf0\x9f\x98",
            b"ok \xff",
            b"\xf4\x8f\xbf\xbf",
            b"",
        ];
        for text in texts {
            for size in 1..=text.len().max(1) {
                let expected = std::str::from_utf8(text).is_ok();
                assert_eq!(in_pieces(text, size), expected, "{text:?} by {size}");
                assert_eq!(is_utf8(text), expected);
            }
        }
    }

    #[test]
    fn the_first_impossible_byte_is_refused() {
        let mut check = Utf8::default();
        assert_eq!(check.feed(b"ok \xf4"), Ok(()));
        assert_eq!(check.feed(b"\x90"), Err(NotUtf8));
    }
}
