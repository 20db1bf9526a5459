//! What waits for one who does not keep up is judged here: what is dropped of it, and whether its
//! connection goes on. Called while a send is under way only; what the driver has is not touched.
//!
//! A walk over a queue is paid for by what was added to it since the last one: where more than a
//! bound waits an eighth of it is made free, and of long queues of [`Policy::Latest`] each walk
//! waits until they have doubled.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::{Outgoing, Part, Parts};
use crate::config::Policy;
use crate::wire::{Encoded, Form, Lane};

/// What a queue has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What was dropped.
    pub dropped: Dropped,
    /// Whether the connection goes on.
    pub verdict: Verdict,
    /// Bytes that were copied.
    pub copied: usize,
    /// Parts that were looked at.
    pub walked: usize,
}

/// Messages that were dropped of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// By [`Policy::DropOldest`].
    pub oldest: usize,
    /// By [`Policy::Latest`].
    pub latest: usize,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    #[default]
    Keep,
    /// More than this bound waits for it, in bytes of memory.
    Close(usize),
}

/// The last run that was cut, for the next who is cut at the same place: slow readers of a topic
/// mostly are.
#[derive(Debug, Default)]
pub struct Cuts {
    last: Option<Cut>,
    /// Of the queue that is being judged.
    lanes: HashMap<*const Lane, Sum>,
    kept: Vec<Part>,
}

#[derive(Debug)]
struct Cut {
    run: Arc<Encoded>,
    first: usize,
    tail: Arc<Encoded>,
}

/// When a queue is to be judged again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// Above so many bytes of memory.
    memory: usize,
    /// Above so many parts.
    parts: usize,
    /// It was judged with the bounds of its lanes, which may be larger than the queue's.
    is_judged: bool,
}

/// What waits of one lane.
#[derive(Clone, Copy, Debug)]
struct Sum {
    policy: Policy,
    bound: usize,
    /// Bytes of memory, of all parts at first, then of those that are kept.
    bytes: usize,
    /// What may be kept of it.
    keep: usize,
    /// Older ones are not kept any more.
    is_full: bool,
    /// Its newest part was seen.
    has_newest: bool,
}

/// What is kept of a run.
enum Kept {
    Whole,
    /// The messages from this one on, as a run of their own.
    From(usize),
    Nothing,
}

/// Queues of so many parts are judged for each one that is added.
const SHORT: usize = 64;

impl Default for Next {
    fn default() -> Self {
        Self { memory: usize::MAX, parts: usize::MAX, is_judged: false }
    }
}

impl Next {
    /// A run of a lane is added, with which the queue has so much memory.
    #[inline(never)]
    pub(super) fn note(&mut self, lane: &Lane, memory: usize) {
        let (policy, bound) = lane.rule();
        match policy {
            Policy::Latest if self.parts == usize::MAX => self.parts = 1,
            Policy::Latest => {}
            Policy::DropOldest | Policy::Disconnect if !self.is_judged => {
                self.memory = self.memory.min(bound);
            }
            // The lane may be new among those that wait: it had nothing before this run.
            Policy::DropOldest | Policy::Disconnect => {
                self.memory = self.memory.min(memory.saturating_add(bound));
            }
        }
    }
}

impl Outgoing {
    /// Whether it must be judged, as it waits behind a send; the bound is of what has none of its
    /// own.
    #[must_use]
    pub fn must_be_judged(&self, bound: usize) -> bool {
        match self {
            Self::Owned(buffer) => buffer.bytes.len() > bound,
            Self::Shared(frames, _) => frames.lane().is_some() || frames.memory() > bound,
            Self::Parts(parts) => {
                let Next { memory, parts: count, is_judged } = parts.judge;
                let most = if is_judged { memory } else { memory.min(bound) };
                parts.memory > most || parts.list.len() > count
            }
        }
    }

