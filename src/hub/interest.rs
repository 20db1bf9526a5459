//! Which workers have members of a topic, so that what is published goes to these and to no other.
//!
//! All workers share one [`Interest`]. A [`TopicEntry`] has a bit for each worker, set while the
//! worker has members. The room of the worker holds the entry; the map of a shard holds it too.
//!
//! **Its life.** The first member of a worker takes the lock of the shard, finds or makes the
//! entry, and sets the bit; the last one takes the lock, clears the bit, and takes the entry out of
//! the map if that was the last bit. So an entry with a bit is in the map, and at most one entry of
//! a name has any. A publisher is a member: the bit of its own worker is set while it reads those
//! of the others, without a lock, and nobody can join another entry of that name meanwhile. Who is
//! no member must look under the lock ([`Interest::find`]).
//!
//! **No message is lost.** A bit is set before the join is acknowledged. What is published because
//! of the acknowledgement, by whatever way it came to the publisher, happens after the bit was set,
//! and a load that happens after a store gives that value or a later one. So bits are relaxed.
//!
//! **No mail of a former life is taken.** When the last member of a worker leaves, mail may be on
//! its way there. The messages behind that mail are not sent to the worker; then somebody joins
//! there, and those that follow are. With the old mail the newcomer would get the beginning and the
//! end, and miss the middle. So each worker that comes counts in `arrivals`, once its bit is set. A
//! publisher reads `arrivals` before it reads the bits, and mail carries what it read: a worker
//! throws away what says less than its own arrival, or is of an entry that has died. A publisher
//! that has seen the arrival (acquire) has seen all that came before (release), the bit among it,
//! and finds it set until the worker leaves. So what a worker takes of a publisher begins somewhere
//! and has no hole.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::config::Policy;
use crate::id::WorkerId;
use crate::wire::Lane;

/// Joins of different topics rarely wait for each other.
const SHARDS: usize = 64;

/// What the names of topics begin with that protocols have for themselves: nobody is told of them,
/// and no room has such a name.
pub const HIDDEN: char = '\u{1}';

/// Topics of all workers. See the module.
#[derive(Debug)]
pub struct Interest {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// How many workers there are.
    workers: usize,
    /// Entries that are not [`HIDDEN`]: who looks at it without a lock may be a moment late.
    count: AtomicU64,
    /// What [`Interest::micros`] counts from.
    began: OnceLock<Instant>,
}

type Shard = HashSet<ByName>;

/// A topic that somebody subscribes to, on whatever worker.
#[derive(Debug)]
pub struct TopicEntry {
    name: Box<str>,
    workers: Bits,
    /// Times that a worker has come; wraps.
    arrivals: AtomicU32,
    /// Members that get compressed messages.
    deflating: AtomicU32,
    /// Members of all workers.
    members: AtomicU32,
    /// The latest fan-out: when it was published, in the upper half, and how long it took.
    fanout: AtomicU64,
    /// What may be done with its runs where they wait, once that was another thing than the
    /// default.
    lane: OnceLock<Arc<Lane>>,
}

/// What is told of a topic to those outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Subscribers on all workers.
    pub members: u32,
    /// Microseconds from the latest publish until the sends of all members were handed to the
    /// kernel, but for those who did not keep up; nothing before the first.
    pub fanout_micros: Option<u32>,
    /// Messages that were dropped for subscribers that did not keep up, of each so many.
    pub dropped: u64,
}

/// One for each worker: nearly always a word, which is no larger than the list.
#[derive(Debug)]
enum Bits {
    Word(AtomicU64),
    Words(Box<[AtomicU64]>),
}

const WORD_BITS: usize = u64::BITS as usize;

/// An entry that is found by its name.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Arc<TopicEntry>);

