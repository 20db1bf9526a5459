//! How buffers grow: a buffer is either small or has pages of its own.
//!
//! Many large buffers at once are what leaves holes in a heap; pages of its own go back to the
//! system when a buffer is freed.

use crate::limits::{LARGE_BUFFER_BYTES, SMALL_BUFFER_BYTES_MAX};

/// Makes room for `additional` bytes more.
#[inline]
pub fn make_room(buffer: &mut Vec<u8>, additional: usize) {
    let needed = buffer.len() + additional;
    if needed > buffer.capacity() {
        grow(buffer, needed);
    }
}

/// Appends bytes.
#[inline]
pub fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    make_room(buffer, bytes.len());
    buffer.extend_from_slice(bytes);
}

#[cold]
fn grow(buffer: &mut Vec<u8>, needed: usize) {
    if needed <= SMALL_BUFFER_BYTES_MAX {
        return buffer.reserve(needed - buffer.len());
    }
    let capacity = needed.max(buffer.capacity() * 2).max(LARGE_BUFFER_BYTES);
    buffer.reserve_exact(capacity - buffer.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_buffer_has_a_middling_size() {
        for (steps, bytes) in [(1, 100), (50, 100), (3, 1000), (2, 40_000), (1000, 1000)] {
            let mut buffer = Vec::new();
            for _ in 0..steps {
                append(&mut buffer, &vec![1; bytes]);
                let capacity = buffer.capacity();
                let is_small = capacity <= 2 * SMALL_BUFFER_BYTES_MAX;
                assert!(is_small || capacity >= LARGE_BUFFER_BYTES, "{capacity}");
            }
            assert_eq!(buffer.len(), steps * bytes);
        }
    }
}
