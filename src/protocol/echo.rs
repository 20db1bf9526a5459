//! `/echo`: every message comes back, compressed if the client agreed and it pays.

use crate::limits::DEFLATE_BYTES_MIN;
use crate::wire::deflate::{Deflater, WINDOW_BITS};
use crate::wire::encoded::put_deflated;
use crate::wire::frame::{Kind, put_frame};

/// Where it is found.
pub const PATH: &str = "/echo";

/// What compresses replies: one for all connections of a worker, made when first needed.
#[derive(Debug, Default)]
pub struct Compressor {
    deflater: Deflater,
    scratch: Vec<u8>,
}

/// Appends the reply to a message.
pub fn reply(
    out: &mut Vec<u8>,
    kind: Kind,
    payload: &[u8],
    window_bits: u8,
    compressor: &mut Option<Box<Compressor>>,
) {
    let fits = window_bits >= WINDOW_BITS || payload.len() <= 1 << window_bits;
    if window_bits == 0 || payload.len() < DEFLATE_BYTES_MIN || !fits {
        return put_frame(out, kind.opcode(), false, payload);
    }
    let Compressor { deflater, scratch } = &mut **compressor.get_or_insert_default();
    put_deflated(out, kind, payload, deflater, scratch);
    if scratch.capacity() > crate::limits::POOLED_BUFFER_BYTES_MAX {
        *scratch = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_compressed_where_the_client_can_read_them() {
        let (mut compressor, text) = (None, [b'x'; 5000]);
        for (window_bits, first) in [(0, 0x81), (12, 0x81), (13, 0xc1), (15, 0xc1)] {
            let mut out = Vec::new();
            reply(&mut out, Kind::Text, &text, window_bits, &mut compressor);
            assert_eq!(out[0], first, "{window_bits}");
        }
    }
}
