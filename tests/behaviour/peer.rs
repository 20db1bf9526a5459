//! A client that others wrote and that keeps all rules: tungstenite.

use std::net::{SocketAddr, TcpStream};

use testkit::process::Process;
use throng::config::Backend;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Error, Message, WebSocket};

use crate::support::{noise, server};

on_both!(
    an_independent_client_gets_its_echo,
    independent_clients_meet_in_a_room,
    an_independent_client_closes_in_peace,
);

type Peer = WebSocket<TcpStream>;

fn connect(address: SocketAddr, path: &str) -> Peer {
    let stream = TcpStream::connect(address).expect("the server listens");
    let (peer, response) = tungstenite::client(format!("ws://{address}{path}"), stream)
        .expect("the handshake is accepted");
    assert_eq!(response.status(), 101);
    peer
}

fn messages() -> Vec<Message> {
    let large: String = "größer ".chars().cycle().take(700_000).collect();
    vec![
        Message::text(""),
        Message::text("hello"),
        Message::text("x".repeat(126)),
        Message::text(large),
        Message::binary(Bytes::new()),
        Message::binary(noise(65_535)),
        Message::binary(noise(65_536)),
        Message::binary(noise(1 << 20)),
    ]
}

fn an_independent_client_gets_its_echo(backend: Backend) {
    let server = server(backend, &[]);
    let mut peer = connect(server.tcp(), "/echo");
    for message in messages() {
        peer.send(message.clone()).expect("the connection is open");
        let back = peer.read().expect("an answer comes");
        assert!(back == message, "{} bytes came back as {}", message.len(), back.len());
    }
    peer.send(Message::Ping(Bytes::from_static(b"payload"))).expect("the connection is open");
    let pong = peer.read().expect("an answer comes");
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"payload")));
}

fn independent_clients_meet_in_a_room(backend: Backend) {
    let server = server(backend, &[]);
    let mut peers: Vec<Peer> = (0..4).map(|_| connect(server.tcp(), "/room/peers")).collect();
    for message in messages() {
        peers[0].send(message.clone()).expect("the connection is open");
        for peer in &mut peers {
            let got = peer.read().expect("the message comes");
            assert!(got == message, "{} bytes came as {}", message.len(), got.len());
        }
    }
    for peer in &mut peers {
        peer.send(Message::Ping(Bytes::from_static(b"?"))).expect("the connection is open");
        let pong = peer.read().expect("an answer comes");
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"?")));
    }
}

fn an_independent_client_closes_in_peace(backend: Backend) {
    let server: Process = server(backend, &[]);
    for path in ["/echo", "/room/peers"] {
        let mut peer = connect(server.tcp(), path);
        let goodbye = CloseFrame { code: CloseCode::Library(4321), reason: "enough".into() };
        peer.close(Some(goodbye)).expect("the connection is open");
        let answer = peer.read().expect("a close frame comes");
        let Message::Close(Some(frame)) = answer else { panic!("{answer:?}") };
        assert_eq!(frame.code, CloseCode::Library(4321));
        let end = peer.read().expect_err("nothing comes behind a close frame");
        assert!(matches!(end, Error::ConnectionClosed), "{end}");
    }
}
