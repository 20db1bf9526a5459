//! Pings, and what becomes of those who do not answer.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::client::{Client, End, Got, Shape, binary, handshake, pong, text};
use throng::config::Backend;

use crate::support::{PATIENCE, comes_to_hold, ms, server};

on_both!(
    who_answers_is_pinged_at_the_pace_that_was_set,
    who_answers_nothing_is_closed_in_time,
    any_data_is_as_good_as_a_pong,
    a_part_of_a_message_is_as_good_as_a_pong,
    an_interval_of_zero_turns_pings_off,
    a_timeout_of_zero_turns_the_deadline_off,
    who_was_paused_by_us_is_not_closed_for_missing_pongs,
    who_spoke_in_time_to_a_server_that_stood_still_is_not_closed,
);

/// Clients of a test with very many.
const CROWD: usize = 2500;

const OPTIONS: [&str; 4] = ["--ping-interval", "500ms", "--pong-timeout", "500ms"];

fn who_answers_is_pinged_at_the_pace_that_was_set(backend: Backend) {
    const PINGS: u32 = 7;
    let server = server(backend, &["--ping-interval", "500ms", "--pong-timeout", "5m"]);
    let begin = Instant::now();
    let mut clients: [Client; 6] =
        std::array::from_fn(|at| Client::open(server.address(), ["/echo", "/room/a"][at % 2]));
    for number in 0..PINGS {
        for client in &mut clients {
            let frame = client.frame();
            assert_eq!((frame.first, &frame.payload[..]), (0x89, &b""[..]));
            client.write(&pong(b""));
            // The first may come at once, and each may be a tick early.
            assert!(begin.elapsed() >= ms(450) * number, "{number} in {:?}", begin.elapsed());
        }
    }
}

fn who_answers_nothing_is_closed_in_time(backend: Backend) {
    let server = server(backend, &OPTIONS);
    let before = server.sockets();
    for path in ["/echo", "/room/a"] {
        let begin = Instant::now();
        let mut client = Client::open(server.address(), path);
        assert_eq!(client.frame().first, 0x89);
        assert_eq!(client.close_code(), 1008, "{path}");
        assert!(begin.elapsed() >= ms(450), "{path}: {:?}", begin.elapsed());
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
    }
    let _silent: [Client; 10] = crate::support::clients(server.address(), "/room/a");
    let are_gone = || server.sockets() == before;
    assert!(comes_to_hold(are_gone), "who is dead is forgotten");
}

/// Who has not shown life since a ping is asked no further: being asked again is the proof.
const ASKS_OFTEN: [&str; 4] = ["--ping-interval", "300ms", "--pong-timeout", "5m"];

fn any_data_is_as_good_as_a_pong(backend: Backend) {
    let server = server(backend, &ASKS_OFTEN);
    let mut client = Client::open(server.address(), "/room/a");
    for _ in 0..4 {
        while client.frame().first != 0x89 {}
        client.write(&text("alive"));
    }
}

fn a_part_of_a_message_is_as_good_as_a_pong(backend: Backend) {
    let server = server(backend, &ASKS_OFTEN);
    let mut client = Client::open(server.address(), "/echo");
    let bytes = Shape::new(2).with(&[5; 20]);
    let (parts, rest) = bytes.split_at(4);
    for byte in parts {
        assert_eq!(client.frame().first, 0x89);
        client.write(&[*byte]);
    }
    client.write(rest);
    let mut frame = client.frame();
    while frame.first == 0x89 {
        frame = client.frame();
    }
    assert_eq!(frame.payload, [5; 20]);
}

fn an_interval_of_zero_turns_pings_off(backend: Backend) {
    let server = server(backend, &["--ping-interval", "0", "--pong-timeout", "100ms"]);
    let mut client = Client::open(server.address(), "/room/a");
    assert_eq!(client.frame_within(ms(2500)), Got::Silence);
    client.write(&text("still here"));
    assert_eq!(client.frame().payload, b"still here");
}

fn a_timeout_of_zero_turns_the_deadline_off(backend: Backend) {
    let server = server(backend, &["--ping-interval", "200ms", "--pong-timeout", "0"]);
    let mut client = Client::open(server.address(), "/room/a");
    assert_eq!(client.frame().first, 0x89);
    // Who has not answered yet is asked no further.
    assert_eq!(client.frame_within(ms(1500)), Got::Silence);
    client.write(&text("still here"));
    let (first, second) = (client.frame(), client.frame());
    let echoed = [&first, &second].into_iter().any(|frame| frame.payload == b"still here");
    assert!(echoed, "{first:?} {second:?}");
}

fn who_was_paused_by_us_is_not_closed_for_missing_pongs(backend: Backend) {
    const MESSAGES: usize = 1000;
    let times = ["--ping-interval", "500ms", "--pong-timeout", "4s"];
    let server = server(backend, &[&times[..], &["--max-backlog", "128KiB"]].concat());
    let client = Client::connect_with(server.address(), Some(16 << 10));
    let mut client = client.expect("the server listens");
    client.upgrade("/echo", &[]);
    let mut writer = client.writer();
    let writing = thread::spawn(move || {
        let message = binary(&[9; 20_000]);
        (0..MESSAGES).all(|_| writer.try_write(&message).is_ok())
    });
    thread::sleep(ms(6000));
    assert!(!writing.is_finished(), "the server took everything");
    let (mut count, mut bytes) = (0, 0);
    while count < MESSAGES {
        match client.frame_within(PATIENCE) {
            Got::Frame(frame) if frame.first == 0x82 => {
                (count, bytes) = (count + 1, bytes + frame.payload.len());
            }
            // They go by before the messages that the client still has to send.
            Got::Frame(frame) if frame.first == 0x89 => {}
            other => panic!("after {count} messages: {other:?}"),
        }
    }
    assert_eq!(bytes, MESSAGES * 20_000);
    assert!(writing.join().expect("writing fails, but does not panic"), "never closed");
}

/// More than one wait of a driver tells of: what the last ones sent is read turns later.
fn who_spoke_in_time_to_a_server_that_stood_still_is_not_closed(backend: Backend) {
    const STILL: Duration = ms(10_500);
    let options = ["--workers", "1", "--ping-interval", "500ms", "--pong-timeout", "4s"];
    let server = server(backend, &options);
    let mut clients: Vec<Client> =
        (0..CROWD).map(|_| Client::open(server.address(), "/echo")).collect();
    let mut late: [Client; 5] =
        std::array::from_fn(|_| Client::connect(server.address()).expect("the server listens"));
    // All show life until each has a ping that was not answered.
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.write(&pong(b"")));
        thread::sleep(ms(250));
    }
    server.signal(Signal::SIGSTOP);
    for client in &mut clients {
        client.write(&pong(b""));
        client.write(&text("in time"));
    }
    let request = handshake("/echo", &[]);
    late.iter_mut().for_each(|client| client.write(request.as_bytes()));
    thread::sleep(STILL);
    server.signal(Signal::SIGCONT);
    for client in &mut clients {
        let mut frame = client.frame();
        while frame.first == 0x89 {
            frame = client.frame();
        }
        assert_eq!((frame.first, &frame.payload[..]), (0x81, &b"in time"[..]));
    }
    for client in &mut late {
        assert_eq!(client.response().status, 101);
    }
}
