//! What a peer may not do, and the close code that tells it so.

use testkit::client::{Client, End, Form, Shape, close, ping, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::{PATIENCE, deflated, server};

on_both!(
    frames_against_the_rules_get_1002,
    payloads_that_are_not_what_they_say_get_1007,
    damaged_compression_gets_1007,
    bad_text_is_found_before_its_message_ends,
    messages_over_the_limit_get_1009,
    a_bomb_gets_1009,
    the_first_fault_is_the_last_word,
);

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

/// Sends the bytes at once, then, to another connection, in small pieces.
fn expect_code(server: &Process, lines: &[&str], bytes: &[u8], code: u16) {
    for pieces in [vec![], vec![1; 12], vec![3, 4, 5]] {
        let (mut client, _) = Client::open_with(server.address(), "/echo", lines);
        client.write_in_pieces(bytes, &pieces);
        let shown = &bytes[..bytes.len().min(20)];
        assert_eq!(client.close_code(), code, "{shown:02x?} in {pieces:?}");
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{shown:02x?} in {pieces:?}");
    }
}

fn frames_against_the_rules_get_1002(backend: Backend) {
    let server = server(backend, &[]);
    let opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
    let mut cases: Vec<_> = opcodes.map(|opcode| Shape::new(opcode).with(b"x")).into();
    cases.extend([0x40, 0x20, 0x10].map(|bit| Shape::new(1).reserved(bit).with(b"x")));
    cases.extend([0x40, 0x20, 0x10].map(|bit| Shape::new(9).reserved(bit).with(b"x")));
    cases.extend([1, 2, 8, 9, 10].map(|opcode| Shape::new(opcode).unmasked().with(b"")));
    cases.extend([8, 9, 10].map(|opcode| Shape::new(opcode).unfinished().with(b"")));
    cases.extend([8, 9, 10].map(|opcode| Shape::new(opcode).with(&[0; 126])));
    cases.extend([9, 10].map(|opcode| Shape::new(opcode).form(Form::Two).with(b"x")));
    cases.push(Shape::new(2).form(Form::Eight).declaring(1 << 63).with(b""));
    cases.push(Shape::new(0).with(b"lost"));
    cases.push(Shape::new(0).unfinished().with(b"lost"));
    cases.push([Shape::new(1).unfinished().with(b"a"), text("b")].concat());
    cases.push(Shape::new(8).with(&[3]));
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535];
    cases.extend(codes.map(close));
    for bytes in cases {
        expect_code(&server, &[], &bytes, 1002);
    }
    let continued = Shape::new(0).reserved(0x40).with(b"b");
    let bytes = [Shape::new(1).unfinished().with(b"a"), continued].concat();
    expect_code(&server, &[DEFLATE], &bytes, 1002);
    expect_code(&server, &[DEFLATE], &Shape::new(9).reserved(0x40).with(b""), 1002);
}

fn payloads_that_are_not_what_they_say_get_1007(backend: Backend) {
    let server = server(backend, &[]);
    let bad: [&[u8]; 6] =
        [b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"caf\xc3", b"\x80"];
    for payload in bad {
        expect_code(&server, &[], &Shape::new(1).with(payload), 1007);
        let (first, second) = payload.split_at(payload.len() / 2);
        let parts = [Shape::new(1).unfinished().with(first), Shape::new(0).with(second)];
        expect_code(&server, &[], &parts.concat(), 1007);
    }
    expect_code(&server, &[], &Shape::new(8).with(b"\x03\xe8\xff"), 1007);
    let mut client = Client::open(server.address(), "/echo");
    let (first, second) = ("é".as_bytes()[..1].to_vec(), "é".as_bytes()[1..].to_vec());
    client.write(&[Shape::new(1).unfinished().with(&first), Shape::new(0).with(&second)].concat());
    assert_eq!(client.frame().payload, "é".as_bytes(), "a cut inside a character is no fault");
}

fn damaged_compression_gets_1007(backend: Backend) {
    let server = server(backend, &[]);
    for payload in [&[0xff, 0xff, 0xff][..], &[0x07], &[0x00, 0x05, 0x00, 0x00, 0x00, 1, 2]] {
        let bytes = Shape::new(2).reserved(0x40).with(payload);
        expect_code(&server, &[DEFLATE], &bytes, 1007);
    }
    let bytes = Shape::new(1).reserved(0x40).with(&deflated(b"\xff\xfe"));
    expect_code(&server, &[DEFLATE], &bytes, 1007);
}

fn bad_text_is_found_before_its_message_ends(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&Shape::new(1).declaring(1000).with(b"abc\xff"));
    assert_eq!(client.close_code(), 1007);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&Shape::new(1).unfinished().with(b"abc\xff"));
    assert_eq!(client.close_code(), 1007);
}

fn messages_over_the_limit_get_1009(backend: Backend) {
    let server = server(backend, &["--max-message-size", "64KiB"]);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&Shape::new(2).with(&[7; 65_536]));
    assert_eq!(client.frame().payload.len(), 65_536, "the limit itself is allowed");
    expect_code(&server, &[], &Shape::new(2).with(&[0; 65_537]), 1009);
    expect_code(&server, &[], &Shape::new(2).declaring(u64::MAX >> 1).with(b""), 1009);
    expect_code(&server, &[], &Shape::new(1).declaring(65_537).with(b""), 1009);
    let half = Shape::new(2).unfinished().with(&[0; 32_768]);
    let more = Shape::new(0).unfinished().declaring(32_769).with(b"");
    expect_code(&server, &[], &[half, more].concat(), 1009);
}

fn a_bomb_gets_1009(backend: Backend) {
    let server = server(backend, &["--max-message-size", "64KiB"]);
    let (mut client, _) = Client::open_with(server.address(), "/echo", &[DEFLATE]);
    client.write(&Shape::new(2).reserved(0x40).with(&deflated(&[0; 65_536])));
    assert!(client.frame().rsv1(), "the limit itself is allowed, and comes back compressed");
    expect_code(&server, &[DEFLATE], &bomb(&[0; 65_537]), 1009);
    let before = server.rss_bytes();
    let large = bomb(&vec![0; 48 << 20]);
    assert!(large.len() < 60 << 10, "as sent it is within the limit");
    expect_code(&server, &[DEFLATE], &large, 1009);
    let growth = server.rss_bytes().saturating_sub(before);
    assert!(growth < 8 << 20, "{growth} bytes more");
}

fn the_first_fault_is_the_last_word(backend: Backend) {
    let server = server(backend, &[]);
    let bytes = [text("good"), Shape::new(3).with(b""), text("never"), ping(b"never")].concat();
    let mut client = Client::open(server.address(), "/echo");
    client.write(&bytes);
    assert_eq!(client.frame().payload, b"good", "what came before is answered");
    assert_eq!(client.close_code(), 1002);
    assert_eq!(client.rest(PATIENCE).bytes, b"");
}

fn bomb(payload: &[u8]) -> Vec<u8> {
    Shape::new(2).reserved(0x40).with(&deflated(payload))
}
