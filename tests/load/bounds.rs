//! Memory that has a bound however many ask for it, in short: `overload` has the figures.

use testkit::swarm::{Nobody, Swarm, Target};
use throng::config::Backend;

use crate::overload::crowd::{Crowd, Script};
use crate::support::{comes_to_hold, report, seconds, spawn};

on_both!(
    requests_that_wait_hold_no_memory_for_their_responses,
    tables_shrink_to_what_is_used_when_a_burst_is_over,
);

/// Clients with requests, and what the server may hold for each of them.
const CLIENTS: usize = 300;
const REQUESTS: usize = 300;
const CLIENT_KIB_MAX: u64 = 40;

/// Connections of a burst, and what may be left of them: 40 bytes of each.
const CONNECTIONS: usize = 10_000;
const LEFT_KIB_MAX: u64 = 400;

fn requests_that_wait_hold_no_memory_for_their_responses(backend: Backend) {
    let server = spawn(backend, &["--ping-interval", "0"]);
    let before_kib = server.rss_kib();
    let first = b"GET /chat.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
    let mut crowd = Crowd::connect(server.address(), CLIENTS, Script { first, again: Vec::new() });
    crowd.reads = false;
    crowd.run_for(seconds(3));
    let growth_kib = server.peak_rss_kib().saturating_sub(before_kib);
    report(&format!("{} have asked, {growth_kib} KiB more", crowd.written()));
    assert!(growth_kib <= CLIENTS as u64 * CLIENT_KIB_MAX, "{growth_kib} KiB");
}

fn tables_shrink_to_what_is_used_when_a_burst_is_over(backend: Backend) {
    let server = spawn(backend, &["--ping-interval", "0"]);
    let burst = |count| {
        let mut swarm = Swarm::new();
        swarm.open(count, &[Target::new(server.address(), "/echo")], &mut Nobody);
        swarm.reset_all();
    };
    // What is opened and reserved once is there behind this.
    burst(200);
    let before_kib = server.rss_kib();
    burst(CONNECTIONS);
    let mut now_kib = 0;
    let is_back = comes_to_hold(|| {
        now_kib = server.rss_kib();
        now_kib <= before_kib + LEFT_KIB_MAX
    });
    report(&format!("{before_kib} KiB before {CONNECTIONS} connections, {now_kib} KiB after"));
    assert!(is_back, "{before_kib} KiB, then {now_kib} KiB");
}
