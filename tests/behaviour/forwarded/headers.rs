//! Headers of the PROXY protocol.

use testkit::client::{Client, End, handshake};
use throng::config::Backend;

use super::{
    PROXY, STRANGER, address_in, client_of, connect, expect_refusal, refused_headers, trusting,
};
use crate::support::{PATIENCE, Scratch};

on_both!(
    headers_of_both_versions_name_the_client_however_they_are_cut,
    without_a_name_the_proxy_is_the_client,
    a_trusted_proxy_without_a_good_header_is_refused,
    nobody_else_may_send_one,
    a_header_that_does_not_come_ends_with_the_time_of_a_request,
    a_unix_socket_may_be_a_proxys,
    a_proxy_behind_a_proxy_has_its_say,
);

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Of version 2, with this command, family and what stands behind.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("it fits").to_be_bytes();
    [V2, &[command, family], &length, block].concat()
}

/// From this address of 192.0.2.0/24, with values of other types behind the addresses.
fn inet(last: u8) -> Vec<u8> {
    let values = b"\x02\0\x09a.example\x04\0\x03...\xea\0\0";
    v2(0x21, 0x11, &[&[192, 0, 2, last, 127, 0, 0, 1, 0x12, 0x34, 0, 80], &values[..]].concat())
}

fn inet6() -> Vec<u8> {
    let (mut source, mut destination) = ([0; 16], [0; 16]);
    (source[..4]).copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    (source[15], destination[15]) = (9, 1);
    v2(0x21, 0x21, &[&source[..], &destination, &[0x12, 0x34, 0, 80]].concat())
}

fn headers_of_both_versions_name_the_client_however_they_are_cut(backend: Backend) {
    let server = trusting(backend, PROXY, true, &[]);
    let headers = [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::8 ::1 4660 80\r\n".to_vec(), "2001:db8::8"),
        (inet(7), "192.0.2.7"),
        (inet6(), "2001:db8::9"),
    ];
    for (number, (header, source)) in headers.into_iter().enumerate() {
        let cuts = [vec![], vec![1; header.len()], vec![5], vec![14], vec![header.len()]];
        for (cut, lengths) in cuts.iter().enumerate() {
            let room = format!("a{number}-{cut}");
            let mut client = connect(PROXY, server.process.address());
            let request = handshake(&format!("/room/{room}"), &["X-Forwarded-For: 203.0.113.1"]);
            client.write_in_pieces(&[&header, request.as_bytes()].concat(), lengths);
            assert_eq!(client.response().status, 101, "{header:?}, {lengths:?}");
            assert_eq!(address_in(&server, &room), source);
            assert_eq!(client_of(&server, &format!("/room/{room}")), source);
        }
    }
    assert_eq!(refused_headers(&server), 0);
}

fn without_a_name_the_proxy_is_the_client(backend: Backend) {
    let server = trusting(backend, PROXY, true, &[]);
    let headers: [&[u8]; 5] = [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 192.0.2.7 127.0.0.1 1 2\r\n",
        &v2(0x20, 0x00, b""),
        &v2(0x20, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 0, 1, 0, 2]),
        &v2(0x21, 0x31, &[b'/'; 216]),
    ];
    for (number, header) in headers.into_iter().enumerate() {
        let mut client = connect(PROXY, server.process.address());
        client.write(header);
        client.upgrade(&format!("/room/b{number}"), &[]);
        let address = address_in(&server, &format!("b{number}"));
        assert!(address.starts_with("127.0.0.2:"), "with its port: {address}");
    }
}

