//! Little that comes in must not become much at once: in memory, or in what others wait for.

use std::thread;

use testkit::client::{Client, Shape, ping, text};
use throng::config::Backend;

use crate::support::{PATIENCE, deflated, ms, server};

on_both!(
    what_is_inflated_in_a_turn_is_bounded,
    others_are_served_between_messages_that_inflate,
    pings_between_messages_do_not_multiply_what_members_get,
    a_pong_comes_behind_what_was_published_before,
);

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

/// A megabyte of zeros, as a kilobyte.
fn bomb() -> Vec<u8> {
    Shape::new(2).reserved(0x40).with(&deflated(&vec![0; 1 << 20]))
}

/// One that sends this and reads what comes until all has come, each in a thread of its own.
fn stream(mut client: Client, bytes: &[u8], times: usize) -> thread::JoinHandle<()> {
    let mut writer = client.writer();
    let bytes = bytes.to_vec();
    thread::spawn(move || {
        let reading = thread::spawn(move || while client.some(PATIENCE).is_ok() {});
        (0..times).for_each(|_| writer.write(&bytes));
        writer.finish();
        reading.join().expect("it reads what there is");
    })
}

fn what_is_inflated_in_a_turn_is_bounded(backend: Backend) {
    const BOMBS: usize = 400;
    let server = server(backend, &["--workers", "1"]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.upgrade("/room/a", &[DEFLATE]);
    client.write(&bomb());
    assert!(client.frame().payload.len() < 2048, "a megabyte of zeros is short");
    let before = server.peak_rss_bytes();
    client.write(&bomb().repeat(BOMBS));
    for _ in 0..BOMBS {
        assert!(client.frame().payload.len() < 2048);
    }
    let growth = server.peak_rss_bytes().saturating_sub(before);
    assert!(growth < 20 << 20, "{growth} bytes at once");
}

/// What the server does while an echo waits is measured by its CPU time, against what it takes for
/// all messages of the stream.
fn others_are_served_between_messages_that_inflate(backend: Backend) {
    const ROUNDS: usize = 10;
    const BOMBS: usize = 1000;
    /// A turn inflates four of them, and an echo waits for the rest of one turn and for the next.
    const BOMBS_PER_ECHO: u32 = 20;
    let server = server(backend, &["--workers", "1"]);
    let mut other = Client::open(server.address(), "/echo");
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.upgrade("/echo", &[DEFLATE]);
    let before = server.scheduled_time();
    let stream = stream(client, &bomb().repeat(BOMBS / 10), 10);
    thread::sleep(ms(100));
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        let began = server.scheduled_time();
        other.write(&text("hello"));
        assert_eq!(other.frame().payload, b"hello");
        waits.push(server.scheduled_time() - began);
        thread::sleep(ms(10));
    }
    stream.join().expect("all is sent");
    let each = (server.scheduled_time() - before) / BOMBS as u32;
    waits.sort();
    let wait = waits[ROUNDS / 2];
    assert!(wait < each * BOMBS_PER_ECHO, "an echo waits for {wait:?}, a message takes {each:?}");
}

fn pings_between_messages_do_not_multiply_what_members_get(backend: Backend) {
    const MEMBERS: usize = 300;
    const PAIRS: usize = 2500;
    let server = server(backend, &["--workers", "1"]);
    let open = || Client::open(server.address(), "/room/a");
    let mut members: Vec<Client> = (0..MEMBERS).map(|_| open()).collect();
    let before = server.peak_rss_bytes();
    members[0].write(&[text(""), ping(b"")].concat().repeat(PAIRS));
    for member in &mut members[1..] {
        for _ in 0..PAIRS {
            assert_eq!(member.frame().payload, b"");
        }
    }
    let growth = server.peak_rss_bytes().saturating_sub(before);
    assert!(growth < 4 << 20, "{growth} bytes at once");
}

fn a_pong_comes_behind_what_was_published_before(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/room/a");
    for round in 0..100 {
        let (first, second) = (format!("{round}"), format!("{round} again"));
        let pings = [ping(first.as_bytes()), ping(second.as_bytes())];
        client.write(&[text(&first), pings[0].clone(), text(&second), pings[1].clone()].concat());
        let mut published = 0;
        loop {
            let frame = client.frame();
            if frame.first == 0x81 {
                published += 1;
            } else if frame.payload == second.as_bytes() {
                // A pong may stand for the pings before it too (RFC 6455, 5.5.3).
                break assert_eq!((frame.first, published), (0x8a, 2));
            } else {
                assert_eq!((frame.payload, published), (first.clone().into_bytes(), 1));
            }
        }
    }
}
