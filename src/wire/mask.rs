//! Masking (RFC 6455, 5.3).

use super::vectors::by_widest;

/// Bytes that are handled at once where there are as many.
const BLOCK: usize = 64;

/// The high bits of four bytes, which ASCII leaves alone.
const HIGH: u32 = 0x8080_8080;

/// Removes or applies a mask in place; `offset` is the place of `bytes` in the frame's payload.
///
/// Tells whether all that came of it is ASCII: such a text is UTF-8 without another look.
#[inline]
pub fn unmask(bytes: &mut [u8], key: [u8; 4], offset: usize) -> bool {
    let key = rotated(u32::from_ne_bytes(key), offset);
    let seen = match bytes.len() {
        0..4 => by_bytes(bytes, key),
        4..8 => both_ends::<4>(bytes, key),
        8..16 => both_ends::<8>(bytes, key),
        16..32 => both_ends::<16>(bytes, key),
        32..BLOCK => both_ends::<32>(bytes, key),
        _ => by_widest(bytes, key),
    };
    seen & HIGH == 0
}

/// The key as it begins so many bytes later.
#[inline]
fn rotated(key: u32, by: usize) -> u32 {
    let turn = (by as u32 & 3) * 8;
    if cfg!(target_endian = "little") { key.rotate_right(turn) } else { key.rotate_left(turn) }
}

#[inline]
fn by_bytes(bytes: &mut [u8], key: u32) -> u32 {
    let mut seen = 0;
    for (byte, key) in bytes.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
        seen |= u32::from(*byte);
    }
    seen
}

/// The first and the last `N` bytes of at least as many and at most twice as many: what lies in
/// both is written twice, which is cheaper than a loop for the rest.
#[inline]
fn both_ends<const N: usize>(bytes: &mut [u8], key: u32) -> u32 {
    let later = rotated(key, bytes.len() - N);
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        unreachable!("there are at least as many bytes")
    };
    let (first, last) = (unmasked(*first, key), unmasked(*last, later));
    bytes[..N].copy_from_slice(&first);
    let at = bytes.len() - N;
    bytes[at..].copy_from_slice(&last);
    seen_in(&first) | seen_in(&last)
}

#[inline(always)]
fn unmasked<const N: usize>(mut bytes: [u8; N], key: u32) -> [u8; N] {
    for word in bytes.as_chunks_mut::<4>().0 {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    bytes
}

/// All bits that are set in some word.
#[inline(always)]
fn seen_in(bytes: &[u8]) -> u32 {
    bytes.as_chunks::<4>().0.iter().fold(0, |seen, word| seen | u32::from_ne_bytes(*word))
}

/// A block at least, the rest like [`both_ends`]. Inlined, so that the compiler makes the widest
/// vectors of it that its caller may use.
#[inline(always)]
pub(super) fn by_blocks(bytes: &mut [u8], key: u32) -> u32 {
    let Some(last) = bytes.last_chunk::<BLOCK>() else { unreachable!("there is a block") };
    let last = unmasked(*last, rotated(key, bytes.len()));
    let mut seen = [0; BLOCK / 4];
    for block in bytes.as_chunks_mut::<BLOCK>().0 {
        *block = unmasked(*block, key);
        for (word, seen) in block.as_chunks::<4>().0.iter().zip(&mut seen) {
            *seen |= u32::from_ne_bytes(*word);
        }
    }
    let at = bytes.len() - BLOCK;
    bytes[at..].copy_from_slice(&last);
    seen.into_iter().fold(seen_in(&last), |all, seen| all | seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_offset_agrees_with_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..200 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
                let mut masked = plain.clone();
                unmask(&mut masked, key, offset);
                for (i, byte) in plain.iter().enumerate() {
                    assert_eq!(masked[i], byte ^ key[(i + offset) % 4], "{length} {offset} {i}");
                }
            }
        }
    }

    #[test]
    fn other_processors_unmask_alike() {
        for length in BLOCK..200 {
            let masked: Vec<u8> = (0..length).map(|i| (i * 5) as u8).collect();
            let (mut here, mut elsewhere) = (masked.clone(), masked);
            let seen = (by_widest(&mut here, 0x37fa_213d), by_blocks(&mut elsewhere, 0x37fa_213d));
            assert_eq!((here, seen.0 & HIGH), (elsewhere, seen.1 & HIGH), "{length}");
        }
    }

    #[test]
    fn a_byte_that_is_not_ascii_is_seen_wherever_it_stands() {
        let key = [0xb7, 0x7a, 0xa1, 0x3d];
        for length in 0..200 {
            let mut plain = vec![b'~'; length];
            assert!(unmasked_is_ascii(&plain, key), "{length}");
            for at in 0..length {
                plain[at] = 0x80;
                assert!(!unmasked_is_ascii(&plain, key), "{length} {at}");
                plain[at] = b'~';
            }
        }
    }

    fn unmasked_is_ascii(plain: &[u8], key: [u8; 4]) -> bool {
        let mut bytes = plain.to_vec();
        unmask(&mut bytes, key, 0);
        unmask(&mut bytes, key, 0)
    }
}
