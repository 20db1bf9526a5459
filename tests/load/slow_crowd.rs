//! A tenth of a room never reads: the others get everything, in order, and the server's memory
//! stays within its budget.
//!
//! Messages leave back to back, each when all who read have the one before, so that no loud host
//! makes one of these slow.

use throng::config::Backend;

use crate::loader::measure;
use crate::support::{PATIENCE, report, spawn};

on_both!(
    a_tenth_never_reads_and_the_others_get_everything,
    whom_a_policy_keeps_gets_the_newest_and_the_others_get_everything,
);
on_both_in_full!(a_tenth_of_ten_thousand_never_reads_and_the_others_get_everything);

/// What the server may allocate, and what may be resident beside that: its program, stacks, rings.
const RULES: &str = r#"
memory = "96MiB"
max_backlog = "256KiB"
ping_interval = "0"

[[rooms]]
match = "slow-drop_oldest"
policy = "drop_oldest"

[[rooms]]
match = "slow-latest"
policy = "latest"
"#;
const RESIDENT_KIB_MAX: u64 = (96 + 48) << 10;

/// So many bytes of a message, and so many messages of a turn, that sockets of some 4 MiB and the
/// backlog are full before its end.
const SIZE: &str = "64KiB";
const MESSAGES: &str = "100";

/// What becomes of those that never read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// All are ended, and got everything until then.
    None,
    /// None is ended, and each gets the newest, behind a gap.
    All,
}

fn a_tenth_never_reads_and_the_others_get_everything(backend: Backend) {
    check(backend, "disconnect", 200, Kept::None);
}

fn whom_a_policy_keeps_gets_the_newest_and_the_others_get_everything(backend: Backend) {
    check(backend, "drop_oldest", 60, Kept::All);
    check(backend, "latest", 60, Kept::All);
}

fn a_tenth_of_ten_thousand_never_reads_and_the_others_get_everything(backend: Backend) {
    check(backend, "disconnect", 10_000, Kept::None);
    check(backend, "drop_oldest", 10_000, Kept::All);
    check(backend, "latest", 10_000, Kept::All);
}

fn check(backend: Backend, policy: &str, clients: u64, kept: Kept) {
    let name = format!("throng-rules-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, RULES).expect("the folder is there");
    let server = spawn(backend, &["--config", path.to_str().expect("it is ASCII")]);
    std::fs::remove_file(&path).expect("it is ours");
    let url = format!("ws://{}/room/slow-{policy}", server.address());
    let count = clients.to_string();
    let mut args = vec!["slow", "-n", &count, "--policy", policy, "--url", &url, "--rate", "0"];
    args.extend(["--messages", MESSAGES, "--size", SIZE, "--rounds", "1", "--duration", "1h"]);
    args.extend(["--timeout", "3m"]);
    let found = measure(&args);
    let peak_kib = server.peak_rss_kib();
    let counts = server.stop_and_count(PATIENCE);
    let (slow, others) = (clients as f64 / 10.0, clients as f64 * 0.9);
    report(&format!(
        "{policy}: {} ended of {slow}, {} of them with 1008; {peak_kib} KiB at most",
        found.figure("slow_ended"),
        found.figure("slow_closed_1008"),
    ));
    assert_eq!(found.figure("delivered"), 200.0 * others);
    let faults = ["lost", "duplicated", "out_of_order", "mangled", "incomplete"];
    assert_eq!(found.figures(faults), [0.0; 5]);
    let (ended, with_gaps, newest) = match kept {
        Kept::None => (slow, 0.0, 0.0),
        Kept::All => (0.0, slow, slow),
    };
    let fates = ["slow", "slow_ended", "slow_gaps", "slow_newest"];
    assert_eq!(found.figures(fates), [slow, ended, with_gaps, newest]);
    assert_eq!(counts["closed_slow"] as f64, ended);
    assert_eq!((counts["closed_memory"], counts["refused_memory"]), (0, 0));
    assert!(peak_kib <= RESIDENT_KIB_MAX, "{peak_kib} KiB");
}
