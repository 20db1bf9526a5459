//! What the loader must not hide.

use std::thread;
use std::time::Duration;

use crate::support::{Throng, figure, measure, percentile_us};
use nix::sys::signal::Signal;

/// Clients of a run that is disturbed; `-n` says the same.
const CLIENTS: usize = 10;

/// A second of a stopped server, less what a busy machine may take from it.
const STOPPED_US: f64 = 950_000.0;

/// Stops a server for a second, some time after all clients have come to it, which had so many
/// sockets without them.
fn stop_for_a_second(server: &Throng, without: usize, after: Duration) {
    while server.sockets() < without + CLIENTS {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(after);
    server.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(1));
    server.signal(Signal::SIGCONT);
}

#[test]
fn a_second_without_the_server_shows_in_an_open_loop() {
    let server = Throng::start(&[]);
    let url = server.url("/echo");
    let mut args = vec!["echo", "-n", "10", "--rate", "500", "--url", &url];
    args.extend(["--duration", "4s", "--warm-up", "100ms"]);
    let without = server.sockets();
    let (code, report) = thread::scope(|scope| {
        scope.spawn(|| stop_for_a_second(&server, without, Duration::from_millis(1000)));
        measure(&args)
    });
    assert_eq!(code, 0);
    let (max, high) = (
        percentile_us(&report, "echo_latency", 100.0),
        percentile_us(&report, "echo_latency", 99.9),
    );
    assert!(max >= STOPPED_US, "the maximum is {max} us");
    assert!(high >= 0.95 * STOPPED_US, "p99.9 is {high} us");
    // A second of four: those that were due in its second half waited for half of it at most.
    let upper = percentile_us(&report, "echo_latency", 90.0);
    assert!(upper >= 0.4 * STOPPED_US, "p90 is {upper} us");
    // None was left out: what was due in that second was sent in that second or later.
    assert!(figure(&report, "echoes") >= 1900.0);
}

#[test]
fn a_second_without_the_server_shows_in_a_broadcast_by_the_clock() {
    let server = Throng::start(&[]);
    let url = server.url("/room/a");
    let mut args = vec!["broadcast", "-n", "10", "--rate", "100", "--url", &url];
    args.extend(["--duration", "4s"]);
    let without = server.sockets();
    let (code, report) = thread::scope(|scope| {
        scope.spawn(|| stop_for_a_second(&server, without, Duration::from_millis(1000)));
        measure(&args)
    });
    assert_eq!(code, 0);
    for id in ["delivery_latency", "last_latency"] {
        let high = percentile_us(&report, id, 99.9);
        assert!(high >= 0.9 * STOPPED_US, "p99.9 of {id} is {high} us");
    }
    assert!(figure(&report, "published") >= 390.0);
}

#[test]
fn the_loader_says_what_it_costs_and_whether_it_is_the_bound() {
    let server = Throng::start(&[]);
    let (url, pid) = (server.url("/echo"), server.pid());
    let base = ["echo", "--url", &url, "--server-pid", &pid, "--duration", "1s", "--warm-up", "0"];
    let (_, bound) =
        measure(&[&base[..], &["-n", "200", "--threads", "1", "--depth", "32"]].concat());
    assert!(figure(&bound, "loader_cpu_us") > 0.0);
    assert!(bound["is_loader_bound"].is_boolean());
    // How much that is depends on who else uses the CPUs.
    let idle = figure(&bound, "loader_idle_percent");
    assert!((0.0..=100.0).contains(&idle), "{idle} % idle");
}
