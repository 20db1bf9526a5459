//! An allocator that counts what each thread asks of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static IS_OFF: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// How often the present thread has asked for memory, or for more of it.
pub(crate) fn allocations() -> u64 {
    COUNT.get()
}

/// Bytes that the present thread has asked for and not given back.
pub(crate) fn held() -> i64 {
    HELD.get()
}

/// Does something that is not counted.
pub(crate) fn uncounted<T>(act: impl FnOnce() -> T) -> T {
    let was_off = IS_OFF.replace(true);
    let result = act();
    IS_OFF.set(was_off);
    result
}

fn count() {
    if !IS_OFF.get() {
        COUNT.set(COUNT.get() + 1);
    }
}

fn hold(taken: usize, given: usize) {
    HELD.set(HELD.get() + taken as i64 - given as i64);
}

// SAFETY: the system's allocator is asked for exactly what this one was asked for, and the cells
// beside it need no memory of their own and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        hold(size, layout.size());
        // SAFETY: as the caller promised, and all memory is the system's.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: as the caller promised, and all memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn what_a_thread_asks_for_is_counted_by_itself() {
    let before = allocations();
    let mut bytes: Vec<u8> = Vec::with_capacity(8);
    bytes.extend([1; 100]);
    assert_eq!(allocations() - before, 2, "one, and one to grow");
    uncounted(|| drop(vec![0; 10]));
    let other = uncounted(|| std::thread::spawn(|| (vec![1; 10], allocations())).join());
    assert!(other.expect("it does not panic").1 > 0, "the other's are its own");
    assert_eq!(allocations() - before, 2);
}

#[test]
fn what_a_thread_holds_is_counted_in_bytes() {
    let before = held();
    let mut bytes: Vec<u8> = Vec::with_capacity(10);
    bytes.reserve_exact(1000);
    assert_eq!(held() - before, 1000);
    bytes.shrink_to(7);
    assert_eq!(held() - before, 7);
    drop(bytes);
    assert_eq!(held(), before);
}
