//! A hostile mix beside honest clients, in short: they lose nothing, and the server's limits refuse
//! what is over them. `scripts/abuse.sh` is the same for longer.

use throng::config::Backend;

use crate::loader::{Report, measure};
use crate::support::{PATIENCE, report, spawn};

on_both!(honest_clients_lose_nothing_beside_a_hostile_mix);

/// What the server may allocate, and what of it may be resident beside that.
const BUDGET: &str = "128MiB";
const RESIDENT_KIB_MAX: u64 = (128 + 48) << 10;

fn honest_clients_lose_nothing_beside_a_hostile_mix(backend: Backend) {
    let args = ["--memory", BUDGET, "--handshake-timeout", "1s", "--max-connections", "1000"];
    let server = spawn(backend, &args);
    let url = format!("ws://{}/room/loadtest", server.address());
    let mut args = vec!["abuse", "-n", "80", "--each", "4", "--flood", "1MiB", "--url", &url];
    args.extend(["--duration", "4s", "--calm", "500ms", "--timeout", "3m"]);
    let found = measure(&args);
    let peak_kib = server.peak_rss_kib();
    let counts = server.stop_and_count(PATIENCE);
    report(&format!(
        "{} deliveries and {} echoes; {peak_kib} KiB at most",
        found.figure("delivered"),
        found.figure("echoes"),
    ));
    let faults = ["lost", "duplicated", "out_of_order", "mangled", "incomplete"];
    assert_eq!(found.figures(faults), [0.0; 5]);
    assert_eq!(found.figures(["echoes_wrong", "echoes_unanswered"]), [0.0; 2]);
    assert_eq!(found.figure("connections_open_at_end"), 80.0);
    assert_eq!(found.figure("delivered"), 60.0 * found.figure("published"));
    refused(&found);
    assert!(counts["closed_violation"] > 0 && counts["closed_memory"] == 0, "{counts:?}");
    assert!(peak_kib <= RESIDENT_KIB_MAX, "{peak_kib} KiB");
}

/// Each kind that breaks a rule at once was told so, with the code or the status for it.
fn refused(found: &Report) {
    let told = [
        "oversized.code_1009",
        "bombs.code_1009",
        "bad_text.code_1007",
        "random_bytes.status_400",
        "slow_handshakes.by_server",
    ];
    for (id, count) in told.iter().zip(found.figures(told)) {
        assert!(count > 0.0, "{id}");
    }
    let kept = ["oversized", "bad_text"].map(|kind| {
        found.figure(&format!("{kind}.begun")) - found.figure(&format!("{kind}.by_server"))
    });
    assert!(kept.iter().all(|kept| *kept <= 4.0), "those under way at the end alone: {kept:?}");
}
