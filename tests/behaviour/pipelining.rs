//! Many requests at once, and connections that wait for the next.

use testkit::client::{Address, Client};
use throng::config::Backend;

use crate::support::{comes_to_hold, ms, server};

on_both!(
    who_asks_much_and_reads_nothing_costs_little,
    who_asks_much_at_once_gets_all_answers_in_order,
    a_connection_between_requests_costs_no_more_than_an_idle_one,
);

const REQUESTS: usize = 300;

/// Requests of every kind behind which another may follow: their first lines, and statuses.
const KINDS: [(&str, u16); 6] = [
    ("GET /chat.js", 200),
    ("HEAD /chat.js", 200),
    ("GET /nothing", 404),
    ("HEAD /nothing", 404),
    ("OPTIONS *", 204),
    ("OPTIONS /echo", 204),
];

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// 80 MB for 2,000 connections, of which what they have sent and is not handled takes half.
fn who_asks_much_and_reads_nothing_costs_little(backend: Backend) {
    const CLIENTS: usize = 100;
    const BYTES_MAX: u64 = 40_000;
    let server = server(backend, &[]);
    for (line, _) in KINDS {
        let before = server.rss_bytes();
        let requests = request(line).repeat(REQUESTS);
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                // A small buffer, so that what the sockets hold is little beside the answers.
                let client = Client::connect_with(server.address(), Some(4096));
                let mut client = client.expect("the server listens");
                client.write(requests.as_bytes());
                client
            })
            .collect();
        std::thread::sleep(ms(300));
        let each = server.rss_bytes().saturating_sub(before) / CLIENTS as u64;
        assert!(each < BYTES_MAX, "{line}: {each} bytes for each");
        drop(clients);
    }
}

fn who_asks_much_at_once_gets_all_answers_in_order(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    let all = KINDS.map(|(line, _)| request(line)).concat().repeat(REQUESTS);
    let mut writer = client.writer();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write(all.as_bytes()));
        for (line, status) in std::iter::repeat_n(KINDS, REQUESTS).flatten() {
            let is_head = line.starts_with("HEAD");
            let response = if is_head { client.response_to_head() } else { client.response() };
            assert_eq!(response.status, status, "{line}\n{}", response.head);
        }
    });
    client.upgrade("/echo", &[]);
}

fn a_connection_between_requests_costs_no_more_than_an_idle_one(backend: Backend) {
    const FEW: u64 = 1000;
    const MANY: u64 = 4000;
    const BYTES_MAX: u64 = 256;
    let server = server(backend, &["--keep-alive", "5m"]);
    let few: Vec<Client> = (0..FEW).map(|_| answered(server.address())).collect();
    let before = server.rss_bytes();
    let many: Vec<Client> = (0..MANY).map(|_| answered(server.address())).collect();
    let each = || server.rss_bytes().saturating_sub(before) / MANY;
    // Memory of a burst goes some seconds behind it.
    assert!(comes_to_hold(|| each() <= BYTES_MAX), "{} bytes for each", each());
    for mut client in few.into_iter().chain(many) {
        client.write(request("GET /nothing").as_bytes());
        assert_eq!(client.response().status, 404, "it is still there");
    }
}

/// A client that has had a response, and asked more than once.
fn answered(address: &Address) -> Client {
    let mut client = Client::connect(address).expect("the server listens");
    for _ in 0..3 {
        client.write(request("HEAD /").as_bytes());
        assert_eq!(client.response_to_head().status, 200);
    }
    client
}
