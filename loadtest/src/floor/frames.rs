//! The bytes that are sent, encoded once. WebSocket frames, so that their sizes are the real ones.

/// Messages that leave together in a coalesced send.
pub const COALESCED: u32 = 8;

/// Bytes of payload of an echoed message.
const ECHO_PAYLOAD: usize = 20;
/// Bytes of an echoed message on its way to the server: head, mask and payload.
pub(super) const REQUEST: usize = 2 + 4 + ECHO_PAYLOAD;
/// Bytes of an echoed message on its way back: head and payload.
pub(super) const REPLY: usize = 2 + ECHO_PAYLOAD;

/// What one receive of the echo takes at most.
pub(super) const RECEIVE_BYTES: usize = 64 * 1024;

/// `count` binary frames of a server, one behind the other.
///
/// They are never freed: requests in the kernel may point to them, and a run makes few.
pub(super) fn of_server(payload: usize, count: usize) -> &'static [u8] {
    let mut frame = vec![0x82];
    match payload {
        0..=125 => frame.push(payload as u8),
        126..=0xffff => {
            frame.push(126);
            frame.extend((payload as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload as u64).to_be_bytes());
        }
    }
    frame.resize(frame.len() + payload, b'x');
    frame.repeat(count).leak()
}

/// As many replies as one receive may ask for.
pub(super) fn replies() -> &'static [u8] {
    of_server(ECHO_PAYLOAD, RECEIVE_BYTES / REQUEST + 1)
}

/// `count` frames of a client, one behind the other, with a mask of zeros.
pub(super) fn requests(count: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | ECHO_PAYLOAD as u8];
    frame.resize(REQUEST, 0);
    frame.repeat(count)
}

/// Whole messages in a stream that comes in pieces, by its length alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    partial: u32,
}

impl Whole {
    /// Messages of `size` bytes that end in the next `count` bytes.
    pub(super) fn take(&mut self, count: usize, size: usize) -> usize {
        let bytes = self.partial as usize + count;
        self.partial = (bytes % size) as u32;
        bytes / size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_heads_of_rfc_6455() {
        assert_eq!(of_server(100, 2).len(), 2 * 102);
        assert_eq!(of_server(125, 1)[..3], [0x82, 125, b'x']);
        assert_eq!(of_server(126, 1)[..5], [0x82, 126, 0, 126, b'x']);
        assert_eq!(of_server(16_384, 1).len(), 4 + 16_384);
        assert_eq!(of_server(65_536, 1)[..11], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0, b'x']);
        assert_eq!(of_server(ECHO_PAYLOAD, 1).len(), REPLY);
        assert_eq!(requests(3).len(), 3 * REQUEST);
        assert_eq!(requests(1)[..2], [0x82, 0x94]);
    }

    #[test]
    fn the_longest_receive_has_its_replies() {
        let mut whole = Whole { partial: REQUEST as u32 - 1 };
        assert!(whole.take(RECEIVE_BYTES, REQUEST) * REPLY <= replies().len());
    }

    #[test]
    fn messages_that_come_in_pieces_are_counted_when_whole() {
        let mut whole = Whole::default();
        assert_eq!([25, 1, 51, 27].map(|count| whole.take(count, 26)), [0, 1, 1, 2]);
        assert_eq!(whole.partial, 0);
    }
}
