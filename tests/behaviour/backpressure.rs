//! Clients that ask and do not read: they have to wait, nothing is lost, and memory stays bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use testkit::client::{Client, End, binary, ping, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::{PATIENCE, comes_to_hold, ms, server};

on_both!(
    an_echo_client_that_never_reads_is_paused_and_then_gets_every_byte,
    a_ping_flood_that_never_reads_is_paused_and_then_gets_every_pong,
    a_flood_of_requests_that_never_reads_is_paused_and_then_gets_every_page,
    who_asks_for_pages_and_never_reads_them_is_closed_in_the_end,
    a_paused_client_that_gives_up_is_forgotten,
    others_are_served_while_one_is_paused,
    a_paused_client_that_finishes_still_gets_everything,
);

/// More than what all buffers of the kernel take for one connection.
const FLOOD: usize = 40 << 20;

/// What a server may need for one client that does not read, beside the kernel's buffers.
const MEMORY_MAX: u64 = 6 << 20;

const OPTIONS: [&str; 2] = ["--max-backlog", "256KiB"];

/// Writes the bytes over and over on a thread of its own.
struct Flood {
    written: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(client: &Client, bytes: Vec<u8>, times: usize) -> Self {
        let written = Arc::new(AtomicUsize::new(0));
        let (count, mut writer) = (Arc::clone(&written), client.writer());
        let thread = thread::spawn(move || {
            for _ in 0..times {
                if writer.try_write(&bytes).is_err() {
                    break;
                }
                count.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        });
        Self { written, thread }
    }

    /// Waits until nothing more is taken.
    fn wait_until_paused(&self) {
        let count = || self.written.load(Ordering::Relaxed);
        let (mut before, mut since) = (count(), Instant::now());
        let is_paused = || {
            if count() != before {
                (before, since) = (count(), Instant::now());
            }
            before > 0 && since.elapsed() > ms(700)
        };
        assert!(comes_to_hold(is_paused), "it takes for ever");
    }

    fn join(self) -> usize {
        self.thread.join().expect("writing fails, but does not panic");
        self.written.load(Ordering::Relaxed)
    }
}

fn slow_client(server: &Process, path: &str) -> Client {
    let mut client = Client::connect_with(server.address(), Some(16 << 10));
    client.as_mut().expect("the server listens").upgrade(path, &[]);
    client.expect("checked above")
}

fn an_echo_client_that_never_reads_is_paused_and_then_gets_every_byte(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let before = server.rss_bytes();
    let mut client = slow_client(&server, "/echo");
    let payload = crate::support::noise(20_000);
    let (message, times) = (binary(&payload), FLOOD / 20_000);
    let flood = Flood::start(&client, message.clone(), times);
    flood.wait_until_paused();
    let written = flood.written.load(Ordering::Relaxed);
    assert!(written < FLOOD / 2, "all of it was taken: {written}");
    let growth = server.rss_bytes().saturating_sub(before);
    assert!(growth < MEMORY_MAX, "{growth} bytes more");
    for number in 0..times {
        let frame = client.frame();
        assert!((frame.first, frame.payload) == (0x82, payload.clone()), "message {number}");
    }
    assert_eq!(flood.join(), times * message.len(), "never closed");
    client.write(&text("and it goes on"));
    assert_eq!(client.frame().payload, b"and it goes on");
}

fn a_ping_flood_that_never_reads_is_paused_and_then_gets_every_pong(backend: Backend) {
    let server = server(backend, &OPTIONS);
    for path in ["/echo", "/room/a"] {
        let before = server.rss_bytes();
        let mut client = slow_client(&server, path);
        let group: Vec<u8> = (0..200).flat_map(|number| ping(&[number; 120])).collect();
        let times = FLOOD / 2 / group.len();
        let flood = Flood::start(&client, group, times);
        flood.wait_until_paused();
        let growth = server.rss_bytes().saturating_sub(before);
        assert!(growth < MEMORY_MAX, "{growth} bytes more");
        for _ in 0..times {
            for number in 0..200 {
                let frame = client.frame();
                assert!(frame.first == 0x8a && frame.payload == [number; 120], "{frame:?}");
            }
        }
        flood.join();
        client.write(&text("and it goes on"));
        assert_eq!(client.frame().payload, b"and it goes on", "{path}");
    }
}

fn a_flood_of_requests_that_never_reads_is_paused_and_then_gets_every_page(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let before = server.rss_bytes();
    let client = Client::connect_with(server.address(), Some(16 << 10));
    let mut client = client.expect("the server listens");
    let request = b"GET /chat.js HTTP/1.1\r\nHost: a\r\n\r\n";
    let flood = Flood::start(&client, request.repeat(100), 500);
    thread::sleep(ms(1500));
    let growth = server.rss_bytes().saturating_sub(before);
    assert!(growth < MEMORY_MAX, "{growth} bytes more");
    let first = client.response();
    for number in 1..50_000 {
        let next = client.response();
        assert!(next.status == 200 && next.body == first.body, "{number}: {}", next.head);
    }
    flood.join();
}

fn a_paused_client_that_gives_up_is_forgotten(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let before = server.sockets();
    for gives_up in [Client::reset, drop] {
        let client = slow_client(&server, "/echo");
        let flood = Flood::start(&client, binary(&[7; 20_000]), FLOOD / 20_000);
        flood.wait_until_paused();
        assert_eq!(server.sockets(), before + 1);
        // The writer's handle would keep the connection open.
        client.finish();
        flood.join();
        gives_up(client);
        let is_forgotten = || server.sockets() == before;
        assert!(comes_to_hold(is_forgotten), "it is remembered");
    }
}

fn others_are_served_while_one_is_paused(backend: Backend) {
    const ECHOES: u64 = 40;
    let server = server(backend, &[&OPTIONS[..], &["--workers", "1"]].concat());
    let client = slow_client(&server, "/echo");
    let flood = Flood::start(&client, binary(&[7; 20_000]), FLOOD / 20_000);
    flood.wait_until_paused();
    let mut other = Client::open(server.address(), "/echo");
    let before = server.sleeps();
    for _ in 0..ECHOES {
        other.write(&text("hello"));
        assert_eq!(other.frame().payload, b"hello");
        thread::sleep(ms(20));
    }
    // A worker that looks after who is paused all the time would not sleep in between.
    let sleeps = server.sleeps() - before;
    assert!(sleeps >= ECHOES / 4, "{sleeps} times asleep in {ECHOES} echoes");
    let before = server.sleeps();
    thread::sleep(ms(1000));
    let woken = server.sleeps() - before;
    assert!(woken < ECHOES, "who is paused costs nothing, but it was woken {woken} times");
    client.finish();
    client.reset();
    flood.join();
}

fn a_paused_client_that_finishes_still_gets_everything(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let mut client = slow_client(&server, "/echo");
    // So much that the server is paused with the rest, and the FIN, in its receive buffer.
    let payload = crate::support::noise(20_000);
    let flood = Flood::start(&client, binary(&payload), 300);
    assert!(comes_to_hold(|| flood.thread.is_finished()) || flood_is_stuck(&flood));
    client.finish();
    thread::sleep(ms(300));
    let sent = flood.written.load(Ordering::Relaxed) / binary(&payload).len();
    for number in 0..sent {
        let frame = client.frame();
        assert!((frame.first, frame.payload) == (0x82, payload.clone()), "{number} of {sent}");
    }
    assert_eq!(client.rest(PATIENCE).end, End::Fin);
    flood.join();
}

fn flood_is_stuck(flood: &Flood) -> bool {
    flood.wait_until_paused();
    true
}

/// What it has sent and was not read must not put off the deadline of its requests for ever.
fn who_asks_for_pages_and_never_reads_them_is_closed_in_the_end(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let before = server.sockets();
    let client = Client::connect_with(server.address(), Some(16 << 10));
    let client = client.expect("the server listens");
    let mut writer = client.writer();
    let asking = thread::spawn(move || {
        let requests = b"GET / HTTP/1.1\r\nHost: throng.test\r\n\r\n".repeat(1000);
        while writer.try_write(&requests).is_ok() {}
    });
    assert!(comes_to_hold(|| server.sockets() > before), "it is connected");
    // It has 10 s to ask, and then 30 s from the first look at what it takes.
    assert!(comes_to_hold(|| server.sockets() == before), "it holds its place for ever");
    asking.join().expect("writing fails, but does not panic");
}
