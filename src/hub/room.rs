//! One room of one worker: its members, and how far deliveries to them have come.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use super::members::Members;
use super::queue::Standing;
use super::runs::{Lists, Runs};
use super::{EdgeId, Member, Sealed, TopicEntry};
use crate::config::{Delivery, Policy};
use crate::id::{SubscriberId, WorkerId};
use crate::limits::{
    DELIVERY_BYTES_MAX, DELIVERY_BYTES_MIN, GATHERED_BYTES_MAX, MERGED_BYTES_MAX,
    MERGED_RUN_BYTES_MAX,
};
use crate::wire::Encoded;

/// See the module. ARCHITECTURE.md ("A delivery goes on over turns") has the rules for who joins
/// and leaves while one is under way.
#[derive(Debug)]
pub struct Room {
    pub(super) topic: Arc<TopicEntry>,
    pub(super) members: Members,
    /// What is published here; nobody else has it before it is sealed.
    pub(super) pending: Option<Arc<Encoded>>,
    /// What was sealed of it and has not begun to be delivered.
    sealed: Runs,
    /// What came by mail and has not begun to be delivered.
    mail: Runs,
    /// Bytes of memory of all three.
    gathered: usize,
    /// The delivery under way.
    current: Runs,
    /// Members that are still to get it: the first of them.
    left: u32,
    /// Times that something published here was sealed.
    pub(super) seals: u32,
    /// The number of this worker's arrival at the topic: what was sealed before is not for those
    /// who are here.
    arrival: u32,
    /// When the first of what waits for a delivery to begin was published; nothing if nothing does.
    waiting_since: Option<NonZeroU64>,
    /// The same of the delivery under way.
    pub(super) current_since: u64,
    /// The turn in which the last delivery has begun.
    pub(super) begun_in: u32,
    pub(super) pace: Pace,
    pub(super) standing: Standing,
}

/// What [`Rules`] come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Microseconds for which publications gather before a delivery begins.
    pub(super) batch_micros: u32,
    /// Bytes of memory that one delivery has at most, but for a single longer run.
    delivery_max: u32,
    /// As [`Rules::options`].
    options: u32,
    /// As [`Rules::protocol`].
    protocol: u8,
}

/// How what is published in a room is to be delivered.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The number of the options that say so; 0 is of none.
    pub options: u32,
    /// The number of the protocol whose rules these are.
    pub protocol: u8,
    /// What they say.
    pub delivery: Delivery,
    /// The bound of what waits for a subscriber, where they do not say it.
    pub backlog: usize,
}

/// What comes before a reply to a member, so that it is in the order of what the member said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// The delivery under way, which has not come to the member.
    Delivery,
    /// One that has not begun: that of what is sealed by this number.
    Gathering(u32),
}

impl Room {
    pub(super) fn new(topic: Arc<TopicEntry>, arrival: u32) -> Self {
        Self {
            topic,
            members: Members::default(),
            pending: None,
            sealed: Runs::None,
            mail: Runs::None,
            gathered: 0,
            current: Runs::None,
            left: 0,
            seals: 0,
            arrival,
            waiting_since: None,
            current_since: 0,
            begun_in: u32::MAX,
            pace: Pace {
                batch_micros: 0,
                delivery_max: DELIVERY_BYTES_MAX as u32,
                options: 0,
                protocol: 0,
            },
            standing: Standing::Nowhere,
        }
    }

