//! What a peer declares costs nothing; only what it sends does.

use testkit::client::{Client, Shape, handshake};
use throng::config::Backend;

use crate::support::{clients, ms, server};

on_both!(
    a_declared_length_reserves_nothing,
    half_a_request_reserves_nothing_but_its_bytes,
    idle_connections_own_next_to_nothing,
);

const CLIENTS: u64 = 200;

fn a_declared_length_reserves_nothing(backend: Backend) {
    let server = server(backend, &[]);
    let mut clients: [Client; CLIENTS as usize] = clients(server.address(), "/room/a");
    let before = (server.rss_bytes(), server.data_bytes());
    for (number, client) in clients.iter_mut().enumerate() {
        let shape = Shape::new(2).declaring(1 << 20);
        let shape = if number % 2 == 0 { shape.unfinished() } else { shape };
        client.write(&shape.with(b"a few bytes"));
    }
    std::thread::sleep(ms(500));
    let resident = server.rss_bytes().saturating_sub(before.0);
    let reserved = server.data_bytes().saturating_sub(before.1);
    assert!(resident < CLIENTS * 4096, "{resident} bytes resident");
    assert!(reserved < CLIENTS * (64 << 10), "{reserved} bytes reserved");
}

fn half_a_request_reserves_nothing_but_its_bytes(backend: Backend) {
    let server = server(backend, &[]);
    let before = (server.rss_bytes(), server.data_bytes());
    let head = handshake("/room/a", &["Content-Length: 1000000000"]);
    let half = &head.as_bytes()[..head.len() - 4];
    let _clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = Client::connect(server.address()).expect("the server listens");
            client.write(half);
            client
        })
        .collect();
    std::thread::sleep(ms(500));
    let resident = server.rss_bytes().saturating_sub(before.0);
    let reserved = server.data_bytes().saturating_sub(before.1);
    assert!(resident < CLIENTS * 8192, "{resident} bytes resident");
    assert!(reserved < CLIENTS * (64 << 10), "{reserved} bytes reserved");
}

fn idle_connections_own_next_to_nothing(backend: Backend) {
    const MANY: u64 = 2000;
    let server = server(backend, &[]);
    let first: [Client; 100] = clients(server.address(), "/room/a");
    let before = server.rss_bytes();
    let more: Vec<Client> = (0..MANY).map(|_| Client::open(server.address(), "/room/a")).collect();
    let each = server.rss_bytes().saturating_sub(before) / MANY;
    assert!(each < 1024, "{each} bytes for each connection");
    drop((first, more));
}
