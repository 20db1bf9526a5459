//! Where in a page memory begins that the kernel copies to and from.

use std::ops::Range;

/// Processors that copy by REP MOVSB, as the kernel does, take thirty times as long where the
/// destination lies 1 to 31 bytes behind the source, pages aside (Zen 3: 8.2 us instead of 0.27 for
/// 16 KiB). What a socket holds mostly begins at a page's first bytes, and the C library's large
/// memory at its seventeenth.
const IN_PAGE: usize = 2048;

const PAGE: usize = 4096;

/// How much more memory is needed to find the place in it.
pub(super) const MORE: usize = 2 * PAGE;

/// Where in the memory the first such place is.
pub(super) fn find(memory: &[u8]) -> usize {
    let first_page = (memory.as_ptr() as usize).wrapping_neg() % PAGE;
    first_page + IN_PAGE
}

/// Bytes that begin at such a place.
#[derive(Debug)]
pub(super) struct Memory {
    memory: Box<[u8]>,
    range: Range<usize>,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        let memory: Box<[u8]> = vec![0; bytes + MORE].into();
        let at = find(&memory);
        Self { memory, range: at..at + bytes }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_wherever_memory_begins() {
        let memory = vec![0_u8; 3 * PAGE];
        for skip in 0..PAGE {
            let memory = &memory[skip..];
            let at = find(memory);
            assert!(at < MORE);
            assert_eq!(memory[at..].as_ptr() as usize % PAGE, IN_PAGE);
        }
    }
}
