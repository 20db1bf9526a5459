//! The client's side of a script: what it gets is what the ledger says, in its order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use throng::driver::sim::Rng;

use super::ledger::{Change, Ledger, Outcome, Pad, Published, Record};
use super::op;

/// See the module.
#[derive(Debug)]
pub(crate) struct Actor {
    id: u32,
    worker: usize,
    pad: Pad,
    /// The next reply.
    serial: u32,
    /// The next change of its subscriptions.
    changes: usize,
    /// What it is subscribed to.
    topics: BTreeMap<u8, Subscription>,
    /// The next message of each publisher in each topic.
    next: BTreeMap<(u8, u32), u32>,
    /// The last message of each topic: its publisher, and how many that had published before.
    last: BTreeMap<u8, (u32, u32)>,
    /// What came because it was the head of somebody's topics.
    by_head: BTreeSet<(u32, u32)>,
}

#[derive(Debug)]
struct Subscription {
    /// What had been published before.
    before: BTreeMap<u32, Published>,
    /// Whom it has heard since.
    heard: BTreeSet<u32>,
}

/// A message with as much behind it that it is that long.
pub(super) fn with_filler(head: &str, length: usize) -> String {
    let mut text = format!("{head} {length}|");
    for at in 0..length {
        let _ = text.write_char(char::from(b'a' + ((at * 7 + length) % 26) as u8));
    }
    text
}

/// The words of a message, if it is whole.
fn words(payload: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(payload).ok()?;
    let (head, _) = text.split_once('|')?;
    let (head, length) = head.rsplit_once(' ')?;
    let is_whole = text == with_filler(head, length.parse().ok()?);
    is_whole.then(|| head.split(' ').collect())
}

impl Actor {
    pub(crate) fn new(id: u32, worker: usize, pad: Pad) -> Self {
        pad.ledger().record(id).worker = worker;
        Self {
            id,
            worker,
            pad,
            serial: 0,
            changes: 0,
            topics: BTreeMap::new(),
            next: BTreeMap::new(),
            last: BTreeMap::new(),
            by_head: BTreeSet::new(),
        }
    }

    /// Decides what a message is to bring about.
    pub(crate) fn invent(&self, number: u32, rng: &mut Rng) {
        let ops = op::invent(rng);
        self.pad.ledger().scripts.insert((self.id, number), ops);
    }

    /// Looks at a message that has come; says whether it was published.
    pub(crate) fn check(&mut self, payload: &[u8]) -> Result<bool, String> {
        let words = words(payload).ok_or_else(|| self.wrong("damage", payload))?;
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
        let (Some(who), Some(first)) = (number(1), number(2)) else {
            return Err(self.wrong("no message", &words));
        };
        let is_to_others = words.last() == Some(&"true");
        let is_published = matches!(words[0], "head" | "pub");
        let result = match words[0] {
            "head" => self.check_head(who, first, is_to_others),
            "pub" => {
                let (all, own) = (number(3), number(4));
                let (Some(all), Some(own)) = (all, own) else {
                    return Err(self.wrong("no publication", &words));
                };
                self.check_publication(who, first as u8, Published { all, own }, is_to_others)
            }
            what => {
                self.check_reply(who, first)?;
                match (what, number(3)) {
                    ("joined", Some(topic)) => self.join(topic as u8),
                    ("left", Some(topic)) => self.leave(topic as u8),
                    _ => Ok(()),
                }
            }
        };
        result.map(|()| is_published)
    }

    fn wrong(&self, what: &str, how: impl std::fmt::Debug) -> String {
        format!("actor {}: {what}: {how:?}", self.id)
    }

    fn check_reply(&mut self, who: u32, serial: u32) -> Result<(), String> {
        if who != self.id {
            return Err(self.wrong("a reply of another", who));
        }
        if serial != self.serial {
            return Err(self.wrong("a reply out of order", (serial, self.serial)));
        }
        self.serial += 1;
        Ok(())
    }

    fn check_head(&mut self, who: u32, number: u32, to_others: bool) -> Result<(), String> {
        let is_its_own = to_others && who == self.id;
        if is_its_own || self.topics.is_empty() {
            return Err(self.wrong("a publication for others", (who, number)));
        }
        let is_new = self.by_head.insert((who, number));
        if is_new { Ok(()) } else { Err(self.wrong("twice", (who, number))) }
    }

    fn check_publication(
        &mut self,
        who: u32,
        topic: u8,
        place: Published,
        to_others: bool,
    ) -> Result<(), String> {
        let is_own = who == self.id;
        let number = place.for_client(is_own);
        let is_lossy = self.pad.ledger().is_lossy(topic);
        let next = self.next.get(&(topic, who)).copied();
        let Some(subscription) = self.topics.get_mut(&topic) else {
            return Err(self.wrong("a publication of no topic of its own", (topic, who, number)));
        };
        if is_own && to_others {
            return Err(self.wrong("its own that is for others", (topic, number)));
        }
        let is_first = subscription.heard.insert(who);
        let before = published(&subscription.before, who).for_client(is_own);
        let next = next.unwrap_or(0);
        let is_next = match is_first {
            _ if is_lossy => next <= number,
            true => next <= number && number <= before,
            false => next == number,
        };
        if !is_next {
            let how = (topic, who, number, next, is_first.then_some(before));
            return Err(self.wrong("a publication out of order", how));
        }
        self.next.insert((topic, who), number + 1);
        self.last.insert(topic, (who, place.all));
        Ok(())
    }

    fn change(&mut self) -> Change {
        self.changes += 1;
        self.pad.ledger().records[&self.id].changes[self.changes - 1].clone()
    }

