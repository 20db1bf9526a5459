//! Who is in which room: publishes become runs of encoded frames, one run per room and turn, and
//! deliveries go over the members of a room in slices.
//!
//! The hub of a worker knows the worker's own connections. It never sends, never looks at a
//! connection and never waits: [`Hub::slice`] gives what goes to whom next.

mod interest;
mod room;
mod runs;
mod spare;

/// What [`interest`] is built on; a test builds it on loom's.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

pub use interest::{Interest, TopicEntry};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use crate::id::{ConnId, WorkerId};
use crate::limits::{DELIVERY_COST, SEND_COST, UNDELIVERED_BYTES_MAX};
use crate::wire::{Encoded, Kind};
use interest::ByName;
use room::Room;
use runs::Lists;
use spare::Spare;

/// A connection's place in a room. The connection keeps it and gives it back when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership(u32);

impl Membership {
    /// That of who is in no room.
    pub const NONE: Self = Self(u32::MAX);

    /// Whether it is a place in a room.
    #[must_use]
    #[inline]
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// A room of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomId(u32);

/// A subscriber, beside what decides which form of a message it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The connection.
    pub conn: ConnId,
    /// Its window for compressed messages, as a power of two; 0 for none.
    pub window_bits: u8,
    membership: Membership,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    room: RoomId,
    index: u32,
}

/// Rooms by name, who is in them, and what is to be delivered.
#[derive(Debug)]
pub struct Hub {
    interest: Arc<Interest>,
    worker: WorkerId,
    rooms: Slab<Room>,
    by_name: HashMap<ByName, RoomId>,
    places: Slab<Place>,
    /// Rooms with something to deliver, each once, and some that have closed since.
    queue: VecDeque<RoomId>,
    /// Bytes of memory that were published or came by mail and have not been delivered to all.
    undelivered: usize,
    spare: Spare,
    lists: Lists,
}

/// What was published in a room in one turn of a worker: it goes to other workers too.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What all workers know of the room.
    pub topic: Arc<TopicEntry>,
    /// The workers that had come to it, read before it is read who is to get this.
    pub arrivals: u32,
    /// The frames, shared with everybody who gets them.
    pub frames: Arc<Encoded>,
}