impl Interest {
    /// Of so many workers, none of which has members.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect();
        let (hasher, count) = (RandomState::new(), AtomicU64::new(0));
        Self { shards, hasher, workers, count, began: OnceLock::new() }
    }

    /// The first member of a topic comes to a worker, which gets what is published from here on;
    /// gives the number of its arrival too.
    pub fn join(&self, name: &str, worker: WorkerId) -> (Arc<TopicEntry>, u32) {
        assert!(worker.index() < self.workers, "there is such a worker");
        let mut shard = self.shard(name);
        let known = shard.get(name).map(|ByName(topic)| Arc::clone(topic));
        let topic = known.unwrap_or_else(|| {
            let topic = Arc::new(TopicEntry::new(name, self.workers));
            shard.insert(ByName(Arc::clone(&topic)));
            self.count.fetch_add(u64::from(!name.starts_with(HIDDEN)), Ordering::Relaxed);
            topic
        });
        topic.workers.set(worker);
        let arrival = topic.arrivals.fetch_add(1, Ordering::Release).wrapping_add(1);
        (topic, arrival)
    }

    /// The last member has left a worker.
    ///
    /// # Panics
    ///
    /// If the worker has not joined.
    pub fn leave(&self, topic: &TopicEntry, worker: WorkerId) {
        let mut shard = self.shard(&topic.name);
        topic.workers.clear(worker);
        if topic.workers.is_empty() {
            let was_there = shard.remove(&*topic.name);
            assert!(was_there, "an entry with a bit is in the map");
            self.count.fetch_sub(u64::from(!topic.name.starts_with(HIDDEN)), Ordering::Relaxed);
            if shard.capacity() / 4 > shard.len() || shard.is_empty() {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
    }

    /// A topic that has members, the arrivals to it so far and the workers that have them: for who
    /// publishes and is no member.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(Arc<TopicEntry>, u32, Vec<WorkerId>)> {
        let shard = self.shard(name);
        let ByName(topic) = shard.get(name)?;
        Some((Arc::clone(topic), topic.arrivals(), topic.workers.iter().collect()))
    }

    /// Whether a topic is there, or may be opened beside so many that are about to be: there may be
    /// so many in all, but for those that are [`HIDDEN`]. Only who is at the bound takes a lock.
    #[must_use]
    pub fn may_enter(&self, name: &str, max: Option<usize>, coming: usize) -> bool {
        let has_room =
            |max| (self.count.load(Ordering::Relaxed) as usize).saturating_add(coming) < max;
        name.starts_with(HIDDEN) || max.is_none_or(has_room) || self.shard(name).contains(name)
    }

    /// What is to be told of a topic that has members.
    #[must_use]
    pub fn info(&self, name: &str) -> Option<TopicInfo> {
        let topic = self.shard(name).get(name).map(|ByName(topic)| Arc::clone(topic))?;
        Some(topic.info())
    }

    /// The same of all that are not [`HIDDEN`], in no order. Each shard is locked for as long as
    /// its entries are copied.
    #[must_use]
    pub fn list(&self) -> Vec<TopicInfo> {
        let copy = |shard: &Mutex<Shard>| -> Vec<Arc<TopicEntry>> {
            let shard = shard.lock().expect("who has it does not panic");
            let shown = shard.iter().filter(|ByName(topic)| !topic.name.starts_with(HIDDEN));
            shown.map(|ByName(topic)| Arc::clone(topic)).collect()
        };
        self.shards.iter().flat_map(copy).map(|topic| topic.info()).collect()
    }

    /// Microseconds from the first moment that anybody has asked of.
    #[must_use]
    pub fn micros(&self, now: Instant) -> u64 {
        let span = now.saturating_duration_since(*self.began.get_or_init(|| now));
        span.as_secs() * 1_000_000 + u64::from(span.subsec_micros())
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(name) as usize % SHARDS;
        self.shards[at].lock().expect("who has it does not panic")
    }
}

