//! In the steady state a message costs no memory: nothing is allocated for it, and nothing for
//! those who get it.
//!
//! `exact` has prepared completions, so that every single allocation can be told; `simulated` the
//! simulator with all its accidents; `kernel` epoll and io_uring over loopback, whose drivers count
//! too.

mod bursts;
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

/// Shows a figure, past the harness, which hides what tests print.
fn report(figure: &str) {
    writeln!(std::io::stderr(), "{figure}").expect("standard error is open");
}
