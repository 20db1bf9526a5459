//! Workers that wake each other all the time: not one stray byte reaches a client.
//!
//! Each worker has a descriptor table of its own, so a waker's number means another descriptor in
//! another table: eight bytes written to the wrong one would stand in some client's stream.

use std::thread;
use std::time::Duration;

use testkit::swarm::{BINARY, End, Link, Swarm, Target, Visitor};
use throng::config::{Backend, Config, Reconnect};

use crate::support::{PATIENCE, config, report, start};

on_both!(streams_hold_the_frames_that_were_sent_and_nothing_else);

const WORKERS: usize = 4;
const CLIENTS: usize = 1000;
const ROOMS: usize = 10;

/// As many rounds at least, and no more; how many it takes until each worker has found all others
/// asleep depends on the host.
const ROUNDS: usize = 400;
const ROUNDS_MAX: usize = 40_000;
const PAYLOAD_BYTES: usize = 9;

/// The main thread wakes all workers in each of so many rounds, too.
const ROUNDS_PER_WAKE: usize = 10;

/// A close frame with 1001 and "server stops; retry-after=0s".
const CLOSE_BYTES: u64 = 2 + 2 + 28;

struct Streams {
    /// Messages that were published in each room.
    published: [u64; ROOMS],
    /// Bytes of each client's response to the upgrade.
    response_bytes: Vec<u64>,
    bytes: Vec<u64>,
    received: usize,
    codes: usize,
}

fn streams_hold_the_frames_that_were_sent_and_nothing_else(backend: Backend) {
    let drain_reconnect = Reconnect::Now;
    let (server, address) = start(Config { drain_reconnect, ..config(backend, WORKERS) });
    let mut swarm = Swarm::new();
    let mut streams = Streams {
        published: [0; ROOMS],
        response_bytes: vec![0; CLIENTS],
        bytes: vec![0; CLIENTS],
        received: 0,
        codes: 0,
    };
    let targets: Vec<Target> =
        (0..ROOMS).map(|room| Target::new(address, &format!("/room/{room}"))).collect();
    let mut on_worker = vec![Vec::new(); WORKERS];
    for tag in 0..CLIENTS {
        let before = server.counts_by_worker();
        swarm.connect(&targets[tag % ROOMS], tag).expect("connects are taken");
        assert!(swarm.run(PATIENCE, &mut streams, |swarm, _| swarm.opening() == 0));
        let after = server.counts_by_worker();
        let worker = (0..WORKERS).find(|worker| after[*worker].upgraded > before[*worker].upgraded);
        on_worker[worker.expect("one of them has it")].push(tag);
    }
    let mut woke_all = [0; WORKERS];
    let mut round = 0;
    while round < ROUNDS || woke_all.contains(&0) {
        assert!(round < ROUNDS_MAX, "every worker woke every other: {woke_all:?}");
        let (worker, before) = (round % WORKERS, server.counts_by_worker());
        let clients = &on_worker[worker];
        let publisher = clients[round / WORKERS % clients.len()];
        streams.publish(swarm.link(publisher));
        let expected = streams.received + CLIENTS / ROOMS;
        let have_all = |_: &mut Swarm, streams: &mut Streams| streams.received == expected;
        assert!(swarm.run(PATIENCE, &mut streams, have_all), "round {round}");
        // One envelope for each of the others: so many wakes are one of each.
        let wakes = server.counts_by_worker()[worker].wakes - before[worker].wakes;
        woke_all[worker] += usize::from(wakes == WORKERS as u64 - 1);
        if round % ROUNDS_PER_WAKE == 0 {
            server.wake();
        }
        // The workers fall asleep.
        thread::sleep(Duration::from_millis(3));
        round += 1;
    }
    let wakes: Vec<u64> = server.counts_by_worker().iter().map(|counts| counts.wakes).collect();
    report(&format!(
        "{round} rounds; each worker woke others {wakes:?} times, all of them in {woke_all:?}"
    ));
    // Now the main thread wakes all of them for the last time.
    server.stop();
    assert!(swarm.run(PATIENCE, &mut streams, |swarm, _| swarm.is_empty()));
    server.join().expect("no worker fails");
    assert_eq!(streams.codes, CLIENTS);
    for tag in 0..CLIENTS {
        let frames = streams.published[tag % ROOMS] * (2 + PAYLOAD_BYTES as u64);
        let expected = streams.response_bytes[tag] + frames + CLOSE_BYTES;
        assert_eq!(streams.bytes[tag], expected, "the bytes that came to client {tag}");
    }
}

impl Streams {
    fn publish(&mut self, link: &mut Link) {
        let room = link.tag % ROOMS;
        link.frame(BINARY, &[&payload(room, self.published[room])]);
        self.published[room] += 1;
    }
}

impl Visitor for Streams {
    fn opened(&mut self, link: &mut Link) {
        // Nothing is published yet, so that the response is all that has come.
        self.response_bytes[link.tag] = link.bytes;
    }

    fn frame(&mut self, link: &mut Link, first: u8, bytes: &[u8]) {
        let expected = payload(link.tag % ROOMS, link.frames - 1);
        assert_eq!((first, bytes), (BINARY, &expected[..]), "client {}", link.tag);
        self.received += 1;
    }

    fn ended(&mut self, link: &Link, end: &End) {
        let expected = End { code: Some(1001), ..End::default() };
        assert_eq!(*end, expected, "client {}", link.tag);
        self.bytes[link.tag] = link.bytes;
        self.codes += 1;
    }
}

fn payload(room: usize, number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [room as u8; PAYLOAD_BYTES];
    payload[1..].copy_from_slice(&number.to_be_bytes());
    payload
}
