//! What is published just before a publisher leaves reaches everybody.

use testkit::client::{Client, close, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::server;

on_both!(
    a_message_and_a_close_frame_in_one_segment,
    a_message_and_a_fin,
    a_message_and_a_violation_in_one_segment,
    a_message_in_the_segment_of_the_handshake_and_a_fin,
    messages_of_many_who_leave_at_once,
);

/// So many that publishers land on every worker.
const ROUNDS: usize = 24;

fn a_message_and_a_close_frame_in_one_segment(backend: Backend) {
    let server = server(backend, &[]);
    each_round(&server, |client, message| {
        client.write(&[text(message), close(1000)].concat());
        assert_eq!(client.frame().payload, message.as_bytes(), "its own comes before the answer");
        assert_eq!(client.close_code(), 1000);
    });
}

fn a_message_and_a_fin(backend: Backend) {
    let server = server(backend, &[]);
    each_round(&server, |client, message| {
        client.write(&text(message));
        client.finish();
    });
}

fn a_message_and_a_violation_in_one_segment(backend: Backend) {
    let server = server(backend, &[]);
    each_round(&server, |client, message| {
        client.write(&[text(message), vec![0xff, 0xff]].concat());
    });
}

fn a_message_in_the_segment_of_the_handshake_and_a_fin(backend: Backend) {
    let server = server(backend, &[]);
    let mut readers: [Client; 6] = crate::support::clients(server.address(), "/room/a");
    for round in 0..ROUNDS {
        let message = format!("round {round}");
        let head = testkit::client::handshake("/room/a", &[]);
        let mut client = Client::connect(server.address()).expect("the server listens");
        client.write(&[head.as_bytes(), &text(&message)].concat());
        client.finish();
        for reader in &mut readers {
            assert_eq!(reader.frame().payload, message.as_bytes());
        }
        assert_eq!(client.response().status, 101);
        assert_eq!(client.frame().payload, message.as_bytes(), "its sender still reads");
    }
}

fn messages_of_many_who_leave_at_once(backend: Backend) {
    let server = server(backend, &[]);
    let mut readers: [Client; 6] = crate::support::clients(server.address(), "/room/a");
    let mut leavers: [Client; 50] = crate::support::clients(server.address(), "/room/a");
    for (number, client) in leavers.iter_mut().enumerate() {
        let message = text(&number.to_string());
        client.write(&[message, close(1000)].concat());
    }
    for reader in &mut readers {
        let mut got: Vec<usize> = (0..leavers.len())
            .map(|_| String::from_utf8_lossy(&reader.frame().payload).into_owned())
            .map(|text| text.parse().expect("every message is a number"))
            .collect();
        got.sort_unstable();
        assert!(got.iter().copied().eq(0..leavers.len()), "{got:?}");
    }
}

/// A publisher joins, does as told and is dropped, and the readers get its message.
fn each_round(server: &Process, publish: impl Fn(&mut Client, &str)) {
    let mut readers: [Client; 6] = crate::support::clients(server.address(), "/room/a");
    for round in 0..ROUNDS {
        let message = format!("round {round}");
        let mut publisher = Client::open(server.address(), "/room/a");
        publish(&mut publisher, &message);
        for reader in &mut readers {
            assert_eq!(reader.frame().payload, message.as_bytes());
        }
    }
}