    fn join(&mut self, topic: u8) -> Result<(), String> {
        let change = self.change();
        let subscription = Subscription { before: change.published, heard: BTreeSet::new() };
        match self.topics.insert(topic, subscription) {
            None if change.topic == topic => Ok(()),
            _ => Err(self.wrong("joins twice", topic)),
        }
    }

    fn leave(&mut self, topic: u8) -> Result<(), String> {
        let change = self.change();
        self.check_whole(&change, true)?;
        self.last.remove(&topic);
        match self.topics.remove(&topic) {
            Some(_) if change.topic == topic => Ok(()),
            _ => Err(self.wrong("leaves what it has not joined", topic)),
        }
    }

    /// Whether all has come that was published since it came to a topic: by those of its own worker
    /// only if so.
    fn check_whole(&self, change: &Change, is_own_worker: bool) -> Result<(), String> {
        let topic = change.topic;
        let Some(subscription) = self.topics.get(&topic) else {
            return Err(self.wrong("it has not joined", topic));
        };
        if self.pad.ledger().is_lossy(topic) {
            return if is_own_worker { Ok(()) } else { self.check_newest(change, subscription) };
        }
        for (who, published_by) in &change.published {
            let worker = self.pad.ledger().record(*who).worker;
            if is_own_worker && worker != self.worker {
                continue;
            }
            let is_own = *who == self.id;
            let all = published_by.for_client(is_own);
            let before = published(&subscription.before, *who).for_client(is_own);
            let next = self.next.get(&(topic, *who)).copied().unwrap_or(0);
            if all > before && next != all {
                return Err(self.wrong("heard up to", (topic, *who, next, all)));
            }
        }
        Ok(())
    }

    /// Whether the newest of a topic has come, of which the older may not: all that it knows of
    /// others is that it is the last of its publisher.
    fn check_newest(&self, change: &Change, subscription: &Subscription) -> Result<(), String> {
        let topic = change.topic;
        let count = |all: &BTreeMap<u32, Published>, who: u32| {
            published(all, who).for_client(who == self.id)
        };
        let is_missing = |who: u32| match self.last.get(&topic) {
            Some((last, _)) if *last == who => {
                self.next.get(&(topic, who)) != Some(&count(&change.published, who))
            }
            Some(_) => false,
            None => count(&change.published, who) > count(&subscription.before, who),
        };
        match change.published.keys().find(|who| is_missing(**who)) {
            Some(who) => Err(self.wrong("the newest is missing", (topic, who))),
            None => Ok(()),
        }
    }

    /// A close frame comes behind all that was said before.
    pub(crate) fn check_close(&self) -> Result<(), String> {
        let (said, closing) = {
            let mut ledger = self.pad.ledger();
            let record = ledger.record(self.id);
            (record.said, record.closing.clone())
        };
        if said != self.serial {
            return Err(self.wrong("a close frame before replies", (said, self.serial)));
        }
        closing.iter().flatten().try_for_each(|change| self.check_whole(change, true))
    }

    /// The last message of a topic of which something may be dropped.
    pub(crate) fn last_of(&self, topic: u8) -> Option<(u32, u32)> {
        let is_lossy = self.pad.ledger().is_lossy(topic);
        self.last.get(&topic).copied().filter(|_| is_lossy)
    }

    /// Whether it has come to a topic since a message was published there.
    pub(crate) fn came_after(&self, topic: u8, (who, number): (u32, u32)) -> bool {
        let subscription = self.topics.get(&topic);
        subscription.is_some_and(|it| published(&it.before, who).all > number)
    }

    /// Messages that were handled.
    pub(crate) fn handled(&self) -> u32 {
        self.pad.ledger().record(self.id).handled
    }

    /// Whether the script has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.pad.ledger().record(self.id).closing.is_some()
    }

    /// Whether it waits for something that time brings.
    pub(crate) fn waits(&self) -> bool {
        let mut ledger = self.pad.ledger();
        let record = ledger.record(self.id);
        record.closing.is_none() && record.waits()
    }

    /// Nothing moves any more: all has come. `sent` messages were written.
    pub(crate) fn check_at_rest(&self, sent: u32) -> Result<(), String> {
        let ledger = self.pad.ledger();
        let Record { said, handled, is_parked, topics, .. } = &ledger.records[&self.id];
        if *said != self.serial {
            return Err(self.wrong("misses a reply", (said, self.serial)));
        }
        if *handled != sent && !is_parked {
            return Err(self.wrong("messages were not handled", (handled, sent)));
        }
        let mine: BTreeSet<u8> = topics.iter().copied().collect();
        if !mine.iter().eq(self.topics.keys()) {
            return Err(self.wrong("other topics", (mine, &self.topics)));
        }
        let all: Vec<Change> = mine.iter().map(|topic| ledger.change(*topic)).collect();
        drop(ledger);
        all.iter().try_for_each(|change| self.check_whole(change, false))
    }

    /// All that it has asked was answered, and time has brought what it was to bring.
    pub(crate) fn check_done(&self, is_known: impl Fn(u32, Outcome) -> bool) -> Result<(), String> {
        let mut ledger: std::sync::MutexGuard<'_, Ledger> = self.pad.ledger();
        let record = ledger.record(self.id);
        if record.waits() || record.is_parked {
            return Err(self.wrong("waits for ever", record));
        }
        let mut outcomes = (0..).zip(&record.questions);
        match outcomes.find(|(number, asked)| !is_known(*number, asked.outcome)) {
            Some((number, asked)) => Err(self.wrong("a strange answer", (number, asked))),
            None => Ok(()),
        }
    }
}

fn published(all: &BTreeMap<u32, Published>, who: u32) -> Published {
    all.get(&who).copied().unwrap_or_default()
}
