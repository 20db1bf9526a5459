//! Sessions fed with frames in arbitrary pieces.

use super::*;
use crate::wire::deflate::Deflater;
use crate::wire::extension::negotiate;

const MAX: usize = 1000;

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Failed(Violation),
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x12, 0xf4, 0x56, 0x78];
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(0x80 | n as u8),
        n => {
            bytes.push(0x80 | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
    }
    bytes.extend(key);
    let start = bytes.len();
    bytes.extend(payload);
    mask::unmask(&mut bytes[start..], key, 0);
    bytes
}

fn feed(session: &mut Session, bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut scratch = Scratch::default();
    let mut seen = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match session.next(&mut input, &mut scratch, MAX) {
                Ok(None) => break,
                Ok(Some(event)) => seen.push(match event {
                    Event::Message(kind, payload) => Seen::Message(kind, payload.to_vec()),
                    Event::Ping(payload) => Seen::Ping(payload.to_vec()),
                    Event::Pong => Seen::Pong,
                    Event::Close(code) => Seen::Close(code.map(CloseCode::get)),
                }),
                Err(violation) => {
                    seen.push(Seen::Failed(violation));
                    session.fail(violation, &mut Vec::new());
                    return seen;
                }
            }
        }
    }
    seen
}

fn in_all_pieces(bytes: &[u8], deflate: bool) -> Vec<Seen> {
    let offer = deflate.then_some("permessage-deflate");
    let run = |piece| feed(&mut Session::new(negotiate(offer.into_iter())), bytes, piece);
    let whole = run(bytes.len().max(1));
    for piece in 1..bytes.len() {
        assert_eq!(run(piece), whole, "in pieces of {piece}");
    }
    whole
}

#[test]
fn messages_of_every_shape() {
    let bytes = [
        frame(0x81, "grüß dich".as_bytes()),
        frame(0x82, &[0; 300]),
        frame(0x81, b""),
        frame(0x01, b"frag"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"ment"),
        frame(0x88, &[0x03, 0xe8, b'o', b'k']),
        frame(0x81, b"after the close frame: not read"),
    ]
    .concat();
    let mut session = Session::new(None);
    let seen = feed(&mut session, &bytes, 7);
    assert_eq!(
        seen,
        [
            Seen::Message(Kind::Text, "grüß dich".into()),
            Seen::Message(Kind::Binary, vec![0; 300]),
            Seen::Message(Kind::Text, vec![]),
            Seen::Ping(b"ping".to_vec()),
            Seen::Pong,
            Seen::Message(Kind::Text, b"fragment".to_vec()),
            Seen::Close(Some(1000)),
        ]
    );
    in_all_pieces(&bytes, false);
}

#[test]
fn violations_at_every_cut() {
    for (bytes, violation) in [
        (frame(0x80, b"x"), Violation::LostContinuation),
        ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), Violation::UnfinishedMessage),
        (frame(0xc1, b"x"), Violation::ReservedBit),
        (frame(0x81, b"\xff"), Violation::BadUtf8),
        (frame(0x81, b"\xe2\x82"), Violation::BadUtf8),
        ([frame(0x01, b"\xe2\x82"), frame(0x80, b"\x28")].concat(), Violation::BadUtf8),
        (frame(0x88, &[3]), Violation::BadClose),
        (frame(0x88, &[3, 0xec]), Violation::BadClose),
        (frame(0x88, &[3, 0xe8, 0xff]), Violation::BadUtf8),
        (frame(0x82, &[0; MAX + 1]), Violation::TooBig),
        ([frame(0x02, &[0; 600]), frame(0x80, &[0; 401])].concat(), Violation::TooBig),
    ] {
        assert_eq!(in_all_pieces(&bytes, false), [Seen::Failed(violation)]);
    }
}

#[test]
fn bad_text_is_refused_before_its_frame_ends() {
    let whole = frame(0x81, b"ok \xff and much more to come");
    let seen = feed(&mut Session::new(None), &whole[..11], 11);
    assert_eq!(seen, [Seen::Failed(Violation::BadUtf8)]);
}

#[test]
fn an_oversized_frame_is_refused_by_its_header() {
    let header = [0x82, 0x80 | 127, 0, 0, 0, 0, 0x80, 0, 0, 0, 1, 2, 3, 4];
    let seen = feed(&mut Session::new(None), &header, 14);
    assert_eq!(seen, [Seen::Failed(Violation::TooBig)]);
}