    /// Whether it has runs of which only the newest message waits.
    #[must_use]
    pub fn is_of_latest(&self) -> bool {
        match self {
            Self::Owned(_) => false,
            Self::Shared(frames, _) => {
                frames.lane().is_some_and(|lane| lane.rule().0 == Policy::Latest)
            }
            Self::Parts(parts) => parts.judge.parts != usize::MAX,
        }
    }

    /// Drops what may be dropped and must, and says whether that is enough.
    #[must_use]
    pub fn judge(&mut self, bound: usize, cuts: &mut Cuts) -> Judged {
        match self {
            Self::Owned(buffer) => {
                Judged { verdict: over(buffer.bytes.len(), bound), ..Judged::default() }
            }
            Self::Shared(frames, form) => judge_one(frames, form, bound, cuts),
            Self::Parts(parts) => parts.judge(bound, cuts),
        }
    }
}

fn over(bytes: usize, bound: usize) -> Verdict {
    if bytes > bound { Verdict::Close(bound) } else { Verdict::Keep }
}

/// A single run that waits.
fn judge_one(frames: &mut Arc<Encoded>, form: &mut Form, bound: usize, cuts: &mut Cuts) -> Judged {
    let mut judged = Judged::default();
    let Some(lane) = frames.lane().map(Arc::clone) else {
        judged.verdict = over(frames.memory(), bound);
        return judged;
    };
    let (policy, bound) = lane.rule();
    let kept = match policy {
        Policy::Disconnect => {
            judged.verdict = over(frames.memory(), bound);
            return judged;
        }
        Policy::Latest => Kept::newest_of(frames),
        Policy::DropOldest => Kept::of(frames, bound, true),
    };
    if let Kept::From(first) = kept {
        judged.note_dropped(policy, &lane, first);
        *frames = cuts.tail(frames, first, &mut judged);
        *form = Form::Plain;
    }
    judged
}

impl Judged {
    fn note_dropped(&mut self, policy: Policy, lane: &Lane, messages: usize) {
        lane.note_dropped(messages);
        match policy {
            Policy::Latest => self.dropped.latest += messages,
            Policy::DropOldest | Policy::Disconnect => self.dropped.oldest += messages,
        }
    }
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn messages(self) -> usize {
        self.oldest + self.latest
    }
}

impl Cuts {
    /// Lets go of what was kept for the turn.
    pub fn forget(&mut self) {
        self.last = None;
        self.kept.shrink_to(SHORT);
    }

    fn tail(&mut self, run: &Arc<Encoded>, first: usize, judged: &mut Judged) -> Arc<Encoded> {
        if let Some(cut) = &self.last
            && Arc::ptr_eq(&cut.run, run)
            && cut.first == first
        {
            return Arc::clone(&cut.tail);
        }
        let tail = Arc::new(run.tail(first));
        judged.copied += tail.plain_bytes();
        self.last = Some(Cut { run: Arc::clone(run), first, tail: Arc::clone(&tail) });
        tail
    }
}

impl Parts {
    fn judge(&mut self, bound: usize, cuts: &mut Cuts) -> Judged {
        let mut judged = Judged { walked: self.list.len(), ..Judged::default() };
        let most = self.sum_up(bound, cuts);
        let own = |sum: &Sum| sum.policy == Policy::Disconnect && sum.bytes > sum.bound;
        if let Some(sum) = cuts.lanes.values().find(|sum| own(sum)) {
            judged.verdict = Verdict::Close(sum.bound);
        } else {
            self.drop_what_must_be(cuts, &mut judged);
            // The memory of a run may have grown since it was counted, by another form.
            let excess = self.memory.saturating_sub(self.longest_alone());
            if excess > most {
                self.make_room(excess - (most - most / 8), cuts, &mut judged);
            }
            judged.verdict = over(self.memory.saturating_sub(self.longest_alone()), most);
        }
        self.set_next(most, cuts);
        judged
    }

    /// The memory of the longest message that a lane keeps whatever its length.
    fn longest_alone(&self) -> usize {
        let runs = self.list.iter().filter_map(Part::in_lane);
        let alone = runs
            .filter(|(frames, lane)| frames.messages() == 1 && lane.rule().0 != Policy::Disconnect);
        alone.map(|(frames, _)| part_memory(frames)).max().unwrap_or(0)
    }

