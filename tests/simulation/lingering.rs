//! What is said before an end leaves first, and the peer has its time to take it.

use std::time::Duration;

use testkit::client::{Shape, handshake};
use throng::driver::sim::Client;
use throng::limits::{LINGER_SILENCE, LINGER_TIMEOUT};

use crate::ends::{SEEDS, STEP, Server, secs, without_pings};

/// What ends a connection, each with the beginning of what is said about it.
fn ends() -> [(bool, Vec<u8>, &'static [u8]); 6] {
    let http = |text: &str| text.replace('\n', "\r\n").into_bytes();
    [
        (true, Shape::new(2).declaring((1 << 20) + 1).with(b""), b"\x88\x11\x03\xf1"),
        (true, Shape::new(1).with(b"\xff"), b"\x88\x13\x03\xef"),
        (true, Shape::new(8).with(b"\x03\xe8"), b"\x88\x02\x03\xe8"),
        (false, http("POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\n"), b"HTTP/1.1 413 "),
        (false, http("GET / HTTP/1.1\nHost: a\nConnection: close\n\n"), b"HTTP/1.1 200 "),
        (false, http("get / HTTP/1.1\nHost: a\n\n"), b"HTTP/1.1 501 "),
    ]
}

/// A client whose connection is about to end.
fn ending(server: &mut Server, is_session: bool, end: &[u8], behind: &[u8]) -> Client {
    let client = if is_session { server.open("/echo") } else { server.net.connect(0) };
    client.write(&[end, behind].concat());
    server.turns();
    client
}

fn is_about(time: Duration, expected: Duration) -> bool {
    (expected..=expected + 3 * STEP).contains(&time)
}

#[test]
fn who_sends_much_behind_the_end_is_told_first() {
    for (seed, (is_session, end, said)) in (0..SEEDS).flat_map(|s| ends().map(|end| (s, end))) {
        let mut server = Server::new(seed, without_pings());
        let behind = vec![0; 100_000];
        let client = ending(&mut server, is_session, &end, &behind);
        let mut got = client.read();
        for _ in 0..50 {
            client.write(&behind[..1000]);
            server.pass(STEP);
            got.extend(client.read());
        }
        assert!(got.starts_with(said), "seed={seed}: {:?}", String::from_utf8_lossy(&got));
        assert!(client.is_ended() && !client.is_reset(), "seed={seed}: the FIN is behind it");
        client.finish();
        (0..100).for_each(|_| server.turns());
        assert_eq!(server.counts().connections(), 0, "seed={seed}: both have finished");
        assert!(!client.is_reset(), "seed={seed}");
    }
}

#[test]
fn who_is_silent_behind_the_end_is_forgotten() {
    for (seed, (is_session, end, _)) in (0..).zip(ends()) {
        let mut server = Server::new(seed, without_pings());
        let client = ending(&mut server, is_session, &end, b"");
        while !client.is_ended() {
            drop(client.read());
            server.turns();
        }
        let stays = server.stays();
        assert!(is_about(stays, LINGER_SILENCE), "seed={seed}: {stays:?}");
    }
}

#[test]
fn who_drips_behind_the_end_is_cut() {
    for (seed, (is_session, end, _)) in (0..).zip(ends()) {
        let mut server = Server::new(seed, without_pings());
        let client = ending(&mut server, is_session, &end, b"");
        let mut waited = Duration::ZERO;
        while server.counts().connections() > 0 {
            drop(client.read());
            client.write(b"x");
            server.pass(secs(1));
            waited += secs(1);
        }
        assert!(waited >= LINGER_TIMEOUT && waited <= LINGER_TIMEOUT + secs(2), "{waited:?}");
    }
}

/// A worker that was busy elsewhere for long still reads before it judges.
#[test]
fn who_sends_while_the_worker_stands_still_is_not_reset() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        let client = ending(&mut server, true, &Shape::new(8).with(b"\x03\xe8"), b"");
        for _ in 0..5 {
            client.write(&[0; 1000]);
            server.pass(LINGER_SILENCE + STEP);
            assert!(!client.is_reset(), "seed={seed}");
        }
    }
}

/// Few may be told at a time, so they have less.
#[test]
fn who_drips_behind_a_refusal_is_cut_soon() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        let _inside: Vec<Client> = (0..10).map(|_| server.open("/echo")).collect();
        let refused = server.net.connect(0);
        refused.write(handshake("/echo", &[]).as_bytes());
        server.turns();
        let mut waited = Duration::ZERO;
        while server.counts().connections() > 10 {
            drop(refused.read());
            refused.write(b"x");
            server.pass(STEP);
            waited += STEP;
        }
        assert!(is_about(waited, LINGER_SILENCE), "seed={seed}: {waited:?}");
    }
}
