//! Whether it lives, and whether it takes clients, as a prober sees it.

use testkit::client::Client;
use testkit::process::Signal;
use throng::config::{Backend, Config, ListenAddr};
use throng::server::Server;
use throng_control::Options;

use super::Operated;
use crate::support::{PATIENCE, comes_to_hold, ms};

on_both!(
    a_server_is_alive_and_ready_whoever_asks,
    a_server_that_drains_is_alive_and_not_ready,
    workers_that_sleep_are_asked_and_answer,
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
    let server = Operated::start(backend, &["--drain-delay", "1h"]);
    server.process.signal(Signal::SIGTERM);
    assert!(comes_to_hold(|| server.get("/ready").status == 503));
    assert_eq!(server.value("/ready")["status"], "draining");
    assert_eq!(server.get("/health").status, 200);
    drop(server.client("/echo"));
    drop(server);
    let mut server = Operated::start(backend, &["--drain", "1h"]);
    let mut client: Client = server.client("/echo");
    server.process.signal(Signal::SIGTERM);
    assert_eq!(client.close_code(), 1001);
    client.write(&testkit::client::close(1001));
    assert_eq!(server.process.exit_code(PATIENCE), 0, "the operator's port does not hold it up");
}

/// Turns are counted in this process: who asks another for them has its workers turn.
fn workers_that_sleep_are_asked_and_answer(backend: Backend) {
    let listen: ListenAddr = "127.0.0.1:0".parse().expect("it is an address");
    let config = Config { listen: vec![listen.clone()], workers: 3, backend, ..Config::default() };
    let config = Config { ping_interval: ms(0), ..config };
    let server = Server::start(config).expect("nothing is in the way");
    let bound = throng_control::bind(Options { listen, ..Options::default() });
    let bound = bound.expect("there is a free port");
    let operator = bound.address().expect("it has a port").into();
    let monitor = server.monitor();
    let _running = bound.serve(server.monitor());
    let turns = || -> Vec<u64> { monitor.counters().iter().map(|of| of.turns.get()).collect() };
    for round in 0..3 {
        let mut before = turns();
        let sleeps = || {
            std::thread::sleep(ms(1100));
            let then = std::mem::replace(&mut before, turns());
            then == before
        };
        assert!(comes_to_hold(sleeps), "nobody asks and nothing happens");
        let response = super::request(&operator, "GET", "/health", &[], b"");
        assert_eq!(super::json(&response)["status"], "alive");
        let have_turned = || before.iter().zip(turns()).all(|(before, now)| *before < now);
        assert!(comes_to_hold(have_turned), "round {round}: {before:?}, then {:?}", turns());
    }
}
