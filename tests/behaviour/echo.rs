//! Messages that come together, or cut anywhere, come back one by one, whole and in order.

use testkit::client::{Client, Shape, binary, close, ping, text};
use throng::config::Backend;

use crate::support::{ms, server};

on_both!(
    messages_in_one_write_come_back_in_order,
    what_comes_behind_messages_in_one_write_is_answered_behind_them,
    messages_come_back_wherever_they_are_cut,
    messages_come_back_while_nobody_reads,
    text_stays_text_whatever_was_negotiated,
);

const LENGTHS: [usize; 10] = [0, 1, 20, 125, 126, 300, 16_384, 65_535, 65_536, 7];

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + length) as u8).collect()
}

fn messages_in_one_write_come_back_in_order(backend: Backend) {
    let server = server(backend, &[]);
    for count in 1..=LENGTHS.len() {
        let lengths = &LENGTHS[..count];
        let bytes: Vec<u8> = lengths.iter().flat_map(|length| binary(&payload(*length))).collect();
        let mut client = Client::open(server.address(), "/echo");
        client.write(&bytes);
        for length in lengths {
            assert!(client.frame().payload == payload(*length), "{length} of {lengths:?}");
        }
    }
}

fn what_comes_behind_messages_in_one_write_is_answered_behind_them(backend: Backend) {
    let server = server(backend, &[]);
    let both = [text("one"), text("two")].concat();
    let parts = [Shape::new(1).unfinished().with(b"thr"), Shape::new(0).with(b"ee")].concat();
    let cases = [
        (ping(b"three"), 10, b"th"),
        (parts, 1, b"th"),
        (close(1000), 8, &[0x03, 0xe8]),
        (Shape::new(1).with(&[0xff]), 8, &[0x03, 0xef]),
    ];
    for (behind, opcode, begin) in cases {
        let mut client = Client::open(server.address(), "/echo");
        client.write(&[&both[..], &behind].concat());
        assert_eq!(client.frame().payload, b"one");
        assert_eq!(client.frame().payload, b"two");
        let frame = client.frame();
        assert_eq!((frame.opcode(), &frame.payload[..2]), (opcode, &begin[..]));
    }
}

fn messages_come_back_wherever_they_are_cut(backend: Backend) {
    let server = server(backend, &[]);
    let bytes = [text("one"), text("two"), binary(&payload(126))].concat();
    for cut in 1..bytes.len() {
        let mut client = Client::open(server.address(), "/echo");
        client.write_in_pieces(&bytes, &[cut]);
        for expected in [b"one".to_vec(), b"two".to_vec(), payload(126)] {
            assert_eq!(client.frame().payload, expected, "cut at {cut}");
        }
    }
}

/// The socket takes only parts of the replies, and then nothing for a while.
fn messages_come_back_while_nobody_reads(backend: Backend) {
    const COUNT: usize = 600;
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/echo");
    let mut writer = client.writer();
    let sending = std::thread::spawn(move || {
        for at in 0..COUNT {
            writer.write(&binary(&payload(20_000 + at)));
        }
    });
    std::thread::sleep(ms(500));
    for at in 0..COUNT {
        assert!(client.frame().payload == payload(20_000 + at), "{at}");
    }
    sending.join().expect("everything is taken");
}

fn text_stays_text_whatever_was_negotiated(backend: Backend) {
    let server = server(backend, &[]);
    for lines in [&[][..], &["Sec-WebSocket-Extensions: permessage-deflate"]] {
        let (mut client, _) = Client::open_with(server.address(), "/echo", lines);
        for (bytes, first) in [(text("abc"), 0x81), (binary(b"abc"), 0x82)] {
            client.write(&bytes);
            let frame = client.frame();
            assert_eq!((frame.first, &frame.payload[..]), (first, &b"abc"[..]), "{lines:?}");
        }
    }
}