impl TopicEntry {
    fn new(name: &str, workers: usize) -> Self {
        Self {
            name: name.into(),
            workers: Bits::new(workers),
            arrivals: AtomicU32::new(0),
            deflating: AtomicU32::new(0),
            members: AtomicU32::new(0),
            fanout: AtomicU64::new(0),
            lane: OnceLock::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Arrivals so far: for who is about to read [`TopicEntry::others`].
    #[must_use]
    pub fn arrivals(&self) -> u32 {
        self.arrivals.load(Ordering::Acquire)
    }

    /// The workers that have members, but for one that has some.
    pub fn others(&self, own: WorkerId) -> impl Iterator<Item = WorkerId> {
        self.workers.iter().filter(move |worker| *worker != own)
    }

    /// Subscribers that do not keep up are treated so from here on.
    pub(super) fn set_lane(&self, policy: Policy, bound: usize) {
        self.lane.get_or_init(|| Arc::new(Lane::new(policy, bound))).set(policy, bound);
    }

    /// As everybody, with this bound.
    pub(super) fn unset_lane(&self, bound: usize) {
        if let Some(lane) = self.lane.get() {
            lane.set(Policy::Disconnect, bound);
        }
    }

    /// That of its runs, if it has, or had, another policy or bound than the default.
    #[must_use]
    #[inline]
    pub fn lane(&self) -> Option<&Arc<Lane>> {
        self.lane.get()
    }

    /// A member comes.
    pub(super) fn join(&self) {
        self.members.fetch_add(1, Ordering::Relaxed);
    }

    /// One goes.
    pub(super) fn leave(&self) {
        self.members.fetch_sub(1, Ordering::Relaxed);
    }

    /// A worker has handed out what was published `since`, in the microseconds of
    /// [`Interest::micros`]. Of a later publish it takes the place of what is known, of the same
    /// one the longest time counts.
    pub fn note_fanout(&self, since: u64, now: u64) {
        let took = now.saturating_sub(since).clamp(1, u64::from(u32::MAX));
        // 128 us for each: it goes round in six days. What is older by more than a minute is not of
        // a delivery that is late, but of the time before it went round.
        const MINUTE: i32 = 60_000_000 >> 7;
        let when = (since >> 7) as u32;
        let noted = u64::from(when) << 32 | took;
        let newer = |known: u64| {
            let behind = when.wrapping_sub((known >> 32) as u32) as i32;
            let is_newer = known == 0 || !(-MINUTE..=0).contains(&behind);
            (is_newer || behind == 0 && noted > known).then_some(noted)
        };
        // Who finds a newer one there has nothing to add.
        let _ = self.fanout.fetch_update(Ordering::Relaxed, Ordering::Relaxed, newer);
    }

    fn info(&self) -> TopicInfo {
        let took = self.fanout.load(Ordering::Relaxed) as u32;
        TopicInfo {
            name: self.name.to_string(),
            members: self.members.load(Ordering::Relaxed),
            fanout_micros: (took > 0).then_some(took),
            dropped: self.lane.get().map_or(0, |lane| lane.dropped()),
        }
    }

    /// A member who gets compressed messages comes.
    pub(super) fn join_deflating(&self) {
        self.deflating.fetch_add(1, Ordering::Relaxed);
    }

    /// One goes.
    pub(super) fn leave_deflating(&self) {
        self.deflating.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether any member gets compressed messages, on whatever worker. Who publishes compresses
    /// before it posts then: members of several workers would have nothing but the plain form
    /// while one of the workers is at it.
    #[must_use]
    pub fn is_deflating(&self) -> bool {
        self.deflating.load(Ordering::Relaxed) > 0
    }
}

impl Bits {
    fn new(workers: usize) -> Self {
        if workers <= WORD_BITS {
            return Self::Word(AtomicU64::new(0));
        }
        Self::Words((0..workers.div_ceil(WORD_BITS)).map(|_| AtomicU64::new(0)).collect())
    }

    fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Word(word) => std::slice::from_ref(word),
            Self::Words(words) => words,
        }
    }

    fn of(&self, worker: WorkerId) -> (&AtomicU64, u64) {
        let at = worker.index();
        (&self.words()[at / WORD_BITS], 1 << (at % WORD_BITS))
    }

    fn set(&self, worker: WorkerId) {
        let (word, bit) = self.of(worker);
        let before = word.fetch_or(bit, Ordering::Relaxed);
        assert!(before & bit == 0, "it is the first member of its worker");
    }

    fn clear(&self, worker: WorkerId) {
        let (word, bit) = self.of(worker);
        let before = word.fetch_and(!bit, Ordering::Relaxed);
        assert!(before & bit != 0, "it is the last member of its worker");
    }

    /// Under the lock, which all have who change a bit.
    fn is_empty(&self) -> bool {
        self.words().iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// Each word is read once.
    fn iter(&self) -> impl Iterator<Item = WorkerId> {
        self.words().iter().enumerate().flat_map(|(at, word)| {
            let mut left = word.load(Ordering::Relaxed);
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                let is_any = left != 0;
                left &= left.wrapping_sub(1);
                is_any.then_some(WorkerId((at * WORD_BITS + bit) as u16))
            })
        })
    }
}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}
