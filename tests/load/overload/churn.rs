//! Fifteen thousand connections at once, and what of them is left when all have gone.

use std::time::Instant;

use testkit::swarm::{Nobody, Spawned, Swarm, Target};
use throng::config::Backend;
use throng::limits::BURST_OVER;

use crate::support::{name, report, seconds, spawn};

on_both_in_full!(nothing_is_left_of_fifteen_thousand_connections);

const CONNECTIONS: usize = 15_000;

/// What the server has opened and reserved once, for connections of any number.
const FIRST: usize = 200;

/// Holes between what stays: 20 bytes for each connection.
const LEFT_BYTES_MAX: f64 = 20.0;

fn nothing_is_left_of_fifteen_thousand_connections(backend: Backend) {
    let server = spawn(backend, &["--ping-interval", "0"]);
    let before_kib = left_behind(&server, FIRST);
    let after_kib = left_behind(&server, CONNECTIONS);
    let left = (after_kib as f64 - before_kib as f64) * 1024.0 / CONNECTIONS as f64;
    report(&format!(
        "{}: {before_kib} KiB after {FIRST} connections, {after_kib} KiB after {CONNECTIONS}: \
         {left:.1} bytes of each are left",
        name(backend)
    ));
    assert!(left <= LEFT_BYTES_MAX, "{left:.1} bytes");
}

/// The least memory within the time in which that of a burst is given back.
fn left_behind(server: &Spawned, connections: usize) -> u64 {
    let mut swarm = Swarm::new();
    swarm.open(connections, &[Target::new(server.address(), "/echo")], &mut Nobody);
    swarm.reset_all();
    let until = Instant::now() + BURST_OVER + seconds(6);
    let mut lowest_kib = u64::MAX;
    while Instant::now() < until {
        std::thread::sleep(seconds(1) / 5);
        lowest_kib = lowest_kib.min(server.rss_kib());
    }
    lowest_kib
}
