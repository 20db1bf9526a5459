//! Compressed messages of peers, and our own: bounded, and read by others alike.

use flate2::{Decompress, FlushDecompress, Status};
use throng::wire::deflate::{Deflater, InflateError, Inflater};

use crate::source::outcome;

const MAX: usize = 64 * 1024;

pub(crate) fn check(input: &[u8]) -> u64 {
    let mut out = Vec::new();
    let mut inflater = Inflater::default();
    let result = inflater.inflate(input, &mut out, MAX);
    assert!(out.capacity() <= 4 * MAX, "{} bytes for {}", out.capacity(), input.len());
    if result.is_ok() {
        assert!(out.len() <= MAX);
    }
    if let Some(other) = in_one_go(input) {
        match &result {
            Ok(()) => assert!(out == other, "others read something else"),
            Err(InflateError::TooBig) => assert!(other.len() > MAX),
            Err(InflateError::Damaged) => panic!("others can read it"),
        }
    }
    // It is as new behind anything, and reads what we write.
    let mut packed = Vec::new();
    Deflater::default().deflate(input, &mut packed);
    let mut back = Vec::new();
    inflater.inflate(&packed, &mut back, input.len()).expect("our own form");
    assert!(back == input, "it comes back");
    assert_eq!(in_one_go(&packed).as_deref(), Some(input), "others read our form");
    let class = usize::BITS - out.len().leading_zeros();
    outcome((result.map_err(|error| error as u8), class, input.len() / 64))
}

/// What the library makes of a message at once, with room enough; nothing where a block is final,
/// since what may follow then is for us to decide.
fn in_one_go(input: &[u8]) -> Option<Vec<u8>> {
    let bytes = [input, &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(4 * MAX);
    let mut decompress = Decompress::new(false);
    let status = decompress.decompress_vec(&bytes, &mut out, FlushDecompress::Sync).ok()?;
    let is_all = decompress.total_in() == bytes.len() as u64 && out.len() < out.capacity();
    (status != Status::StreamEnd && is_all).then_some(out)
}
