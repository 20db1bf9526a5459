//! Rooms: who gets what.

use testkit::client::{Client, Form, Got, Shape, ping, text};
use throng::config::Backend;

use crate::support::{PATIENCE, clients, ms, noise, server};

on_both!(
    everybody_in_a_room_gets_a_message_and_its_sender_too,
    text_stays_text_and_binary_stays_binary,
    two_rooms_do_not_mix,
    who_joins_later_does_not_get_what_was_said_before,
    messages_of_one_sender_keep_their_order_everywhere,
    a_pong_and_deliveries_keep_their_order,
    a_ping_between_fragments_is_answered_at_once,
    every_length_form_is_understood,
    a_message_may_come_in_any_pieces,
    rooms_empty_and_fill_again,
);

fn everybody_in_a_room_gets_a_message_and_its_sender_too(backend: Backend) {
    let server = server(backend, &[]);
    let mut clients: [Client; 12] = clients(server.address(), "/room/a");
    for sender in 0..clients.len() {
        let message = format!("from {sender}");
        clients[sender].write(&text(&message));
        for client in &mut clients {
            assert_eq!(client.frame().payload, message.as_bytes());
        }
    }
    for client in &mut clients {
        assert_eq!(client.frame_within(ms(20)), Got::Silence, "once is enough");
    }
}

fn text_stays_text_and_binary_stays_binary(backend: Backend) {
    let server = server(backend, &[]);
    let mut clients: [Client; 4] = clients(server.address(), "/room/a");
    for (opcode, payload) in [(1, &b"text"[..]), (2, b"\xff\0\xfe"), (1, b""), (2, b"")] {
        clients[0].write(&Shape::new(opcode).with(payload));
        for client in &mut clients {
            let frame = client.frame();
            assert_eq!((frame.first, &frame.payload[..]), (0x80 | opcode, payload));
        }
    }
}

fn two_rooms_do_not_mix(backend: Backend) {
    let server = server(backend, &[]);
    let names = ["a", "b", "A", "ab", "a%2Fb", "a?b", "%61b%20"];
    let mut rooms = names.map(|name| {
        let room: [Client; 4] = clients(server.address(), &format!("/room/{name}"));
        room
    });
    // The query is no part of the name.
    let [a, .., _] = &mut rooms;
    a[0].write(&text("to a"));
    for (room, name) in rooms.iter_mut().zip(names) {
        for client in room {
            if matches!(name, "a" | "a?b") {
                assert_eq!(client.frame().payload, b"to a", "{name}");
            } else {
                assert_eq!(client.frame_within(ms(20)), Got::Silence, "{name}");
            }
        }
    }
    for (room, name) in rooms.iter_mut().zip(names).filter(|(_, name)| *name != "a?b") {
        room[1].write(&text(name));
        assert_eq!(room[3].frame().payload, name.as_bytes());
    }
}

fn who_joins_later_does_not_get_what_was_said_before(backend: Backend) {
    let server = server(backend, &[]);
    let mut first = Client::open(server.address(), "/room/a");
    let mut joined = Vec::new();
    for round in 0..20 {
        first.write(&text(&format!("before {round}")));
        assert_eq!(first.frame().payload, format!("before {round}").as_bytes());
        let mut late = Client::open(server.address(), "/room/a");
        let after = format!("after {round}");
        first.write(&text(&after));
        assert_eq!(first.frame().payload, after.as_bytes());
        assert_eq!(late.frame().payload, after.as_bytes());
        joined.push(late);
    }
}

fn messages_of_one_sender_keep_their_order_everywhere(backend: Backend) {
    const MESSAGES: usize = 3000;
    let server = server(backend, &[]);
    let mut clients: [Client; 8] = clients(server.address(), "/room/a");
    let bytes: Vec<u8> = (0..MESSAGES).flat_map(|number| text(&number.to_string())).collect();
    let mut writer = clients[0].writer();
    let writing = std::thread::spawn(move || {
        for piece in bytes.chunks(777) {
            writer.write(piece);
        }
    });
    for client in &mut clients {
        for number in 0..MESSAGES {
            assert_eq!(client.frame().payload, number.to_string().as_bytes());
        }
    }
    writing.join().expect("the server takes everything");
}

fn a_pong_and_deliveries_keep_their_order(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/room/a", "/echo"] {
        let [mut client, mut other]: [Client; 2] = clients(server.address(), path);
        let round = [text("one"), ping(b"1"), text("two"), ping(b"2"), ping(b"3"), text("three")];
        let expected = b"\x81\x03one\x8a\x011\x81\x03two\x8a\x012\x8a\x013\x81\x05three";
        for _ in 0..20 {
            client.write(&round.concat());
            let mut got = Vec::new();
            while got.len() < expected.len() {
                got.extend(client.some(PATIENCE).expect("the rest comes"));
            }
            assert_eq!(got, expected, "{path}");
        }
        if path != "/echo" {
            assert_eq!(other.frame().payload, b"one");
            assert_eq!(other.frame().payload, b"two", "pongs are for who asked");
        }
    }
}

fn a_ping_between_fragments_is_answered_at_once(backend: Backend) {
    let server = server(backend, &[]);
    let longest = noise(125);
    for path in ["/room/a", "/echo"] {
        let mut client = Client::open(server.address(), path);
        client.write(&Shape::new(1).unfinished().with(b"Hel"));
        for payload in [&b""[..], b"?", &longest] {
            client.write(&ping(payload));
            let pong = client.frame();
            assert_eq!((pong.first, &pong.payload[..]), (0x8a, payload), "{path}");
        }
        client.write(&Shape::new(0).unfinished().with(b""));
        client.write(&[Shape::new(10).with(b"unasked"), Shape::new(0).with(b"lo")].concat());
        let message = client.frame();
        assert_eq!((message.first, &message.payload[..]), (0x81, &b"Hello"[..]), "{path}");
    }
}

fn every_length_form_is_understood(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/echo");
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let payload = noise(length);
        for form in [Form::Shortest, Form::Two, Form::Eight] {
            client.write(&Shape::new(2).form(form).with(&payload));
            let frame = client.frame();
            assert!((frame.first, frame.payload) == (0x82, payload.clone()), "{length} {form:?}");
        }
    }
}

fn a_message_may_come_in_any_pieces(backend: Backend) {
    let server = server(backend, &[]);
    let (payload, mut state) = (noise(3000), 1_usize);
    for path in ["/room/a", "/echo"] {
        let mut client = Client::open(server.address(), path);
        for _ in 0..20 {
            let mut next = |max: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(12_345);
                (state >> 33) % max
            };
            let (first, second) = payload.split_at(next(payload.len()));
            let (second, third) = second.split_at(next(second.len() + 1));
            let parts = [
                Shape::new(2).unfinished().with(first),
                ping(b"p"),
                Shape::new(0).unfinished().with(second),
                Shape::new(0).with(third),
            ];
            let lengths: Vec<usize> = (0..6).map(|_| next(900)).collect();
            client.write_in_pieces(&parts.concat(), &lengths);
            assert_eq!(client.frame().first, 0x8a, "{path}");
            assert!(client.frame().payload == payload, "{path} {lengths:?}");
        }
    }
}

fn rooms_empty_and_fill_again(backend: Backend) {
    let server = server(backend, &[]);
    for round in 0..30 {
        let mut room: [Client; 4] = clients(server.address(), "/room/a");
        room[round % 4].write(&text("hello"));
        for client in &mut room {
            assert_eq!(client.frame().payload, b"hello");
        }
    }
}
