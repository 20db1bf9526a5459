//! The bytes that are sent, encoded once. WebSocket frames, so that their sizes are the real ones.

use crate::place::Memory;

/// Messages that leave together in a coalesced send.
pub const COALESCED: u32 = 8;

/// Bytes of the key that a client's frame has behind its head.
const MASK_BYTES: usize = 4;

/// What one receive of the echo takes at most.
pub(super) const RECEIVE_BYTES: usize = 64 * 1024;

/// `count` binary frames of a server, one behind the other.
///
/// They are never freed: requests in the kernel may point to them, and a run makes few.
pub(super) fn of_server(payload: usize, count: usize) -> &'static [u8] {
    let mut frame = head(payload, 0);
    frame.resize(frame.len() + payload, b'x');
    Box::leak(Box::new(Memory::with(&frame.repeat(count)))).bytes()
}

/// The head of a binary frame; the mask's bit and its key are the caller's.
fn head(payload: usize, mask_bit: u8) -> Vec<u8> {
    let mut head = vec![0x82];
    match payload {
        0..=125 => head.push(mask_bit | payload as u8),
        126..=0xffff => {
            head.push(mask_bit | 126);
            head.extend((payload as u16).to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend((payload as u64).to_be_bytes());
        }
    }
    head
}

/// The messages of an echo: all have the same length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echoed {
    payload: usize,
    /// Bytes of one on its way to the server: head, mask and payload.
    pub(super) request_bytes: usize,
    /// Bytes of one on its way back: head and payload.
    pub(super) reply_bytes: usize,
}

impl Echoed {
    pub(super) fn new(payload: u32) -> Self {
        let payload = payload as usize;
        let reply_bytes = head(payload, 0).len() + payload;
        Self { payload, request_bytes: reply_bytes + MASK_BYTES, reply_bytes }
    }

    /// As many replies as one receive may ask for.
    pub(super) fn replies(self) -> &'static [u8] {
        of_server(self.payload, RECEIVE_BYTES / self.request_bytes + 1)
    }

    /// `count` frames of a client, one behind the other, with a mask of zeros.
    pub(super) fn requests(self, count: usize) -> Memory {
        let mut frame = head(self.payload, 0x80);
        frame.resize(self.request_bytes, 0);
        Memory::with(&frame.repeat(count))
    }
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
    }

    #[test]
    fn echoes_have_their_mask_on_one_way() {
        let small = Echoed::new(20);
        assert_eq!((small.request_bytes, small.reply_bytes), (26, 22));
        assert_eq!(small.requests(3).bytes().len(), 3 * 26);
        assert_eq!(small.requests(1).bytes()[..2], [0x82, 0x94]);
        let large = Echoed::new(16_384);
        assert_eq!((large.request_bytes, large.reply_bytes), (16_392, 16_388));
        assert_eq!(large.requests(1).bytes()[..4], [0x82, 0xfe, 64, 0]);
    }

    #[test]
    fn the_longest_receive_has_its_replies() {
        for payload in [1, 20, 125, 16_384] {
            let echoed = Echoed::new(payload);
            let mut whole = Whole { partial: echoed.request_bytes as u32 - 1 };
            let most = whole.take(RECEIVE_BYTES, echoed.request_bytes);
            assert!(most * echoed.reply_bytes <= echoed.replies().len());
        }
    }

    #[test]
    fn messages_that_come_in_pieces_are_counted_when_whole() {
        let mut whole = Whole::default();
        assert_eq!([25, 1, 51, 27].map(|count| whole.take(count, 26)), [0, 1, 1, 2]);
        assert_eq!(whole.partial, 0);
    }
}
