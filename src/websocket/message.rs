//! Messages to one peer, compressed if it agreed and it pays.

use crate::limits::{DEFLATE_BYTE_COST, DEFLATE_BYTES_MIN};
use crate::wire::deflate::{Deflater, WINDOW_BITS};
use crate::wire::encoded::put_deflated;
use crate::wire::frame::{Kind, put_frame};

/// What compresses messages: one for all connections of a worker, made when first needed.
#[derive(Debug, Default)]
pub struct Compressor {
    deflater: Deflater,
    scratch: Vec<u8>,
}

/// Whether messages of as many bytes leave as they are, whatever they are.
#[must_use]
pub fn is_never_deflated(bytes: usize, window_bits: u8) -> bool {
    window_bits == 0 || bytes < DEFLATE_BYTES_MIN
}

/// Appends a message, compressed if the peer can read that and it pays; gives what that costs, in
/// units of a turn's budget.
pub fn put_message(
    out: &mut Vec<u8>,
    kind: Kind,
    payload: &[u8],
    window_bits: u8,
    compressor: &mut Option<Box<Compressor>>,
) -> usize {
    let fits = window_bits >= WINDOW_BITS || payload.len() <= 1 << window_bits;
    if is_never_deflated(payload.len(), window_bits) || !fits {
        put_frame(out, kind.opcode(), false, payload);
        return 0;
    }
    let Compressor { deflater, scratch } = &mut **compressor.get_or_insert_default();
    put_deflated(out, kind, payload, deflater, scratch);
    if scratch.capacity() > crate::limits::POOLED_BUFFER_BYTES_MAX {
        *scratch = Vec::new();
    }
    payload.len() * DEFLATE_BYTE_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_compressed_where_the_peer_can_read_them() {
        let (mut compressor, text) = (None, [b'x'; 5000]);
        for (window_bits, first) in [(0, 0x81), (12, 0x81), (13, 0xc1), (15, 0xc1)] {
            let mut out = Vec::new();
            let cost = put_message(&mut out, Kind::Text, &text, window_bits, &mut compressor);
            assert_eq!((out[0], cost > 0), (first, first == 0xc1), "{window_bits}");
        }
    }
}