fn a_trusted_proxy_without_a_good_header_is_refused(backend: Backend) {
    let server = trusting(backend, PROXY, true, &[]);
    let request = handshake("/echo", &[]);
    let cut = v2(0x21, 0x11, &[192, 0, 2, 7]);
    let wrong_sum = [&[192, 0, 2, 7, 127, 0, 0, 1, 0, 1, 0, 2], &b"\x03\0\x04abcd"[..]].concat();
    let bad: [(&[u8], &str); 7] = [
        (request.as_bytes(), "no PROXY header"),
        (b"PROXY TCP4 192.0.2.7\r\n", "no addresses"),
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n", "line"),
        (&cut, "cut"),
        (&v2(0x21, 0x11, &wrong_sum), "checksum"),
        (&v2(0x20, 0, &[0; 5000]), "4 KiB"),
        (b"\x16\x03\x01", "no PROXY header"),
    ];
    for (bytes, words) in bad {
        let mut client = connect(PROXY, server.process.address());
        client.write(&[bytes, &[b'x'; 1000]].concat());
        expect_refusal(&mut client, 400, words);
    }
    // One is enough, and what is sent behind it is no second.
    let mut client = connect(PROXY, server.process.address());
    client.write(&[inet(7), inet(8)].concat());
    expect_refusal(&mut client, 400, "no PROXY header is expected");
    assert_eq!(refused_headers(&server), 8);
    let line = "refused with 400 of 127.0.0.2: a PROXY header is needed first";
    assert!(server.process.wait_for_log(line, PATIENCE), "{}", server.process.log());
    assert!(server.process.log().contains("send-proxy-v2"), "with the remedy");
}

fn nobody_else_may_send_one(backend: Backend) {
    let expecting = trusting(backend, PROXY, true, &[]);
    let plain = trusting(backend, PROXY, false, &[]);
    let strangers = [(STRANGER, &expecting), (STRANGER, &plain), (PROXY, &plain)];
    for (from, server) in strangers {
        let v1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec();
        for header in [v1, inet(7)] {
            let cuts = [vec![], vec![1; header.len()]];
            for lengths in cuts {
                let mut client = connect(from, server.process.address());
                let length = lengths.len();
                // What is refused at its beginning is not written to its end.
                let sent = if length > 0 { &header[..] } else { &[&header[..], b"GET"].concat() };
                for piece in sent.chunks(if length > 0 { 1 } else { sent.len() }) {
                    if client.try_write(piece).is_err() {
                        break;
                    }
                }
                expect_refusal(&mut client, 400, "no PROXY header is expected");
            }
        }
        let mut client = connect(from, server.process.address());
        client.upgrade("/room/c", &[]);
        assert!(address_in(server, "c").starts_with(&format!("{from}:")));
    }
    assert_eq!((refused_headers(&expecting), refused_headers(&plain)), (4, 8));
}

fn a_header_that_does_not_come_ends_with_the_time_of_a_request(backend: Backend) {
    let args = ["--handshake-timeout", "1s", "--keep-alive", "1h"];
    let server = trusting(backend, PROXY, true, &args);
    for begun in [&b""[..], b"PROXY TCP4 192", &inet(7)[..20], b"PROXY UNKNOWN\r\nGET / HT"] {
        let mut client = connect(PROXY, server.process.address());
        client.write(begun);
        let rest = client.rest(PATIENCE);
        assert_ne!(rest.end, End::Open, "{begun:?}");
        assert!(rest.bytes.is_empty(), "{:?}", rest.bytes);
    }
    assert_eq!(refused_headers(&server), 0, "who only looks whether we listen is no news");
}

fn a_unix_socket_may_be_a_proxys(backend: Backend) {
    let files = Scratch::new();
    let socket = files.unix("throng.sock");
    let server = trusting(backend, "unix", true, &["--listen", &socket]);
    let mut client = Client::connect(server.process.address()).expect("it listens");
    client.write(&inet(7));
    client.upgrade("/room/d", &[]);
    assert_eq!(address_in(&server, "d"), "192.0.2.7");
    let mut client = Client::connect(server.process.address()).expect("it listens");
    client.write(handshake("/room/d", &[]).as_bytes());
    expect_refusal(&mut client, 400, "a PROXY header is needed first");
}

/// What the header names is trusted too, so what that one says of its own client counts.
fn a_proxy_behind_a_proxy_has_its_say(backend: Backend) {
    let server = trusting(backend, "127.0.0.2,192.0.2.0/24", true, &[]);
    let mut client = connect(PROXY, server.process.address());
    client.write(&inet(7));
    client.upgrade("/room/e", &["X-Forwarded-For: 203.0.113.1, 198.51.100.4"]);
    assert_eq!(address_in(&server, "e"), "198.51.100.4");
}
