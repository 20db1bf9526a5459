//! SIGTERM and SIGINT: the way down.

use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use testkit::client::{Client, End, Response, binary, close, handshake, ping, text};
use testkit::process::{Process, Signal};
use throng::config::Backend;
use throng::limits::CLOSE_TIMEOUT;

use crate::support::{PATIENCE, Scratch, clients, comes_to_hold, ms, server};

on_both!(
    a_stopping_server_says_goodbye_and_exits_when_all_have_answered,
    a_server_without_connections_stops_at_once,
    who_does_not_answer_is_cut_five_seconds_behind_the_last_goodbye,
    a_drain_of_zero_tells_all_at_once,
    a_second_signal_exits_at_once,
    new_connects_are_refused_from_the_first_signal_on,
    what_was_said_before_the_signal_is_delivered,
    connections_between_requests_are_closed,
    who_has_only_connected_when_it_stops_is_refused_at_the_first_word,
    a_request_that_was_begun_is_answered_with_503,
    pages_that_are_being_sent_come_whole_and_later_requests_get_503,
    nothing_is_answered_behind_the_goodbye,
    a_paused_client_does_not_hold_the_stop_up,
);

/// Longer than anything is waited for here: who ends has not waited for it.
const LONG_DRAIN: [&str; 2] = ["--drain", "1h"];

const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

fn a_stopping_server_says_goodbye_and_exits_when_all_have_answered(backend: Backend) {
    for signal in SIGNALS {
        let mut server = server(backend, &LONG_DRAIN);
        let mut all: Vec<Client> = (0..30)
            .map(|number| Client::open(server.address(), ["/echo", "/room/a"][number % 2]))
            .collect();
        server.signal(signal);
        for client in &mut all {
            assert_eq!(client.close_code(), 1001);
            client.write(&close(1001));
            let rest = client.rest(PATIENCE);
            assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "the server closes first");
            client.finish();
        }
        assert_eq!(server.exit_code(PATIENCE), 0);
        let log = server.log();
        assert!(log.contains(signal.as_str()) && log.contains("stopped"), "{log}");
    }
}

fn a_server_without_connections_stops_at_once(backend: Backend) {
    for workers in ["1", "2", "7"] {
        let mut server = server(backend, &[&LONG_DRAIN[..], &["--workers", workers]].concat());
        server.signal(Signal::SIGTERM);
        assert_eq!(server.exit_code(PATIENCE), 0);
    }
}

fn who_does_not_answer_is_cut_five_seconds_behind_the_last_goodbye(backend: Backend) {
    let mut server = server(backend, &LONG_DRAIN);
    let mut all: [Client; 6] = clients(server.address(), "/room/a");
    let begin = Instant::now();
    server.signal(Signal::SIGTERM);
    for client in &mut all {
        assert_eq!(client.close_code(), 1001);
    }
    assert_eq!(server.exit_code(PATIENCE), 0);
    let took = begin.elapsed();
    assert!(took >= CLOSE_TIMEOUT, "{took:?}");
    for client in &mut all {
        assert_ne!(client.rest(PATIENCE).end, End::Open);
    }
}

fn a_drain_of_zero_tells_all_at_once(backend: Backend) {
    let mut server = server(backend, &["--drain", "0"]);
    let mut all: [Client; 6] = clients(server.address(), "/room/a");
    server.signal(Signal::SIGTERM);
    for client in &mut all {
        assert_eq!(client.close_code(), 1001);
        client.write(&close(1001));
    }
    assert_eq!(server.exit_code(PATIENCE), 0);
}

fn a_second_signal_exits_at_once(backend: Backend) {
    for (first, second) in [(SIGNALS[0], SIGNALS[0]), (SIGNALS[0], SIGNALS[1])] {
        let mut server = server(backend, &["--drain", "1h"]);
        let mut deaf = Client::open(server.address(), "/echo");
        server.signal(first);
        assert_eq!(deaf.close_code(), 1001);
        assert!(server.wait(ms(300)).is_none(), "it waits for an answer");
        server.signal(second);
        assert_eq!(server.exit_code(PATIENCE), 1);
        assert_ne!(deaf.rest(PATIENCE).end, End::Open);
    }
}

fn new_connects_are_refused_from_the_first_signal_on(backend: Backend) {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let listen = ["127.0.0.1:0", "[::]:0", &unix].map(|address| ["--listen", address]).concat();
    let server = server(backend, &listen);
    let mut held: [Client; 4] = clients(server.address(), "/echo");
    server.signal(Signal::SIGTERM);
    for client in &mut held {
        assert_eq!(client.close_code(), 1001);
    }
    // All workers know once each of them has said goodbye; those without clients may be later.
    thread::sleep(ms(100));
    for address in server.addresses() {
        for _ in 0..20 {
            let refused = Client::connect(address).expect_err("nobody listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{address}");
        }
    }
}

