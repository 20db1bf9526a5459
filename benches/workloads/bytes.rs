//! Bytes to values and back, without a worker.

use std::hint::black_box;

use super::worker::{client_frame, request_deflate};
use super::{Case, Round};
use throng::config::Config;
use throng::http;
use throng::protocol::{Builtin, Protocols, Route, Setups};
use throng::websocket::{Event, Scratch, Session};
use throng::wire::deflate::Deflater;
use throng::wire::{Encoded, Kind, Opcode, frame, utf8};

/// A workload of one message.
const fn one(name: &'static str, make: fn() -> Round) -> Case {
    Case { name, unit: "messages", units: 1, make }
}

pub(super) const CASES: &[Case] = &[
    one("parse/20B", || parse(20)),
    one("parse/125B", || parse(125)),
    one("parse/1KiB", || parse(1 << 10)),
    one("parse/16KiB", || parse(16 << 10)),
    one("parse/64KiB", || parse(64 << 10)),
    one("encode/20B", || encode(20)),
    one("encode/1KiB", || encode(1 << 10)),
    one("encode/16KiB", || encode(16 << 10)),
    Case { name: "encode/room-8x100B", unit: "messages", units: 8, make: encode_for_room },
    one("deflate/json-4KiB", || deflate(4 << 10)),
    one("utf8/ascii-20B", || check_utf8("The quick brown fox ", 20)),
    one("utf8/ascii-1KiB", || check_utf8("The quick brown fox ", 1 << 10)),
    one("utf8/ascii-16KiB", || check_utf8("The quick brown fox ", 16 << 10)),
    one("utf8/mixed-1KiB", || check_utf8("Привет, 世界! ☺ ", 1 << 10)),
    one("utf8/mixed-16KiB", || check_utf8("Привет, 世界! ☺ ", 16 << 10)),
    Case { name: "handshake", unit: "requests", units: 1, make: handshake },
];

/// From received bytes to a message: the header, and unmasking in place.
///
/// Each round takes off what the last one put on, so the payload is bytes: half of the time they
/// would be no text.
fn parse(length: usize) -> Round {
    let (mut session, mut scratch) = (Session::new(None), Scratch::default());
    let mut bytes = client_frame(Opcode::Binary, &vec![b'x'; length]);
    Box::new(move || {
        let mut input = black_box(&mut bytes[..]);
        match session.next(&mut input, &mut scratch, 1 << 20) {
            Ok(Some(Event::Message(_, payload))) => assert_eq!(payload.len(), length),
            other => panic!("no message: {other:?}"),
        }
    })
}

/// A frame into a buffer that has its size already.
fn encode(length: usize) -> Round {
    let (payload, mut out) = (vec![b'x'; length], Vec::new());
    Box::new(move || {
        out.clear();
        frame::put_frame(&mut out, Opcode::Text, false, black_box(&payload));
        black_box(&out);
    })
}

/// What a turn published in a room, in memory of its own.
fn encode_for_room() -> Round {
    let payload = [b'x'; 100];
    Box::new(move || {
        let mut frames = Encoded::default();
        for _ in 0..8 {
            frames.push(Kind::Text, black_box(&payload));
        }
        black_box(frames);
    })
}

fn deflate(length: usize) -> Round {
    let objects = (0..length).map(|id| format!("{{\"id\":{id},\"name\":\"user {}\"}},", id * 7));
    let text: String = objects.take(length / 8).collect();
    let (mut deflater, mut out) = (Deflater::default(), Vec::new());
    Box::new(move || {
        out.clear();
        deflater.deflate(black_box(&text.as_bytes()[..length]), &mut out);
        black_box(&out);
    })
}

fn check_utf8(pattern: &str, length: usize) -> Round {
    let mut text: String = pattern.chars().cycle().take(length).collect();
    // The last character may have several bytes, and the rest is filled up with one of each.
    while text.len() > length {
        text.pop();
    }
    text.extend(std::iter::repeat_n('.', length - text.len()));
    Box::new(move || assert!(utf8::is_utf8(black_box(text.as_bytes()))))
}

/// From the bytes of a request to those of the 101, as `Worker` joins the parts.
fn handshake() -> Round {
    let mut bytes = request_deflate("/room/lobby");
    let (config, mut out) = (Config::default(), Vec::new());
    let setups = Setups::default();
    Box::new(move || {
        let mut connection = http::Connection::default();
        let mut input = black_box(&mut bytes[..]);
        let arrived = connection.receive(&mut input).expect("it is a head");
        let request = http::request(arrived.bytes().expect("it is whole")).expect("it is right");
        let route = Builtin::route(&setups, &request);
        let Some(Route::WebSocket(opening)) = route else { panic!("a room") };
        let handshake = http::upgrade(&request, &config, opening.subprotocols);
        out.clear();
        handshake.expect("browsers ask correctly").encode(&mut out);
        black_box(&out);
    })
}
