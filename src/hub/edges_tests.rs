//! Many subscriptions of each connection, against sets of pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::interest::Interest;
use super::tests::{Rng, numbers_for, run};
use super::{EdgeId, Hub, Sealed};
use crate::id::{ConnId, SubscriberId, WorkerId};
use crate::wire::Kind;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const SLOTS: usize = 6;

fn hub() -> Hub {
    Hub::new(Arc::new(Interest::new(2)), WorkerId(0))
}

/// What a subscriber of a topic heard there since it joined.
#[derive(Default)]
struct Heard {
    /// The first message that it must have.
    from: u32,
    messages: Vec<u32>,
}

/// A hub and its connections, and who should be where.
struct World {
    hub: Hub,
    rng: Rng,
    heads: [EdgeId; SLOTS],
    /// By slot and name.
    heard: BTreeMap<(usize, usize), Heard>,
    /// Messages of each topic.
    published: [u32; NAMES.len()],
    /// By slot, name and number: what somebody has published for the others only.
    own: BTreeSet<(usize, usize, u32)>,
}

fn subscriber(slot: usize) -> SubscriberId {
    let conn = ConnId { index: slot as u32, generation: 0 };
    SubscriberId { worker: WorkerId(0), conn }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            hub: hub(),
            rng: Rng(seed),
            heads: [EdgeId::NONE; SLOTS],
            heard: BTreeMap::new(),
            published: [0; NAMES.len()],
            own: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        let pair = (self.rng.below(SLOTS), self.rng.below(NAMES.len()));
        match self.rng.below(8) {
            0 | 1 => self.join(pair),
            2 => self.leave(pair),
            3 => self.publish(pair),
            4 => self.receive(pair.1),
            5 => self.bring_forward(pair),
            _ => self.deliver(),
        }
        self.check_edges();
        let head = self.heads[pair.0];
        assert_eq!(self.hub.count(pair.0 as u32, head), self.hub.edges(head).count());
    }

    fn edge(&self, (slot, name): (usize, usize)) -> Option<EdgeId> {
        self.hub.find(self.heads[slot], NAMES[name])
    }

    fn join(&mut self, pair: (usize, usize)) {
        let (slot, name) = pair;
        let known = self.edge(pair);
        let window_bits = if slot.is_multiple_of(2) { 15 } else { 0 };
        let head = &mut self.heads[slot];
        let edge = self.hub.join(NAMES[name], slot as u32, window_bits, head);
        assert_eq!(edge, known.unwrap_or(edge), "nobody joins twice");
        let from = self.published[name];
        self.heard.entry(pair).or_insert(Heard { from, messages: Vec::new() });
    }

    fn leave(&mut self, pair: (usize, usize)) {
        let Some(edge) = self.edge(pair) else { return };
        let room = self.hub.room_of(edge);
        if self.hub.at(room).members() == 1 {
            self.hub.seal(room);
        }
        self.hub.leave(edge, &mut self.heads[pair.0]);
        self.check(pair, false);
        self.heard.remove(&pair);
    }

    fn publish(&mut self, pair: (usize, usize)) {
        let Some(edge) = self.edge(pair) else { return };
        let number = self.published[pair.1];
        if self.rng.below(2) == 0 {
            let conn = subscriber(pair.0).conn;
            self.hub.publish_to_others(edge, conn, Kind::Binary, &number.to_be_bytes());
            self.own.insert((pair.0, pair.1, number));
        } else {
            self.hub.publish(edge, Kind::Binary, &number.to_be_bytes());
        }
        self.published[pair.1] += 1;
    }

    fn receive(&mut self, name: usize) {
        let number = self.published[name];
        let (topic, arrivals) = self.hub.interest.join(NAMES[name], WorkerId(1));
        self.hub.interest.leave(&topic, WorkerId(1));
        let frames = run(&number.to_be_bytes());
        self.hub.receive(Sealed { topic, arrivals, since: 0, frames });
        self.published[name] += 1;
    }

    fn bring_forward(&mut self, pair: (usize, usize)) {
        let Some(edge) = self.edge(pair) else { return };
        for frames in self.hub.pass(edge) {
            let heard = self.heard.get_mut(&pair).expect("it has joined");
            heard.messages.extend(numbers_for(&frames, subscriber(pair.0)));
        }
    }

    fn deliver(&mut self) {
        self.hub.queue.begin_turn(0);
        let Some(room) = self.hub.next_due() else { return };
        if !self.hub.at(room).is_under_way() {
            self.hub.seal(room);
            self.hub.begin(room);
        }
        let name = self.hub.rooms[room.0 as usize].topic.name();
        let name = NAMES.iter().position(|known| *known == name).expect("it is one of them");
        let (runs, members) = self.hub.slice(room, 2 * 4200);
        for member in members {
            let pair = (member.slot as usize, name);
            let has_window = self.hub.window_bits(*member) > 0;
            assert_eq!(has_window, member.slot.is_multiple_of(2));
            assert!(!has_window || self.hub.at(room).has_forms());
            let heard = self.heard.get_mut(&pair).expect("members have joined");
            let who = subscriber(pair.0);
            heard.messages.extend(runs.iter().flat_map(|frames| numbers_for(frames, who)));
        }
        let count = members.len();
        if count > 0 {
            self.hub.advance(room, count);
        }
        self.hub.requeue(room);
    }

    /// Edges, chains and members say the same as the pairs.
    fn check_edges(&self) {
        let mut pairs = BTreeSet::new();
        for slot in 0..SLOTS {
            for edge in self.hub.edges(self.heads[slot]) {
                let member = self.hub.member(edge);
                assert_eq!((member.slot as usize, member.edge), (slot, edge));
                let topic = &self.hub.rooms[self.hub.room_of(edge).0 as usize].topic;
                assert_eq!(self.hub.find(self.heads[slot], topic.name()), Some(edge));
                let name = NAMES.iter().position(|name| *name == topic.name());
                assert!(pairs.insert((slot, name.expect("it is one of them"))), "twice");
            }
        }
        assert!(pairs.iter().eq(self.heard.keys()));
        let members: usize = self.hub.rooms.iter().map(|(_, room)| room.members.len()).sum();
        assert_eq!((members, self.hub.edges.len()), (pairs.len(), pairs.len()));
    }

    /// What a subscriber heard is each message once but its own for others, and all since it joined
    /// if it stays until the end.
    fn check(&self, pair: (usize, usize), is_end: bool) {
        let Heard { from, messages } = &self.heard[&pair];
        let once: BTreeSet<u32> = messages.iter().copied().collect();
        assert_eq!(once.len(), messages.len(), "nothing comes twice");
        let is_own = |number: u32| self.own.contains(&(pair.0, pair.1, number));
        assert!(!once.iter().any(|number| is_own(*number)), "it is for the others");
        let missing = |number: &u32| !once.contains(number) && !is_own(*number);
        let mut owed = *from..self.published[pair.1];
        assert!(!is_end || owed.find(missing).is_none(), "{pair:?} misses some");
    }
}

