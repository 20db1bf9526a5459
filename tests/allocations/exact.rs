//! Prepared completions: no allocation is left to chance.

use std::time::Duration;

use throng::wire::Opcode;
use throng::worker::Worker;

use crate::counting::{allocations, uncounted};
use crate::prepared::Prepared;
use crate::worker::{client_frame, conns, frames, open, opened, request, turn, workers};

const WARM_UP: usize = 100;

/// Allocations in so many turns of a worker that has had some before.
fn counted(worker: &mut Worker<Prepared>, turns: usize) -> u64 {
    (0..WARM_UP).for_each(|_| turn(worker));
    let before = allocations();
    (0..turns).for_each(|_| turn(worker));
    allocations() - before
}

#[test]
fn ten_thousand_echoes_allocate_nothing() {
    for (connections, pipelined, length) in
        [(1, 1, 20), (100, 1, 20), (100, 16, 125), (64, 1, 16384)]
    {
        let mut worker = opened("/echo", connections);
        let bytes = frames(pipelined, length);
        worker.driver().receive_for_replies(conns(connections).map(|conn| (conn, bytes.clone())));
        let turns = 10_000 / (connections * pipelined) + 1;
        assert_eq!(counted(&mut worker, turns), 0, "{connections} x {pipelined} x {length}");
    }
}

#[test]
fn pings_of_clients_allocate_nothing() {
    for path in ["/echo", "/room/a"] {
        let mut worker = opened(path, 100);
        let ping = client_frame(Opcode::Ping, b"12345678");
        worker.driver().receive_for_replies(conns(100).map(|conn| (conn, ping.clone())));
        assert_eq!(counted(&mut worker, 100), 0, "{path}");
    }
}

#[test]
fn frames_in_pieces_allocate_nothing() {
    let mut worker = opened("/echo", 50);
    let frame = frames(1, 1000);
    let pieces = frame.chunks(300).flat_map(|piece| conns(50).map(|conn| (conn, piece.to_vec())));
    // Payloads that are taken out of pieces are unmasked elsewhere, so these stay as they are.
    worker.driver().receive_for_replies(pieces);
    assert_eq!(counted(&mut worker, 200), 0);
}

/// Allocations in 1,000 turns in each of which one of the members publishes.
fn in_publishes(messages: usize, members: usize) -> u64 {
    let mut worker = opened("/room/a", members);
    let bytes = frames(messages, 100);
    worker.driver().receive_for_replies(conns(1).map(|conn| (conn, bytes.clone())));
    counted(&mut worker, 1000)
}

#[test]
fn a_publish_allocates_nothing() {
    for messages in [1, 8] {
        let counts = [1, 2, 100, 1000].map(|members| in_publishes(messages, members));
        assert_eq!(counts, [0; 4], "{messages} messages in a turn");
    }
}

#[test]
fn what_is_said_and_what_is_heard_share_a_send_without_memory() {
    let mut worker = opened("/room/a", 100);
    let ping = client_frame(Opcode::Ping, b"12345678");
    let both = [frames(1, 100), ping].concat();
    worker.driver().receive_for_replies(conns(1).map(|conn| (conn, both.clone())));
    assert_eq!(counted(&mut worker, 1000), 0);
}

#[test]
fn mail_to_another_worker_allocates_nothing() {
    for messages in [1, 8] {
        let mut workers = workers(2);
        open(&mut workers[0], &request("/room/a"), 100);
        open(&mut workers[1], &request("/room/a"), 100);
        let bytes = frames(messages, 100);
        workers[0].driver().receive_for_replies(conns(1).map(|conn| (conn, bytes.clone())));
        (0..WARM_UP).for_each(|_| workers.iter_mut().for_each(turn));
        let mut counts = [0; 2];
        for _ in 0..1000 {
            for (worker, count) in workers.iter_mut().zip(&mut counts) {
                let before = allocations();
                turn(worker);
                *count += allocations() - before;
            }
        }
        assert_eq!(counts, [0; 2], "by the publisher's worker, and by the one that gets the mail");
    }
}

#[test]
fn heartbeats_allocate_nothing() {
    let step = Duration::from_millis(50);
    let mut worker = opened("/echo", 1000);
    let bytes = frames(1, 20);
    worker.driver().receive_for_replies(conns(1000).map(|conn| (conn, bytes.clone())));
    let mut count = 0;
    // Three intervals of pings to warm up, and three that count.
    for at in 0..3000 {
        uncounted(|| worker.driver().pass(step));
        let before = allocations();
        turn(&mut worker);
        count += if at < 1500 { 0 } else { allocations() - before };
    }
    assert_eq!(count, 0);
}
