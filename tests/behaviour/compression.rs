//! permessage-deflate as it stands on the wire.

use std::time::Duration;

use flate2::{Decompress, FlushDecompress, Status};
use testkit::client::{Address, Client, Frame, Shape, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::server::Server;

use crate::support::server;

on_both!(
    a_broadcast_is_compressed_once_for_everybody,
    who_did_not_ask_gets_it_plain_in_the_same_room,
    a_small_window_gets_what_fits_it_compressed,
    a_window_of_eight_is_declined,
    a_compressed_message_is_echoed_compressed,
    a_publisher_may_compress,
    short_and_noisy_messages_stay_plain,
    the_operator_may_decline_all_compression,
);

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const RECEIVERS: usize = 100;

fn json(length: usize) -> String {
    let mut text: String = (0..)
        .map(|id: u32| format!("{{\"id\":{id},\"name\":\"user {}\",\"ok\":true}},", id * 7919))
        .take(length / 20)
        .collect();
    text.truncate(length);
    assert_eq!(text.len(), length, "every entry is longer than 20 bytes");
    text
}

/// Inflates a message of one frame as a receiver does, and checks what the RFC leaves open.
fn inflate(frame: &Frame) -> Vec<u8> {
    assert_eq!(frame.first & 0xf0, 0xc0, "FIN and RSV1");
    let bytes = [&frame.payload[..], &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    let mut decompress = Decompress::new(false);
    let status = decompress.decompress_vec(&bytes, &mut out, FlushDecompress::Sync);
    assert_eq!(status.expect("a deflate stream"), Status::Ok, "no block is marked final");
    assert_eq!(decompress.total_in(), bytes.len() as u64, "all of it is read");
    out
}

fn start(backend: Backend) -> (Server, Address) {
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().expect("a good address")],
        workers: 2,
        backend,
        ping_interval: Duration::ZERO,
        ..Config::default()
    };
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, address.into())
}

fn a_broadcast_is_compressed_once_for_everybody(backend: Backend) {
    let (server, address) = start(backend);
    let mut clients: Vec<Client> =
        (0..RECEIVERS).map(|_| Client::open_with(&address, "/room/a", &[DEFLATE]).0).collect();
    let message = json(4096);
    clients[0].write(&text(&message));
    let frames: Vec<Frame> = clients.iter_mut().map(Client::frame).collect();
    for frame in &frames {
        assert_eq!(frame.opcode(), 1);
        assert!(frame.payload.len() < 2048, "{}", frame.payload.len());
        assert_eq!(inflate(frame), message.as_bytes());
    }
    assert!(frames.windows(2).all(|two| two[0] == two[1]), "everybody gets the same bytes");
    assert_eq!(server.counts().messages_deflated, 1);
    assert_eq!(server.counts().messages_encoded, 1);
    drop(clients);
    server.stop();
    server.join().expect("no worker fails");
}

fn who_did_not_ask_gets_it_plain_in_the_same_room(backend: Backend) {
    let server = server(backend, &[]);
    let (mut packed, response) = Client::open_with(server.address(), "/room/a", &[DEFLATE]);
    let answer = response.field("Sec-WebSocket-Extensions").expect("the offer is good");
    assert!(answer.contains("server_no_context_takeover"), "{answer}");
    assert!(answer.contains("client_no_context_takeover"), "{answer}");
    let (mut plain, response) = Client::open_with(server.address(), "/room/a", &[]);
    assert_eq!(response.field("Sec-WebSocket-Extensions"), None);
    let message = json(4096);
    for _ in 0..3 {
        plain.write(&text(&message));
        let frame = plain.frame();
        assert_eq!((frame.first, frame.payload), (0x81, message.clone().into_bytes()));
        assert_eq!(inflate(&packed.frame()), message.as_bytes(), "each message by itself");
    }
}

