//! A thousand clients that send small things as fast as they can: the median echo of another one
//! must not depend much on what they send.

use std::thread;
use std::time::Duration;

use testkit::swarm::{TEXT, put_frame};
use throng::config::Backend;

use super::crowd::{Crowd, Script};
use super::peer::{Prober, Waits, open, request};
use crate::support::{PATIENCE, name, report, seconds, spawn};

on_both_in_full!(whatever_others_flood_with_an_echo_takes_four_times_as_long_at_most);

const CLIENTS: usize = 1200;
const WATCHED: Duration = seconds(8);

/// Times the median under texts.
const TIMES_MAX: f64 = 4.0;

/// Frames or requests of a flood before it begins again.
pub(crate) const UNITS: usize = 500;

/// What each client of a flood sends over and over, by name; requests need no upgrade before.
pub(crate) fn floods() -> [(&'static str, Vec<u8>); 4] {
    let frame = |first, payload: &[u8]| {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, first, 0x0102_0304, &[payload]);
        bytes
    };
    // A message in pieces of one byte.
    let fragments = [frame(1, b"a"), frame(0, b"a").repeat(UNITS - 2), frame(0x80, b"a")].concat();
    [
        ("texts", frame(TEXT, b"abcd").repeat(UNITS)),
        ("pings", frame(0x89, b"abcd").repeat(UNITS)),
        ("requests", b"GET /n HTTP/1.1\r\nHost: a\r\n\r\n".repeat(UNITS)),
        ("fragments", fragments),
    ]
}

fn whatever_others_flood_with_an_echo_takes_four_times_as_long_at_most(backend: Backend) {
    let medians = floods().map(|(kind, again)| {
        let waits = flooded(backend, kind, again);
        report(&format!("{} under {kind}: {waits}", name(backend)));
        (kind, waits.median().as_secs_f64())
    });
    let [(_, texts), others @ ..] = medians;
    for (kind, median) in others {
        let times = median / texts;
        report(&format!("{} under {kind}: {times:.1} times that under texts", name(backend)));
    }
    let worst = others.iter().map(|(_, median)| median / texts).fold(0.0, f64::max);
    assert!(worst <= TIMES_MAX, "{worst:.1} times as long as under texts");
}

fn flooded(backend: Backend, kind: &str, again: Vec<u8>) -> Waits {
    let server = spawn(backend, &["--workers", "1", "--ping-interval", "0"]);
    let address = server.address();
    let echo = open(address, "/echo", "");
    let first = if kind == "requests" { Vec::new() } else { request(address, "/echo", "") };
    let mut crowd = Crowd::connect(address, CLIENTS, Script { first, again });
    assert!(crowd.run_until(PATIENCE, |crowd| crowd.written() == CLIENTS), "all have begun");
    crowd.run_for(seconds(1));
    let prober = Prober::start(echo, Duration::from_millis(10));
    crowd.run_for(WATCHED);
    // An echo that hangs as long as they flood must not be waited for with them silent.
    let stopping = thread::spawn(move || prober.stop());
    crowd.run_until(PATIENCE, |_| stopping.is_finished());
    assert_eq!(crowd.ended(), 0, "nobody has done wrong");
    stopping.join().expect("every echo comes")
}
