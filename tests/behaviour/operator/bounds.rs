//! What the operator's port does at its bounds.

use std::time::Duration;

use serde_json::json;
use testkit::client::Client;
use throng::config::Backend;

use super::Operated;
use crate::support::comes_to_hold;

/// Connections that are served at once.
const CONNECTIONS_MAX: usize = 128;

#[test]
fn a_body_or_a_batch_above_the_bound_is_refused() {
    let server = Operated::start(Backend::Epoll, &[]);
    assert_eq!(server.post("/api/rooms/a", vec![b'a'; 1 << 20]).status, 200);
    assert_eq!(server.post("/api/rooms/a", vec![b'a'; (1 << 20) + 1]).status, 413);
    let batch = |length| json!({"commands": vec![json!({"info": {}}); length]}).to_string();
    assert_eq!(server.post("/api/batch", batch(10_001)).status, 400);
    assert_eq!(server.post("/api/batch", batch(1)).status, 200);
    let long = format!("/api/rooms/{}", "a".repeat(256));
    assert_eq!(server.post(&long, "a").status, 404);
}

#[test]
fn connections_above_the_bound_get_a_503_and_clients_notice_nothing() {
    let server = Operated::start(Backend::Epoll, &[]);
    let idle: Vec<Client> = (0..CONNECTIONS_MAX)
        .map(|_| Client::connect(&server.operator).expect("it listens"))
        .collect();
    let is_full = || {
        let mut client = Client::connect(&server.operator).expect("it listens");
        client.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = client.try_response(false, Duration::from_secs(30));
        response.is_ok_and(|response| {
            response.status == 503 && response.field("Retry-After") == Some("1")
        })
    };
    assert!(comes_to_hold(is_full));
    let mut client = server.client("/echo");
    client.write(&testkit::client::text("hello"));
    assert_eq!(client.frame().payload, b"hello");
    drop(idle);
    assert!(comes_to_hold(|| server.get("/ready").status == 200));
}