#[test]
fn connections_of_many_topics_get_everything_once() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        (0..400).for_each(|_| world.step());
        while world.hub.has_due() {
            world.deliver();
        }
        assert_eq!(world.hub.undelivered, 0);
        let pairs: Vec<_> = world.heard.keys().copied().collect();
        pairs.iter().for_each(|pair| world.check(*pair, true));
        pairs.iter().for_each(|pair| world.leave(*pair));
        world.check_edges();
        assert_eq!((world.hub.rooms(), world.hub.edges.len()), (0, 0));
        assert_eq!(world.heads, [EdgeId::NONE; SLOTS]);
    }
}

const MANY: usize = 100_000;

/// A hub where a connection has joined many topics, each of which has another member too.
fn joined() -> (Hub, [EdgeId; 2], Vec<String>) {
    let mut hub = hub();
    let mut heads = [EdgeId::NONE; 2];
    let names: Vec<String> = (0..MANY).map(|number| format!("topic {number}")).collect();
    for name in &names {
        for (slot, head) in heads.iter_mut().enumerate() {
            hub.join(name, slot as u32, 0, head);
        }
    }
    assert_eq!(hub.edges.indexed(), 2 * MANY);
    (hub, heads, names)
}

/// In whatever order, this would take minutes if each leave walked over the others.
#[test]
fn a_connection_joins_and_leaves_very_many_topics_by_name() {
    let in_order: Vec<usize> = (0..MANY).collect();
    let backwards = in_order.iter().rev().copied().collect();
    let across = in_order.iter().map(|at| at * 7919 % MANY).collect();
    for order in [in_order, backwards, across] {
        let (mut hub, mut heads, names) = joined();
        for at in order {
            let edge = hub.find(heads[0], &names[at]).expect("it has joined");
            hub.leave(edge, &mut heads[0]);
            assert_eq!(hub.find(heads[0], &names[at]), None);
        }
        assert_eq!((heads[0], hub.edges(heads[0]).count()), (EdgeId::NONE, 0));
        assert_eq!((hub.edges.len(), hub.edges.indexed()), (MANY, MANY), "the other has stayed");
        assert_eq!(hub.edges(heads[1]).count(), MANY);
        while heads[1] != EdgeId::NONE {
            let head = heads[1];
            hub.leave(head, &mut heads[1]);
        }
        assert_eq!((hub.rooms(), hub.edges.len(), hub.edges.indexed()), (0, 0, 0));
    }
}

#[test]
fn chains_have_an_index_only_while_they_are_long() {
    let mut hub = hub();
    let mut head = EdgeId::NONE;
    let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let indexed = |hub: &mut Hub, head: &mut EdgeId, name: &str| {
        match hub.find(*head, name) {
            Some(edge) => hub.leave(edge, head),
            None => {
                hub.join(name, 7, 0, head);
            }
        }
        hub.edges.indexed()
    };
    let grown: Vec<usize> = names.iter().map(|name| indexed(&mut hub, &mut head, name)).collect();
    assert_eq!((grown[31], grown[32], grown[39]), (0, 33, 40));
    let left: Vec<usize> = names.iter().map(|name| indexed(&mut hub, &mut head, name)).collect();
    assert_eq!((left[0], left[22], left[23], left[39]), (39, 17, 0, 0));
}

/// Entries that are free in the middle are used again, those at the end are given back.
#[test]
fn what_more_edges_needed_is_given_back() {
    let mut hub = hub();
    let mut heads = [EdgeId::NONE; 1000];
    for (slot, head) in heads.iter_mut().enumerate() {
        hub.join("a", slot as u32, 0, head);
    }
    let mut leave = |slot: usize| hub.leave(heads[slot], &mut { heads[slot] });
    (100..1000).for_each(&mut leave);
    (0..100).step_by(2).for_each(&mut leave);
    hub.trim_tables();
    assert_eq!((hub.edges.len(), hub.edges.room()), (50, 100));
    for slot in 0..50 {
        hub.join("a", 2 * slot, 0, &mut { EdgeId::NONE });
    }
    assert_eq!((hub.edges.len(), hub.edges.room()), (100, 100));
}
