//! The API on the listeners of clients: one port for all.

use throng::config::Backend;

use super::request;
use crate::support::{PATIENCE, PROGRAM, Scratch, comes_to_hold, free_port, launch};
use testkit::client::{Client, Response};
use testkit::process::{Launch, Process, Signal};

on_both!(
    clients_addresses_answer_as_the_operators_does,
    without_the_key_nothing_but_the_probes_is_answered,
    without_an_operators_port_it_works_too,
    a_head_tells_the_length_that_a_get_would_have,
);

const KEY: [(&str, &str); 1] = [("X-API-Key", "a-key-of-ours")];

fn server(backend: Backend, args: &[&str]) -> Process {
    let launch = launch(backend, args).args(["--api-public", "--workers", "2"]);
    launch.env("THRONG_OPERATOR_KEY", KEY[0].1).start()
}

fn post(server: &Process, path: &str, body: &[u8]) -> Response {
    request(server.address(), "POST", path, &KEY, body)
}

fn clients_addresses_answer_as_the_operators_does(backend: Backend) {
    let server = server(backend, &["--operator", "127.0.0.1:0"]);
    let mut members: Vec<Client> =
        (0..6).map(|_| Client::open(server.address(), "/room/lobby")).collect();
    for number in 0..20 {
        let text = format!("hello {number}");
        let response = post(&server, "/api/rooms/lobby", text.as_bytes());
        assert_eq!(response.status, 200, "{}", response.head);
        for member in &mut members {
            assert_eq!(member.frame().payload, text.as_bytes());
        }
    }
    let batch = br#"{"commands":[{"publish":{"room":"lobby","data":"a"}},
                                 {"publish":{"room":"lobby","data":"b"}}]}"#;
    assert_eq!(post(&server, "/api/batch", batch).status, 200);
    for member in &mut members {
        assert_eq!([member.frame().payload, member.frame().payload], [b"a", b"b"]);
    }
    let rooms = request(server.address(), "GET", "/api/rooms", &KEY, b"");
    assert_eq!(rooms.status, 200);
    assert_eq!(rooms.field("Content-Type"), Some("application/json"));
    assert!(String::from_utf8_lossy(&rooms.body).contains("\"lobby\""));
}

fn without_the_key_nothing_but_the_probes_is_answered(backend: Backend) {
    let server = server(backend, &["--operator", "127.0.0.1:0"]);
    let status = |method, path| request(server.address(), method, path, &[], b"").status;
    assert!(comes_to_hold(|| status("GET", "/health") == 200));
    assert!(comes_to_hold(|| status("GET", "/ready") == 200));
    assert_eq!(status("POST", "/api/rooms/lobby"), 401);
    assert_eq!(status("GET", "/api/connections"), 401);
    let wrong = [("X-API-Key", "another-key!!")];
    assert_eq!(request(server.address(), "GET", "/api/rooms", &wrong, b"").status, 401);
    assert_eq!(status("GET", "/metrics"), 404, "that is for operators");
    assert_eq!(status("POST", "/"), 405);
}

fn without_an_operators_port_it_works_too(backend: Backend) {
    let server = server(backend, &["--operator", "off"]);
    assert!(!server.log().contains("operator port"), "{}", server.log());
    let mut member = Client::open(server.address(), "/room/lobby");
    assert_eq!(post(&server, "/api/rooms/lobby", b"hello").status, 200);
    assert_eq!(member.frame().payload, b"hello");
    server.signal(Signal::SIGTERM);
    assert_eq!(member.close_code(), 1001);
    drop(member);
    let mut server = server;
    assert_eq!(server.exit_code(PATIENCE), 0, "the thread that answers ends too");
}