    /// What waits of each lane, and what may be kept of it; gives the bound of all together.
    fn sum_up(&self, bound: usize, cuts: &mut Cuts) -> usize {
        cuts.lanes.clear();
        for part in &self.list {
            let Some((frames, lane)) = part.in_lane() else { continue };
            let sum = cuts.lanes.entry(Arc::as_ptr(lane)).or_insert_with(|| {
                let (policy, bound) = lane.rule();
                Sum { policy, bound, bytes: 0, keep: usize::MAX, is_full: false, has_newest: false }
            });
            sum.bytes += part_memory(frames);
        }
        let mut most = bound;
        for sum in cuts.lanes.values_mut() {
            if sum.policy == Policy::DropOldest && sum.bytes > sum.bound {
                sum.keep = sum.bound - sum.bound / 8;
            }
            if sum.policy != Policy::Latest {
                most = most.max(sum.bound);
            }
        }
        most
    }

    /// From the newest to the oldest, as far as each lane reaches.
    fn drop_what_must_be(&mut self, cuts: &mut Cuts, judged: &mut Judged) {
        let mut kept = mem::take(&mut cuts.kept);
        cuts.lanes.values_mut().for_each(|sum| sum.bytes = 0);
        while let Some(part) = self.list.pop() {
            match part.in_lane().map(|(_, lane)| Arc::as_ptr(lane)) {
                Some(lane) => kept.extend(keep_of(part, lane, cuts, judged)),
                None => kept.push(part),
            }
        }
        cuts.kept = self.take_newest_first(kept);
    }

    /// All together are too much: drops the oldest of those that may be dropped. The newest message
    /// of each topic stays.
    fn make_room(&mut self, mut excess: usize, cuts: &mut Cuts, judged: &mut Judged) {
        let mut newest = vec![false; self.list.len()];
        for (is_newest, part) in newest.iter_mut().zip(&self.list).rev() {
            let sum = part.in_lane().and_then(|(_, lane)| cuts.lanes.get_mut(&Arc::as_ptr(lane)));
            *is_newest = sum.is_some_and(|sum| !mem::replace(&mut sum.has_newest, true));
        }
        let mut kept = Vec::with_capacity(self.list.len());
        for (part, is_newest) in mem::take(&mut self.list).into_iter().zip(newest) {
            let part = if excess == 0 {
                Some(part)
            } else {
                part_in_excess(part, is_newest, &mut excess, cuts, judged)
            };
            kept.extend(part);
        }
        kept.reverse();
        self.take_newest_first(kept);
    }

    /// Puts a list in its order again, and counts it; gives back an empty list.
    fn take_newest_first(&mut self, mut list: Vec<Part>) -> Vec<Part> {
        (self.bytes, self.memory) = (0, 0);
        while let Some(part) = list.pop() {
            self.bytes += part.bytes().len();
            self.memory += part.memory(&self.list);
            self.list.push(part);
        }
        list
    }

    /// It is looked at again when the lane that is nearest to its bound may have come to it. What
    /// is above a bound for a single long message is so until more comes.
    fn set_next(&mut self, most: usize, cuts: &Cuts) {
        let bounded = cuts.lanes.values().filter(|sum| sum.policy != Policy::Latest);
        let rooms = bounded.map(|sum| sum.bound.saturating_sub(sum.bytes));
        let room = rooms.filter(|room| *room > 0).min();
        let most = if self.memory > most { self.memory + most / 8 } else { most };
        let memory = room.map_or(most, |room| most.min(self.memory.saturating_add(room)));
        let has_latest = cuts.lanes.values().any(|sum| sum.policy == Policy::Latest);
        let count = self.list.len();
        let parts = match has_latest {
            true if count <= SHORT => count,
            true => 2 * count,
            false => usize::MAX,
        };
        self.judge = Next { memory, parts, is_judged: true };
    }
}

