//! Busy rooms: everybody gets every message once, in its sender's order, as it was sent.

use std::time::Instant;

use testkit::swarm::{BINARY, Link, Pattern, Rng, Swarm, TEXT, Target, Visitor};
use throng::config::Backend;

use crate::support::{PATIENCE, config, end_turns, report, seconds, start, stop};

on_both!(
    one_worker_delivers_each_message_once_and_in_order,
    four_workers_deliver_each_message_once_and_in_order,
);

on_both_in_full!(
    one_worker_delivers_eight_million_messages_once_and_in_order,
    four_workers_deliver_eight_million_messages_once_and_in_order,
);

const ROOMS: usize = 20;
const MEMBERS: usize = 20;
const CLIENTS: usize = ROOMS * MEMBERS;
/// Messages of each client, and those of the full tier.
const MESSAGES: usize = 200;
const MANY_MESSAGES: usize = 1000;
const BYTES_MAX: usize = 100 * 1024;
const HEAD_BYTES: usize = 3;

/// A client has so many bytes on their way to the last who gets them, or one message: twenty
/// clients together stay below what may wait for a receiver. Waiting for the own messages alone
/// would not do where workers share CPUs: one that gets none for a while would then find more for
/// its clients than may wait.
const WINDOW_BYTES: usize = 32 * 1024;

fn one_worker_delivers_each_message_once_and_in_order(backend: Backend) {
    run(backend, 1, MESSAGES);
}

fn four_workers_deliver_each_message_once_and_in_order(backend: Backend) {
    run(backend, 4, MESSAGES);
}

fn one_worker_delivers_eight_million_messages_once_and_in_order(backend: Backend) {
    run(backend, 1, MANY_MESSAGES);
}

fn four_workers_deliver_eight_million_messages_once_and_in_order(backend: Backend) {
    run(backend, 4, MANY_MESSAGES);
}

fn run(backend: Backend, workers: usize, messages: usize) {
    let (server, address) = start(config(backend, workers));
    let targets: Vec<Target> =
        (0..ROOMS).map(|room| Target::new(address, &format!("/room/{room}"))).collect();
    let (mut swarm, mut rooms) = (Swarm::new(), Rooms::new(messages));
    // Client 0 is in room 0, client 1 in room 1, and so on.
    swarm.open(CLIENTS, &targets, &mut rooms);
    let began = Instant::now();
    let all = CLIENTS * MEMBERS * messages;
    let is_done = swarm.run(PATIENCE, &mut rooms, |swarm, rooms| {
        for key in std::mem::take(&mut rooms.ready) {
            rooms.publish(swarm.link(key));
        }
        rooms.received == all
    });
    let took = began.elapsed();
    let counts = server.counts();
    assert!(is_done, "{} of {all} messages in {took:?}; {counts:?}", rooms.received);
    // Nothing comes behind the last one.
    swarm.run_for(seconds(1) / 5, &mut rooms);
    assert_eq!(rooms.received, all);
    assert_eq!(rooms.of_one_byte, CLIENTS * MEMBERS);
    assert_eq!(rooms.of_100_kib, CLIENTS * MEMBERS);
    assert_eq!(
        (counts.messages_encoded, counts.messages_delivered),
        ((CLIENTS * messages) as u64, all as u64)
    );
    assert_eq!((counts.closed, counts.closed_slow, counts.closed_violation), (0, 0, 0));
    end_turns(&server);
    for counts in server.counts_by_worker() {
        assert!(counts.sends <= counts.connections() * counts.turns, "one a turn: {counts:?}");
    }
    report(&format!(
        "{all} deliveries, {} MiB, in {took:.1?}; {:.1} messages a send, {} turns",
        counts.bytes_sent >> 20,
        counts.messages_delivered as f64 / counts.sends as f64,
        counts.turns
    ));
    swarm.reset_all();
    stop(server);
}

struct Rooms {
    clients: Vec<Client>,
    text: Pattern,
    binary: Pattern,
    /// Clients that may be able to send more.
    ready: Vec<usize>,
    received: usize,
    of_one_byte: usize,
    of_100_kib: usize,
}

struct Client {
    /// Bytes of each of its messages.
    lengths: Vec<usize>,
    sent: usize,
    /// Messages that all have got, and bytes of those on their way.
    done: usize,
    outstanding_bytes: usize,
    outstanding_max: usize,
    /// How many members have got each message.
    arrived: Vec<u8>,
    /// How many messages came from each member of the room.
    seen: [usize; MEMBERS],
}

