//! Two workers with mailboxes of two envelopes that publish to each other flat out: nobody stalls
//! and nothing is lost.

use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, End, Link, Pattern, Swarm, Target, Visitor};
use throng::config::{Backend, Config};
use throng::server::Server;

use crate::support::{config, must_run_all, report, seconds, start, stop};

on_both!(full_mailboxes_delay_and_never_drop);

const WORKERS: usize = 2;
const ROOMS: usize = 2;

/// In each room on each worker: publishers, who are members like all others, and silent ones.
const PUBLISHERS: usize = 2;
const SUBSCRIBERS: usize = 2;

/// Everybody gets on within this time.
const SPAN: Duration = Duration::from_secs(2);

/// A publisher queues so much whenever all has gone.
const CHUNK_BYTES: usize = 64 * 1024;

/// It is so many messages, three megabytes, ahead of the slowest receiver. Without that, and with
/// clients that take longer to check a message than a worker to deliver it, what waits for them
/// would grow until they are closed, rightly.
const WINDOW: u32 = 20_000;

const HEAD_BYTES: usize = 5;
const BYTES_MAX: usize = 300;

/// What a client is: its place in the order of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    room: usize,
    worker: usize,
    member: usize,
}

const PLACES: usize = ROOMS * WORKERS * (PUBLISHERS + SUBSCRIBERS);

struct Rooms {
    pattern: Pattern,
    places: Vec<Place>,
    is_publishing: bool,
    sent: [u32; PLACES],
    seen: Vec<[u32; PLACES]>,
    /// Who was closed, and how.
    ended: Vec<String>,
}

fn full_mailboxes_delay_and_never_drop(backend: Backend) {
    // Four publishers' windows: more never waits for a receiver.
    let config = Config { mailbox_capacity: 2, max_backlog: 16 << 20, ..config(backend, WORKERS) };
    let (server, address) = start(config);
    let (mut swarm, mut rooms) = (Swarm::new(), Rooms::new());
    for tag in 0..PLACES {
        let Place { room, worker, .. } = rooms.places[tag];
        let target = Target::new(address, &format!("/room/{room}"));
        connect_to(worker, &server, &target, tag, &mut swarm, &mut rooms);
    }
    let dropped = server.counts().accepted - PLACES as u64;
    rooms.is_publishing = true;
    let publishers: Vec<usize> = (0..PLACES).filter(|tag| rooms.is_publisher(*tag)).collect();
    let keys = swarm.links().map(|link| (link.key(), link.tag));
    let keys: Vec<_> = keys.filter(|(_, tag)| publishers.contains(tag)).collect();
    let default = if must_run_all() { 60 } else { 5 };
    let time = std::env::var("THRONG_TEST_SECONDS").ok();
    let time = seconds(time.map_or(default, |time| time.parse().expect("a number of seconds")));
    let mut spans = 0;
    while SPAN * spans < time {
        let before: Vec<u32> = (0..PLACES).map(|tag| rooms.seen[tag][tag]).collect();
        let until = Instant::now() + SPAN;
        swarm.run(SPAN * 2, &mut rooms, |swarm, rooms| {
            for (key, tag) in &keys {
                if swarm.has(*key) && rooms.may_publish(*tag) && swarm.link(*key).queued() == 0 {
                    rooms.drained(swarm.link(*key));
                }
            }
            Instant::now() >= until
        });
        spans += 1;
        assert!(rooms.ended.is_empty(), "{:?}; {:?}", rooms.ended, server.counts());
        for tag in &publishers {
            let now = rooms.seen[*tag][*tag];
            assert!(now > before[*tag], "{:?} stalls at {now}", rooms.places[*tag]);
        }
    }
    rooms.is_publishing = false;
    let is_done = swarm.run(seconds(60), &mut rooms, |_, rooms| rooms.have_all());
    let counts = server.counts();
    assert!(rooms.ended.is_empty(), "{:?}; {counts:?}", rooms.ended);
    assert!(is_done, "sent {:?}, seen {:?}, {counts:?}", rooms.sent, rooms.seen);
    assert_eq!(counts.closed, dropped, "nobody is closed");
    assert!(counts.mailbox_full > 0 && counts.paused > 0, "{counts:?}");
    let sent: u64 = rooms.sent.iter().map(|sent| u64::from(*sent)).sum();
    assert_eq!(counts.messages_encoded, sent);
    let least = publishers.iter().map(|tag| rooms.sent[*tag]).min();
    report(&format!(
        "{sent} messages in {} s, the slowest publisher {least:?}; mailbox full {} times, paused \
         {} times, overshoot {} messages",
        (SPAN * spans).as_secs(),
        counts.mailbox_full,
        counts.paused,
        counts.overshoot
    ));
    swarm.reset_all();
    stop(server);
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
        let is_open = swarm.run(seconds(10), rooms, |swarm, _| swarm.opening() == 0);
        assert!(is_open, "the upgrade is answered");
        if server.counts_by_worker()[worker].upgraded > before {
            return;
        }
        let closed = server.counts().closed;
        swarm.reset(key);
        let is_gone = swarm.run(seconds(10), rooms, |_, _| server.counts().closed > closed);
        assert!(is_gone, "a reset is seen");
    }
    panic!("no connection came to worker {worker}");
}

impl Rooms {
    fn new() -> Self {
        let place = |tag| Place {
            room: tag % ROOMS,
            worker: tag / ROOMS % WORKERS,
            member: tag / ROOMS / WORKERS,
        };
        Self {
            pattern: Pattern::binary(BYTES_MAX),
            places: (0..PLACES).map(place).collect(),
            is_publishing: false,
            sent: [0; PLACES],
            seen: vec![[0; PLACES]; PLACES],
            ended: Vec::new(),
        }
    }

    fn is_publisher(&self, tag: usize) -> bool {
        self.places[tag].member < PUBLISHERS
    }

    fn may_publish(&self, tag: usize) -> bool {
        let room = self.places[tag].room;
        let mates = (0..PLACES).filter(|mate| self.places[*mate].room == room);
        let slowest = mates.map(|mate| self.seen[mate][tag]).min();
        self.is_publishing && slowest.is_some_and(|seen| self.sent[tag] - seen < WINDOW)
    }

    fn have_all(&self) -> bool {
        (0..PLACES).all(|tag| {
            let mates = (0..PLACES).filter(|from| self.places[*from].room == self.places[tag].room);
            mates.into_iter().all(|from| self.seen[tag][from] == self.sent[from])
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
