//! In the steady state a message costs no memory: nothing is allocated for it, and nothing for
//! those who get it.
//!
//! `exact` has prepared completions, so that every single allocation can be told; `simulated` the
//! simulator with all its accidents; `kernel` epoll and io_uring over loopback, whose drivers count
//! too.

#[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
mod counting;
mod exact;
mod kernel;
#[allow(dead_code, reason = "benchmarks have more uses for it")]
#[path = "../../benches/workloads/prepared.rs"]
mod prepared;
mod simulated;
#[allow(dead_code, reason = "benchmarks have more uses for it")]
#[path = "../../benches/workloads/worker.rs"]
mod worker;

use std::io::Write;

/// Allocations of a worker for what was published in one room in one turn, however many messages
/// and members there are: the shared frames, their bytes, and the list of the messages. Growing
/// counts: the bytes of several messages begin with room for the first.
const ALLOCATIONS_PER_PUBLISH: u64 = 3;

/// The same for eight messages of 100 bytes in one turn.
const ALLOCATIONS_PER_EIGHT: u64 = 7;

/// Allocations per turn of 64 echoes of 16 KiB: a buffer and its bytes for each that is beyond what
/// a pool keeps.
const ALLOCATIONS_PER_LARGE_TURN: u64 = 66;

/// Allocations that follow on a look through the pools, which is once a second: the list of
/// connections to flush is given back, and grows again, here to at most 1,000.
const ALLOCATIONS_PER_TRIM: u64 = 9;

/// Shows a figure, past the harness, which hides what tests print.
fn report(figure: &str) {
    writeln!(std::io::stderr(), "{figure}").expect("standard error is open");
}