impl Client {
    fn new(tag: usize, messages: usize) -> Self {
        let mut rng = Rng::new(tag as u64);
        let long = 1 + rng.below(messages - 1);
        let length = |number| match number {
            0 => 1,
            number if number == long => BYTES_MAX,
            _ => HEAD_BYTES + ((BYTES_MAX - HEAD_BYTES) as f64 * rng.unit().powi(24)) as usize,
        };
        Self {
            lengths: (0..messages).map(length).collect(),
            sent: 0,
            done: 0,
            outstanding_bytes: 0,
            arrived: vec![0; messages],
            outstanding_max: 4 + tag % 13,
            seen: [0; MEMBERS],
        }
    }

    /// The length of the next message, if it may be sent.
    fn next(&self) -> Option<usize> {
        let length = *self.lengths.get(self.sent)?;
        let messages = self.sent - self.done;
        let fits =
            messages < self.outstanding_max && self.outstanding_bytes + length <= WINDOW_BYTES;
        (fits || messages == 0).then_some(length)
    }

    /// One more member has got a message; whether all have now.
    fn arrive(&mut self, number: usize) -> bool {
        self.arrived[number] += 1;
        let is_done = usize::from(self.arrived[number]) == MEMBERS;
        if is_done {
            self.done += 1;
            self.outstanding_bytes -= self.lengths[number];
        }
        is_done
    }
}

impl Rooms {
    fn new(messages: usize) -> Self {
        Self {
            clients: (0..CLIENTS).map(|tag| Client::new(tag, messages)).collect(),
            text: Pattern::text(BYTES_MAX),
            binary: Pattern::binary(BYTES_MAX),
            ready: (0..CLIENTS).collect(),
            received: 0,
            of_one_byte: 0,
            of_100_kib: 0,
        }
    }

    /// Half of the members of each room send text and half binary.
    fn kind(&self, tag: usize) -> (u8, &Pattern) {
        if member(tag).is_multiple_of(2) { (TEXT, &self.text) } else { (BINARY, &self.binary) }
    }

    fn publish(&mut self, link: &mut Link) {
        let tag = link.tag;
        while let Some(length) = self.clients[tag].next() {
            let number = self.clients[tag].sent;
            let (first, pattern) = self.kind(tag);
            let head = head(tag, number);
            let body = length.saturating_sub(HEAD_BYTES);
            link.frame(
                first,
                &[&head[..length.min(HEAD_BYTES)], pattern.slice(name(tag, number), body)],
            );
            let client = &mut self.clients[tag];
            client.sent += 1;
            client.outstanding_bytes += length;
        }
    }
}

impl Visitor for Rooms {
    fn frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let from = usize::from(payload[0] - b'A');
        let sender = from * ROOMS + link.tag % ROOMS;
        let number = self.clients[link.tag].seen[from];
        let length = self.clients[sender].lengths[number];
        let (kind, pattern) = self.kind(sender);
        assert_eq!(first, kind, "text stays text, and binary binary");
        assert_eq!(payload.len(), length, "message {number} of {sender} to {}", link.tag);
        let (start, body) = payload.split_at(length.min(HEAD_BYTES));
        let head = head(sender, number);
        assert_eq!(start, &head[..start.len()], "message {number} of {sender} to {}", link.tag);
        let is_right = body == pattern.slice(name(sender, number), body.len());
        assert!(is_right, "message {number} of {sender} to {} has other bytes", link.tag);
        self.received += 1;
        self.of_one_byte += usize::from(length == 1);
        self.of_100_kib += usize::from(length == BYTES_MAX);
        self.clients[link.tag].seen[from] += 1;
        if self.clients[sender].arrive(number) {
            self.ready.push(sender);
        }
    }

    fn ended(&mut self, link: &Link, end: &testkit::swarm::End) {
        panic!("client {} was closed: {end:?}", link.tag);
    }
}

/// Which member of its room a client is.
fn member(tag: usize) -> usize {
    tag / ROOMS
}

fn name(tag: usize, number: usize) -> u64 {
    (tag * MANY_MESSAGES + number) as u64
}

/// What a message begins with: its sender and its number, in ASCII.
fn head(tag: usize, number: usize) -> [u8; HEAD_BYTES] {
    [b'A' + member(tag) as u8, b'0' + (number / 64) as u8, b'0' + (number % 64) as u8]
}
