//! Large messages from one worker's client to a member on another worker, which has to compress
//! them: what the others of that worker wait for.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use testkit::swarm::{Pattern, TEXT, put_frame};
use throng::config::Backend;

use super::peer::{Prober, drain, open_on, threads_of};
use crate::support::{name, report, seconds, spawn};

on_both_in_full!(who_shares_a_worker_with_a_compressing_member_waits_half_a_second_at_most);

/// Bytes of a message, and of all messages in a second.
const MESSAGE_BYTES: usize = 1_000_000;
const BYTES_PER_SECOND: usize = 90_000_000;
const PUBLISHING: Duration = seconds(10);

const WAIT_MAX: Duration = Duration::from_millis(500);
const PEAK_KIB_MAX: u64 = 100_000;

fn who_shares_a_worker_with_a_compressing_member_waits_half_a_second_at_most(backend: Backend) {
    let server = spawn(backend, &["--workers", "2", "--ping-interval", "0"]);
    let threads = threads_of(&server, 2);
    let mut publisher = open_on(&server, threads[0], "/room/a", "");
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let member = open_on(&server, threads[1], "/room/a", deflate);
    let echo = open_on(&server, threads[1], "/echo", "");
    let readers = [&publisher, &member].map(|stream| stream.try_clone().expect("it is open"));
    let readers = readers.map(drain);
    let prober = Prober::start(echo, Duration::from_millis(20));
    let pattern = Pattern::text(MESSAGE_BYTES);
    let (began, mut messages) = (Instant::now(), 0);
    while began.elapsed() < PUBLISHING {
        let mut frame = Vec::new();
        put_frame(&mut frame, TEXT, messages, &[pattern.slice(messages.into(), MESSAGE_BYTES)]);
        if publisher.write_all(&frame).is_err() {
            break;
        }
        messages += 1;
        let due = f64::from(messages) * MESSAGE_BYTES as f64 / BYTES_PER_SECOND as f64;
        thread::sleep(Duration::from_secs_f64(due).saturating_sub(began.elapsed()));
    }
    let waits = prober.stop();
    let peak_kib = server.peak_rss_kib();
    for stream in [publisher, member] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
    let got = readers.map(|reader| reader.join().expect("reading does not panic") / 1_000_000);
    report(&format!(
        "{}: {messages} messages of 1 MB published, {} MB back, {} MB to the member; {waits}; \
         peak {} MB",
        name(backend),
        got[0],
        got[1],
        peak_kib / 1000
    ));
    assert!(waits.worst() <= WAIT_MAX, "an echo took {:?}", waits.worst());
    assert!(peak_kib <= PEAK_KIB_MAX, "{peak_kib} KiB");
}
