//! Receive buffers that the kernel chooses from (io_uring_register_buf_ring(3), Linux 5.19).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The only group of buffers of a ring.
pub(super) const GROUP: u16 = 0;

const PAGE: usize = 4096;

/// Buffers of equal size, registered with one ring. They live until the ring is gone.
#[derive(Debug)]
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    memory: NonNull<u8>,
    count: u16,
    bytes: usize,
    tail: u16,
}

impl Buffers {
    /// Registers `count` buffers, a power of two, of `bytes` each.
    pub(super) fn register(ring: &IoUring, count: u16, bytes: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two() && bytes > 0);
        let size = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(size, PAGE).expect("a page is a power of two");
        // SAFETY: the layout is not empty, since the count is not zero.
        let entries = unsafe { alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(entries.cast()) else { handle_alloc_error(layout) };
        let memory = Box::leak(vec![0_u8; usize::from(count) * bytes].into_boxed_slice());
        let memory = NonNull::from(memory).cast();
        let mut buffers = Self { entries, layout, memory, count, bytes, tail: 0 };
        let address = entries.as_ptr() as u64;
        let submitter = ring.submitter();
        // SAFETY: the entries are page-aligned, `count` of them, and `Buffers` frees them only in
        // its drop, which the driver runs after the ring's.
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, 0) }?;
        for id in 0..count {
            buffers.put(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The list of the buffers; the buffers themselves are ordinary memory.
    pub(super) fn locked_bytes(count: u16) -> u64 {
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        bytes.next_multiple_of(PAGE) as u64
    }

    pub(super) fn count(&self) -> usize {
        usize::from(self.count)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that the kernel put into a buffer.
    pub(super) fn filled(&mut self, id: u16, length: usize) -> &mut [u8] {
        assert!(id < self.count && length <= self.bytes);
        // SAFETY: the id is in bounds, so the place is inside of the memory.
        let start = unsafe { self.memory.add(usize::from(id) * self.bytes) };
        // SAFETY: the kernel wrote `length` bytes there and does not touch them until the buffer
        // is given back, which takes `&mut self` and so ends this borrow.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length) }
    }

    /// Gives a buffer back to the kernel.
    pub(super) fn give_back(&mut self, id: u16) {
        assert!(id < self.count);
        self.put(id);
        self.publish();
    }

    fn put(&mut self, id: u16) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: the index is below the count, so the place is inside of the entries.
        let mut place = unsafe { self.entries.add(index) };
        // SAFETY: the id is below the count, so the place is inside of the memory.
        let address = unsafe { self.memory.add(usize::from(id) * self.bytes) };
        // SAFETY: the kernel reads entries below the tail only, and this one is not yet there.
        let entry = unsafe { place.as_mut() };
        entry.set_addr(address.as_ptr() as u64);
        entry.set_len(self.bytes as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: the entries are those of a registered ring, so the tail lies in the first.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is aligned, outlives the reference and is shared with the kernel, which
        // reads it atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let length = usize::from(self.count) * self.bytes;
        let memory = std::ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), length);
        // SAFETY: the memory was leaked by `register` as a boxed slice of this length, and the
        // driver has seen every receive complete before it drops us.
        drop(unsafe { Box::from_raw(memory) });
        // SAFETY: allocated by `register` with this layout; the ring that knew it is closed.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
