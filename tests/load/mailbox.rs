//! Workers with mailboxes of two envelopes that publish to each other flat out: nobody stalls,
//! nobody is closed, and nothing is lost.

use testkit::swarm::{BINARY, End, Link, Pattern, Swarm, Target, Visitor};
use throng::config::{Backend, Config};
use throng::server::Server;
use throng::stats::Counts;

use crate::support::{PATIENCE, config, report, start, stop};

on_both!(
    full_mailboxes_of_two_workers_delay_and_never_drop,
    full_mailboxes_of_four_workers_delay_and_never_drop,
);

on_both_in_full!(full_mailboxes_of_two_workers_delay_and_never_drop_with_pings);

const ROOMS: usize = 2;

/// In each room on each worker: publishers, who are members like all others, and silent ones.
const PUBLISHERS: usize = 2;
const SUBSCRIBERS: usize = 2;

/// Messages that each publisher gets back at least, and in the full tier, which has some pings
/// among them.
const MESSAGES: u32 = 5_000;
const MANY_MESSAGES: u32 = 1_000_000;
const STEPS: u32 = 10;

/// A publisher queues so much whenever all has gone.
const CHUNK_BYTES: usize = 64 * 1024;

/// The publishers of a room are together so many bytes ahead of the slowest receiver: as many as
/// may wait for it by default. Without that, and with clients that take longer to check a message
/// than a worker to deliver it, what waits for them would grow until they are closed, rightly.
const WINDOW_BYTES: usize = 1 << 20;

const HEAD_BYTES: usize = 5;
const BYTES_MAX: usize = 300;
const FRAME_BYTES_MAX: usize = BYTES_MAX + 4;

/// What a client is: its place in the order of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    room: usize,
    worker: usize,
    member: usize,
}

struct Rooms {
    pattern: Pattern,
    places: Vec<Place>,
    is_publishing: bool,
    /// Messages that each may be ahead.
    window: u32,
    sent: Vec<u32>,
    seen: Vec<Vec<u32>>,
    /// Who was closed, and how.
    ended: Vec<String>,
}

fn full_mailboxes_of_two_workers_delay_and_never_drop(backend: Backend) {
    run(backend, 2, MESSAGES);
}

fn full_mailboxes_of_four_workers_delay_and_never_drop(backend: Backend) {
    run(backend, 4, MESSAGES);
}

fn full_mailboxes_of_two_workers_delay_and_never_drop_with_pings(backend: Backend) {
    run(backend, 2, MANY_MESSAGES);
}

fn run(backend: Backend, workers: usize, messages: u32) {
    // Pings and what may wait for a connection are as they are for everybody.
    let ping_interval = Config::default().ping_interval;
    let config = Config { mailbox_capacity: 2, ping_interval, ..config(backend, workers) };
    let (server, address) = start(config);
    let (mut swarm, mut rooms) = (Swarm::new(), Rooms::new(workers));
    for tag in 0..rooms.places.len() {
        let Place { room, worker, .. } = rooms.places[tag];
        let target = Target::new(address, &format!("/room/{room}"));
        connect_to(worker, &server, &target, tag, &mut swarm, &mut rooms);
    }
    let dropped = server.counts().accepted - rooms.places.len() as u64;
    publish(&mut swarm, &mut rooms, &server, messages);
    let is_done = swarm.run(PATIENCE, &mut rooms, |_, rooms| rooms.have_all());
    let counts = server.counts();
    assert!(rooms.ended.is_empty(), "{:?}; {counts:?}", rooms.ended);
    assert!(is_done, "sent {:?}, seen {:?}, {counts:?}", rooms.sent, rooms.seen);
    assert_eq!(counts.closed, dropped, "nobody is closed");
    assert_eq!((counts.closed_unresponsive, counts.closed_slow), (0, 0), "{counts:?}");
    assert!(counts.mailbox_full > 0 && counts.paused > 0, "{counts:?}");
    let sent: u64 = rooms.sent.iter().map(|sent| u64::from(*sent)).sum();
    assert_eq!(counts.messages_encoded, sent);
    let least = rooms.publishers().map(|tag| rooms.sent[tag]).min();
    report(&format!(
        "{sent} messages, {least:?} of the slowest publisher; mailbox full {} times, \
         paused {} times, overshoot {} messages, {} pings",
        counts.mailbox_full, counts.paused, counts.overshoot, counts.pings
    ));
    swarm.reset_all();
    stop(server);
}

