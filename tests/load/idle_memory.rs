//! What an idle connection costs, and that a busy one costs no more afterwards.

use std::path::Path;

use testkit::swarm::memory;
use throng::config::Backend;

use crate::support::{PROGRAM, name, report};

on_both!(
    an_idle_connection_costs_at_most_256_bytes,
    a_message_leaves_nothing_behind_in_its_connection,
);

fn an_idle_connection_costs_at_most_256_bytes(backend: Backend) {
    let server = memory::server(Path::new(PROGRAM), name(backend));
    let idle = memory::idle(&server);
    report(&idle.to_string());
    let workers = std::thread::available_parallelism().expect("there is a CPU").get() as u64;
    let none_kib_max = (16 + 2 * workers) * 1024;
    assert!(idle.none_kib <= none_kib_max, "{idle}; {none_kib_max} KiB are allowed");
    assert!(idle.slope() <= memory::BYTES_MAX, "{idle}");
}

/// How often the figures may be taken: when the allocator gives memory back varies by a second.
const TRIES: usize = 3;

fn a_message_leaves_nothing_behind_in_its_connection(backend: Backend) {
    let server = || memory::server(Path::new(PROGRAM), name(backend));
    let is_back = (0..TRIES).any(|_| {
        let used = memory::used(&server(), &server());
        report(&used.to_string());
        assert!(used.slope() <= memory::BYTES_MAX, "{used}");
        used.slope_used() <= used.slope() * 1.1
    });
    assert!(is_back, "more than a tenth stays behind each time");
}
