//! Clients that come back after the server has ended them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::seconds::Seconds;
use super::slot;
use crate::clock::nanoseconds;
use crate::engine::{Again, Behaviour, Net};
use crate::measure::histogram::Latencies;

/// How clients come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) honouring: Honouring,
    /// The wait before the first attempt, and at most.
    pub(super) backoff_ns: u64,
    pub(super) backoff_max_ns: u64,
    /// Threads of the crew, by which the numbers of clients go round.
    pub(super) threads: u32,
}

/// Who waits for the time that the server has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Honouring {
    /// All
    True,
    /// Nobody
    False,
    /// Every second one
    Half,
}

/// The clients that honour the slot, and those that do not.
pub(super) const GROUPS: [&str; 2] = ["honouring", "impatient"];

/// What the conducting thread looks at.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Clients that have left once at least.
    pub(super) left: AtomicU64,
}

/// What was found of one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) clients: u64,
    /// Clients that came back.
    pub(super) arrivals: Seconds,
    /// Attempts that were refused, or failed otherwise.
    pub(super) refused: Seconds,
    /// From the end to the next handshake.
    pub(super) away: Latencies,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) groups: [Group; GROUPS.len()],
    pub(super) leaves: Seconds,
    /// Of those that left: by code of the server's close frame; the others had none.
    pub(super) codes: BTreeMap<u16, u64>,
    /// Those that were asked to come back at some time.
    pub(super) with_slot: u64,
    pub(super) first_leave_ns: Option<u64>,
    pub(super) last_leave_ns: Option<u64>,
    pub(super) last_arrival_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    /// When it left; `None` as long as it is there.
    left_ns: Option<u64>,
    has_left_once: bool,
    /// When the server asked it to come back.
    slot_ns: Option<u64>,
    /// Attempts that failed since it left.
    attempts: u32,
}

/// See the module.
pub(super) struct Returning {
    habits: Habits,
    watched: Arc<Watched>,
    /// By number, of this thread's.
    clients: Vec<Client>,
    /// The number of the client at each key.
    ids: Vec<u32>,
    /// When whom to let come back.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    outcome: Outcome,
}

impl Returning {
    pub(super) fn new(habits: Habits, watched: &Arc<Watched>) -> Self {
        Self {
            habits,
            watched: Arc::clone(watched),
            clients: Vec::new(),
            ids: Vec::new(),
            due: BinaryHeap::new(),
            outcome: Outcome::default(),
        }
    }

    fn place(&self, id: u32) -> usize {
        (id / self.habits.threads) as usize
    }

    /// Halves are of a thread's own clients, so that both are on all threads.
    fn honours(&self, id: u32) -> bool {
        match self.habits.honouring {
            Honouring::True => true,
            Honouring::False => false,
            Honouring::Half => self.place(id).is_multiple_of(2),
        }
    }

    fn group(&mut self, id: u32) -> &mut Group {
        let index = usize::from(!self.honours(id));
        &mut self.outcome.groups[index]
    }

    fn client(&mut self, id: u32) -> &mut Client {
        let place = self.place(id);
        if place >= self.clients.len() {
            self.clients.resize(place + 1, Client::default());
        }
        &mut self.clients[place]
    }

    /// When a client without a slot tries next: between half of a wait and all of it, which doubles
    /// with each attempt.
    fn retry_ns(&self, attempts: u32, now_ns: u64) -> u64 {
        let Habits { backoff_ns, backoff_max_ns, .. } = self.habits;
        let wait = backoff_ns.saturating_mul(1 << attempts.min(20)).min(backoff_max_ns);
        now_ns + fastrand::u64(wait / 2..=wait)
    }
}

impl Behaviour for Returning {
    type Order = ();
    type Outcome = Outcome;

    fn opened(&mut self, net: &mut Net, key: usize) {
        let (id, now) = (net.id(key), net.now_ns);
        if key >= self.ids.len() {
            self.ids.resize(key + 1, 0);
        }
        self.ids[key] = id;
        let client = self.client(id);
        (client.attempts, client.slot_ns) = (0, None);
        let Some(left_ns) = client.left_ns.take() else {
            self.group(id).clients += 1;
            return;
        };
        let group = self.group(id);
        group.arrivals.count(now);
        group.away.record(now.saturating_sub(left_ns));
        self.outcome.last_arrival_ns = self.outcome.last_arrival_ns.max(Some(now));
    }

    fn message(&mut self, net: &mut Net, _key: usize, _payload: &[u8]) {
        net.tally.unknown += 1;
    }

    fn closed(&mut self, net: &mut Net, key: usize, code: u16, reason: &[u8]) {
        *self.outcome.codes.entry(code).or_default() += 1;
        let slot = slot::parse(reason).map(|wait| net.now_ns + nanoseconds(wait));
        self.outcome.with_slot += u64::from(slot.is_some());
        self.client(self.ids[key]).slot_ns = slot;
    }

    fn gone(&mut self, net: &mut Net, key: usize) {
        let (id, now) = (self.ids[key], net.clock.now_ns());
        let honours = self.honours(id);
        let client = self.client(id);
        let slot_ns = client.slot_ns.take().filter(|_| honours);
        client.left_ns = Some(now);
        let is_first = !std::mem::replace(&mut client.has_left_once, true);
        self.watched.left.fetch_add(u64::from(is_first), Ordering::AcqRel);
        let outcome = &mut self.outcome;
        outcome.leaves.count(now);
        outcome.first_leave_ns = outcome.first_leave_ns.or(Some(now));
        outcome.last_leave_ns = Some(now);
        let due_ns = slot_ns.unwrap_or_else(|| self.retry_ns(0, now));
        self.due.push(Reverse((due_ns, id)));
    }

    fn failed(&mut self, net: &mut Net, id: u32) {
        let now = net.clock.now_ns();
        let client = self.client(id);
        if client.left_ns.is_none() {
            // It never was there: that is told of before the storm.
            return;
        }
        client.attempts += 1;
        let attempts = client.attempts;
        self.group(id).refused.count(now);
        self.due.push(Reverse((self.retry_ns(attempts, now), id)));
    }

    fn tick(&mut self, net: &mut Net) -> u64 {
        let now = net.clock.now_ns();
        while let Some(Reverse((due_ns, id))) = self.due.peek().copied() {
            if due_ns > now {
                return due_ns;
            }
            self.due.pop();
            match net.begin_again(id) {
                Again::Begun => {}
                Again::Failed => self.failed(net, id),
                Again::Later => {
                    self.due.push(Reverse((due_ns, id)));
                    break;
                }
            }
        }
        u64::MAX
    }

    fn finish(self, _net: &mut Net) -> Outcome {
        self.outcome
    }
}

impl Group {
    fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.arrivals.add(&other.arrivals);
        self.refused.add(&other.refused);
        self.away.add(&other.away);
    }
}

impl Outcome {
    pub(super) fn add(&mut self, other: &Self) {
        self.groups.iter_mut().zip(&other.groups).for_each(|(sum, group)| sum.add(group));
        self.leaves.add(&other.leaves);
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        self.with_slot += other.with_slot;
        let first = [self.first_leave_ns, other.first_leave_ns];
        self.first_leave_ns = first.into_iter().flatten().min();
        self.last_leave_ns = self.last_leave_ns.max(other.last_leave_ns);
        self.last_arrival_ns = self.last_arrival_ns.max(other.last_arrival_ns);
    }
}
