//! Members that come and go, also in the middle of a delivery.

use std::collections::BTreeMap;

use super::queue::Standing;
use super::*;
use crate::config::Delivery;
use crate::wire::Form;

/// That of the first of two workers.
fn hub() -> Hub {
    Hub::new(Arc::new(Interest::new(2)), WorkerId(0))
}

/// What a worker that came now to a room of the hub would publish there first.
fn mail(hub: &Hub, name: &str, frames: Arc<Encoded>) -> Sealed {
    let (topic, arrivals) = hub.interest.join(name, WorkerId(1));
    hub.interest.leave(&topic, WorkerId(1));
    Sealed { topic, arrivals, since: 0, frames }
}

/// The only subscription of a connection.
fn join(hub: &mut Hub, name: &str, slot: u32, window_bits: u8) -> EdgeId {
    hub.join(name, slot, window_bits, &mut { EdgeId::NONE })
}

fn leave(hub: &mut Hub, edge: EdgeId) {
    let mut head = edge;
    hub.leave(edge, &mut head);
    assert_eq!(head, EdgeId::NONE);
}

fn members(hub: &Hub, name: &str) -> Vec<u32> {
    let room = hub.room(name).expect("the room is open");
    let members = &hub.rooms[room.0 as usize].members;
    let mut members: Vec<u32> = members.iter().map(|m| m.slot).collect();
    members.sort_unstable();
    members
}

#[test]
fn members_come_and_go_in_any_order() {
    let mut hub = hub();
    let places: Vec<_> = (0..100).map(|i| join(&mut hub, "a", i, 0)).collect();
    let other = join(&mut hub, "b", 100, 15);
    for i in (0..100).step_by(3) {
        leave(&mut hub, places[i as usize]);
    }
    let left: Vec<u32> = (0..100).filter(|i| i % 3 != 0).collect();
    assert_eq!(members(&hub, "a"), left);
    for i in left {
        leave(&mut hub, places[i as usize]);
    }
    assert_eq!(hub.room("a"), None, "an empty room is closed");
    leave(&mut hub, other);
    assert_eq!((hub.rooms(), hub.edges.len(), hub.by_name.len()), (0, 0, 0));
}

/// What a connection publishes here, to others too, and what comes by mail.
fn publish_some(hub: &mut Hub, edge: EdgeId, number: u8) {
    let conn = ConnId { index: 1, generation: 9 };
    hub.publish(edge, Kind::Text, &[number, b'a']);
    hub.publish_to_others(edge, conn, Kind::Text, &[number, b'b']);
    let mut frames = Encoded::default();
    frames.push(Kind::Text, &[number, b'm']);
    let sealed = mail(hub, "a", Arc::new(frames));
    hub.receive(sealed);
}

/// Delivers all to the end; gives what a connection has got of it.
fn delivered_to(hub: &mut Hub, room: RoomId, conn: ConnId) -> Vec<[u8; 2]> {
    let who = SubscriberId { worker: WorkerId(0), conn };
    let mut got = Vec::new();
    while hub.at(room).has_gathered() || hub.at(room).is_under_way() {
        hub.seal(room);
        hub.begin(room);
        let (runs, members) = hub.slice(room, usize::MAX);
        let count = members.len();
        if members.iter().any(|member| member.slot == conn.index) {
            for run in runs {
                let excepts = run.excepts_of(who);
                let mut bytes = Vec::new();
                excepts.clone().for_each(|number| bytes.extend(run.before_except(number)));
                match excepts.last() {
                    Some(last) => bytes.extend(run.behind_except(last)),
                    None => bytes.extend(run.bytes(Form::Plain)),
                }
                got.extend(bytes.chunks(4).map(|frame| [frame[2], frame[3]]));
            }
        }
        hub.advance(room, count);
    }
    got
}

