//! WebSocket frames (RFC 6455, 5.2).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::buffer;
use super::close::{CloseCode, Violation};

/// Bytes of the longest header of a client: two, eight of length, four of mask.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes of the longest payload of a control frame.
pub const CONTROL_BYTES_MAX: usize = 125;

/// A ping without payload, as every heartbeat sends it.
pub const PING: [u8; 2] = [0x80 | Opcode::Ping as u8, 0];

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Opcode {
    /// The next part of a message.
    Continuation = 0,
    /// A text message or its first part.
    Text = 1,
    /// A binary message or its first part.
    Binary = 2,
    /// The last frame of a side.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    /// Whether the frame may stand between the parts of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

impl Kind {
    /// The opcode of the first frame of such a message.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// The message is compressed (RFC 7692, 6).
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The key to unmask with.
    pub mask: [u8; 4],
    /// Bytes of payload.
    pub length: u64,
}

impl Header {
    /// Parses a header at the start of `bytes`; gives it with its own length, or `None` if more
    /// bytes are needed. Lengths are taken in every form, the longer ones too where a shorter
    /// would do: some embedded clients know only one.
    ///
    /// # Errors
    ///
    /// What no continuation could make right.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let (fin, rsv1) = (first & FIN != 0, first & RSV1 != 0);
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7f;
        if opcode.is_control() && (!fin || usize::from(short) > CONTROL_BYTES_MAX) {
            return Err(Violation::BadControlFrame);
        }
        let (length, rest, taken) = match short {
            126 => {
                let Some((field, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*field)), rest, 4)
            }
            127 => {
                let Some((field, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*field), rest, 10)
            }
            short => (u64::from(short), rest, 2),
        };
        if length >> 63 != 0 {
            return Err(Violation::BadLength);
        }
        let Some(mask) = rest.first_chunk() else { return Ok(None) };
        Ok(Some((Self { fin, rsv1, opcode, mask: *mask, length }, taken + 4)))
    }
}

/// Whether a frame that begins with these bytes is a close frame.
#[must_use]
pub fn begins_close(bytes: &[u8]) -> bool {
    const OPCODE: u8 = 0x0f;
    bytes.first().is_some_and(|first| first & OPCODE == Opcode::Close as u8)
}

/// What a message is whose first frame is its last, and not compressed; by the first byte alone.
#[inline]
#[must_use]
pub fn kind_of_plain_message(bytes: &[u8]) -> Option<Kind> {
    const TEXT: u8 = FIN | Opcode::Text as u8;
    const BINARY: u8 = FIN | Opcode::Binary as u8;
    match bytes.first() {
        Some(&TEXT) => Some(Kind::Text),
        Some(&BINARY) => Some(Kind::Binary),
        _ => None,
    }
}