#[test]
fn compressed_messages() {
    let text = "repeat ".repeat(100);
    let mut packed = Vec::new();
    Deflater::default().deflate(text.as_bytes(), &mut packed);
    let (front, back) = packed.split_at(packed.len() / 2);
    let bytes = [
        frame(0xc1, &packed),
        frame(0x41, front),
        frame(0x89, b""),
        frame(0x80, back),
        frame(0x81, b"plain"),
    ]
    .concat();
    let expected = || Seen::Message(Kind::Text, text.clone().into_bytes());
    let plain = Seen::Message(Kind::Text, b"plain".to_vec());
    let seen = in_all_pieces(&bytes, true);
    assert_eq!(seen, [expected(), Seen::Ping(vec![]), expected(), plain]);

    let cases = [
        ([frame(0x41, front), frame(0xc0, back)].concat(), Violation::ReservedBit),
        (frame(0xc9, b""), Violation::ReservedBit),
        (frame(0xc1, b"\xff\xff"), Violation::BadDeflate),
    ];
    for (bytes, violation) in cases {
        assert_eq!(in_all_pieces(&bytes, true), [Seen::Failed(violation)]);
    }
    let mut bomb = Vec::new();
    Deflater::default().deflate(&[b'x'; 100 * MAX], &mut bomb);
    assert_eq!(in_all_pieces(&frame(0xc1, &bomb), true), [Seen::Failed(Violation::TooBig)]);
    let mut not_text = Vec::new();
    Deflater::default().deflate(b"\xff\xfe", &mut not_text);
    assert_eq!(in_all_pieces(&frame(0xc1, &not_text), true), [Seen::Failed(Violation::BadUtf8)]);
}

#[test]
fn closing_from_either_side() {
    let (mut ours, mut out) = (Session::new(None), Vec::new());
    ours.close(CloseCode::GOING_AWAY, "bye", &mut out);
    assert_eq!(out[..4], [0x88, 5, 0x03, 0xe9]);
    ours.close(CloseCode::GOING_AWAY, "bye", &mut out);
    assert_eq!(out.len(), 7, "one close frame only");
    let rest = [frame(0x81, b"x"), frame(0x88, &[0x03, 0xe9]), frame(0x81, b"y")].concat();
    let seen = feed(&mut ours, &rest, 99);
    assert_eq!(seen, [Seen::Message(Kind::Text, b"x".to_vec()), Seen::Close(Some(1001))]);
    ours.answer_close(Some(CloseCode::GOING_AWAY), &mut out);
    assert_eq!(out.len(), 7, "ours was the first");

    let (mut theirs, mut out) = (Session::new(None), Vec::new());
    assert_eq!(feed(&mut theirs, &frame(0x88, b""), 99), [Seen::Close(None)]);
    theirs.answer_close(None, &mut out);
    assert_eq!(out, [0x88, 0]);
    assert_eq!(feed(&mut theirs, &frame(0x81, b"y"), 99), []);
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 16);
}

/// What the quick way makes of these bytes; it leaves what it does not take as it was.
fn quick(session: &Session, bytes: &[u8]) -> Option<Seen> {
    let mut changed = bytes.to_vec();
    match session.whole_message(&mut changed, MAX) {
        Ok(Some((kind, payload))) => Some(Seen::Message(kind, changed[payload].to_vec())),
        Ok(None) => {
            assert_eq!(changed, bytes, "nothing was taken");
            None
        }
        Err(violation) => Some(Seen::Failed(violation)),
    }
}

#[test]
fn a_whole_message_is_what_next_gives() {
    let taken = [
        frame(0x81, b"hello"),
        frame(0x81, "h\u{e9}llo".as_bytes()),
        frame(0x82, &[0xff; 126]),
        frame(0x82, &[7; MAX]),
        frame(0x81, b""),
        frame(0x81, &[0xff]),
    ];
    for bytes in taken {
        let mut session = Session::new(None);
        let seen = quick(&session, &bytes).expect("a whole message");
        assert_eq!(feed(&mut session, &bytes, bytes.len()), [seen]);
    }
}

#[test]
fn what_is_not_a_whole_message_is_left_to_next() {
    let hello = frame(0x81, b"hello");
    let left = [
        hello[..hello.len() - 1].to_vec(),
        hello[..1].to_vec(),
        frame(0x01, b"the first part"),
        frame(0x80, b"the last part"),
        frame(0x89, b"ping"),
        frame(0x88, b""),
        frame(0xc1, b"compressed"),
        frame(0x82, &[7; MAX + 1]),
    ];
    let agreed = negotiate(std::iter::once("permessage-deflate"));
    for bytes in &left {
        for deflate in [None, agreed] {
            assert_eq!(quick(&Session::new(deflate), bytes), None, "{bytes:02x?}");
        }
    }
    let mut in_the_middle = Session::new(None);
    feed(&mut in_the_middle, &frame(0x01, b"the first part"), 1);
    assert_eq!(quick(&in_the_middle, &hello), None, "it is no part of that message");
    let mut closing = Session::new(None);
    closing.close(CloseCode::GOING_AWAY, "", &mut Vec::new());
    assert_eq!(quick(&closing, &hello), None, "nobody answers any more");
}
