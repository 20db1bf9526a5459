//! What an idle connection costs, and that a busy one costs no more afterwards.

use testkit::swarm::memory;
use throng::config::Backend;

use crate::support::{name, on_both_at_once, program, report};

on_both_in_full!(a_message_leaves_nothing_behind_in_its_connection);

/// Connections that send a message, and what they may leave behind together: 100 bytes each.
const SENDERS: usize = 5000;
const LEFT_KIB_MAX: u64 = 500;

#[test]
fn messages_leave_no_buffers_behind() {
    on_both_at_once(|backend| {
        let server = memory::server_that_pings_often(program(), name(backend));
        let (before_kib, after_kib) = memory::returned(&server, SENDERS, LEFT_KIB_MAX);
        let figures = format!("{} {before_kib} KiB, after messages {after_kib} KiB", name(backend));
        report(&figures);
        assert!(after_kib <= before_kib + LEFT_KIB_MAX, "{figures}");
    });
}

#[test]
fn an_idle_connection_costs_at_most_256_bytes() {
    on_both_at_once(|backend| {
        let idle = memory::idle(&memory::server_that_pings_often(program(), name(backend)));
        report(&format!("{} {idle}", name(backend)));
        let none_kib_max = none_kib_max();
        assert!(idle.none_kib <= none_kib_max, "{idle}; {none_kib_max} KiB are allowed");
        assert!(idle.slope() <= memory::BYTES_MAX, "{idle}");
    });
}

/// What is left of a connection that has gone, in bytes: mostly pages of the heap between others.
const LEFT_MAX: f64 = 24.0;

#[test]
fn connections_cost_no_more_after_a_round_of_pings_and_nothing_when_they_have_gone() {
    on_both_at_once(|backend| {
        let life = memory::life(program(), name(backend));
        report(&format!("{} {life:?}", name(backend)));
        assert!(life.after_kib <= life.before_kib, "{life:?}");
        let left = (life.gone_kib as f64 - life.none_kib as f64) * 1024.0 / memory::SOME as f64;
        assert!(left <= LEFT_MAX, "{left:.0} bytes of each are left: {life:?}");
    });
}

/// What a server without connections may have.
fn none_kib_max() -> u64 {
    let workers = std::thread::available_parallelism().expect("there is a CPU").get() as u64;
    (16 + 2 * workers) * 1024
}

/// The median of three tries counts, as when the allocator gives memory back varies by a second:
/// two that are good make it good.
const TRIES: usize = 3;
const GOOD: usize = 2;

fn a_message_leaves_nothing_behind_in_its_connection(backend: Backend) {
    let server = || memory::server_that_pings_often(program(), name(backend));
    let is_back = |_: &usize| {
        let used = memory::used(&server(), &server());
        report(&used.to_string());
        assert!(used.slope() <= memory::BYTES_MAX, "{used}");
        used.slope_used() <= used.slope() * 1.1
    };
    let good = (0..TRIES).filter(is_back).take(GOOD).count();
    assert_eq!(good, GOOD, "more than a tenth stays behind in the median try");
}
