//! What a server counts about its own work: one encode per message, one send per connection and
//! turn.

use std::net::SocketAddr;

use testkit::swarm::{BINARY, Swarm, Target, put_frame};
use throng::config::Backend;
use throng::server::Server;
use throng::stats::Counts;

use crate::support::{PATIENCE, Received, config, end_turns, report, start, stop};

on_both!(
    messages_are_encoded_once_however_many_get_them,
    messages_of_one_write_leave_in_one_send_to_each_receiver,
    four_workers_send_once_to_each_receiver_and_turn,
);

const PAYLOAD: &[u8] = b"some of the bytes of a message";

/// Publishers with their rooms, and receivers in each.
const PUBLISHERS: usize = 10;
const RECEIVERS: usize = 7;
const MESSAGES: usize = 20;

fn messages_are_encoded_once_however_many_get_them(backend: Backend) {
    for workers in [1, 4] {
        let (server, address) = start(config(backend, workers));
        let targets: Vec<Target> =
            (0..PUBLISHERS).map(|room| Target::new(address, &format!("/room/{room}"))).collect();
        let (mut swarm, mut received) = (Swarm::new(), Received::of(PAYLOAD));
        swarm.open(PUBLISHERS * (1 + RECEIVERS), &targets, &mut received);
        for key in 0..PUBLISHERS {
            swarm.link(key).queue(&frames(MESSAGES));
        }
        let all = PUBLISHERS * MESSAGES * (1 + RECEIVERS);
        let is_done = swarm.run(PATIENCE, &mut received, |_, received| received.count == all);
        assert!(is_done, "{} of {all} messages", received.count);
        let counts = settled(&server);
        let published = (PUBLISHERS * MESSAGES) as u64;
        assert_eq!(counts.messages_received, published, "{workers} workers");
        assert_eq!(counts.messages_encoded, published, "{workers} workers");
        assert_eq!(counts.messages_delivered, all as u64, "{workers} workers");
        swarm.reset_all();
        stop(server);
    }
}

fn messages_of_one_write_leave_in_one_send_to_each_receiver(backend: Backend) {
    const ROUNDS: usize = 50;
    const MEMBERS: usize = 51;
    let (server, address) = start(config(backend, 1));
    let (mut swarm, mut received) = (Swarm::new(), Received::of(PAYLOAD));
    swarm.open(MEMBERS, &[room(address)], &mut received);
    let frame_bytes = 2 + PAYLOAD.len();
    let mut in_one_turn = 0;
    for round in 0..ROUNDS {
        let (before, bytes) = (settled(&server), total_bytes(&swarm));
        received.count = 0;
        swarm.link(0).queue(&frames(8));
        let is_done =
            swarm.run(PATIENCE, &mut received, |_, received| received.count == 8 * MEMBERS);
        assert!(is_done, "{} of {} messages in round {round}", received.count, 8 * MEMBERS);
        let after = settled(&server);
        let (sends, turns) = (after.sends - before.sends, after.turns - before.turns);
        assert!(sends <= MEMBERS as u64 * turns, "{sends} sends in {turns} turns");
        let sent = after.bytes_sent - before.bytes_sent;
        assert_eq!(sent, (8 * MEMBERS * frame_bytes) as u64, "each receiver gets 8 frames");
        assert_eq!(total_bytes(&swarm) - bytes, sent, "and nothing else");
        in_one_turn += usize::from(sends == MEMBERS as u64);
    }
    report(&format!("{in_one_turn} of {ROUNDS} writes left in one send to each receiver"));
    // One write of 272 bytes arrives as one piece.
    assert_eq!(in_one_turn, ROUNDS);
    swarm.reset_all();
    stop(server);
}

fn four_workers_send_once_to_each_receiver_and_turn(backend: Backend) {
    const ROUNDS: usize = 50;
    const MEMBERS: usize = 52;
    let (server, address) = start(config(backend, 4));
    let (mut swarm, mut received) = (Swarm::new(), Received::of(PAYLOAD));
    swarm.open(MEMBERS, &[room(address)], &mut received);
    for round in 0..ROUNDS {
        settled(&server);
        let before = server.counts_by_worker();
        received.count = 0;
        // From another member, and so from any worker, each time.
        swarm.link(round).queue(&frames(8));
        let is_done =
            swarm.run(PATIENCE, &mut received, |_, received| received.count == 8 * MEMBERS);
        assert!(is_done, "{} of {} messages in round {round}", received.count, 8 * MEMBERS);
        settled(&server);
        for (before, after) in before.iter().zip(server.counts_by_worker()) {
            let (sends, turns) = (after.sends - before.sends, after.turns - before.turns);
            let most = after.connections() * turns;
            assert!(sends <= most, "{sends} sends in {turns} turns: {after:?}");
        }
    }
    swarm.reset_all();
    stop(server);
}

fn room(address: SocketAddr) -> Target {
    Target::new(address, "/room/a")
}

fn frames(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|_| put_frame(&mut bytes, BINARY, 0x1234_5678, &[PAYLOAD]));
    bytes
}

fn total_bytes(swarm: &Swarm) -> u64 {
    swarm.links().map(|link| link.bytes).sum()
}

/// The counts once all that has happened is counted: a turn is counted at its end.
fn settled(server: &Server) -> Counts {
    end_turns(server);
    server.counts()
}
