//! What a measured message carries: who sent it, its number, and when it was meant to be sent.
//!
//! A stamp is 32 bytes of printable ASCII, so that it survives in any text protocol:
//! `~L`, the sender in 6 hexadecimal digits, the number in 8, nanoseconds in 15, `~`.

use memchr::memmem;

/// Bytes of a stamp, and so of the smallest message.
pub(crate) const STAMP_BYTES: usize = 32;

const MARK: &[u8; 2] = b"~L";

/// Senders that can be told apart.
pub(crate) const SENDERS_MAX: u32 = 1 << 24;

/// What fills a message up.
const FILLING: u8 = b'.';

/// What one message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Below [`SENDERS_MAX`].
    pub(crate) sender: u32,
    /// From 0, without gaps, for each sender.
    pub(crate) number: u32,
    /// The intended time, on the clock of the run.
    pub(crate) time_ns: u64,
}

impl Stamp {
    /// Writes a message of `bytes` bytes, [`STAMP_BYTES`] at least.
    pub(crate) fn write_message(self, bytes: usize, out: &mut Vec<u8>) {
        assert!(self.sender < SENDERS_MAX, "senders are counted before");
        let end = out.len() + bytes.max(STAMP_BYTES);
        out.extend_from_slice(MARK);
        put_hex(u64::from(self.sender), 6, out);
        put_hex(u64::from(self.number), 8, out);
        put_hex(self.time_ns & ((1 << 60) - 1), 15, out);
        out.push(b'~');
        out.resize(end, FILLING);
    }

    /// Finds the stamp of a message: where it begins, or anywhere inside.
    pub(crate) fn find(message: &[u8]) -> Option<Self> {
        if message.starts_with(MARK) {
            return Self::read(message);
        }
        let start = memmem::find(message, MARK)?;
        Self::read(&message[start..])
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..STAMP_BYTES)?;
        if bytes[STAMP_BYTES - 1] != b'~' {
            return None;
        }
        Some(Self {
            sender: hex(&bytes[2..8])? as u32,
            number: hex(&bytes[8..16])? as u32,
            time_ns: hex(&bytes[16..31])?,
        })
    }
}

/// Reads stamps; equal ones, as a broadcast brings them, are only read once.
#[derive(Debug, Default)]
pub(crate) struct StampReader {
    last_bytes: [u8; STAMP_BYTES],
    last: Option<Stamp>,
}

impl StampReader {
    /// As [`Stamp::find`].
    pub(crate) fn find(&mut self, message: &[u8]) -> Option<Stamp> {
        if let Some(bytes) = message.first_chunk::<STAMP_BYTES>()
            && self.last.is_some()
            && *bytes == self.last_bytes
        {
            return self.last;
        }
        let stamp = Stamp::find(message)?;
        if message.starts_with(MARK) {
            self.last_bytes.copy_from_slice(&message[..STAMP_BYTES]);
            self.last = Some(stamp);
        }
        Some(stamp)
    }
}

fn put_hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * digit)) as usize & 15]);
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { sender: 0xab_cdef, number: 0x0102_0304, time_ns: 123_456_789_012_345 };

    #[test]
    fn a_message_is_as_long_as_asked_and_tells_its_stamp() {
        for bytes in [STAMP_BYTES, 100, 4096] {
            let mut message = Vec::new();
            STAMP.write_message(bytes, &mut message);
            assert_eq!(message.len(), bytes);
            assert!(message.iter().all(|byte| (b' '..=b'~').contains(byte)));
            assert_eq!(Stamp::find(&message), Some(STAMP));
        }
    }

    #[test]
    fn a_stamp_is_found_inside_of_an_envelope() {
        let mut message = br#"{"data":""#.to_vec();
        STAMP.write_message(0, &mut message);
        message.extend_from_slice(br#""}"#);
        assert_eq!(Stamp::find(&message), Some(STAMP));
        assert_eq!(StampReader::default().find(&message), Some(STAMP));
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for bad in [&b""[..], b"~L", b"hello", b"~L00000000000000000000000000000x", &[b'~'; 32]] {
            assert_eq!(Stamp::find(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_reader_sees_that_the_next_message_is_another() {
        let mut reader = StampReader::default();
        for number in [1, 1, 2, 2, 3] {
            let stamp = Stamp { number, ..STAMP };
            let mut message = Vec::new();
            stamp.write_message(64, &mut message);
            assert_eq!(reader.find(&message), Some(stamp));
        }
    }
}