/// What it costs to put a run into the queue of one member, and to copy it to the kernel.
#[must_use]
pub fn delivery_cost(run: &Encoded) -> usize {
    DELIVERY_COST + run.plain_bytes() / 8
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

impl Hub {
    /// That of a worker, without rooms.
    #[must_use]
    pub fn new(interest: Arc<Interest>, worker: WorkerId) -> Self {
        Self {
            interest,
            worker,
            rooms: Slab::new(),
            by_name: HashMap::new(),
            places: Slab::new(),
            queue: VecDeque::new(),
            undelivered: 0,
            spare: Spare::default(),
            lists: Lists::default(),
        }
    }

    /// Puts a connection into a room, which is made if it is not there. It gets every delivery that
    /// begins from here on, on whatever worker it was published.
    pub fn join(&mut self, name: &str, conn: ConnId, window_bits: u8) -> Membership {
        let room = self.room(name).unwrap_or_else(|| self.open_room(name));
        let Room { members, topic, .. } = &mut self.rooms[room.0 as usize];
        if window_bits > 0 {
            topic.join_deflating();
        }
        let place = Place { room, index: members.len() as u32 };
        let membership = Membership(self.places.insert(place) as u32);
        members.push(Member { conn, window_bits, membership });
        membership
    }

    /// Takes a connection out of its room; the last one closes the room. Seal what it published
    /// first.
    pub fn leave(&mut self, membership: Membership) {
        let Place { room, index } = self.places.remove(membership.0 as usize);
        let Self { rooms, places, lists, .. } = self;
        let entry = &mut rooms[room.0 as usize];
        let left = entry.remove(index, |moved, to| {
            if moved != membership {
                places[moved.0 as usize].index = to;
            }
        });
        assert_eq!(left.membership, membership, "places and members agree");
        if left.window_bits > 0 {
            entry.topic.leave_deflating();
        }
        self.undelivered -= entry.end_if_done(lists);
        if entry.members.is_empty() {
            self.close_room(room);
        }
    }

    /// Publishes a message to the room of a member.
    pub fn publish(&mut self, membership: Membership, kind: Kind, payload: &[u8]) {
        let room = self.room_of(membership);
        let Self { rooms, spare, .. } = self;
        let pending = &mut rooms[room.0 as usize].pending;
        let is_first = pending.is_none();
        let pending = pending.get_or_insert_with(|| spare.take());
        let frames = Arc::get_mut(pending).expect("pending frames are given to nobody");
        let before = if is_first { 0 } else { frames.weight() };
        frames.push(kind, payload);
        let bytes = frames.weight() - before;
        rooms[room.0 as usize].note_published(bytes);
        self.undelivered += bytes;
        if is_first {
            self.enqueue(room);
        }
    }

    /// Takes what another worker published, if anybody here is in that room and it was published
    /// for those who are.
    pub fn receive(&mut self, sealed: Sealed) {
        let Some(room) = self.room(sealed.topic.name()) else { return };
        let Self { rooms, spare, lists, .. } = self;
        let entry = &mut rooms[room.0 as usize];
        if !entry.is_for(&sealed) {
            return;
        }
        self.undelivered += entry.receive(sealed.frames, || spare.take(), lists);
        self.enqueue(room);
    }

    /// Whether so much is to be delivered that no more should come.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.undelivered >= UNDELIVERED_BYTES_MAX
    }

    /// Whether any room has something to deliver.
    #[must_use]
    pub fn has_due(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether so much has gathered in the room of a member that it must not publish more.
    #[must_use]
    #[inline]
    pub fn is_full(&self, membership: Membership) -> bool {
        self.rooms[self.room_of(membership).0 as usize].is_full()
    }

    /// What was published in a room and is not sealed.
    #[must_use]
    pub fn pending(&self, room: RoomId) -> Option<&Encoded> {
        self.rooms[room.0 as usize].pending.as_deref()
    }

    /// The room of that name, if anybody is in it.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    /// The room of a member.
    #[must_use]
    pub fn room_of(&self, membership: Membership) -> RoomId {
        self.places[membership.0 as usize].room
    }

    /// How many are in a room.
    #[must_use]
    pub fn members(&self, room: RoomId) -> usize {
        self.rooms[room.0 as usize].members.len()
    }

    /// The next room with something to deliver, taken out of the queue.
    pub fn next_due(&mut self) -> Option<RoomId> {
        loop {
            let room = self.queue.pop_front()?;
            // Another room may stand where one has closed; then it is in the queue by itself.
            if let Some(entry) = self.rooms.get_mut(room.0 as usize)
                && std::mem::take(&mut entry.is_queued)
            {
                return Some(room);
            }
        }
    }

    /// Puts a room into the queue again if it has more to deliver.
    pub fn requeue(&mut self, room: RoomId) {
        let entry = &self.rooms[room.0 as usize];
        if entry.is_under_way() || entry.has_gathered() {
            self.enqueue(room);
        }
    }

    /// Seals what was published in a room since the last time: nothing is added to it any more.
    pub fn seal(&mut self, room: RoomId) -> Option<Sealed> {
        let entry = &mut self.rooms[room.0 as usize];
        let frames = entry.seal(&mut self.lists)?;
        self.spare.watch(&frames);
        let topic = Arc::clone(&entry.topic);
        Some(Sealed { arrivals: topic.arrivals(), topic, frames })
    }

    /// Begins to deliver what is sealed, unless a delivery is under way.
    pub fn begin(&mut self, room: RoomId) {
        self.rooms[room.0 as usize].begin(&mut self.lists);
    }

    /// What is under way in a room, and to whom it goes next: as many members as so much pays for,
    /// but one at least.
    #[must_use]
    pub fn slice(&self, room: RoomId, cost_max: usize) -> (&[Arc<Encoded>], &[Member]) {
        let room = &self.rooms[room.0 as usize];
        let runs = room.current();
        let deliveries: usize = runs.iter().map(|run| delivery_cost(run)).sum();
        (runs, room.slice((cost_max / (SEND_COST + deliveries)).max(1)))
    }

    /// What [`Hub::slice`] gave was delivered to so many.
    pub fn advance(&mut self, room: RoomId, count: usize) {
        self.undelivered -= self.rooms[room.0 as usize].advance(count, &mut self.lists);
    }

    /// Whether a delivery is under way in a room.
    #[must_use]
    pub fn is_under_way(&self, room: RoomId) -> bool {
        self.rooms[room.0 as usize].is_under_way()
    }

    /// Whether there is something for another delivery than the one under way.
    #[must_use]
    pub fn has_gathered(&self, room: RoomId) -> bool {
        self.rooms[room.0 as usize].has_gathered()
    }

    /// What waits for a delivery to begin in a room, but for what is not sealed.
    #[must_use]
    pub fn waiting(&self, room: RoomId) -> Vec<Arc<Encoded>> {
        self.rooms[room.0 as usize].waiting().cloned().collect()
    }

    /// What is under way and has still to come to a member: the caller delivers it, so it counts as
    /// delivered.
    pub fn pass(&mut self, membership: Membership) -> Vec<Arc<Encoded>> {
        let Place { room, index } = self.places[membership.0 as usize];
        let entry = &mut self.rooms[room.0 as usize];
        if !entry.owes(index) {
            return Vec::new();
        }
        let runs = entry.current().to_vec();
        let moved = entry.pass(index);
        for place in [moved.start, moved.end] {
            let member = entry.members[place as usize];
            self.places[member.membership.0 as usize].index = place;
        }
        self.advance(room, 1);
        runs
    }

    /// What must be delivered to a member before a reply to what it said.
    #[must_use]
    pub fn before_reply(&self, membership: Membership) -> Before {
        let Place { room, index } = self.places[membership.0 as usize];
        let room = &self.rooms[room.0 as usize];
        if room.has_published() {
            Before::Gathering(room.seals.wrapping_add(u32::from(room.pending.is_some())))
        } else if room.owes(index) {
            Before::Delivery
        } else {
            Before::Nothing
        }
    }

    /// Whether the delivery of what is sealed by this number has begun.
    #[must_use]
    pub fn has_begun(&self, room: RoomId, seal: u32) -> bool {
        self.rooms[room.0 as usize].begun().wrapping_sub(seal) as i32 >= 0
    }

    /// Frees memory that was not needed since the last time; says whether anything is left.
    pub fn trim(&mut self) -> bool {
        self.lists.trim();
        self.spare.trim()
    }

    /// Gives back what more rooms and members needed than there are.
    pub fn trim_tables(&mut self) {
        self.places.shrink_to_fit();
        self.rooms.shrink_to_fit();
        // It would hash all names once more.
        if self.by_name.capacity() > self.by_name.len() * 4 {
            self.by_name.shrink_to_fit();
        }
        self.queue.shrink_to(self.rooms.len());
    }

    /// Whether there is anything to trim.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.spare.is_empty() && self.lists.is_empty()
    }

    /// Rooms that are open.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    fn enqueue(&mut self, room: RoomId) {
        if !std::mem::replace(&mut self.rooms[room.0 as usize].is_queued, true) {
            self.queue.push_back(room);
        }
    }

    fn open_room(&mut self, name: &str) -> RoomId {
        let (topic, arrival) = self.interest.join(name, self.worker);
        let room = RoomId(self.rooms.insert(Room::new(Arc::clone(&topic), arrival)) as u32);
        self.by_name.insert(ByName(topic), room);
        room
    }

    /// What was under way, or came by mail, is for nobody here any more.
    fn close_room(&mut self, room: RoomId) {
        let mut entry = self.rooms.remove(room.0 as usize);
        self.undelivered -= entry.clear(&mut self.lists);
        self.interest.leave(&entry.topic, self.worker);
        self.by_name.remove(entry.topic.name());
    }
}

#[cfg(test)]
mod interest_tests;
#[cfg(test)]
mod tests;
