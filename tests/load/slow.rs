//! A client that stops reading in a busy room: it is closed, and never skipped.

use testkit::swarm::{BINARY, End, Link, Pattern, Swarm, Target, Visitor};
use throng::config::Backend;

use crate::support::{PATIENCE, config, report, start, stop};

on_both!(
    one_worker_closes_who_stops_reading_and_the_others_lose_nothing,
    four_workers_close_who_stops_reading_and_the_others_lose_nothing,
);

const MEMBERS: usize = 20;
const SENDERS: usize = 4;
const MESSAGE_BYTES: usize = 4096;
const HEAD_BYTES: usize = 5;

/// The client that stops.
const SLOW: usize = MEMBERS - 1;

/// Messages of a sender that the slowest of the others has not got. Waiting for the own ones alone
/// would not do: a worker that gets no CPU for a while would find more for its clients than may
/// wait.
const WINDOW: usize = 8;

struct Room {
    pattern: Pattern,
    /// Messages sent by each sender, and how many it may send.
    sent: [usize; SENDERS],
    goal: usize,
    /// Messages seen by each member of each sender.
    seen: [[usize; SENDERS]; MEMBERS],
    slow_end: Option<End>,
}

/// Takes turns until something holds; senders send whatever they may.
fn run(swarm: &mut Swarm, room: &mut Room, mut holds: impl FnMut(&mut Room) -> bool) -> bool {
    swarm.run(PATIENCE, room, |swarm, room| {
        (0..SENDERS).for_each(|key| room.publish(swarm, key));
        holds(room)
    })
}

fn one_worker_closes_who_stops_reading_and_the_others_lose_nothing(backend: Backend) {
    check(backend, 1);
}

fn four_workers_close_who_stops_reading_and_the_others_lose_nothing(backend: Backend) {
    check(backend, 4);
}

fn check(backend: Backend, workers: usize) {
    let (server, address) = start(config(backend, workers));
    let mut swarm = Swarm::new();
    let mut room = Room {
        pattern: Pattern::binary(MESSAGE_BYTES),
        sent: [0; SENDERS],
        goal: usize::MAX,
        seen: [[0; SENDERS]; MEMBERS],
        slow_end: None,
    };
    swarm.open(MEMBERS, &[Target::new(address, "/room/busy")], &mut room);
    let slow_has = |room: &mut Room| room.seen[SLOW].iter().all(|seen| *seen >= 100);
    assert!(run(&mut swarm, &mut room, slow_has), "the room is busy: {:?}", room.seen);
    swarm.link(SLOW).reads = false;
    let is_closed = run(&mut swarm, &mut room, |_| server.counts().closed_slow > 0);
    assert!(is_closed, "{:?}, {:?}", room.sent, server.counts());
    let sent_when_closed = room.sent;
    swarm.link(SLOW).reads = true;
    let is_told = run(&mut swarm, &mut room, |room| room.slow_end.is_some());
    assert!(is_told, "the slow one sees its end behind what it got");
    room.goal = room.sent.iter().max().expect("there are senders") + 200;
    let all_have =
        |room: &mut Room| room.seen[..SLOW].iter().flatten().all(|seen| *seen == room.goal);
    assert!(run(&mut swarm, &mut room, all_have), "{:?} {:?}", room.sent, room.seen);
    // The visitor has seen that what the slow one got has no gap; it missed the end of it.
    let slow = room.seen[SLOW];
    assert!(slow.iter().zip(&sent_when_closed).all(|(seen, sent)| seen < sent));
    let counts = server.counts();
    assert_eq!((counts.closed_slow, counts.closed), (1, 1), "{counts:?}");
    report(&format!("the slow one got {slow:?} of {sent_when_closed:?}: {:?}", room.slow_end));
    swarm.reset_all();
    stop(server);
}

impl Room {
    fn publish(&mut self, swarm: &mut Swarm, tag: usize) {
        let least = self.seen[..SLOW].iter().map(|seen| seen[tag]).min();
        let most = self.goal.min(least.expect("there are others") + WINDOW);
        while self.sent[tag] < most {
            let number = self.sent[tag];
            let body = self.pattern.slice(name(tag, number), MESSAGE_BYTES - HEAD_BYTES);
            swarm.link(tag).frame(BINARY, &[&head(tag, number), body]);
            self.sent[tag] += 1;
        }
    }
}

impl Visitor for Room {
    fn frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let from = usize::from(payload[0]);
        let number = self.seen[link.tag][from];
        assert_eq!(payload[..HEAD_BYTES], head(from, number), "{} misses some", link.tag);
        let body = self.pattern.slice(name(from, number), MESSAGE_BYTES - HEAD_BYTES);
        assert!((first, &payload[HEAD_BYTES..]) == (BINARY, body), "other bytes");
        self.seen[link.tag][from] += 1;
    }

    fn ended(&mut self, link: &Link, end: &End) {
        assert_eq!(link.tag, SLOW, "only the slow one is closed: {end:?}");
        self.slow_end = Some(end.clone());
    }
}

fn name(tag: usize, number: usize) -> u64 {
    (tag << 32 | number) as u64
}

fn head(tag: usize, number: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = (number as u32).to_be_bytes();
    [tag as u8, a, b, c, d]
}