/// Lets the publishers publish until each has got so many of its own, and all that can happen at a
/// full mailbox has happened.
fn publish(swarm: &mut Swarm, rooms: &mut Rooms, server: &Server, messages: u32) {
    rooms.is_publishing = true;
    let keys = swarm.links().map(|link| (link.key(), link.tag));
    let keys: Vec<_> = keys.filter(|(_, tag)| rooms.is_publisher(*tag)).collect();
    let mut goal = 0;
    let has_happened = |counts: Counts| counts.mailbox_full > 0 && counts.paused > 0;
    while goal < messages || !has_happened(server.counts()) {
        goal += messages / STEPS;
        // None may stall while the others go on.
        let have_all = swarm.run(PATIENCE, rooms, |swarm, rooms| {
            for (key, tag) in &keys {
                if swarm.has(*key) && rooms.may_publish(*tag) && swarm.link(*key).queued() == 0 {
                    rooms.drained(swarm.link(*key));
                }
            }
            !rooms.ended.is_empty() || rooms.publishers().all(|tag| rooms.seen[tag][tag] >= goal)
        });
        assert!(rooms.ended.is_empty(), "{:?}; {:?}", rooms.ended, server.counts());
        let seen: Vec<u32> = rooms.publishers().map(|tag| rooms.seen[tag][tag]).collect();
        assert!(have_all, "somebody stalls before {goal}: {seen:?}; {:?}", server.counts());
        assert!(goal < messages * 100, "never full: {:?}", server.counts());
    }
    rooms.is_publishing = false;
}

/// Connects until the kernel has given the connection to that worker.
fn connect_to(
    worker: usize,
    server: &Server,
    target: &Target,
    tag: usize,
    swarm: &mut Swarm,
    rooms: &mut Rooms,
) {
    for _ in 0..1000 {
        let before = server.counts_by_worker()[worker].upgraded;
        let key = swarm.connect(target, tag).expect("connects are taken");
        let is_open = swarm.run(PATIENCE, rooms, |swarm, _| swarm.opening() == 0);
        assert!(is_open, "the upgrade is answered");
        if server.counts_by_worker()[worker].upgraded > before {
            return;
        }
        let closed = server.counts().closed;
        swarm.reset(key);
        let is_gone = swarm.run(PATIENCE, rooms, |_, _| server.counts().closed > closed);
        assert!(is_gone, "a reset is seen");
    }
    panic!("no connection came to worker {worker}");
}

impl Rooms {
    fn new(workers: usize) -> Self {
        let place = |tag| Place {
            room: tag % ROOMS,
            worker: tag / ROOMS % workers,
            member: tag / ROOMS / workers,
        };
        let places = ROOMS * workers * (PUBLISHERS + SUBSCRIBERS);
        Self {
            pattern: Pattern::binary(BYTES_MAX),
            places: (0..places).map(place).collect(),
            is_publishing: false,
            window: (WINDOW_BYTES / (PUBLISHERS * workers * FRAME_BYTES_MAX)) as u32,
            sent: vec![0; places],
            seen: vec![vec![0; places]; places],
            ended: Vec::new(),
        }
    }

    fn publishers(&self) -> impl Iterator<Item = usize> {
        (0..self.places.len()).filter(|tag| self.is_publisher(*tag))
    }

    fn is_publisher(&self, tag: usize) -> bool {
        self.places[tag].member < PUBLISHERS
    }

    fn may_publish(&self, tag: usize) -> bool {
        let room = self.places[tag].room;
        let mates = (0..self.places.len()).filter(|mate| self.places[*mate].room == room);
        let slowest = mates.map(|mate| self.seen[mate][tag]).min();
        self.is_publishing && slowest.is_some_and(|seen| self.sent[tag] - seen < self.window)
    }

    fn have_all(&self) -> bool {
        let places = || 0..self.places.len();
        places().all(|tag| {
            let mut mates =
                places().filter(|from| self.places[*from].room == self.places[tag].room);
            mates.all(|from| self.seen[tag][from] == self.sent[from])
        })
    }

    fn body(&self, tag: usize, number: u32) -> &[u8] {
        let name = (tag as u64) << 32 | u64::from(number);
        self.pattern.slice(name, name as usize * 7 % (BYTES_MAX - HEAD_BYTES))
    }
}

impl Visitor for Rooms {
    fn drained(&mut self, link: &mut Link) {
        let tag = link.tag;
        while self.is_publisher(tag) && self.may_publish(tag) && link.queued() < CHUNK_BYTES {
            let number = self.sent[tag];
            link.frame(BINARY, &[&head(tag, number), self.body(tag, number)]);
            self.sent[tag] += 1;
        }
    }

    fn frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let (start, body) = payload.split_at(HEAD_BYTES);
        let from = usize::from(start[0]);
        assert_eq!(self.places[from].room, self.places[link.tag].room, "a message of this room");
        let number = self.seen[link.tag][from];
        assert_eq!(start, head(from, number), "{:?} misses some", self.places[link.tag]);
        assert!((first, body) == (BINARY, self.body(from, number)), "other bytes");
        self.seen[link.tag][from] += 1;
    }

    fn ended(&mut self, link: &Link, end: &End) {
        let place = self.places[link.tag];
        self.ended.push(format!("{place:?} was closed behind {} bytes: {end:?}", link.bytes));
    }
}

fn head(tag: usize, number: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = number.to_be_bytes();
    [tag as u8, a, b, c, d]
}
