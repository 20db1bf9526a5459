//! A frame that is sent again and again, and of which only the stamp changes.

use loadtest::place::Memory;

use crate::stamp::{STAMP_BYTES, Stamp};
use crate::wire;

/// See the module.
#[derive(Debug)]
pub(super) struct StampedFrame {
    frame: Memory,
    stamp_at: usize,
}

impl StampedFrame {
    /// A message of `bytes` bytes, [`STAMP_BYTES`] at least.
    pub(super) fn new(opcode: u8, bytes: usize) -> Self {
        let (mut message, mut masked) = (Vec::new(), Vec::new());
        Stamp { sender: 0, number: 0, time_ns: 0 }.write_message(bytes, &mut message);
        wire::put_frame(opcode, &message, &mut masked);
        Self { frame: Memory::with(&masked), stamp_at: masked.len() - message.len() }
    }

    /// The frame with this stamp.
    pub(super) fn with(&mut self, stamp: Stamp) -> &[u8] {
        let frame = self.frame.bytes();
        let place = &mut frame[self.stamp_at..self.stamp_at + STAMP_BYTES];
        place.copy_from_slice(&stamp.bytes());
        wire::mask(place);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_frame_of_the_message() {
        for bytes in [STAMP_BYTES, 125, 126, 16_384, 70_000] {
            let mut frame = StampedFrame::new(wire::TEXT, bytes);
            for number in [0, 7, u32::MAX] {
                let stamp = Stamp { sender: 5, number, time_ns: 1234 };
                let (mut message, mut expected) = (Vec::new(), Vec::new());
                stamp.write_message(bytes, &mut message);
                wire::put_frame(wire::TEXT, &message, &mut expected);
                assert_eq!(frame.with(stamp), expected, "{bytes}");
            }
        }
    }
}