#[test]
fn who_comes_back_does_not_get_again_what_it_has_had() {
    for (published, sealed) in [(0, false), (1, false), (2, false), (1, true), (2, true)] {
        let mut hub = hub();
        let conn = ConnId { index: 1, generation: 9 };
        for slot in [0, 5] {
            join(&mut hub, "a", slot, 0);
        }
        let mut edge = join(&mut hub, "a", 1, 0);
        let room = hub.room_of(edge);
        // One is under way, so that what follows gathers.
        hub.publish(edge, Kind::Text, b"0!");
        hub.seal(room);
        hub.begin(room);
        for number in 0..published {
            publish_some(&mut hub, edge, number);
            if sealed {
                hub.seal(room);
            }
        }
        for _ in 0..3 {
            hub.note_handed(edge);
            leave(&mut hub, edge);
            edge = join(&mut hub, "a", 1, 0);
            hub.except_handed(edge, conn);
        }
        publish_some(&mut hub, edge, 7);
        assert!(hub.at(room).is_under_way(), "the others have still to get it");
        let got = delivered_to(&mut hub, room, conn);
        assert_eq!(got, [*b"\x07a", *b"\x07m"], "{published} {sealed}");
        assert_eq!((hub.undelivered(), hub.handed.rooms()), (0, 0));
    }
}

