//! Memory that receives go to. What was used last, and lies in the caches, is used first.

use std::ops::Range;
use std::ptr::NonNull;

use crate::driver::place;

/// Buffers of equal size. They live until the ring is gone.
#[derive(Debug)]
pub(super) struct Buffers {
    memory: NonNull<[u8]>,
    first: NonNull<u8>,
    count: usize,
    bytes: usize,
    free: Vec<u16>,
    /// What is being sent of each.
    parts: Box<[Range<usize>]>,
}

impl Buffers {
    /// So many of so many bytes each.
    pub(super) fn new(count: u16, bytes: usize) -> Self {
        assert!(count > 0 && bytes > 0);
        let free = (0..count).rev().collect();
        let count = usize::from(count);
        let memory = Box::leak(vec![0_u8; count * bytes + place::MORE].into_boxed_slice());
        let at = place::find(memory);
        let memory = NonNull::from(memory);
        // SAFETY: that place is less than `MORE` into the memory.
        let first = unsafe { memory.cast().add(at) };
        let parts = vec![0..0; count].into();
        Self { memory, first, count, bytes, free, parts }
    }

    /// Bytes of each.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) fn are_all_free(&self) -> bool {
        self.free.len() == self.count
    }

    /// A buffer, and where the kernel is to write to.
    pub(super) fn take(&mut self) -> Option<(u16, NonNull<u8>)> {
        let id = self.free.pop()?;
        Some((id, self.start(id)))
    }

    /// Takes a buffer back that the kernel is done with.
    pub(super) fn give_back(&mut self, id: u16) {
        assert!(self.free.len() < self.count, "as many were taken");
        self.free.push(id);
    }

    /// The bytes that the kernel put into a buffer that was taken.
    pub(super) fn filled(&mut self, id: u16, length: usize) -> &mut [u8] {
        assert!(length <= self.bytes);
        // SAFETY: the kernel wrote `length` bytes there and does not touch them until the buffer
        // is given back and taken again, which takes `&mut self` and so ends this borrow.
        unsafe { std::slice::from_raw_parts_mut(self.start(id).as_ptr(), length) }
    }

    /// Notes what is to be sent of a buffer that was taken, and gives these bytes.
    pub(super) fn begin_sending(&mut self, id: u16, part: Range<usize>) -> &[u8] {
        self.parts[usize::from(id)] = part;
        self.being_sent(id)
    }

    /// The bytes that are being sent of a buffer.
    pub(super) fn being_sent(&mut self, id: u16) -> &[u8] {
        let part = self.parts[usize::from(id)].clone();
        &self.filled(id, part.end)[part]
    }

    fn start(&self, id: u16) -> NonNull<u8> {
        assert!(usize::from(id) < self.count);
        // SAFETY: the id is in bounds, so the place is inside of the memory.
        unsafe { self.first.add(usize::from(id) * self.bytes) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the memory was leaked by `new` as a boxed slice, and the driver drops us only
        // when the kernel is done with every request that names it.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_last_is_taken_first() {
        let mut buffers = Buffers::new(2, 8);
        let (first, _) = buffers.take().expect("two are free");
        let (second, _) = buffers.take().expect("one is free");
        assert!(first != second && buffers.take().is_none() && !buffers.has_free());
        buffers.give_back(second);
        buffers.give_back(first);
        assert_eq!(buffers.take().map(|(id, _)| id), Some(first));
    }
}
