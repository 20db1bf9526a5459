//! Requests one behind the other, and how long a connection may be between them.

use std::time::Duration;

use testkit::client::handshake;
use throng::config::Config;
use throng::driver::sim::Client;

use crate::ends::{SEEDS, STEP, Server, secs, without_pings};

/// More than a simulated socket holds, or any response is long.
const SOCKET: u64 = 21_000;
const RESPONSE: u64 = 9_000;

const HOST: &str = "sim";

fn request(method: &str, path: &str, host: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Requests of every kind behind which another may follow, each with its status.
fn kinds() -> [(String, u16); 7] {
    [
        (request("GET", "/chat.js", HOST), 200),
        (request("HEAD", "/chat.js", HOST), 200),
        (request("GET", "/nothing", HOST), 404),
        (request("HEAD", "/nothing", HOST), 404),
        (request("OPTIONS", "*", HOST), 204),
        (request("OPTIONS", "/echo", HOST), 204),
        (request("GET", "/", "elsewhere"), 421),
    ]
}

fn one_host() -> Config {
    Config { allowed_hosts: HOST.parse().expect("a good list"), ..without_pings() }
}

#[test]
fn who_asks_much_and_reads_nothing_has_one_response_coming() {
    const REQUESTS: usize = 2000;
    for (seed, (request, _)) in (0..).zip(kinds()) {
        let mut server = Server::new(seed, one_host());
        let silent = server.net.connect(0);
        silent.write(request.repeat(REQUESTS).as_bytes());
        (0..REQUESTS / 5).for_each(|_| server.turns());
        let sent = server.counts().bytes_sent;
        assert!(sent > 0 && sent < SOCKET + RESPONSE, "{request}{sent} bytes");
    }
}

#[test]
fn who_asks_much_at_once_gets_all_answers_in_order() {
    const ROUNDS: usize = 40;
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, one_host());
        let client = server.net.connect(0);
        let kinds = kinds();
        // In order, and the other way round.
        let one = kinds.iter().chain(kinds.iter().rev());
        let all = std::iter::repeat_n(one, ROUNDS).flatten().cloned();
        let (requests, statuses): (Vec<_>, Vec<_>) = all.unzip();
        let rest = requests.concat();
        let (mut got, mut rest) = (Vec::new(), rest.as_bytes());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + server.net.below(4000)));
            client.write(piece);
            rest = behind;
            server.turns();
            got.extend(client.read());
        }
        client.write(handshake("/echo", &[]).replace("throng.test", HOST).as_bytes());
        while server.counts().upgraded == 0 {
            assert!(!client.is_ended(), "seed={seed}");
            server.turns();
            got.extend(client.read());
        }
        got.extend(read_all(&mut server, &client));
        let text = String::from_utf8_lossy(&got);
        let found = text.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3));
        let found: Vec<u16> = found.filter_map(|status| status.parse().ok()).collect();
        assert_eq!(found, [&statuses[..], &[101]].concat(), "seed={seed}");
    }
}

fn read_all(server: &mut Server, client: &Client) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        server.turns();
        let more = client.read();
        if more.is_empty() {
            return got;
        }
        got.extend(more);
    }
}

/// A client that has had a response.
fn answered(server: &mut Server) -> Client {
    let client = server.net.connect(0);
    ask(server, &client);
    client
}

fn ask(server: &mut Server, client: &Client) {
    client.write(request("GET", "/", HOST).as_bytes());
    let got = read_all(server, client);
    assert!(got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(b"</html>\n"));
}

fn is_about(time: Duration, expected: Duration) -> bool {
    (expected..=expected + 3 * STEP).contains(&time)
}

#[test]
fn a_connection_between_requests_ends_after_its_keep_alive() {
    for (seed, keep_alive) in (0..SEEDS).zip([75, 75, 5, 300].map(secs)) {
        let mut server = Server::new(seed, Config { keep_alive, ..without_pings() });
        let client = answered(&mut server);
        let stays = server.stays();
        assert!(is_about(stays, keep_alive), "seed={seed}: {stays:?}");
        assert!(client.is_ended() && !client.is_reset(), "seed={seed}");
    }
}

#[test]
fn each_request_has_the_whole_keep_alive_behind_it() {
    let mut server = Server::new(1, without_pings());
    let client = answered(&mut server);
    for _ in 0..20 {
        server.pass(secs(74));
        ask(&mut server, &client);
    }
    let stays = server.stays();
    assert!(is_about(stays, secs(75)), "{stays:?}");
}

#[test]
fn an_empty_line_is_no_request_and_gives_no_more_time() {
    let mut server = Server::new(1, without_pings());
    let client = answered(&mut server);
    for _ in 0..7 {
        server.pass(secs(10));
        client.write(b"\r\n");
        server.turns();
    }
    let stays = server.stays();
    assert!(is_about(stays, secs(5)), "{stays:?}");
}

#[test]
fn a_request_has_its_time_from_its_first_byte() {
    for (seed, handshake_timeout) in (0..SEEDS).zip([10, 3, 60].map(secs)) {
        let config = Config { handshake_timeout, ..without_pings() };
        let mut server = Server::new(seed, config.clone());
        server.net.connect(0).write(b"GET / HT");
        server.turns();
        let stays = server.stays();
        assert!(is_about(stays, handshake_timeout), "seed={seed}, the first: {stays:?}");
        let mut server = Server::new(seed, config);
        let client = answered(&mut server);
        server.pass(secs(70));
        client.write(b"G");
        server.turns();
        let mut waited = Duration::ZERO;
        while server.counts().connections() > 0 {
            // A byte now and then is not a request.
            client.write(b"x");
            server.pass(STEP);
            waited += STEP;
        }
        assert!(is_about(waited, handshake_timeout), "seed={seed}, the next: {waited:?}");
    }
}

#[test]
fn a_session_has_no_time_of_requests() {
    let mut server = Server::new(1, without_pings());
    let client = answered(&mut server);
    server.pass(secs(60));
    client.write(handshake("/echo", &[]).as_bytes());
    server.turns();
    assert_eq!(server.counts().upgraded, 1);
    assert_eq!(server.stays(), secs(3600));
}

#[test]
fn without_keep_alive_each_response_is_the_last() {
    let mut server = Server::new(1, Config { keep_alive: Duration::ZERO, ..without_pings() });
    let client = server.net.connect(0);
    client.write(request("GET", "/", HOST).repeat(2).as_bytes());
    let got = String::from_utf8(read_all(&mut server, &client)).expect("a page is text");
    assert!(got.contains("\r\nConnection: close\r\n"), "{got}");
    assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{got}");
    assert!(client.is_ended() && !client.is_reset());
}

#[test]
fn a_server_that_stops_ends_who_is_between_requests() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        let client = answered(&mut server);
        server.pass(secs(30));
        server.stop();
        assert_eq!(server.counts().connections(), 0, "seed={seed}");
        assert!(client.is_ended() && !client.is_reset(), "seed={seed}");
    }
}
