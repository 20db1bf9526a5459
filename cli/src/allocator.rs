//! What the C library's allocator is told: what to give back to the system, and when; and a count
//! of what it has given out, for the bound of `--memory`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

/// The system's allocator, with a count.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated, but for what threads have not told yet.
static IN_USE: AtomicIsize = AtomicIsize::new(0);

/// What a thread keeps to itself, so that threads do not share a cache line for each allocation.
const UNTOLD_MAX: usize = 64 * 1024;

thread_local! {
    static UNTOLD: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that the process has allocated, exact to [`UNTOLD_MAX`] for each thread.
pub(crate) fn in_use() -> usize {
    usize::try_from(IN_USE.load(Ordering::Relaxed)).unwrap_or(0)
}

fn note(bytes: isize) {
    // A thread that ends has given its last, and what it still says is not counted.
    let _ = UNTOLD.try_with(|untold| {
        let sum = untold.get() + bytes;
        let is_much = sum.unsigned_abs() >= UNTOLD_MAX;
        if is_much {
            IN_USE.fetch_add(sum, Ordering::Relaxed);
        }
        untold.set(if is_much { 0 } else { sum });
    });
}

#[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
// SAFETY: each call is passed on to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: likewise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: likewise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Gives every allocation of two pages or more a mapping of its own, which goes back to the system
/// when it is freed. By default only those above 128 KiB have one, and the bound rises by itself:
/// after 15,000 clients had each sent 64 KiB at the same time, 460 MB stayed with the process.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "the C library has no other way to say so; no thread runs yet")]
pub(crate) fn return_large_memory() {
    const BYTES: i32 = 8 * 1024;
    // SAFETY: called first in main, so no other thread allocates meanwhile.
    let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BYTES) };
    debug_assert_eq!(is_set, 1, "the bound is within what the library takes");
}

/// Gives back whole pages that lie free between allocations. The library does so by itself only
/// at the end of a heap: after 15,000 clients had sent 64 KiB each, 1,000 at a time, 0.6 MB more
/// stayed with the process.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "the C library has no other way to say so")]
pub(crate) fn return_holes() {
    // SAFETY: it may be called at any time, from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries return such memory by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn return_large_memory() {}

/// Likewise.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn return_holes() {}
