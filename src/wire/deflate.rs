//! permessage-deflate without context takeover (RFC 7692, 7.2): every message by itself, so one
//! compressor and one decompressor serve all connections of a worker.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::EXPANSION_BYTES_MAX;

/// The window that we compress with, as a power of two. A receiver with a smaller one can read a
/// message that is no longer than its own window, since no distance in it reaches further back.
pub const WINDOW_BITS: u8 = 15;

/// What a sync flush ends with; it is left out on the wire (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// How hard to look for repetitions: 1 is quickest, 9 is smallest.
const LEVEL: u32 = 3;

/// Compresses messages, one after the other.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }
}

impl Deflater {
    /// Appends the compressed form of a message. No block in it is marked final, although the RFC
    /// permits it, because several clients stop reading there.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.0.reset();
        let start = out.len();
        out.reserve(message.len() / 2 + 64);
        let mut taken = 0;
        loop {
            let before = self.0.total_in();
            let status = self.0.compress_vec(&message[taken..], out, FlushCompress::Sync);
            status.expect("the stream was reset and is never finished");
            taken += (self.0.total_in() - before) as usize;
            if taken == message.len() && out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len() - start + 64);
        }
        assert!(out.ends_with(&TAIL), "a sync flush ends with an empty stored block");
        out.truncate(out.len() - TAIL.len());
    }
}

/// Why a message could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The bytes are not a deflate stream.
    Damaged,
    /// The message is larger than permitted.
    TooBig,
}

/// Decompresses messages, one after the other.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Inflater {
    /// Replaces `out` by the message; memory grows with what comes out and never beyond `max`
    /// and one step.
    ///
    /// # Errors
    ///
    /// If the bytes are damaged or the message is larger than `max`.
    pub fn inflate(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), InflateError> {
        self.0.reset(false);
        out.clear();
        let rest = self.run(bytes, out, max)?;
        // Where the last block was final, the tail would be garbage behind it.
        if rest == Rest::MidStream {
            self.run(&TAIL, out, max)?;
        }
        Ok(())
    }

    fn run(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<Rest, InflateError> {
        let mut taken = 0;
        loop {
            if out.len() == out.capacity() {
                out.reserve(out.len().clamp(1024, 1 << 20));
            }
            let (read, written) = (self.0.total_in(), out.len());
            // A little at a time: what gives nothing is not taken whole.
            let some = &bytes[..bytes.len().min(EXPANSION_BYTES_MAX)];
            let status = self.0.decompress_vec(some, out, FlushDecompress::Sync);
            let count = (self.0.total_in() - read) as usize;
            bytes = &bytes[count..];
            taken += count;
            if out.len() > max {
                return Err(InflateError::TooBig);
            }
            if taken > 2 * out.len() + 2 * EXPANSION_BYTES_MAX {
                return Err(InflateError::Damaged);
            }
            match status {
                Ok(Status::StreamEnd) => {
                    // A peer may end a block with the final bit and start anew (7.2.3.4).
                    self.0.reset(false);
                    if bytes.is_empty() {
                        return Ok(Rest::StreamEnd);
                    }
                }
                Ok(_) if bytes.is_empty() && out.len() < out.capacity() => {
                    return Ok(Rest::MidStream);
                }
                Ok(Status::BufError) if out.len() == written && out.len() < out.capacity() => {
                    return Err(InflateError::Damaged);
                }
                Ok(_) => {}
                Err(_) => return Err(InflateError::Damaged),
            }
        }
    }
}

/// Where the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Behind a block that was marked final.
    StreamEnd,
    /// Anywhere else.
    MidStream,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(length: usize) -> Vec<u8> {
        let text: String = (0..)
            .map(|i| format!("{{\"id\":{i},\"name\":\"user {}\"}},", i * 7))
            .take(length / 8)
            .collect();
        text.into_bytes()[..length].to_vec()
    }

    #[test]
    fn messages_round_trip_and_never_hold_a_final_block() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let noise: Vec<u8> =
            (0..70_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for message in [vec![], b"a".to_vec(), json(4096), json(300_000), noise] {
            let (mut packed, mut back) = (b"before".to_vec(), Vec::new());
            deflater.deflate(&message, &mut packed);
            let packed = &packed[6..];
            inflater.inflate(packed, &mut back, message.len()).expect("our own stream");
            assert_eq!(back, message);
            if let Some(first) = packed.first() {
                assert_eq!(first & 1, 0, "BFINAL");
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let mut packed = Vec::new();
        Deflater::default().deflate(&vec![0; 50 << 20], &mut packed);
        let mut out = Vec::new();
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&packed, &mut out, 1 << 20), Err(InflateError::TooBig));
        assert!(out.capacity() <= 4 << 20, "{}", out.capacity());
    }

    #[test]
    fn blocks_that_give_nothing_are_not_taken_for_long() {
        let (empty, mut out) = ([0, 0, 0, 0xff, 0xff], Vec::new());
        let mut inflater = Inflater::default();
        inflater.inflate(&empty.repeat(500), &mut out, 99).expect("some may be there");
        let many = empty.repeat(200_000);
        assert_eq!(inflater.inflate(&many, &mut out, 99), Err(InflateError::Damaged));
        assert!(inflater.0.total_in() < 4 * EXPANSION_BYTES_MAX as u64, "it is not read whole");
    }

    #[test]
    fn damage_is_found() {
        let mut out = Vec::new();
        for bad in [&[0xff, 0xff, 0xff][..], &[0x07], &[0x00, 0x05, 0x00, 0x00, 0x00, 1, 2]] {
            assert_eq!(Inflater::default().inflate(bad, &mut out, 99), Err(InflateError::Damaged));
        }
    }

    #[test]
    fn final_blocks_of_a_peer_are_read() {
        let mut compress = Compress::new(Compression::new(6), false);
        let mut packed = Vec::with_capacity(1024);
        compress.compress_vec(b"hello ", &mut packed, FlushCompress::Finish).expect("room enough");
        compress.reset();
        compress.compress_vec(b"world", &mut packed, FlushCompress::Finish).expect("room enough");
        let mut out = Vec::new();
        Inflater::default().inflate(&packed, &mut out, 99).expect("two final blocks");
        assert_eq!(out, b"hello world");
        packed.push(0);
        Inflater::default().inflate(&packed, &mut out, 99).expect("RFC 7692, 7.2.3.4");
        assert_eq!(out, b"hello world");
    }
}
