//! Whether it lives, and whether it takes clients, as a prober sees it.

use testkit::client::Client;
use testkit::process::Signal;
use throng::config::Backend;

use super::{Operated, operated_launch};
use crate::support::{PATIENCE, comes_to_hold};

on_both!(
    a_server_is_alive_and_ready_whoever_asks,
    a_server_that_drains_is_alive_and_not_ready,
    a_sleeping_server_is_healthy,
);

fn a_server_is_alive_and_ready_whoever_asks(backend: Backend) {
    let server = Operated::start(backend, &[]);
    for (path, says) in [
        ("/health", "alive"),
        ("/healthz", "alive"),
        ("/livez", "alive"),
        ("/ready", "ready"),
        ("/readyz", "ready"),
    ] {
        let elsewhere = [("Host", "pod.example"), ("Sec-Fetch-Site", "cross-site")];
        let response = super::request(&server.operator, "GET", path, &elsewhere, b"");
        assert_eq!(response.status, 200, "{path}: {}", response.head);
        assert_eq!(super::json(&response)["status"], says, "{path}");
    }
    assert_eq!(server.get("/nothing").status, 404);
    assert_eq!(server.post("/health", "").status, 405);
}

fn a_server_that_drains_is_alive_and_not_ready(backend: Backend) {
    let mut server = Operated::start(backend, &["--drain", "1h"]);
    let mut client: Client = server.client("/echo");
    server.process.signal(Signal::SIGTERM);
    assert_eq!(client.close_code(), 1001);
    assert!(comes_to_hold(|| server.get("/ready").status == 503));
    assert_eq!(server.value("/ready")["status"], "draining");
    assert_eq!(server.get("/health").status, 200);
    client.write(&testkit::client::close(1001));
    assert_eq!(server.process.exit_code(PATIENCE), 0, "the operator's port does not hold it up");
}

fn a_sleeping_server_is_healthy(backend: Backend) {
    let server = Operated::of(operated_launch(backend, &["--workers", "3"]).start());
    for _ in 0..3 {
        assert_eq!(server.value("/health")["status"], "alive");
        std::thread::sleep(crate::support::ms(1100));
    }
}