fn a_small_window_gets_what_fits_it_compressed(backend: Backend) {
    let server = server(backend, &[]);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10";
    for path in ["/room/a", "/echo"] {
        let (mut client, response) = Client::open_with(server.address(), path, &[offer]);
        let answer = response.field("Sec-WebSocket-Extensions").expect("the offer is good");
        assert!(answer.contains("server_max_window_bits=10"), "{answer}");
        client.write(&text(&json(4096)));
        let frame = client.frame();
        assert_eq!((frame.first, frame.payload.len()), (0x81, 4096), "longer than the window");
        client.write(&text(&json(1024)));
        let frame = client.frame();
        assert!(frame.payload.len() < 512);
        assert_eq!(inflate(&frame), json(1024).as_bytes());
    }
}

fn a_window_of_eight_is_declined(backend: Backend) {
    let server = server(backend, &[]);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8";
    let (mut client, response) = Client::open_with(server.address(), "/room/a", &[offer]);
    assert_eq!(response.field("Sec-WebSocket-Extensions"), None);
    client.write(&text(&json(4096)));
    assert_eq!(client.frame().first, 0x81);
    let both = format!("{offer}, permessage-deflate");
    let (mut client, response) = Client::open_with(server.address(), "/room/b", &[&both]);
    assert!(response.field("Sec-WebSocket-Extensions").is_some(), "the second offer is good");
    client.write(&text(&json(4096)));
    assert_eq!(client.frame().first, 0xc1);
}

fn a_compressed_message_is_echoed_compressed(backend: Backend) {
    let server = server(backend, &[]);
    let (mut client, _) = Client::open_with(server.address(), "/echo", &[DEFLATE]);
    for length in [1024, 4096, 200_000] {
        client.write(&text(&json(length)));
        let frame = client.frame();
        assert_eq!(inflate(&frame), json(length).as_bytes(), "{length}");
        client.write(&Shape::new(1).reserved(0x40).with(&frame.payload));
        assert_eq!(client.frame(), frame, "what we compress we can read ourselves");
    }
}

fn a_publisher_may_compress(backend: Backend) {
    let server = server(backend, &[]);
    let (mut packed, _) = Client::open_with(server.address(), "/room/a", &[DEFLATE]);
    let mut plain = Client::open(server.address(), "/room/a");
    // "Hello" as in RFC 7692, 7.2.3.1, in two frames.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let first = Shape::new(1).unfinished().reserved(0x40).with(&hello[..3]);
    packed.write(&[first, Shape::new(0).with(&hello[3..])].concat());
    for client in [&mut plain, &mut packed] {
        let frame = client.frame();
        assert_eq!((frame.first, &frame.payload[..]), (0x81, &b"Hello"[..]));
    }
}

fn short_and_noisy_messages_stay_plain(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/room/a", "/echo"] {
        let (mut client, _) = Client::open_with(server.address(), path, &[DEFLATE]);
        client.write(&text(&json(1023)));
        assert_eq!(client.frame().first, 0x81, "{path}");
        let noise = crate::support::noise(5000);
        client.write(&Shape::new(2).with(&noise));
        let frame = client.frame();
        assert!((frame.first, frame.payload) == (0x82, noise), "{path}");
    }
}

fn the_operator_may_decline_all_compression(backend: Backend) {
    let server = server(backend, &["--compression", "off"]);
    let message = json(50_000);
    for path in ["/echo", "/room/a"] {
        let (mut client, response) = Client::open_with(server.address(), path, &[DEFLATE]);
        assert_eq!(response.field("Sec-WebSocket-Extensions"), None, "{path}");
        client.write(&text(&message));
        let frame = client.frame();
        assert!(frame.first == 0x81 && frame.payload == message.as_bytes(), "{path}");
        client.write(&Shape::new(1).reserved(0x40).with(b"x"));
        assert_eq!(client.close_code(), 1002, "{path}: what was not agreed is not taken");
    }
}
