//! What is published goes to the workers that have members of the room, and to no other.

use std::collections::BTreeSet;

use testkit::swarm::{BINARY, Swarm, Target};
use throng::config::Backend;
use throng::server::Server;

use crate::support::{PATIENCE, Received, config, end_turns, report, start, stop};

on_both!(messages_in_small_rooms_go_to_no_worker_without_members);

const WORKERS: usize = 32;
const ROOMS: usize = 100;
const MEMBERS: usize = 10;
const CLIENTS: usize = ROOMS * MEMBERS;
const PAYLOAD: &[u8] = b"to whom it may concern";

/// Each message is published when all have the one before, so none shares an envelope.
fn messages_in_small_rooms_go_to_no_worker_without_members(backend: Backend) {
    let (server, address) = start(config(backend, WORKERS));
    let targets: Vec<Target> =
        (0..ROOMS).map(|room| Target::new(address, &format!("/room/{room}"))).collect();
    let (mut swarm, mut received) = (Swarm::new(), Received::of(PAYLOAD));
    let mut workers = vec![BTreeSet::new(); ROOMS];
    for client in 0..CLIENTS {
        let target = &targets[client % ROOMS];
        workers[client % ROOMS].insert(connect(client, target, &server, &mut swarm));
    }
    for member in 0..MEMBERS {
        received.count = 0;
        for room in 0..ROOMS {
            swarm.link(member * ROOMS + room).frame(BINARY, &[PAYLOAD]);
        }
        let is_done = swarm.run(PATIENCE, &mut received, |_, received| received.count == CLIENTS);
        assert!(is_done, "{} of {CLIENTS} messages", received.count);
    }
    end_turns(&server);
    let counts = server.counts();
    assert_eq!(counts.messages_encoded, CLIENTS as u64, "one of each client");
    // A publisher's own worker needs no envelope.
    let others: usize = workers.iter().map(|workers| workers.len() - 1).sum();
    assert_eq!(counts.envelopes, (others * MEMBERS) as u64, "{counts:?}");
    assert!(counts.wakes <= counts.envelopes, "{counts:?}");
    let each = |count: u64| count as f64 / CLIENTS as f64;
    report(&format!(
        "{:.2} envelopes and {:.2} wakes a message",
        each(counts.envelopes),
        each(counts.wakes)
    ));
    swarm.reset_all();
    stop(server);
}

/// Connects, and gives the worker that the kernel has given the connection to.
fn connect(tag: usize, target: &Target, server: &Server, swarm: &mut Swarm) -> usize {
    let before = server.counts_by_worker();
    let key = swarm.connect(target, tag).expect("connects are taken");
    assert_eq!(key, tag, "nobody has left");
    let mut nobody = Received::of(PAYLOAD);
    let is_open = swarm.run(PATIENCE, &mut nobody, |swarm, _| swarm.opening() == 0);
    assert!(is_open, "the upgrade is answered");
    let after = server.counts_by_worker().into_iter().zip(before);
    let mut grown = after.map(|(now, before)| now.upgraded > before.upgraded);
    grown.position(|grown| grown).expect("one worker has it")
}
