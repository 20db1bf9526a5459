//! Rooms with a reader that does not keep up.

use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{Client, End, Frame, Got, Shape, binary, frames, pong, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::{PATIENCE, Scratch, clients, comes_to_hold, deflated, ms, noise, server};

on_both!(
    a_reader_that_does_not_keep_up_is_closed_while_others_go_on,
    one_message_larger_than_the_backlog_arrives_at_a_slow_reader,
    a_steady_reader_is_kept_while_pings_wait_behind_a_large_message,
    who_takes_nothing_is_closed_in_time,
    memory_stays_bounded_however_many_readers_are_slow,
    compressed_messages_count_as_what_they_take_in_memory,
    short_messages_count_as_what_they_take_in_memory,
);

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

fn a_reader_that_does_not_keep_up_is_closed_while_others_go_on(backend: Backend) {
    const MESSAGES: usize = 1200;
    let server = server(backend, &["--max-backlog", "64KiB"]);
    let mut others: [Client; 4] = clients(server.address(), "/room/a");
    let mut slow = Client::connect_with(server.address(), Some(16 << 10)).expect("it listens");
    slow.upgrade("/room/a", &[]);
    let before = server.sockets();
    let payload = noise(16 << 10);
    for number in 0..MESSAGES {
        others[number % 4].write(&binary(&payload));
        for other in &mut others {
            assert!(other.frame().payload == payload, "message {number}");
        }
    }
    assert!(comes_to_hold(|| server.sockets() == before - 1), "it is still there");
    let rest = slow.rest(PATIENCE);
    assert_ne!(rest.end, End::Open, "it was closed");
    let (whole, _) = frames(&rest.bytes);
    assert!(whole.len() < MESSAGES, "it got everything");
    assert!(whole.iter().all(|frame| frame.payload == payload), "what came, came right");
    others[0].write(&text("who is left goes on"));
    for other in &mut others {
        assert_eq!(other.frame().payload, b"who is left goes on");
    }
}

fn one_message_larger_than_the_backlog_arrives_at_a_slow_reader(backend: Backend) {
    let options = ["--max-backlog", "64KiB", "--max-message-size", "16MiB"];
    let server = server(backend, &options);
    let mut slow = Client::connect_with(server.address(), Some(64 << 10)).expect("it listens");
    slow.upgrade("/room/a", &[]);
    let mut publisher = Client::open(server.address(), "/room/a");
    let payload = noise(8 << 20);
    publisher.write(&binary(&payload));
    let mut got = Vec::new();
    while got.len() < payload.len() + 10 {
        got.extend(slow.some(PATIENCE).expect("the rest comes"));
        if got.len() % (512 << 10) < 64 << 10 {
            thread::sleep(ms(10));
        }
    }
    let (list, left) = frames(&got);
    assert!(list.len() == 1 && left.is_empty() && list[0].payload == payload, "it arrives whole");
    assert!(publisher.frame().payload == payload);
    publisher.write(&text("next"));
    assert_eq!(slow.frame().payload, b"next", "and the reader is still in the room");
}

fn a_steady_reader_is_kept_while_pings_wait_behind_a_large_message(backend: Backend) {
    const READING: Duration = Duration::from_secs(8);
    let options = ["--max-backlog", "64KiB", "--max-message-size", "16MiB"];
    let times = [("--ping-interval", "300ms"), ("--pong-timeout", "5s"), ("--send-timeout", "4s")];
    let times = times.map(|(option, time)| [option, time]).concat();
    let server = server(backend, &[&options[..], &times].concat());
    let mut slow = Client::connect_with(server.address(), Some(64 << 10)).expect("it listens");
    slow.upgrade("/room/a", &[]);
    let message = Shape::new(2).unmasked().with(&noise(12 << 20));
    let mut publisher = Client::open(server.address(), "/room/a");
    let publishing = thread::spawn(move || {
        publisher.write(&binary(&noise(12 << 20)));
        let ping = Got::Frame(Frame { first: 0x89, payload: vec![] });
        // With a ping unread it would end with a reset, which takes away what it sent.
        while publisher.frame_within(PATIENCE) == ping {}
    });
    let (begin, mut got) = (Instant::now(), Vec::new());
    // It reads for longer than a ping may go unanswered, and answers each as soon as it sees it.
    while got.len() < message.len() {
        assert!(begin.elapsed() < PATIENCE, "{} bytes have come", got.len());
        got.extend(slow.some(PATIENCE).expect("the rest comes"));
        while got.starts_with(&[0x89, 0]) {
            got.drain(..2);
            slow.write(&pong(b""));
        }
        let due = READING.mul_f64(got.len() as f64 / message.len() as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    publishing.join().expect("the server takes it");
    assert!(got[..message.len()] == message, "it arrives whole");
    slow.write(&[pong(b""), text("still here")].concat());
    let mut frame = slow.frame();
    while frame.first == 0x89 {
        frame = slow.frame();
    }
    assert_eq!(frame.payload, b"still here");
}

/// Its kernel answers probes, and what waits for it is within the bound.
fn who_takes_nothing_is_closed_in_time(backend: Backend) {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let options = ["--listen", "127.0.0.1:0", "--listen", &unix, "--max-message-size", "16MiB"];
    // A pong that was owed before would have a deadline of its own.
    let times = ["--ping-interval", "500ms", "--pong-timeout", "0", "--send-timeout", "2s"];
    let server = server(backend, &[&options[..], &times].concat());
    for address in server.addresses() {
        let silent = Client::connect_with(address, Some(64 << 10));
        let mut silent = silent.expect("it listens");
        silent.upgrade("/room/a", &[]);
        let mut publisher = Client::open(address, "/room/a");
        let payload = noise(8 << 20);
        let begin = Instant::now();
        publisher.write(&binary(&payload));
        // A ping may come first.
        while publisher.frame().payload.is_empty() {}
        let connected = server.sockets();
        assert!(comes_to_hold(|| server.sockets() < connected), "{address}: it is held");
        assert!(begin.elapsed() > ms(1900), "{address}: {:?}", begin.elapsed());
        let rest = silent.rest(PATIENCE);
        assert_ne!(rest.end, End::Open, "{address}");
        assert!(rest.bytes.len() < payload.len(), "{address}: it got everything");
    }
}

fn memory_stays_bounded_however_many_readers_are_slow(backend: Backend) {
    const SLOW: usize = 30;
    let server = server(backend, &["--max-backlog", "64KiB"]);
    let slow: Vec<Client> = (0..SLOW)
        .map(|_| {
            let client = Client::connect_with(server.address(), Some(16 << 10));
            let mut client = client.expect("the server listens");
            client.upgrade("/room/a", &[]);
            client
        })
        .collect();
    let mut publisher = Client::open(server.address(), "/room/a");
    let before = (server.rss_bytes(), server.sockets());
    let payload = noise(32 << 10);
    for _ in 0..300 {
        publisher.write(&binary(&payload));
        assert!(publisher.frame().payload == payload);
    }
    let growth = server.rss_bytes().saturating_sub(before.0);
    assert!(growth < 10 << 20, "{growth} bytes more");
    let are_gone = || server.sockets() == before.1 - SLOW;
    assert!(comes_to_hold(are_gone), "slow readers are still there");
    drop(slow);
    assert_eq!(publisher.frame_within(ms(50)), Got::Silence);
}

/// A publisher, and a reader whose socket is full: it was idle, so it takes a send of any size.
fn blocked(server: &Process, lines: &[&str]) -> (Client, Client) {
    let mut slow = Client::connect_with(server.address(), Some(16 << 10)).expect("it listens");
    slow.upgrade("/room/a", lines);
    let mut publisher = Client::connect(server.address()).expect("the server listens");
    publisher.upgrade("/room/a", lines);
    publisher.write(&binary(&noise(12 << 20)));
    assert_eq!(publisher.frame().payload.len(), 12 << 20);
    (publisher, slow)
}

fn compressed_messages_count_as_what_they_take_in_memory(backend: Backend) {
    const MESSAGES: usize = 100;
    let server = server(backend, &["--max-message-size", "16MiB"]);
    let (mut publisher, slow) = blocked(&server, &[DEFLATE]);
    let bomb = Shape::new(2).reserved(0x40).with(&deflated(&vec![0; 1 << 20]));
    publisher.write(&bomb);
    assert!(publisher.frame().payload.len() < 2048, "a megabyte of zeros is short");
    let before = server.rss_bytes();
    for _ in 0..MESSAGES {
        publisher.write(&bomb);
        publisher.frame();
    }
    let growth = server.rss_bytes().saturating_sub(before);
    assert!(growth < 10 << 20, "{growth} bytes more");
    drop(slow);
}

fn short_messages_count_as_what_they_take_in_memory(backend: Backend) {
    const MESSAGES: usize = 10_000;
    // What other workers publish may be copied together, and takes less.
    let server = server(backend, &["--max-message-size", "16MiB", "--workers", "1"]);
    let (mut publisher, slow) = blocked(&server, &[]);
    let before = server.sockets();
    for _ in 0..MESSAGES {
        publisher.write(&text(""));
        assert_eq!(publisher.frame().payload, b"");
    }
    let is_gone = || server.sockets() == before - 1;
    assert!(comes_to_hold(is_gone), "the reader keeps {MESSAGES} messages");
    drop(slow);
}