#[test]
fn what_is_published_in_a_turn_is_one_run_per_room() {
    let mut hub = hub();
    let (a, b) = (join(&mut hub, "a", 1, 0), join(&mut hub, "b", 2, 0));
    hub.publish(b, Kind::Text, b"1");
    hub.publish(a, Kind::Text, b"2");
    hub.publish(b, Kind::Text, b"3");
    let rooms: Vec<_> = std::iter::from_fn(|| hub.next_due()).collect();
    assert_eq!(rooms, [hub.room_of(b), hub.room_of(a)]);
    let sealed = rooms.iter().map(|room| hub.seal(*room).expect("something was published"));
    let runs: Vec<_> = sealed.map(|s| (s.topic.name().to_owned(), s.frames.messages())).collect();
    assert_eq!(runs, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    assert!(hub.seal(hub.room_of(a)).is_none());
}

#[test]
fn small_runs_of_other_workers_are_copied_together() {
    let mut hub = hub();
    let edge = join(&mut hub, "a", 1, 0);
    let room = hub.room_of(edge);
    let run = |bytes: usize| {
        let mut frames = Encoded::default();
        frames.push(Kind::Binary, &vec![7; bytes]);
        Arc::new(frames)
    };
    let (first, large) = (run(10), run(10_000));
    let receive = |hub: &mut Hub, frames: &Arc<Encoded>| {
        hub.receive(mail(hub, "a", Arc::clone(frames)));
    };
    receive(&mut hub, &first);
    (0..1000).for_each(|_| receive(&mut hub, &run(10)));
    receive(&mut hub, &large);
    (0..1000).for_each(|_| receive(&mut hub, &run(10)));
    let messages: Vec<_> = hub.at(room).waiting().map(|run| run.messages()).collect();
    assert_eq!(messages, [1, 1000, 1, 1000]);
    assert!(
        hub.at(room).waiting().next().is_some_and(|run| Arc::ptr_eq(run, &first)),
        "a single one is not copied"
    );
    (0..5000).for_each(|_| receive(&mut hub, &run(1000)));
    let longest = hub.at(room).waiting().map(|run| run.weight()).max();
    assert!(longest < Some(2 * crate::limits::MERGED_BYTES_MAX), "{longest:?}");
    hub.receive(mail(&hub, "nobody is there", run(10)));
    leave(&mut hub, edge);
    assert_eq!(hub.undelivered, 0);
}

pub(super) fn run(payload: &[u8]) -> Arc<Encoded> {
    let mut frames = Encoded::default();
    frames.push(Kind::Binary, payload);
    Arc::new(frames)
}

/// The numbers that the messages of a run are which somebody gets.
pub(super) fn numbers_for(frames: &Encoded, who: SubscriberId) -> Vec<u32> {
    let excepts = frames.excepts_of(who);
    let mut parts: Vec<&[u8]> = excepts.clone().map(|it| frames.before_except(it)).collect();
    let behind = excepts.last().map(|it| frames.behind_except(it));
    parts.push(behind.unwrap_or_else(|| frames.bytes(Form::Plain)));
    let numbers = parts.into_iter().flat_map(|part| part.chunks(6)).map(|frame| {
        let number = frame[2..].try_into().expect("a frame is two bytes and a number");
        u32::from_be_bytes(number)
    });
    numbers.collect()
}

/// Who joins a worker that had members before gets no mail that was under way to those: of what
/// was published behind it nothing was sent here.
#[test]
fn mail_for_those_who_have_left_is_not_for_those_who_have_come() {
    let mut hub = hub();
    let other = join(&mut hub, "a", 1, 0);
    let (topic, _) = hub.interest.join("a", WorkerId(1));
    let seal = |number: u8| {
        let arrivals = topic.arrivals();
        Sealed { topic: Arc::clone(&topic), arrivals, since: 0, frames: run(&[number]) }
    };
    let under_way = seal(1);
    leave(&mut hub, other);
    assert_eq!(topic.others(WorkerId(1)).next(), None, "the next one is not sent");
    let newcomer = join(&mut hub, "a", 2, 0);
    hub.receive(under_way);
    assert!(!hub.has_due());
    hub.receive(seal(3));
    assert!(hub.has_due());
    assert_eq!(hub.at(hub.room_of(newcomer)).waiting().count(), 1);
    leave(&mut hub, newcomer);
    assert_eq!(hub.undelivered, 0);
}

/// The same where the last of all had left, so that the topic is another one.
#[test]
fn mail_of_a_topic_that_has_died_is_not_for_those_who_have_come() {
    let mut hub = hub();
    let other = join(&mut hub, "a", 1, 0);
    let old = mail(&hub, "a", run(b"1"));
    leave(&mut hub, other);
    join(&mut hub, "a", 2, 0);
    hub.receive(old);
    assert!(!hub.has_due());
}

#[test]
fn members_that_get_compressed_messages_are_counted_on_all_workers() {
    let interest = Arc::new(Interest::new(2));
    let [mut one, mut two] = [0, 1].map(|worker| Hub::new(Arc::clone(&interest), WorkerId(worker)));
    let plain = join(&mut one, "a", 1, 0);
    let (topic, _) = interest.join("b", WorkerId(0));
    let deflating = [join(&mut two, "a", 1, 15), join(&mut two, "a", 2, 9)];
    one.publish(plain, Kind::Text, b"1");
    let sealed = one.seal(one.room_of(plain)).expect("something was published");
    assert!(sealed.topic.is_deflating() && !topic.is_deflating());
    leave(&mut two, deflating[0]);
    assert!(sealed.topic.is_deflating());
    leave(&mut two, deflating[1]);
    assert!(!sealed.topic.is_deflating());
}

#[test]
fn a_room_is_full_until_what_has_gathered_is_on_its_way() {
    let mut hub = hub();
    let places = [join(&mut hub, "a", 1, 0), join(&mut hub, "a", 2, 0)];
    let room = hub.room_of(places[0]);
    let quarter = vec![0; GATHERED / 4];
    (0..3).for_each(|_| hub.publish(places[0], Kind::Binary, &quarter));
    assert!(!hub.is_full(room));
    hub.publish(places[0], Kind::Binary, &quarter);
    assert_eq!(hub.room_of(places[1]), room);
    assert!(hub.is_full(room) && !hub.is_behind());
    hub.seal(room);
    hub.begin(room);
    assert!(!hub.is_full(room), "it is on its way");
    hub.publish(places[0], Kind::Binary, &quarter);
    assert!(hub.is_full(room), "less may gather behind a delivery");
    hub.advance(room, 2);
    assert!(!hub.is_full(room));
}

const GATHERED: usize = crate::limits::GATHERED_BYTES_MAX;

/// Numbers from a seed (splitmix64).
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A hub, and what each member got.
struct World {
    hub: Hub,
    rng: Rng,
    members: BTreeMap<u32, Heard>,
    next_conn: u32,
    next_message: u32,
    batch_delay: Duration,
}

struct Heard {
    edge: EdgeId,
    /// The last message that it must not have, and those that it has got.
    after: u32,
    messages: Vec<u32>,
}

impl World {
    fn step(&mut self) {
        match self.rng.below(8) {
            0 if self.members.len() < 12 => self.join(),
            1 => self.leave(),
            2 => self.publish(),
            3 => self.receive(),
            4 => self.bring_forward(),
            _ => self.deliver(),
        }
        self.hub.rooms.iter().for_each(|(_, room)| {
            assert!(
                room.standing != Standing::Nowhere || !(room.is_under_way() || room.has_gathered())
            );
        });
    }

    fn any(&mut self) -> Option<u32> {
        let at = self.rng.below(self.members.len().max(1));
        self.members.keys().nth(at).copied()
    }

    fn join(&mut self) {
        let edge = join(&mut self.hub, "a", self.next_conn, 0);
        let delivery = Delivery { batch_delay: self.batch_delay, ..Delivery::default() };
        let rules = Rules { options: 1, protocol: 0, delivery, backlog: 1 << 20 };
        self.hub.set_rules(self.hub.room_of(edge), rules);
        // Who joins gets whatever begins from here on: at least all that is published from now on.
        let heard = Heard { edge, after: self.next_message, messages: Vec::new() };
        self.members.insert(self.next_conn, heard);
        self.next_conn += 1;
    }

    fn leave(&mut self) {
        let Some(member) = self.any() else { return };
        let Heard { edge, .. } = self.members.remove(&member).expect("it was found");
        if self.members.is_empty() {
            self.hub.seal(self.hub.room_of(edge));
        }
        leave(&mut self.hub, edge);
    }

    fn publish(&mut self) {
        let Some(member) = self.any() else { return };
        let payload = self.next_message.to_be_bytes();
        self.hub.publish(self.members[&member].edge, Kind::Binary, &payload);
        self.next_message += 1;
    }

    fn receive(&mut self) {
        let mut frames = Encoded::default();
        frames.push(Kind::Binary, &self.next_message.to_be_bytes());
        self.hub.receive(mail(&self.hub, "a", Arc::new(frames)));
        self.next_message += 1;
    }

    fn deliver(&mut self) {
        self.hub.queue.begin_turn();
        while let Some(room) = self.hub.queue.next_unposted(&self.hub.rooms) {
            // Some of it is on its way to others before it is due.
            if self.rng.below(2) == 0 {
                self.hub.seal(room);
            }
        }
        if self.rng.below(3) == 0 {
            self.hub.queue.release(|| u64::MAX, &mut self.hub.rooms);
        }
        let Some(room) = self.hub.next_due() else { return };
        if !self.hub.at(room).is_under_way() {
            self.hub.seal(room);
            self.hub.begin(room);
        }
        let (runs, slice) = self.hub.slice(room, 3 * 4200);
        let count = slice.len();
        let (runs, slice) = (runs.to_vec(), slice.to_vec());
        slice.iter().for_each(|member| self.hear(member.slot, &runs));
        if count > 0 {
            self.hub.advance(room, count);
        }
        self.hub.requeue(room);
    }

    fn bring_forward(&mut self) {
        let Some(member) = self.any() else { return };
        let runs = self.hub.pass(self.members[&member].edge);
        self.hear(member, &runs);
    }

    fn hear(&mut self, member: u32, runs: &[Arc<Encoded>]) {
        let heard = self.members.get_mut(&member).expect("members are there");
        let conn = ConnId { index: member, generation: 0 };
        let who = SubscriberId { worker: WorkerId(0), conn };
        heard.messages.extend(runs.iter().flat_map(|frames| numbers_for(frames, who)));
    }

    /// All that is due is delivered, and each member has everything since it joined, once.
    fn check(mut self) {
        while self.hub.has_due() || self.hub.queue.next_batch().is_some() {
            self.deliver();
        }
        assert_eq!(self.hub.undelivered, 0);
        for heard in self.members.values() {
            let mut messages = heard.messages.clone();
            messages.sort_unstable();
            let before = messages.partition_point(|message| *message < heard.after);
            let expected: Vec<u32> = (heard.after..self.next_message).collect();
            assert_eq!(messages[before..], expected);
            let mut once = messages.clone();
            once.dedup();
            assert_eq!(once, messages, "nothing comes twice");
        }
    }
}

#[test]
fn everybody_gets_everything_once_whoever_comes_and_goes_in_the_middle() {
    for seed in 0..500 {
        let (hub, rng) = (hub(), Rng(seed));
        let (members, next_conn, next_message) = (BTreeMap::new(), 0, 0);
        let batch_delay = Duration::from_millis(seed % 4);
        let mut world = World { hub, rng, members, next_conn, next_message, batch_delay };
        (0..400).for_each(|_| world.step());
        world.check();
    }
}