    /// Whether a delivery is under way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.left > 0
    }

    /// Whether there is something for another delivery than the one under way.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        self.has_published() || !self.mail.is_empty()
    }

    /// Whether anything published here waits for a delivery to begin.
    pub(super) fn has_published(&self) -> bool {
        self.pending.is_some() || !self.sealed.is_empty()
    }

    /// Whether so much has gathered that publishers must wait: while a delivery is under way no
    /// more than the next one takes.
    pub(super) fn is_full(&self) -> bool {
        let gathers_less =
            self.is_under_way() || self.pace.delivery_max < DELIVERY_BYTES_MAX as u32;
        let max = if gathers_less { self.pace.delivery_max as usize } else { GATHERED_BYTES_MAX };
        self.gathered >= max
    }

    /// Whether what is published gathers for a while before it is delivered. What is half of the
    /// most of a delivery leaves at once.
    pub(super) fn gathers(&self) -> bool {
        let has_room = self.gathered < self.pace.delivery_max as usize / 2;
        self.pace.batch_micros > 0 && has_room && !self.is_under_way()
    }

    /// Whether publications gather here.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        self.pace.batch_micros > 0
    }

    /// Whether nobody has said what rules it follows.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.pace.options == 0
    }

    /// The number of the protocol whose rules it follows, unless these are of the latest options.
    #[must_use]
    #[inline]
    pub fn outdated(&self, options: u32) -> Option<u8> {
        (self.pace.options != options).then_some(self.pace.protocol)
    }

    /// The rules that hold from here on. Of what one turn publishes members get a quarter of what
    /// may wait for them at most: who takes everything as fast as it can is not too slow.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        let Rules { options, protocol, delivery, backlog } = rules;
        let Delivery { policy, backlog: own, batch_delay } = delivery;
        let bound = own.unwrap_or(backlog);
        if own.is_some() || policy != Policy::Disconnect {
            self.topic.set_lane(policy, bound);
        } else {
            self.topic.unset_lane(bound);
        }
        let share = (bound / 4).clamp(DELIVERY_BYTES_MIN, DELIVERY_BYTES_MAX);
        let batch_micros = u32::try_from(batch_delay.as_micros()).unwrap_or(u32::MAX);
        self.pace = Pace { batch_micros, delivery_max: share as u32, options, protocol };
    }

    /// Bytes of memory of what waits for a delivery to begin.
    pub(super) fn gathered(&self) -> usize {
        self.gathered
    }

    /// What waits for a delivery to begin, but for what is not sealed.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Encoded>> {
        self.sealed.as_slice().iter().chain(self.mail.as_slice())
    }

    /// Notes so many bytes more of what was published here.
    pub(super) fn note_published(&mut self, bytes: usize) {
        self.gathered += bytes;
    }

    /// Something was sealed, or came by mail, that was published then.
    #[inline]
    pub(super) fn note_waiting(&mut self, since: u64) {
        self.waiting_since = self.waiting_since.or_else(|| NonZeroU64::new(since.max(1)));
    }

    /// Whether what came by mail was published for those who are here, and not for others who have
    /// all left before they came.
    pub(super) fn is_for(&self, sealed: &Sealed) -> bool {
        let is_after = sealed.arrivals.wrapping_sub(self.arrival) as i32 >= 0;
        is_after && Arc::ptr_eq(&sealed.topic, &self.topic)
    }

    /// Up to which seal deliveries have begun: each seal that has not is a run.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.seals.wrapping_sub(self.sealed.as_slice().len() as u32)
    }

    /// Whether the delivery of what is sealed by this number has begun.
    #[must_use]
    pub fn has_begun(&self, seal: u32) -> bool {
        self.begun().wrapping_sub(seal) as i32 >= 0
    }

    /// What was published here and is not sealed.
    #[must_use]
    pub fn pending(&self) -> Option<&Encoded> {
        self.pending.as_deref()
    }

    /// Whether other workers than this one have members of it.
    #[must_use]
    pub fn has_others(&self, own: WorkerId) -> bool {
        self.topic.others(own).next().is_some()
    }

    /// How many are in it.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether any member gets another form of messages than the plain one.
    #[must_use]
    pub fn has_forms(&self) -> bool {
        self.topic.is_deflating()
    }

    /// Adds what came by mail; gives its bytes. Where several gather, small ones are copied
    /// together.
    pub(super) fn receive(
        &mut self,
        frames: Arc<Encoded>,
        fresh: impl FnOnce() -> Arc<Encoded>,
        lists: &mut Lists,
    ) -> usize {
        let before = self.gathered;
        if self.mail.is_empty() || frames.weight() > MERGED_RUN_BYTES_MAX {
            self.gathered += frames.weight();
            self.mail.push(frames, lists);
        } else if let Some(last) = self.mail.last_own(MERGED_BYTES_MAX) {
            let weight = last.weight();
            last.append(&frames);
            self.gathered += last.weight() - weight;
        } else {
            let mut copy = fresh();
            Arc::get_mut(&mut copy).expect("it is fresh").append(&frames);
            self.gathered += copy.weight();
            self.mail.push(copy, lists);
        }
        self.gathered - before
    }

    /// Nothing that has gathered is for this one; gives the bytes that noting it takes. Others have
    /// what is sealed too, so of that there is a copy.
    pub(super) fn except_gathered(&mut self, who: SubscriberId) -> usize {
        let before = self.gathered;
        if let Some(pending) = &mut self.pending {
            let frames = Arc::get_mut(pending).expect("pending frames are given to nobody");
            self.gathered -= frames.weight();
            frames.except_all(who);
            self.gathered += frames.weight();
        }
        let runs = [&mut self.sealed, &mut self.mail].into_iter().flat_map(Runs::as_mut_slice);
        for run in runs {
            let mut copy = run.copy();
            copy.except_all(who);
            copy.sort_excepts();
            self.gathered = self.gathered - run.weight() + copy.weight();
            *run = Arc::new(copy);
        }
        self.gathered - before
    }

    /// Seals what was published here.
    pub(super) fn seal(&mut self, lists: &mut Lists) -> Option<Arc<Encoded>> {
        let mut frames = self.pending.take()?;
        if frames.has_excepts() || self.topic.lane().is_some() {
            let frames = Arc::get_mut(&mut frames).expect("pending frames are given to nobody");
            frames.sort_excepts();
            frames.set_lane(self.topic.lane().cloned());
        }
        self.seals = self.seals.wrapping_add(1);
        self.sealed.push(Arc::clone(&frames), lists);
        Some(frames)
    }

    /// Lets go of what nobody is left to get; gives its bytes.
    pub(super) fn clear(&mut self, lists: &mut Lists) -> usize {
        assert!(self.pending.is_none(), "what was published is sealed before the last leaves");
        self.sealed.clear(lists);
        self.mail.clear(lists);
        self.waiting_since = None;
        std::mem::take(&mut self.gathered)
    }

    /// Whether the delivery under way has still to come to this member.
    pub(super) fn owes(&self, place: u32) -> bool {
        place < self.left
    }

    /// The runs under way.
    pub(super) fn current(&self) -> &[Arc<Encoded>] {
        self.current.as_slice()
    }

    /// Begins to deliver what is sealed, unless a delivery is under way, and of what came by mail
    /// as much as members can take at once.
    pub(super) fn begin(&mut self, (now, turn): (u64, u32), lists: &mut Lists) {
        if self.is_under_way() {
            return;
        }
        self.begun_in = turn;
        self.current = std::mem::take(&mut self.sealed);
        if !self.mail.is_empty() {
            let max = self.pace.delivery_max as usize;
            let room = max.saturating_sub(self.current.weight());
            let mut first = self.mail.take_first(room, lists);
            first.move_to(&mut self.current, lists);
        }
        if !self.current.is_empty() {
            self.gathered -= self.current.weight();
            self.current_since = self.waiting_since.map_or(0, NonZeroU64::get);
            // When what is left of the mail was published nobody has noted.
            self.waiting_since = NonZeroU64::new(now).filter(|_| !self.mail.is_empty());
            self.left = self.members.len() as u32;
        }
    }

    /// The members that come next, so many at most.
    pub(super) fn slice(&self, max: usize) -> &[Member] {
        let left = self.left as usize;
        &self.members[left.saturating_sub(max)..left]
    }

    /// The delivery has come to so many more; gives the bytes of one that has come to all.
    pub(super) fn advance(&mut self, count: usize, lists: &mut Lists) -> usize {
        assert!(count <= self.left as usize, "nobody is delivered to twice");
        self.left -= count as u32;
        if self.left > 0 {
            return 0;
        }
        let bytes = self.current.weight();
        self.current.clear(lists);
        bytes
    }

    /// A member got what is under way out of its turn: it changes places with the last of those who
    /// are still to get it. Gives the places whose members have moved.
    pub(super) fn pass(&mut self, place: u32) -> Range<u32> {
        assert!(self.owes(place), "nobody is delivered to twice");
        let last = self.left - 1;
        self.members.swap(place as usize, last as usize);
        place..last
    }

    /// Takes out the member at a place. Whoever stands elsewhere afterwards is told to `moved`.
    pub(super) fn remove(&mut self, place: u32, mut moved: impl FnMut(EdgeId, u32)) -> Member {
        let mut hole = place;
        if self.owes(place) {
            // The last of those who are still to get it fills the hole, or somebody who has it
            // would stand among them.
            self.left -= 1;
            hole = self.left;
            self.members.swap(place as usize, hole as usize);
            moved(self.members[place as usize].edge, place);
        }
        let left = self.members.swap_remove(hole as usize);
        if let Some(filler) = self.members.get(hole as usize) {
            moved(filler.edge, hole);
        }
        left
    }

    /// Whether a delivery is under way of which nobody is left to get it.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && !self.current.is_empty()
    }

    /// Ends a delivery of which nobody is left to get it; gives its bytes.
    pub(super) fn end_if_done(&mut self, lists: &mut Lists) -> usize {
        if self.is_done() { self.advance(0, lists) } else { 0 }
    }
}