fn a_head_tells_the_length_that_a_get_would_have(backend: Backend) {
    let server = server(backend, &["--operator", "off"]);
    let _member = Client::open(server.address(), "/room/lobby");
    for path in ["/api/rooms", "/api/rooms?limit=1", "/ready", "/api/nothing"] {
        let get = request(server.address(), "GET", path, &KEY, b"");
        let length = get.body.len().to_string();
        assert!(length != "0", "{path}");
        let mut client = Client::connect(server.address()).expect("it listens");
        let fields = format!("Host: a\r\n{}: {}", KEY[0].0, KEY[0].1);
        client.write(format!("HEAD {path} HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
        let head = client.try_response(true, PATIENCE).expect("it answers");
        assert_eq!((head.status, head.field("Content-Length")), (get.status, Some(&*length)));
        client.write(format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
        assert_eq!(client.response().status, get.status, "no body stands in between");
    }
}

/// A server that reads these lines, and where they are.
fn with_file(text: &str, args: &[&str]) -> (Process, Scratch) {
    let scratch = Scratch::new();
    let file = scratch.path().join("throng.toml");
    std::fs::write(&file, text).expect("the folder is ours");
    let path = file.to_str().expect("its path is UTF-8");
    (launch(Backend::Epoll, args).args(["--config", path]).start(), scratch)
}

/// What a key comes to.
fn status(server: &Process, key: &str) -> u16 {
    request(server.address(), "GET", "/api/rooms", &[("X-API-Key", key)], b"").status
}

fn reload(server: &Process, scratch: &Scratch, text: &str) {
    let file = scratch.path().join("throng.toml");
    std::fs::write(file, text).expect("the folder is ours");
    server.signal(Signal::SIGHUP);
}

#[test]
fn it_stays_behind_its_key_when_both_are_taken_away() {
    for operator in ["127.0.0.1:0", "off"] {
        let text = "[operator]\nkey = \"the-first\"\n[api]\npublic = true\n";
        let (server, scratch) = with_file(text, &["--operator", operator]);
        assert!(comes_to_hold(|| status(&server, "the-first") == 200));
        reload(&server, &scratch, "max_message_size = \"100B\"\n");
        let refused = "SIGHUP: nothing has changed";
        assert!(server.wait_for_log(refused, PATIENCE), "{}", server.log());
        assert!(server.log().contains("api.public: clients reach it then"), "{}", server.log());
        assert_eq!(request(server.address(), "GET", "/api/rooms", &[], b"").status, 401);
        assert_eq!([status(&server, "the-first"), status(&server, "")], [200, 401]);
    }
}

#[test]
fn another_key_holds_from_the_reload_on_with_a_port_for_operators_or_without() {
    for operator in ["127.0.0.1:0", "off"] {
        let text = |key: &str| format!("[operator]\nkey = \"{key}\"\n[api]\npublic = true\n");
        let (server, scratch) = with_file(&text("the-first"), &["--operator", operator]);
        assert!(comes_to_hold(|| status(&server, "the-first") == 200));
        assert_eq!(status(&server, "the-second"), 401);
        reload(&server, &scratch, &text("the-second"));
        assert!(comes_to_hold(|| status(&server, "the-second") == 200), "{}", server.log());
        assert_eq!(status(&server, "the-first"), 401);
    }
}

#[test]
fn where_the_usual_port_for_operators_is_taken_clients_addresses_answer_all_the_same() {
    let start = || {
        let listen = format!("127.0.0.1:{}", free_port());
        let launch = Launch::new(PROGRAM).args(["--listen", &listen, "--api-public"]);
        // An empty variable is not set: the usual port, for both.
        launch.env("THRONG_OPERATOR", "").env("THRONG_OPERATOR_KEY", KEY[0].1).start()
    };
    let servers = [start(), start()];
    let log = servers[1].log();
    assert!(log.contains("the port is in use"), "the first, or somebody, has it:\n{log}");
    for server in &servers {
        let mut member = Client::open(server.address(), "/room/lobby");
        assert_eq!(post(server, "/api/rooms/lobby", b"hello").status, 200);
        assert_eq!(member.frame().payload, b"hello");
    }
}
