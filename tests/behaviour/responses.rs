//! What every response says.

use std::time::{SystemTime, UNIX_EPOCH};

use testkit::client::{Client, Response};
use testkit::process::Process;
use throng::config::Backend;
use throng::http::Dates;

use crate::support::server;

on_both!(responses_are_dated, options_are_answered, responses_say_how_long_the_connection_waits);

fn ask(server: &Process, head: &str) -> Response {
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(format!("{}\r\n\r\n", head.replace('\n', "\r\n")).as_bytes());
    client.response()
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is set").as_secs()
}

fn responses_are_dated(backend: Backend) {
    let server = server(backend, &[]);
    for head in [
        "GET / HTTP/1.1\nHost: a",
        "GET /nothing HTTP/1.1\nHost: a",
        "POST / HTTP/1.1\nHost: a",
        "GET /echo HTTP/1.1\nHost: a",
        "nonsense",
    ] {
        let first = unix_seconds() - 1;
        let response = ask(&server, head);
        let date = response.field("Date").expect("it is dated");
        let mut dates = Dates::default();
        let is_now = (first..=unix_seconds()).any(|second| dates.at(second) == date);
        assert!(is_now, "{head}: {date}");
    }
}

fn options_are_answered(backend: Backend) {
    let server = server(backend, &[]);
    for head in [
        "OPTIONS / HTTP/1.0",
        "OPTIONS * HTTP/1.0",
        "OPTIONS * HTTP/1.1\nHost: a",
        "OPTIONS /echo HTTP/1.1\nHost: a\nOrigin: http://b",
        "OPTIONS http://a/ HTTP/1.1\nHost: a",
    ] {
        let response = ask(&server, head);
        assert_eq!(response.status, 204, "{head}");
        assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"), "{head}");
        assert_eq!(response.field("Content-Length"), None, "{head}");
        assert_eq!(response.field("Access-Control-Allow-Origin"), None, "{head}");
    }
}

fn responses_say_how_long_the_connection_waits(backend: Backend) {
    for (options, field) in [
        (&[][..], Some("timeout=75")),
        (&["--keep-alive", "3s"], Some("timeout=3")),
        (&["--keep-alive", "0"], None),
    ] {
        let response = ask(&server(backend, options), "GET / HTTP/1.1\nHost: a");
        assert_eq!(response.field("Keep-Alive"), field, "{options:?}");
        let connection = if field.is_some() { "keep-alive" } else { "close" };
        assert_eq!(response.field("Connection"), Some(connection), "{options:?}");
    }
}
