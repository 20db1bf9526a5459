//! permessage-deflate as a client does it, each message by itself (RFC 7692, 7.2).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What is left out at the end of each message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// No message is longer.
const BYTES_MAX: usize = 64 * 1024;

pub(crate) fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BYTES_MAX);
    let mut compress = Compress::new(Compression::fast(), false);
    let status = compress.compress_vec(payload, &mut out, FlushCompress::Sync);
    assert!(matches!(status, Ok(Status::Ok)), "there is room for all of it");
    assert!(out.ends_with(&TAIL), "it was flushed");
    out.truncate(out.len() - TAIL.len());
    out
}

/// The message, if it is one.
pub(crate) fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    let bytes = [payload, &TAIL].concat();
    let mut out = Vec::with_capacity(BYTES_MAX);
    let mut decompress = Decompress::new(false);
    let status = decompress.decompress_vec(&bytes, &mut out, FlushDecompress::Sync);
    let is_whole = matches!(status, Ok(Status::Ok)) && decompress.total_in() == bytes.len() as u64;
    is_whole.then_some(out)
}
