//! Rooms and topics of which something is dropped for who does not keep up, and what a reader has
//! of them.

use std::time::Duration;

use throng::config::{Config, Delivery, Policy, RoomRule, RoomRules};
use throng::driver::sim::Rng;
use throng::protocol::room;
use throng::stats::Counts;

use crate::client::{Client, Manner, ROOMS};
use crate::faults::Fault;
use crate::message::{BINARY, TEXT};
use crate::script::TOPICS;
use crate::world::World;
use crate::{Done, check_seeds, run_world};

/// So many run in CI.
const POLICY_SEEDS: u64 = 100;

/// Of each lane, in bytes of memory: some are less than one message has.
const BACKLOGS: [usize; 4] = [0, 400, 1_500, 4_000];

/// Of what has no bound of its own: replies alone, which have stopped the server from reading
/// before, do not come to it.
const MAX_BACKLOGS: [usize; 3] = [1_500, 4_000, ALL_REPLIES];

/// Nobody sleeps so long.
const HOUR: Duration = Duration::from_secs(3600);

/// More than all replies to one client take.
const ALL_REPLIES: usize = 1 << 20;

/// Messages of a client, of what it sends where nothing is dropped.
const TIMES_AS_MANY: u32 = 3;

/// By a fault, one message in so many is lost.
const LOST_ONE_IN: u64 = 10;

/// What holds on a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    rooms: [Delivery; ROOMS.len()],
    pub(crate) topics: [Delivery; TOPICS as usize],
    max_backlog: usize,
    /// Who publishes in a room gets it too.
    echoes: bool,
    /// Some end their connections, so that what waits for them is lost.
    is_rough: bool,
}

impl Policies {
    pub(crate) fn of(seed: u64, batch_delay: Duration) -> Self {
        let mut rng = Rng::new(seed ^ 0xd209);
        let mut delivery = || {
            let policy = match rng.below(7) {
                0..=2 => Policy::DropOldest,
                3..=5 => Policy::Latest,
                _ => Policy::Disconnect,
            };
            let backlog = Some(BACKLOGS[rng.below(BACKLOGS.len())]);
            Delivery { policy, backlog, batch_delay }
        };
        let rooms = [(); ROOMS.len()].map(|()| delivery());
        let topics = [(); TOPICS as usize].map(|()| delivery());
        let max_backlog = MAX_BACKLOGS[rng.below(MAX_BACKLOGS.len())];
        let (echoes, is_rough) = (!rng.one_in(3), rng.one_in(4));
        Self { rooms, topics, max_backlog, echoes, is_rough }
    }

    pub(crate) fn rooms(&self) -> room::Setup {
        let rule = |(name, delivery): (&u32, &Delivery)| RoomRule {
            matches: name.to_string(),
            echo_to_sender: self.echoes,
            delivery: *delivery,
            ..RoomRule::default()
        };
        let rules = RoomRules::new(ROOMS.iter().zip(&self.rooms).map(rule).collect());
        room::Setup { rules: rules.expect("they are good ones"), ..room::Setup::default() }
    }

    /// Whether nobody can be too slow: all that waits but replies may be dropped, and of those
    /// there is room for all.
    pub(crate) fn close_nobody(&self) -> bool {
        let may_drop = |it: &Delivery| it.policy != Policy::Disconnect;
        self.rooms.iter().chain(&self.topics).all(may_drop) && self.max_backlog == ALL_REPLIES
    }

    /// Who sleeps does not answer pings, and takes nothing.
    pub(crate) fn set(&self, config: &mut Config) {
        config.max_backlog = self.max_backlog;
        config.pong_timeout = Duration::ZERO;
        config.send_timeout = HOUR;
    }

    pub(crate) fn hold_for(&self, client: &mut Client, fault: Fault) {
        if !self.is_rough {
            client.manner = Manner::Polite;
        }
        client.to_send *= TIMES_AS_MANY;
        let rule = client.room.map(|room| self.rooms[room as usize].policy);
        client.reading.is_lossy = rule.is_some_and(|policy| policy != Policy::Disconnect);
        client.reading.has_no_echo = client.room.is_some() && !self.echoes;
        client.reading.fault = fault;
    }
}

/// What a client reads of a room, and when.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Something may be dropped for it.
    pub(crate) is_lossy: bool,
    /// It does not get its own.
    pub(crate) has_no_echo: bool,
    /// It reads nothing for now.
    pub(crate) is_asleep: bool,
    /// Messages that came.
    pub(crate) got: u64,
    /// The sender and the number of the last one.
    pub(crate) last: Option<(u32, u32)>,
    pub(crate) fault: Fault,
    /// Messages that were dropped by a fault, and counted.
    pub(crate) dropped: u64,
}

impl Reading {
    /// Whether this number may come where that one is the next.
    pub(crate) fn follows(&self, next: u32, number: u32) -> bool {
        if self.is_lossy { next <= number } else { next == number }
    }

    /// Whether a pong may come without what it has said before.
    pub(crate) fn may_miss_its_own(&self) -> bool {
        self.is_lossy || self.has_no_echo
    }

    /// Drops of what has come at once what must not be dropped.
    pub(crate) fn spoil(&mut self, frames: &mut Vec<(u8, Vec<u8>)>) {
        let is_message = |(first, _): &(u8, Vec<u8>)| matches!(first & 0x8f, TEXT | BINARY);
        let mut messages = (0..frames.len()).filter(|at| is_message(&frames[*at]));
        let Some(oldest) = messages.next() else { return };
        match (self.fault, messages.next_back()) {
            (Fault::UncountedDrop, _) if self.is_lossy && self.got % LOST_ONE_IN == 1 => {
                frames.remove(oldest);
            }
            (Fault::DroppedNewest, Some(newest)) if self.is_lossy => {
                frames.remove(newest);
                self.dropped += 1;
            }
            _ => {}
        }
    }
}

/// Who does not keep up where something may be dropped misses the oldest of what waits, and nothing
/// is lost that is not counted.
#[test]
fn what_is_dropped_is_old_and_counted() {
    let all = check_seeds(POLICY_SEEDS, |seed| run(seed, Fault::None));
    let sum = |count: fn(&Counts) -> u64| all.iter().map(|(counts, _)| count(counts)).sum::<u64>();
    for (name, count) in [
        ("dropped as the oldest", sum(|c| c.dropped_oldest)),
        ("dropped for the latest", sum(|c| c.dropped_latest)),
        ("deflated", sum(|c| c.messages_deflated)),
        ("slow receivers", sum(|c| c.closed_slow)),
    ] {
        assert!(all.len() == 1 || count > 100, "{name}: {count} only");
    }
}

fn run(seed: u64, fault: Fault) -> Result<Done, String> {
    run_world(World::dropping(seed, fault), seed)
}

fn is_found(fault: Fault, word: &str) -> bool {
    (0..POLICY_SEEDS).filter_map(|seed| run(seed, fault).err()).any(|what| what.contains(word))
}

#[test]
fn a_message_that_is_dropped_and_not_counted_is_found() {
    assert!(is_found(Fault::UncountedDrop, "were delivered"));
}

#[test]
fn the_newest_message_that_is_dropped_is_found() {
    assert!(is_found(Fault::DroppedNewest, "the newest"));
}
