//! Frames of RFC 6455 as a client sees them.
//!
//! Written for the loader alone: a fault of the server's codec must not hide behind the same fault
//! here.

/// Continuation of a message.
pub(crate) const CONTINUATION: u8 = 0;
/// A message of text.
pub(crate) const TEXT: u8 = 1;
/// A message of bytes.
pub(crate) const BINARY: u8 = 2;
/// The end of a connection.
pub(crate) const CLOSE: u8 = 8;
/// To be answered with a pong.
pub(crate) const PING: u8 = 9;
/// The answer to a ping.
pub(crate) const PONG: u8 = 10;

/// A frame that says to be longer is an error: nothing that is measured needs it.
pub(crate) const FRAME_BYTES_MAX: u64 = 64 << 20;

/// The key of every frame. A fixed one masks as well as any for a measurement, and is not zero, so
/// that a server has to unmask.
const MASK: [u8; 4] = [0x5a, 0x13, 0xc7, 0x2e];

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opcode: u8,
    pub(crate) is_final: bool,
    /// Bytes of the head itself.
    pub(crate) head_bytes: usize,
    /// At most [`FRAME_BYTES_MAX`].
    pub(crate) payload_bytes: usize,
}

/// What a server must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Masked,
    ReservedBits,
    Opcode,
    LongControl,
    TooLong,
}

impl Violation {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Masked => "a masked frame from the server",
            Self::ReservedBits => "a frame with reserved bits from the server",
            Self::Opcode => "a frame with an unknown opcode from the server",
            Self::LongControl => "a control frame that is too long or not final",
            Self::TooLong => "a frame of more than 64 MiB from the server",
        }
    }
}

/// Reads the head of a frame; `None` while it is not complete.
pub(crate) fn read_head(bytes: &[u8]) -> Result<Option<Head>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let opcode = first & 0x0f;
    if first & 0x70 != 0 {
        return Err(Violation::ReservedBits);
    }
    if second & 0x80 != 0 {
        return Err(Violation::Masked);
    }
    if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(Violation::Opcode);
    }
    let (length, extended) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
            None => return Ok(None),
        },
        short => (u64::from(short), 0),
    };
    let is_final = first & 0x80 != 0;
    if opcode >= CLOSE && (length > 125 || !is_final) {
        return Err(Violation::LongControl);
    }
    if length > FRAME_BYTES_MAX {
        return Err(Violation::TooLong);
    }
    let payload_bytes = length as usize;
    Ok(Some(Head { opcode, is_final, head_bytes: 2 + extended, payload_bytes }))
}

/// Appends a final, masked frame.
pub(crate) fn put_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    put_raw_frame(0x80 | opcode, payload.len() as u64, payload, out);
}

/// Appends the head of a masked frame alone, with any first byte and any length, and the payload
/// as it is put behind: all that a client may do wrong.
pub(crate) fn put_raw_frame(first: u8, length: u64, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[start..]);
}

/// Masks a payload, or its first bytes.
pub(crate) fn mask(payload: &mut [u8]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(MASK) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(MASK) {
        *byte ^= mask;
    }
}

/// The code of a close frame's payload; 1005 where there is none (RFC 6455, 7.1.5).
pub(crate) fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_length_form() {
        for (length, extended) in [(0, 0), (125, 0), (126, 2), (65_535, 2), (65_536, 8)] {
            let mut masked = Vec::new();
            put_frame(BINARY, &vec![7; length], &mut masked);
            assert_eq!(masked.len(), 2 + extended + 4 + length);
            masked[1] &= 0x7f;
            let head = read_head(&masked).expect("it is a frame").expect("the head is complete");
            assert_eq!((head.payload_bytes, head.head_bytes), (length, 2 + extended));
            assert!(head.is_final);
            for cut in 0..2 + extended {
                assert_eq!(read_head(&masked[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn the_mask_takes_itself_away() {
        let mut frame = Vec::new();
        put_frame(TEXT, b"hello", &mut frame);
        assert_eq!(frame[..2], [0x81, 0x85]);
        let unmasked: Vec<u8> =
            frame[6..].iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(unmasked, b"hello");
        assert_ne!(&frame[6..], b"hello");
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let bad = [
            (vec![0x82, 0x80], Violation::Masked),
            (vec![0xc2, 0x00], Violation::ReservedBits),
            (vec![0x83, 0x00], Violation::Opcode),
            (vec![0x89, 126, 0, 126], Violation::LongControl),
            (vec![0x09, 0], Violation::LongControl),
            (vec![0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0], Violation::TooLong),
        ];
        for (bytes, violation) in bad {
            assert_eq!(read_head(&bytes), Err(violation));
        }
    }

    #[test]
    fn close_codes() {
        assert_eq!(close_code(&[]), 1005);
        assert_eq!(close_code(&[3, 0xe9, b'x']), 1001);
    }
}