/// Appends the header of a whole, unmasked frame.
#[inline]
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, length: usize) {
    let first = FIN | opcode as u8 | if rsv1 { RSV1 } else { 0 };
    match length {
        0..=125 => out.extend_from_slice(&[first, length as u8]),
        126..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Bytes of the header of a whole, unmasked frame.
#[inline]
#[must_use]
pub fn header_bytes(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Writes the header of a whole, unmasked frame right before its payload; where it begins.
///
/// # Panics
///
/// If there is no room; a client's header of the same frame is four bytes longer at least.
#[inline]
pub fn put_header_before(bytes: &mut [u8], opcode: Opcode, payload: &Range<usize>) -> usize {
    let mut put = |header: &[u8]| {
        let start = payload.start - header.len();
        bytes[start..payload.start].copy_from_slice(header);
        start
    };
    let first = FIN | opcode as u8;
    match payload.len() {
        short @ 0..=125 => put(&[first, short as u8]),
        middle @ 126..=0xffff => {
            let [high, low] = (middle as u16).to_be_bytes();
            put(&[first, 126, high, low])
        }
        long => {
            let mut header = [first, 127, 0, 0, 0, 0, 0, 0, 0, 0];
            header[2..].copy_from_slice(&(long as u64).to_be_bytes());
            put(&header)
        }
    }
}

/// Appends a whole, unmasked frame.
#[inline]
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, payload: &[u8]) {
    buffer::make_room(out, 10 + payload.len());
    put_header(out, opcode, rsv1, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a close frame; without a code it is empty. A reason that is too long for a control frame
/// is cut between two characters: a frame of more than 125 bytes, or half a character, would end
/// the connection with the peer's 1002 or 1007 instead of our code.
pub fn put_close(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str) {
    let Some(code) = code else { return put_header(out, Opcode::Close, false, 0) };
    let reason = start_of(reason, CONTROL_BYTES_MAX - 2);
    put_header(out, Opcode::Close, false, 2 + reason.len());
    out.extend_from_slice(&code.get().to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// As many whole characters as `max` bytes hold.
fn start_of(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.expect("the beginning is a boundary")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_frame(length: usize, form: u8) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match form {
            126 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            127 => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
            _ => bytes.push(0x80 | length as u8),
        }
        bytes.extend([1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn every_length_form_and_every_cut() {
        for (length, form) in [(0, 0), (125, 0), (126, 126), (65_535, 126), (65_536, 127), (5, 127)]
        {
            let bytes = client_frame(length, form);
            for cut in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
            }
            let (header, taken) = Header::parse(&bytes).expect("valid").expect("whole");
            assert_eq!((header.length, taken), (length as u64, bytes.len()));
            assert_eq!(header.mask, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn what_the_rfc_forbids() {
        let cases = [
            ([0x82 | 0x20, 0x80], Violation::ReservedBit),
            ([0x83, 0x80], Violation::ReservedOpcode),
            ([0x8b, 0x80], Violation::ReservedOpcode),
            ([0x82, 0x05], Violation::Unmasked),
            ([0x09, 0x80], Violation::BadControlFrame),
            ([0x88, 0x80 | 126], Violation::BadControlFrame),
        ];
        for (bytes, violation) in cases {
            assert_eq!(Header::parse(&bytes), Err(violation), "{bytes:02x?}");
        }
        let mut huge = client_frame(5, 127);
        huge[2] = 0x80;
        assert_eq!(Header::parse(&huge), Err(Violation::BadLength));
    }

    #[test]
    fn headers_of_ours_use_the_shortest_form() {
        for (length, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Text, false, length);
            assert_eq!((out.len(), header_bytes(length)), (expected, expected), "{length}");
            assert_eq!(out[1] & MASKED, 0);
            let mut bytes = vec![0; HEADER_BYTES_MAX + length];
            let payload = HEADER_BYTES_MAX..bytes.len();
            let start = put_header_before(&mut bytes, Opcode::Text, &payload);
            assert_eq!(bytes[start..payload.start], out, "{length}");
        }
    }

    #[test]
    fn close_frames() {
        let mut out = Vec::new();
        put_close(&mut out, Some(CloseCode::GOING_AWAY), "bye");
        assert_eq!(out, [0x88, 5, 0x03, 0xe9, b'b', b'y', b'e']);
        out.clear();
        put_close(&mut out, None, "");
        assert_eq!(out, [0x88, 0]);
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        for (reason, length) in [
            ("x".repeat(123), 123),
            ("x".repeat(124), 123),
            ("é".repeat(62), 122),
            (format!("x{}", "é".repeat(61)), 123),
            ("😀".repeat(1000), 120),
        ] {
            let mut out = Vec::new();
            put_close(&mut out, Some(CloseCode::NORMAL), &reason);
            assert_eq!((out.len(), usize::from(out[1])), (4 + length, 2 + length), "{reason}");
            assert_eq!(&out[4..], &reason.as_bytes()[..length]);
            assert!(std::str::from_utf8(&out[4..]).is_ok(), "{reason}");
        }
    }
}
