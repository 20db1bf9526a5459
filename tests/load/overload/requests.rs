//! Requests for pages, one behind the other, by clients that never read a response.

use std::time::Duration;

use throng::config::Backend;

use super::crowd::{Crowd, Script};
use crate::support::{name, report, seconds, spawn};

on_both_in_full!(pipelined_requests_of_two_thousand_clients_take_80_mb_at_most);

const CLIENTS: usize = 2000;
const REQUESTS: usize = 300;
const WATCHED: Duration = seconds(10);

const PEAK_KIB_MAX: u64 = 80_000;

fn pipelined_requests_of_two_thousand_clients_take_80_mb_at_most(backend: Backend) {
    let server = spawn(backend, &["--ping-interval", "0"]);
    let idle_kib = server.rss_kib();
    let first = b"GET /chat.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
    let script = Script { first, again: Vec::new() };
    let mut crowd = Crowd::connect(server.address(), CLIENTS, script);
    crowd.reads = false;
    crowd.run_for(WATCHED);
    let (written, peak_kib) = (crowd.written(), server.peak_rss_kib());
    report(&format!(
        "{}: {written} of {CLIENTS} wrote {REQUESTS} requests; {} MB before, peak {} MB",
        name(backend),
        idle_kib / 1000,
        peak_kib / 1000
    ));
    assert!(peak_kib <= PEAK_KIB_MAX, "{peak_kib} KiB");
}
