//! What the connections of the script were told to do and have done.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use throng::config::{Delivery, Policy};

use super::TOPICS;
use super::op::Op;
use crate::faults::Fault;

/// The ledger, as all have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pad(Arc<Mutex<Ledger>>);

impl Pad {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().expect("nobody panics with it")
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The time that has passed.
    pub(crate) now: Duration,
    pub(crate) fault: Fault,
    /// How each topic comes to its subscribers.
    pub(crate) deliveries: [Delivery; TOPICS as usize],
    /// What each message of each client has the protocol do.
    pub(crate) scripts: HashMap<(u32, u32), Vec<Op>>,
    /// By the number of the client.
    pub(crate) records: BTreeMap<u32, Record>,
    /// By topic and publisher.
    published: BTreeMap<(u8, u32), Published>,
    /// How often what has happened.
    pub(crate) tally: BTreeMap<String, u64>,
    /// What the protocol has found wrong.
    pub(crate) broken: Vec<String>,
}

/// What one connection has done.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) worker: usize,
    /// Replies.
    pub(crate) said: u32,
    /// Messages.
    pub(crate) handled: u32,
    /// Its questions.
    pub(crate) questions: Vec<Asked>,
    /// How many of these have had their answer.
    pub(crate) told: usize,
    pub(crate) is_parked: bool,
    /// When it wants to be called.
    pub(crate) due: Option<Duration>,
    pub(crate) topics: Vec<u8>,
    /// Each change of a subscription.
    pub(crate) changes: Vec<Change>,
    /// What had been published in its topics when it closed the connection.
    pub(crate) closing: Option<Vec<Change>>,
    /// Numbers of what it has published to whoever its head is of.
    pub(crate) to_head: u32,
}

/// What became of a question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open,
    Answered,
    /// Nobody has answered, as it was told after so long.
    Nobody(Duration),
}

/// A connection has come to a topic or left it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) topic: u8,
    /// How much each had published in it.
    pub(crate) published: BTreeMap<u32, Published>,
}

/// What a connection has published in a topic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Published {
    /// Messages.
    pub(crate) all: u32,
    /// Of these, what comes back to itself.
    pub(crate) own: u32,
}

impl Published {
    /// As many of them as one is to get.
    pub(crate) fn for_client(self, is_own: bool) -> u32 {
        if is_own { self.own } else { self.all }
    }
}

impl Ledger {
    /// Counts a message in a topic; gives what came before it.
    pub(crate) fn publish(&mut self, topic: u8, id: u32, to_others: bool) -> Published {
        let entry = self.published.entry((topic, id)).or_default();
        let before = *entry;
        entry.all += 1;
        entry.own += u32::from(!to_others);
        before
    }

    /// What was published in a topic.
    pub(crate) fn published(&self, topic: u8) -> BTreeMap<u32, Published> {
        let entries = self.published.range((topic, 0)..=(topic, u32::MAX));
        entries.map(|((_, id), published)| (*id, *published)).collect()
    }

    /// Whether something of it may be dropped.
    pub(crate) fn is_lossy(&self, topic: u8) -> bool {
        self.deliveries[usize::from(topic)].policy != Policy::Disconnect
    }

    pub(crate) fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn change(&self, topic: u8) -> Change {
        Change { topic, published: self.published(topic) }
    }

    pub(crate) fn record(&mut self, id: u32) -> &mut Record {
        self.records.entry(id).or_default()
    }
}

impl Record {
    /// Whether anything has still to come by itself.
    pub(crate) fn waits(&self) -> bool {
        self.told < self.questions.len() || self.due.is_some()
    }
}
