//! What a measured message carries: who sent it, its number, and when it was meant to be sent.
//!
//! A stamp is 20 bytes, so that the smallest messages that servers are compared with can be
//! measured, and they survive in any text protocol, JSON too: `~L`, the sender in 4 digits of
//! base64url, the number in 6, and in 8 the nanoseconds since the run began.

use memchr::memmem;

/// Bytes of a stamp, and so of the smallest message.
pub(crate) const STAMP_BYTES: usize = 20;

const MARK: &[u8; 2] = b"~L";

/// Senders that can be told apart.
pub(crate) const SENDERS_MAX: u32 = 1 << 24;

/// Nanoseconds that fit: 78 hours. No duration of the command line is over 24, and no scenario has
/// more than two.
const TIME_NS_MAX: u64 = (1 << 48) - 1;

/// What fills a message up: no digit, and no part of the mark.
const FILLING: u8 = b'.';

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What no digit is worth.
const NO_DIGIT: u8 = u8::MAX;

/// What each byte is worth as a digit.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

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
    /// The stamp itself.
    pub(crate) fn bytes(self) -> [u8; STAMP_BYTES] {
        assert!(self.sender < SENDERS_MAX, "senders are counted before");
        assert!(self.time_ns <= TIME_NS_MAX, "runs are shorter");
        let mut stamp = [0; STAMP_BYTES];
        stamp[..2].copy_from_slice(MARK);
        put(u64::from(self.sender), &mut stamp[2..6]);
        put(u64::from(self.number), &mut stamp[6..12]);
        put(self.time_ns, &mut stamp[12..]);
        stamp
    }

    /// Writes a message of `bytes` bytes, [`STAMP_BYTES`] at least.
    pub(crate) fn write_message(self, bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + bytes.max(STAMP_BYTES);
        out.extend_from_slice(&self.bytes());
        out.resize(end, FILLING);
    }

    /// Whether a message is as [`Stamp::write_message`] has made it, but for the stamp.
    pub(crate) fn is_whole(message: &[u8], bytes: usize) -> bool {
        let filling = message.get(STAMP_BYTES..).unwrap_or_default();
        // No early end, so that many bytes are looked at in a step.
        let differences = filling.iter().fold(0, |all, byte| all | (byte ^ FILLING));
        message.len() == bytes.max(STAMP_BYTES) && differences == 0
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
        let bytes = bytes.first_chunk::<STAMP_BYTES>()?;
        Some(Self {
            sender: value(&bytes[2..6])? as u32,
            number: u32::try_from(value(&bytes[6..12])?).ok()?,
            time_ns: value(&bytes[12..])?,
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

/// Writes a value into all of `digits`, the most significant first.
fn put(value: u64, digits: &mut [u8]) {
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest & 63) as usize];
        rest >>= 6;
    }
}

/// The value of some digits, if they are all digits.
fn value(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut worst = 0;
    for digit in digits {
        let digit = VALUES[usize::from(*digit)];
        worst |= digit;
        value = value << 6 | u64::from(digit & 63);
    }
    // Digits are below 64, and what is none has the highest bit.
    (worst < 64).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangled_messages_are_not_whole() {
        let mut message = Vec::new();
        Stamp { sender: 1, number: 2, time_ns: 3 }.write_message(100, &mut message);
        assert!(Stamp::is_whole(&message, 100));
        assert!(!Stamp::is_whole(&message[..99], 100) && !Stamp::is_whole(&message, 101));
        for at in [STAMP_BYTES, 60, 99] {
            let mut mangled = message.clone();
            mangled[at] ^= 1;
            assert!(!Stamp::is_whole(&mangled, 100), "{at}");
        }
        assert!(Stamp::is_whole(&message[..STAMP_BYTES], 5), "no message is shorter");
    }

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
    fn the_largest_values_come_back() {
        let largest = Stamp { sender: SENDERS_MAX - 1, number: u32::MAX, time_ns: TIME_NS_MAX };
        for stamp in [largest, Stamp { sender: 0, number: 0, time_ns: 0 }] {
            let mut message = Vec::new();
            stamp.write_message(STAMP_BYTES, &mut message);
            assert_eq!(Stamp::find(&message), Some(stamp));
            assert!(message[2..].iter().all(|byte| DIGITS.contains(byte)));
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
        for bad in [
            &b""[..],
            b"~L",
            b"hello",
            b"~LAAAAAAAAAAAAAAAAA",
            b"~LAAAAAAAAAAAAAAAAA.",
            b"~LAAAA_AAAAAAAAAAAAA",
            &[b'~'; 32],
        ] {
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
