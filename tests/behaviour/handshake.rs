//! The opening handshake: what is agreed, who may connect, and how long it may take.

use std::thread;
use std::time::Instant;

use testkit::client::{Client, End, Got, handshake, ping, text};
use throng::config::Backend;

use crate::support::{PATIENCE, ms, server};

on_both!(
    a_frame_in_the_same_segment_as_the_handshake_is_answered,
    a_handshake_may_come_byte_by_byte,
    the_first_subprotocol_is_echoed,
    origins_of_the_same_host_may_connect,
    other_origins_may_connect_if_the_operator_says_so,
    room_names_are_percent_decoded,
    a_slow_handshake_is_closed_after_ten_seconds,
    a_websocket_has_no_handshake_deadline,
);

fn a_frame_in_the_same_segment_as_the_handshake_is_answered(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        let mut client = Client::connect(server.address()).expect("the server listens");
        let head = handshake(path, &[]);
        client.write(&[head.as_bytes(), &text("early"), &ping(b"bird")].concat());
        assert_eq!(client.response().status, 101);
        assert_eq!(client.frame().payload, b"early");
        let pong = client.frame();
        assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"bird"[..]));
    }
}

fn a_handshake_may_come_byte_by_byte(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    let bytes = [handshake("/echo", &[]).as_bytes(), &text("hello")].concat();
    client.write_in_pieces(&bytes, &vec![1; bytes.len()]);
    assert_eq!(client.response().status, 101);
    assert_eq!(client.frame().payload, b"hello");
}

fn the_first_subprotocol_is_echoed(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        let lines = ["Sec-WebSocket-Protocol: soap, wamp", "Sec-WebSocket-Protocol: chat"];
        let (_, response) = Client::open_with(server.address(), path, &lines);
        assert_eq!(response.field("Sec-WebSocket-Protocol"), Some("soap"));
        let (_, response) = Client::open_with(server.address(), path, &[]);
        assert_eq!(response.field("Sec-WebSocket-Protocol"), None);
    }
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(handshake("/echo", &["Sec-WebSocket-Protocol: a b"]).as_bytes());
    assert_eq!(client.response().status, 400);
}

fn status_of(address: &testkit::client::Address, lines: &[&str]) -> u16 {
    let mut client = Client::connect(address).expect("the server listens");
    client.write(handshake("/room/a", lines).as_bytes());
    client.response().status
}

fn origins_of_the_same_host_may_connect(backend: Backend) {
    let server = server(backend, &[]);
    let address = server.address();
    for good in ["http://throng.test", "HTTP://Throng.Test", "http://throng.test:80"] {
        assert_eq!(status_of(address, &[&format!("Origin: {good}")]), 101, "{good}");
    }
    for bad in ["http://throng.test:81", "http://evil.test", "null", "http://throng.test.evil.test"]
    {
        assert_eq!(status_of(address, &[&format!("Origin: {bad}")]), 403, "{bad}");
    }
    assert_eq!(status_of(address, &[]), 101, "who is no browser sends none");
    let twice = ["Origin: http://throng.test", "Origin: http://throng.test"];
    assert_eq!(status_of(address, &twice), 400);
}

fn other_origins_may_connect_if_the_operator_says_so(backend: Backend) {
    let list = "https://app.example,https://*.b.example";
    let listed = server(backend, &["--allowed-origins", list]);
    for good in ["https://app.example", "https://x.b.example", "http://throng.test"] {
        assert_eq!(status_of(listed.address(), &[&format!("Origin: {good}")]), 101, "{good}");
    }
    for bad in ["http://app.example", "https://b.example", "https://c.example", "null"] {
        assert_eq!(status_of(listed.address(), &[&format!("Origin: {bad}")]), 403, "{bad}");
    }
    let any = server(backend, &["--allowed-origins", "*"]);
    for good in ["https://evil.test", "null"] {
        assert_eq!(status_of(any.address(), &[&format!("Origin: {good}")]), 101, "{good}");
    }
}

fn room_names_are_percent_decoded(backend: Backend) {
    let server = server(backend, &[]);
    let mut encoded = Client::open(server.address(), "/room/caf%C3%A9%20%2F?token=x");
    let mut other = Client::open(server.address(), "/room/caf%c3%a9%20%2f");
    let mut elsewhere = Client::open(server.address(), "/room/caf");
    encoded.write(&text("salut"));
    assert_eq!(encoded.frame().payload, b"salut");
    assert_eq!(other.frame().payload, b"salut");
    assert_eq!(elsewhere.frame_within(ms(100)), Got::Silence);
}

fn a_slow_handshake_is_closed_after_ten_seconds(backend: Backend) {
    let server = server(backend, &[]);
    let begin = Instant::now();
    let connect = || Client::connect(server.address()).expect("the server listens");
    let mut silent = connect();
    let mut half = connect();
    half.write(b"GET /echo HTTP/1.1\r\nHost: a\r\n");
    let mut dripping = connect();
    let head = handshake("/echo", &[&format!("Cookie: {}", "x".repeat(1000))]);
    let mut writer = dripping.writer();
    let drips = thread::spawn(move || {
        for byte in head.bytes() {
            if writer.try_write(&[byte]).is_err() {
                break;
            }
            thread::sleep(ms(50));
        }
    });
    for client in [&mut silent, &mut half, &mut dripping] {
        let rest = client.rest(PATIENCE);
        assert_ne!(rest.end, End::Open, "it waits for ever");
        assert_eq!(rest.bytes, b"");
        assert!(begin.elapsed() > ms(9_800), "too early: {:?}", begin.elapsed());
    }
    drips.join().expect("writing fails, but does not panic");
}

fn a_websocket_has_no_handshake_deadline(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/room/a");
    assert_eq!(client.frame_within(ms(11_500)), Got::Silence);
    client.write(&text("still here"));
    assert_eq!(client.frame().payload, b"still here");
}