/// What is left of a part where all together are too much.
fn part_in_excess(
    part: Part,
    is_newest: bool,
    excess: &mut usize,
    cuts: &mut Cuts,
    judged: &mut Judged,
) -> Option<Part> {
    let Part::Shared(frames, _) = &part else { return Some(part) };
    let Some(lane) = frames.lane().map(Arc::clone) else { return Some(part) };
    let (policy, _) = lane.rule();
    let messages = frames.messages();
    let dropped = if is_newest { messages - 1 } else { messages };
    if policy != Policy::DropOldest || dropped == 0 {
        return Some(part);
    }
    judged.note_dropped(policy, &lane, dropped);
    let before = part_memory(frames);
    let left = is_newest.then(|| cuts.tail(frames, dropped, judged));
    let freed = before.saturating_sub(left.as_deref().map_or(0, part_memory));
    *excess = excess.saturating_sub(freed);
    if let Some(sum) = cuts.lanes.get_mut(&Arc::as_ptr(&lane)) {
        sum.bytes = sum.bytes.saturating_sub(freed);
    }
    left.map(|tail| Part::Shared(tail, Form::Plain))
}

/// What is kept of a run of a lane, of which newer ones were seen before.
fn keep_of(part: Part, lane: *const Lane, cuts: &mut Cuts, judged: &mut Judged) -> Option<Part> {
    let (Some(sum), Part::Shared(frames, _)) = (cuts.lanes.get_mut(&lane), &part) else {
        return Some(part);
    };
    let policy = sum.policy;
    let (dropped, kept) = match sum.kept(frames) {
        Kept::Whole => (0, None),
        Kept::From(first) => (first, Some(first)),
        Kept::Nothing => (frames.messages(), None),
    };
    sum.is_full |= dropped > 0;
    if dropped > 0
        && let Some(lane) = frames.lane()
    {
        judged.note_dropped(policy, lane, dropped);
    }
    let kept = match kept {
        Some(first) => Part::Shared(cuts.tail(frames, first, judged), Form::Plain),
        None if dropped > 0 => return None,
        None => part,
    };
    if let (Some(sum), Part::Shared(frames, _)) = (cuts.lanes.get_mut(&lane), &kept) {
        sum.bytes += part_memory(frames);
    }
    Some(kept)
}

impl Sum {
    /// What is kept of a run, of which the plain form alone may fit.
    fn kept(&self, frames: &Encoded) -> Kept {
        let is_newest = self.bytes == 0;
        match self.policy {
            _ if self.is_full => Kept::Nothing,
            Policy::Disconnect => Kept::Whole,
            Policy::Latest if is_newest => Kept::newest_of(frames),
            Policy::Latest => Kept::Nothing,
            Policy::DropOldest => {
                let room = self.keep.saturating_sub(self.bytes);
                Kept::of(frames, room.saturating_sub(size_of::<Part>()), is_newest)
            }
        }
    }
}

impl Kept {
    /// The newest message of a run.
    fn newest_of(frames: &Encoded) -> Self {
        match frames.messages() - 1 {
            0 => Self::Whole,
            last => Self::From(last),
        }
    }

    /// As much of a run as fits into so many bytes of memory, the plain form alone perhaps. Of the
    /// newest run one message is kept, however long it is.
    fn of(frames: &Encoded, room: usize, is_newest: bool) -> Self {
        if frames.memory() <= room {
            return Self::Whole;
        }
        match frames.tail_within(room) {
            Some(first) => Self::From(first),
            None if is_newest => Self::newest_of(frames),
            None => Self::Nothing,
        }
    }
}

fn part_memory(frames: &Encoded) -> usize {
    size_of::<Part>() + frames.memory()
}

impl Part {
    fn in_lane(&self) -> Option<(&Arc<Encoded>, &Arc<Lane>)> {
        match self {
            Self::Shared(frames, _) => frames.lane().map(|lane| (frames, lane)),
            Self::Owned(_) | Self::Static(_) | Self::Before(..) | Self::Behind(..) => None,
        }
    }
}
