//! A tenth of a room never reads: the others get everything, in order, and the server's memory
//! stays within its budget.
//!
//! Messages leave back to back, each when all who read have the one before, so that no loud host
//! makes one of these slow.

use throng::config::Backend;

use crate::loader::measure;
use crate::support::{PATIENCE, report, spawn};

on_both!(a_tenth_of_a_thousand_never_reads_and_the_others_get_everything);
on_both_in_full!(a_tenth_of_ten_thousand_never_reads_and_the_others_get_everything);

/// What the server may allocate, and what may be resident beside that: its program, stacks, rings.
const BUDGET: &str = "96MiB";
const RESIDENT_KIB_MAX: u64 = (96 + 48) << 10;

/// Memory that may wait for each.
const BACKLOG: &str = "256KiB";

fn a_tenth_of_a_thousand_never_reads_and_the_others_get_everything(backend: Backend) {
    check(backend, 1000);
}

fn a_tenth_of_ten_thousand_never_reads_and_the_others_get_everything(backend: Backend) {
    check(backend, 10_000);
}

/// So many bytes of a message, and so many messages of a turn, that sockets of some 4 MiB and the
/// backlog are full before its end.
const SIZE: &str = "64KiB";
const MESSAGES: &str = "100";

fn check(backend: Backend, clients: u64) {
    let args = ["--memory", BUDGET, "--max-backlog", BACKLOG, "--ping-interval", "0"];
    let server = spawn(backend, &args);
    let url = format!("ws://{}/room/slow-disconnect", server.address());
    let count = clients.to_string();
    let mut args = vec!["slow", "-n", &count, "--url", &url, "--rate", "0", "--messages", MESSAGES];
    args.extend(["--size", SIZE, "--rounds", "1", "--duration", "1h", "--timeout", "3m"]);
    let found = measure(&args);
    let peak_kib = server.peak_rss_kib();
    let counts = server.stop_and_count(PATIENCE);
    let (slow, others) = (clients as f64 / 10.0, clients as f64 * 0.9);
    report(&format!(
        "{} ended of {slow}, {} of them with 1008; {peak_kib} KiB at most",
        found.figure("slow_ended"),
        found.figure("slow_closed_1008"),
    ));
    assert_eq!(found.figure("delivered"), 200.0 * others);
    let faults = ["lost", "duplicated", "out_of_order", "mangled", "incomplete"];
    assert_eq!(found.figures(faults), [0.0; 5]);
    assert_eq!(found.figures(["slow", "slow_ended", "slow_gaps"]), [slow, slow, 0.0]);
    assert_eq!(counts["closed_slow"] as f64, slow);
    assert_eq!((counts["closed_memory"], counts["refused_memory"]), (0, 0));
    assert!(peak_kib <= RESIDENT_KIB_MAX, "{peak_kib} KiB");
}