fn what_was_said_before_the_signal_is_delivered(backend: Backend) {
    let mut server = server(backend, &LONG_DRAIN);
    let mut all: [Client; 6] = clients(server.address(), "/room/a");
    for number in 0..200 {
        all[0].write(&text(&number.to_string()));
    }
    // Its own worker has taken them all when it gets the last one back.
    for number in 0..200 {
        assert_eq!(all[0].frame().payload, number.to_string().as_bytes());
    }
    server.signal(Signal::SIGTERM);
    for client in &mut all[1..] {
        for number in 0..200 {
            assert_eq!(client.frame().payload, number.to_string().as_bytes());
        }
        assert_eq!(client.close_code(), 1001);
        client.write(&close(1001));
    }
    all[0].write(&close(1001));
    drop(all);
    assert_eq!(server.exit_code(PATIENCE), 0);
}

fn stop_begins(server: &Process) -> bool {
    server.wait_for_log("stopping", PATIENCE)
}

fn connections_between_requests_are_closed(backend: Backend) {
    let mut server = server(backend, &LONG_DRAIN);
    let before = server.sockets();
    let silent = Client::connect(server.address()).expect("the server listens");
    let mut kept = Client::connect(server.address()).expect("the server listens");
    kept.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.response().status, 200);
    assert!(comes_to_hold(|| server.sockets() == before + 2), "both are accepted");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0, "nobody has to wait for them");
    for mut client in [silent, kept] {
        assert_ne!(client.rest(PATIENCE).end, End::Open);
    }
}

fn who_has_only_connected_when_it_stops_is_refused_at_the_first_word(backend: Backend) {
    let mut server = server(backend, &LONG_DRAIN);
    let mut client = Client::connect(server.address()).expect("the server listens");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0, "nobody has to wait for it");
    let _ = client.try_write(handshake("/room/a", &[]).as_bytes());
    assert_ne!(client.rest(PATIENCE).end, End::Open, "it need not wait for an answer");
}

fn a_request_that_was_begun_is_answered_with_503(backend: Backend) {
    let mut server = server(backend, &LONG_DRAIN);
    let mut client = Client::connect(server.address()).expect("the server listens");
    let head = handshake("/room/a", &[]);
    let (half, rest) = head.split_at(40);
    client.write(half.as_bytes());
    let is_taken = || server.sockets() > 0;
    assert!(comes_to_hold(is_taken));
    thread::sleep(ms(100));
    server.signal(Signal::SIGTERM);
    assert!(stop_begins(&server), "{}", server.log());
    thread::sleep(ms(100));
    client.write(rest.as_bytes());
    let response = client.response();
    assert_eq!(response.status, 503);
    assert!(String::from_utf8_lossy(&response.body).contains("stopping"), "it says why");
    assert_eq!(client.rest(PATIENCE).end, End::Fin);
    drop(client);
    assert_eq!(server.exit_code(PATIENCE), 0);
}

/// More than sockets hold, so that the server is in the middle of it when it stops.
fn pages_that_are_being_sent_come_whole_and_later_requests_get_503(backend: Backend) {
    const PAGES: usize = 3000;
    let mut server = server(backend, &["--drain", "1h"]);
    let client = Client::connect_with(server.address(), Some(16 << 10));
    let mut client = client.expect("the server listens");
    client.write(&b"GET /chat.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(PAGES));
    let first = client.response();
    thread::sleep(ms(300));
    server.signal(Signal::SIGTERM);
    assert!(stop_begins(&server), "{}", server.log());
    thread::sleep(ms(300));
    let is_page = |response: &Response| (response.status, &response.body) == (200, &first.body);
    let mut pages = 1;
    let last = loop {
        let response = client.response();
        if !is_page(&response) {
            break response;
        }
        pages += 1;
    };
    assert!(pages < PAGES, "it stopped in the middle");
    assert_eq!((last.status, last.field("Connection")), (503, Some("close")), "page {pages}");
    let rest = client.rest(PATIENCE);
    assert_eq!((rest.end, rest.bytes.len()), (End::Fin, 0));
    drop(client);
    assert_eq!(server.exit_code(PATIENCE), 0);
}

fn nothing_is_answered_behind_the_goodbye(backend: Backend) {
    for path in ["/echo", "/room/a"] {
        let mut server = server(backend, &LONG_DRAIN);
        let mut client = Client::open(server.address(), path);
        server.signal(Signal::SIGTERM);
        assert_eq!(client.close_code(), 1001);
        client.write(&[text("late"), ping(b"late")].concat());
        thread::sleep(ms(100));
        client.write(&close(1001));
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{path}");
        drop(client);
        assert_eq!(server.exit_code(PATIENCE), 0);
    }
}

fn a_paused_client_does_not_hold_the_stop_up(backend: Backend) {
    let mut server = server(backend, &["--drain", "1s", "--max-backlog", "64KiB"]);
    let mut client = Client::open(server.address(), "/echo");
    let mut writer = client.writer();
    let writing = thread::spawn(move || {
        let message = binary(&[1; 60_000]);
        while writer.try_write(&message).is_ok() {}
    });
    thread::sleep(ms(1500));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    assert_ne!(client.rest(PATIENCE).end, End::Open);
    drop(client);
    writing.join().expect("writing fails, but does not panic");
}
