//! Messages that become their own replies where they lie.

use std::ops::Range;

use super::Session;
use crate::wire::Violation;
use crate::wire::frame::{Kind, header_bytes, put_header_before};

/// Replies that stand in the bytes of the messages themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// Where they stand.
    pub place: Range<usize>,
    /// Bytes of the messages, which are first.
    pub taken: usize,
    /// How many they are.
    pub messages: usize,
}

/// Makes the whole messages that these bytes begin with into the replies to them, as long as
/// nothing needs more thought; and what is wrong with the one behind them. The replies have room:
/// each is shorter by its mask.
///
/// # Errors
///
/// As for [`Session::next`].
pub fn reply_in_place(
    bytes: &mut [u8],
    session: &Session,
    max_message_size: usize,
) -> (InPlace, Result<(), Violation>) {
    let mut replies = InPlace::default();
    while replies.taken < bytes.len() {
        match session.whole_message(&mut bytes[replies.taken..], max_message_size) {
            Ok(Some((kind, payload))) => replies.add(bytes, kind, payload),
            Ok(None) => break,
            Err(violation) => return (replies, Err(violation)),
        }
    }
    (replies, Ok(()))
}

impl InPlace {
    /// Adds a message whose payload is there in what was not taken yet.
    fn add(&mut self, bytes: &mut [u8], kind: Kind, payload: Range<usize>) {
        let mut place = self.taken + payload.start..self.taken + payload.end;
        self.taken = place.end;
        if self.messages > 0 {
            let start = self.place.end + header_bytes(place.len());
            bytes.copy_within(place.clone(), start);
            place = start..start + place.len();
        }
        let start = put_header_before(bytes, kind.opcode(), &place);
        if self.messages == 0 {
            self.place.start = start;
        }
        self.place.end = place.end;
        self.messages += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Opcode, put_frame};

    fn message(length: usize, seed: usize) -> (Vec<u8>, Vec<u8>) {
        let payload: Vec<u8> = (0..length).map(|at| (at * 7 + seed) as u8).collect();
        let (mut reply, mut message) = (Vec::new(), Vec::new());
        put_frame(&mut reply, Opcode::Binary, false, &payload);
        message.extend_from_slice(&reply[..reply.len() - length]);
        message[1] |= 0x80;
        message.extend_from_slice(&[1, 2, 3, 4]);
        message.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ (at % 4 + 1) as u8));
        (message, reply)
    }

    #[test]
    fn replies_in_place_are_the_replies() {
        const LENGTHS: [usize; 9] = [0, 1, 5, 125, 126, 300, 65_535, 65_536, 0];
        for first in 0..LENGTHS.len() {
            for last in first..LENGTHS.len() {
                let lengths = &LENGTHS[first..=last];
                let pairs = lengths.iter().enumerate().map(|(at, length)| message(*length, at));
                let (messages, replies): (Vec<_>, Vec<_>) = pairs.unzip();
                let mut bytes = messages.concat();
                let (found, result) = reply_in_place(&mut bytes, &Session::new(None), 1 << 20);
                assert_eq!((found.taken, found.messages), (bytes.len(), lengths.len()));
                assert_eq!((&bytes[found.place], result), (&replies.concat()[..], Ok(())));
            }
        }
    }

    #[test]
    fn text_stays_text_and_longer_length_forms_are_shortened() {
        let mut bytes = b"\x81\xfe\0\x02\0\0\0\0hi".to_vec();
        bytes.extend(b"\x82\xff\0\0\0\0\0\0\0\x02\0\0\0\0ho");
        bytes.extend(b"\x81\x82\0\0\0\0hu");
        let (found, result) = reply_in_place(&mut bytes, &Session::new(None), 1 << 20);
        assert_eq!((found.taken, result), (bytes.len(), Ok(())));
        assert_eq!(bytes[found.place], *b"\x81\x02hi\x82\x02ho\x81\x02hu");
    }

    #[test]
    fn replies_in_place_end_where_more_thought_is_needed() {
        let (hello, reply) = message(5, 0);
        let others: [(&[u8], Result<(), Violation>); 4] = [
            (&hello[..hello.len() - 1], Ok(())),
            (&[0x89, 0x80, 1, 2, 3, 4], Ok(())),
            (&[0x81, 0x81, 0, 0, 0, 0, 0xff], Err(Violation::BadUtf8)),
            (&[0x82, 0x01, 0xff], Err(Violation::Unmasked)),
        ];
        for (other, expected) in others {
            let mut bytes = [&hello[..], &hello, other].concat();
            let (found, result) = reply_in_place(&mut bytes, &Session::new(None), 1 << 20);
            assert_eq!((found.taken, found.messages), (2 * hello.len(), 2));
            assert_eq!((&bytes[found.place], result), (&reply.repeat(2)[..], expected));
            assert!(expected.is_err() || bytes.ends_with(other), "{other:02x?} is as it was");
        }
    }
}
