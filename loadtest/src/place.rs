//! Where in a page memory begins that the kernel copies much to and from.

use std::ops::Range;

/// Processors that copy by REP MOVSB, as the kernel does, take thirty times as long where the
/// destination lies 1 to 31 bytes behind the source, pages aside (Zen 3: 8.2 us instead of 0.27 for
/// 16 KiB). What a socket holds mostly begins at a page's first bytes, and the C library's large
/// memory at its seventeenth: by chance a loader took 40 us for an echo, and not 10.
const IN_PAGE: usize = 2048;

const PAGE: usize = 4096;

/// Bytes that begin in the middle of a page.
#[derive(Debug)]
pub struct Memory {
    memory: Box<[u8]>,
    range: Range<usize>,
}

impl Memory {
    /// So many zeros.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let memory: Box<[u8]> = vec![0; bytes + 2 * PAGE].into();
        let first_page = (memory.as_ptr() as usize).wrapping_neg() % PAGE;
        let at = first_page + IN_PAGE;
        Self { memory, range: at..at + bytes }
    }

    /// With these bytes.
    #[must_use]
    pub fn with(bytes: &[u8]) -> Self {
        let mut memory = Self::new(bytes.len());
        memory.bytes().copy_from_slice(bytes);
        memory
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_any_size_begins_in_the_middle_of_a_page() {
        for bytes in [1, 100, 5000, 70_000, 300_000] {
            let mut memory = Memory::new(bytes);
            assert_eq!(memory.bytes().len(), bytes);
            assert_eq!(memory.bytes().as_ptr() as usize % PAGE, IN_PAGE);
        }
    }
}
