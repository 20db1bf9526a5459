//! The API on the listeners of clients: one port for all.

use throng::config::Backend;

use super::request;
use crate::support::{PATIENCE, comes_to_hold, launch};
use testkit::client::{Client, Response};
use testkit::process::Process;

on_both!(
    clients_addresses_answer_as_the_operators_does,
    without_the_key_nothing_but_the_probes_is_answered,
    without_an_operators_port_it_works_too,
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
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(member.close_code(), 1001);
    drop(member);
    let mut server = server;
    assert_eq!(server.exit_code(PATIENCE), 0, "the thread that answers ends too");
}
