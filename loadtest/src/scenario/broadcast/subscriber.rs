//! The clients of one thread of a broadcast: all receive, and some on the first thread publish.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ledger::{Ledger, MESSAGES_MAX, PHASES};
use super::publisher::{self, Plan, Publisher, Shape};
use crate::engine::{Behaviour, Net};
use crate::measure::histogram::Latencies;
use crate::measure::sequence::{Faults, Sequences};
use crate::stamp::{Stamp, StampReader};

/// What subscribers are told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Publishes; for the first thread.
    Publish(Plan),
}

/// What a subscriber's thread has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) delivered: u64,
    pub(crate) faults: Faults,
    /// Deliveries with other bytes than were sent, which count as delivered too.
    pub(crate) mangled: u64,
    /// Per receiver, by phase.
    pub(crate) latencies: [Latencies; PHASES],
    /// Of each message, to the last receiver; only the first thread has it.
    pub(crate) to_last: [Latencies; PHASES],
}

/// Who is on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Receiver,
    /// A publisher, by its number, which receives too.
    Publisher(u16),
}

/// The clients of one thread.
pub(crate) struct Subscribers {
    ledger: Arc<Ledger>,
    order: publisher::Order,
    publisher: Option<Publisher>,
    roles: Vec<Role>,
    stamps: StampReader,
    /// One for each client and publisher.
    sequences: Sequences,
    /// Receivers in this turn and the last of them, by index modulo the ledger's length.
    turn: Vec<(u64, u64)>,
    /// Indices of messages that came in this turn.
    touched: Vec<u64>,
    /// Whether publishers do not get what they publish.
    is_for_others_only: bool,
    /// Whether messages are posted, so that no client publishes.
    is_posted: bool,
    /// Bytes of a message, if it comes as it was sent: what a template or a post makes of it is not
    /// known.
    size: Option<usize>,
    outcome: Outcome,
}

impl Subscribers {
    /// The first thread publishes.
    pub(crate) fn new(
        ledger: &Arc<Ledger>,
        shape: &Shape,
        is_first: bool,
        for_others: bool,
    ) -> Self {
        let publishers = ledger.publishers() as u64;
        let publisher = is_first.then(|| Publisher::new(Arc::clone(ledger), shape.clone()));
        Self {
            ledger: Arc::clone(ledger),
            order: publisher::Order { publishers, burst: shape.burst },
            publisher,
            roles: Vec::new(),
            stamps: StampReader::default(),
            sequences: Sequences::default(),
            turn: vec![(0, 0); MESSAGES_MAX as usize],
            touched: Vec::new(),
            is_for_others_only: for_others,
            is_posted: shape.http.is_some(),
            size: (shape.http.is_none() && shape.template.is_none()).then_some(shape.size),
            outcome: Outcome::default(),
        }
    }

    /// The role of a new connection: the first ones of the first thread publish.
    fn role(&mut self, key: usize) -> Role {
        let Some(publisher) = &mut self.publisher else { return Role::Receiver };
        if self.is_posted || publisher.keys.len() >= self.ledger.publishers() {
            return Role::Receiver;
        }
        publisher.keys.push(Some(key));
        Role::Publisher(publisher.keys.len() as u16 - 1)
    }

    /// Whether messages of a publisher must come on a connection.
    fn is_due(&self, key: usize, publisher: usize) -> bool {
        match self.roles[key] {
            Role::Receiver => true,
            Role::Publisher(own) => usize::from(own) != publisher || !self.is_for_others_only,
        }
    }

    /// Whether a connection counts among those that every message must reach.
    fn is_counted(&self, key: usize) -> bool {
        match self.roles[key] {
            Role::Receiver => true,
            Role::Publisher(_) => !self.is_for_others_only,
        }
    }

    fn end_sequences(&mut self, key: usize) {
        let publishers = self.ledger.publishers();
        for publisher in 0..publishers {
            if !self.is_due(key, publisher) {
                continue;
            }
            let count = self.ledger.next_number(publisher);
            self.sequences.end(key * publishers + publisher, count);
        }
    }
}

impl Behaviour for Subscribers {
    type Order = Order;
    type Outcome = Outcome;

    fn opened(&mut self, _net: &mut Net, key: usize) {
        if key >= self.roles.len() {
            self.roles.resize(key + 1, Role::Receiver);
        }
        self.roles[key] = self.role(key);
        let publishers = self.ledger.publishers();
        for publisher in 0..publishers {
            let number = self.ledger.next_number(publisher);
            self.sequences.begin(key * publishers + publisher, number);
        }
        if self.is_counted(key) {
            self.ledger.add_receiver();
        }
    }

    fn message(&mut self, net: &mut Net, key: usize, payload: &[u8]) {
        let publishers = self.ledger.publishers();
        let stamp = self.stamps.find(payload);
        let Some(stamp) = stamp.filter(|stamp| (stamp.sender as usize) < publishers) else {
            net.tally.unknown += 1;
            return;
        };
        let publisher = stamp.sender as usize;
        if !self.is_due(key, publisher) {
            net.tally.unknown += 1;
            return;
        }
        if !self.sequences.take(key * publishers + publisher, stamp.number) {
            return;
        }
        self.outcome.delivered += 1;
        let is_whole = self.size.is_none_or(|size| Stamp::is_whole(payload, size));
        self.outcome.mangled += u64::from(!is_whole);
        let phase = self.ledger.phase.load(Ordering::Relaxed);
        if let Some(latencies) = self.outcome.latencies.get_mut(phase) {
            latencies.record(net.now_ns.saturating_sub(stamp.time_ns));
        }
        let index = self.order.index(publisher, stamp.number);
        let (count, last_ns) = &mut self.turn[(index % MESSAGES_MAX) as usize];
        if *count == 0 {
            self.touched.push(index);
        }
        *count += 1;
        *last_ns = net.now_ns;
    }

    fn gone(&mut self, _net: &mut Net, key: usize) {
        self.end_sequences(key);
        if self.is_counted(key) {
            self.ledger.remove_receiver();
        }
        if let (Role::Publisher(own), Some(publisher)) = (self.roles[key], &mut self.publisher) {
            publisher.keys[usize::from(own)] = None;
        }
    }

    fn order(&mut self, net: &mut Net, order: Order) {
        match order {
            Order::Publish(plan) => {
                let publisher = self.publisher.as_mut().expect("the first thread is told");
                publisher.begin(plan, net.clock.now_ns());
            }
        }
    }

    fn tick(&mut self, net: &mut Net) -> u64 {
        self.publisher.as_mut().map_or(u64::MAX, |publisher| publisher.tick(net))
    }

    fn turn_done(&mut self, net: &mut Net) {
        for index in self.touched.drain(..) {
            let (count, last_ns) = std::mem::take(&mut self.turn[(index % MESSAGES_MAX) as usize]);
            self.ledger.received(index, count, last_ns);
        }
        net.live.messages.store(self.outcome.delivered, Ordering::Relaxed);
    }

    fn finish(mut self, net: &mut Net) -> Outcome {
        for key in net.open_keys() {
            self.end_sequences(key);
        }
        self.outcome.faults = self.sequences.faults;
        if let Some(publisher) = self.publisher {
            self.outcome.to_last = publisher.to_last;
        }
        self.outcome
    }
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.faults.add(other.faults);
        self.mangled += other.mangled;
        for phase in 0..PHASES {
            self.latencies[phase].add(&other.latencies[phase]);
            self.to_last[phase].add(&other.to_last[phase]);
        }
    }
}
