//! Who is in which room: publishes become runs of encoded frames, one run per room and turn, and
//! deliveries go over the members of a room in slices.
//!
//! The hub of a worker knows the worker's own connections. It never sends, never looks at a
//! connection and never waits: [`Hub::slice`] gives what goes to whom next.

mod edges;
mod fanouts;
mod handed;
mod held;
mod interest;
mod members;
mod queue;
mod room;
mod runs;
mod sealed;
mod spare;

/// What [`interest`] is built on; a test builds it on loom's.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

pub use edges::EdgeId;
pub use fanouts::Fanouts;
pub use held::HeldRooms;
pub use interest::{HIDDEN, Interest, TopicEntry, TopicInfo};
pub use members::Member;
pub use room::{Before, Room, Rules};
pub use sealed::{Sealed, delivery_cost};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::id::{ConnId, SubscriberId, WorkerId};
use crate::limits::{SEND_COST, UNDELIVERED_BYTES_MAX};
use crate::wire::{Encoded, Kind};
use edges::{Edge, Edges};
use handed::Handed;
use interest::ByName;
use queue::Queue;
use runs::Lists;
use spare::Spare;

/// A room of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(u32);

/// Rooms by name, who is in them, and what is to be delivered.
#[derive(Debug)]
pub struct Hub {
    interest: Arc<Interest>,
    worker: WorkerId,
    rooms: Slab<Room>,
    by_name: HashMap<ByName, RoomId>,
    edges: Edges,
    queue: Queue,
    /// Bytes of memory that were published or came by mail and have not been delivered to all.
    undelivered: usize,
    spare: Spare,
    lists: Lists,
    handed: Handed,
    /// Rooms that the last member has left while rooms are held.
    pub held: HeldRooms,
    /// Rooms that are [`HIDDEN`].
    hidden: usize,
    /// How long deliveries have taken.
    pub fanouts: Fanouts,
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
            edges: Edges::default(),
            queue: Queue::default(),
            undelivered: 0,
            spare: Spare::default(),
            lists: Lists::default(),
            handed: Handed::default(),
            held: HeldRooms::default(),
            hidden: 0,
            fanouts: Fanouts::default(),
        }
    }

    /// Puts the connection of a slot into a room, which is made if it is not there, unless it is in
    /// it. It gets every delivery that begins from here on, on whatever worker it was published.
    pub fn join(&mut self, name: &str, slot: u32, window_bits: u8, head: &mut EdgeId) -> EdgeId {
        let room = self.room(name).unwrap_or_else(|| self.open_room(name));
        if let Some(known) = self.edges.find(slot, *head, room) {
            return known;
        }
        let Room { members, topic, .. } = &mut self.rooms[room.0 as usize];
        topic.join();
        if window_bits > 0 {
            topic.join_deflating();
        }
        let place = members.len() as u32;
        let edge = self.edges.insert(slot, (room, place), window_bits, head);
        members.push(Member { slot, edge });
        edge
    }

    /// A member that is about to leave has all that has gathered in its room: it is not to get it
    /// again if it comes back before that is delivered.
    pub fn note_handed(&mut self, edge: EdgeId) {
        let room = self.room_of(edge);
        if self.at(room).has_gathered() {
            self.handed.note(room, self.member(edge).slot);
        }
    }

    /// A connection has come to a room. If it has had what has gathered there, that is for others
    /// only; gives the bytes that were looked through.
    pub fn except_handed(&mut self, edge: EdgeId, conn: ConnId) -> usize {
        let room = self.room_of(edge);
        if !self.handed.take(room, conn.index) {
            return 0;
        }
        let who = SubscriberId { worker: self.worker, conn };
        self.undelivered += self.rooms[room.0 as usize].except_gathered(who);
        self.requeue(room);
        self.at(room).gathered()
    }

    /// Takes a connection out of a room; the last one closes the room. Seal what it published
    /// first. Other edges of the connection are no longer known by the names that they had.
    pub fn leave(&mut self, id: EdgeId, head: &mut EdgeId) {
        let Self { rooms, edges, lists, fanouts, .. } = self;
        let edge = *edges.at(id);
        let entry = &mut rooms[edge.topic.0 as usize];
        let left = entry.remove(edge.place, |moved, to| edges.set_place(moved, to));
        assert_eq!(left.edge, id, "edges and members agree");
        entry.topic.leave();
        if edge.window_bits > 0 {
            entry.topic.leave_deflating();
        }
        if entry.is_done() {
            fanouts.end(edge.topic, entry.current_since);
        }
        self.undelivered -= entry.end_if_done(lists);
        let is_empty = entry.members.is_empty();
        if let Some((topic, place)) = edges.remove(left.slot, id, head) {
            rooms[topic.0 as usize].members[place as usize].edge = id;
        }
        if is_empty && !self.held.keep(edge.topic) {
            self.close_room(edge.topic);
        }
    }

    /// Rooms that nobody has come back to, if rooms were held: none is from here on. Seal what was
    /// published there, and close them.
    pub fn take_held(&mut self) -> Option<Vec<RoomId>> {
        let mut held = self.held.take()?;
        held.retain(|room| self.rooms[room.0 as usize].members.is_empty());
        Some(held)
    }

    /// The subscriptions of a connection.
    pub fn edges(&self, head: EdgeId) -> impl Iterator<Item = EdgeId> {
        self.edges.chain(head)
    }

    /// The subscription of a connection to the room of that name.
    #[must_use]
    pub fn find(&self, head: EdgeId, name: &str) -> Option<EdgeId> {
        let room = self.room(name)?;
        let first = self.edges.chain(head).next()?;
        self.edges.find(self.member(first).slot, head, room)
    }

    /// How many subscriptions the connection of a slot has.
    #[must_use]
    pub fn count(&self, slot: u32, head: EdgeId) -> usize {
        self.edges.count(slot, head)
    }

    /// The edge of a chain that has one.
    #[must_use]
    #[inline]
    pub fn only_edge(&self, head: EdgeId) -> Option<EdgeId> {
        (head != EdgeId::NONE && self.edges.is_last(head)).then_some(head)
    }

    /// Publishes a message to the room of a member.
    pub fn publish(&mut self, edge: EdgeId, kind: Kind, payload: &[u8]) {
        self.publish_with(edge, |frames| frames.push(kind, payload));
    }

    /// Publishes a message to the room of a member, for all but the member itself.
    pub fn publish_to_others(&mut self, edge: EdgeId, conn: ConnId, kind: Kind, payload: &[u8]) {
        assert_eq!(self.member(edge).slot, conn.index, "it is the connection of that member");
        let who = SubscriberId { worker: self.worker, conn };
        self.publish_with(edge, |frames| {
            frames.push(kind, payload);
            frames.except(who);
        });
    }

    #[inline]
    fn publish_with(&mut self, edge: EdgeId, push: impl FnOnce(&mut Encoded)) {
        let room = self.room_of(edge);
        let Self { rooms, spare, queue, fanouts, interest, .. } = self;
        let pending = &mut rooms[room.0 as usize].pending;
        let is_first = pending.is_none();
        let pending = pending.get_or_insert_with(|| spare.take());
        let frames = Arc::get_mut(pending).expect("pending frames are given to nobody");
        let before = if is_first { 0 } else { frames.weight() };
        push(frames);
        let bytes = frames.weight() - before;
        let entry = &mut rooms[room.0 as usize];
        entry.note_published(bytes);
        self.undelivered += bytes;
        if is_first || entry.is_batched() {
            queue.publish(room, entry, is_first, || fanouts.micros(interest));
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
        entry.note_waiting(sealed.since);
        self.undelivered += entry.receive(sealed.frames, || spare.take(), lists);
        self.enqueue(room);
    }

    /// Whether so much is to be delivered that no more should come.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.undelivered >= UNDELIVERED_BYTES_MAX
    }

    /// Bytes of memory that have not been delivered to all.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.undelivered
    }

    /// Whether any room has something to deliver.
    #[must_use]
    pub fn has_due(&self) -> bool {
        self.queue.has_due()
    }

    /// Whether so much has gathered in a room that nobody must publish more there. One that has
    /// closed has nothing.
    #[must_use]
    #[inline]
    pub fn is_full(&self, room: RoomId) -> bool {
        self.rooms.get(room.0 as usize).is_some_and(Room::is_full)
    }

    /// The room of that name, if anybody is in it.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    /// A room that is open.
    #[must_use]
    pub fn at(&self, room: RoomId) -> &Room {
        &self.rooms[room.0 as usize]
    }

    /// The room of a member.
    #[must_use]
    pub fn room_of(&self, edge: EdgeId) -> RoomId {
        self.edges.at(edge).topic
    }

    /// The topics of all workers.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Another turn begins.
    pub fn begin_turn(&mut self, now: Instant) {
        self.fanouts.set_time(now);
        self.queue.begin_turn();
    }

    /// Where something gathers that other workers wait for; then batches leave that are due, or all
    /// before so much waits that nobody may publish.
    #[inline]
    pub fn next_unposted(&mut self) -> Option<RoomId> {
        let Self { queue, rooms, fanouts, interest, undelivered, .. } = self;
        let unposted = queue.next_unposted(rooms);
        if unposted.is_none() {
            let is_much = *undelivered >= UNDELIVERED_BYTES_MAX / 2;
            queue.release(|| if is_much { u64::MAX } else { fanouts.micros(interest) }, rooms);
        }
        unposted
    }

    /// How long it is until a batch is due.
    pub fn until_batch(&self, now: Instant) -> Option<Duration> {
        let due = self.queue.next_batch()?;
        Some(Duration::from_micros(due.saturating_sub(self.interest.micros(now))))
    }

    /// The rules of a room are these from here on.
    pub fn set_rules(&mut self, room: RoomId, rules: Rules) {
        self.rooms[room.0 as usize].set_rules(rules);
    }

    /// The next room with something to deliver, taken out of the queue.
    pub fn next_due(&mut self) -> Option<RoomId> {
        self.queue.next(&mut self.rooms)
    }

    /// Puts a room into the queue again if it has more to deliver.
    pub fn requeue(&mut self, room: RoomId) {
        if self.at(room).is_under_way() || self.at(room).has_gathered() {
            self.enqueue(room);
        }
    }

    /// Seals what was published in a room since the last time: nothing is added to it any more.
    pub fn seal(&mut self, room: RoomId) -> Option<Sealed> {
        let entry = &mut self.rooms[room.0 as usize];
        let frames = entry.seal(&mut self.lists)?;
        self.spare.watch(&frames);
        let since = self.fanouts.micros(&self.interest);
        entry.note_waiting(since);
        let topic = Arc::clone(&entry.topic);
        Some(Sealed { arrivals: topic.arrivals(), since, topic, frames })
    }

    /// Begins to deliver what is sealed, unless a delivery is under way.
    pub fn begin(&mut self, room: RoomId) {
        let now = self.fanouts.micros(&self.interest);
        let turn = self.queue.turn();
        self.rooms[room.0 as usize].begin((now, turn), &mut self.lists);
        if !self.at(room).has_gathered() {
            self.handed.forget(room);
        }
    }

    /// A member's window for compressed messages, as a power of two; 0 for none.
    #[must_use]
    pub fn window_bits(&self, member: Member) -> u8 {
        self.edges.at(member.edge).window_bits
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
        let entry = &mut self.rooms[room.0 as usize];
        self.undelivered -= entry.advance(count, &mut self.lists);
        if !entry.is_under_way() {
            self.fanouts.end(room, entry.current_since);
        }
    }

    /// What was delivered to all was handed to the kernel by now: tells the topics, and how many
    /// microseconds each took.
    pub fn note_fanouts(&mut self, now: Instant, took: impl FnMut(u64)) {
        let Self { interest, rooms, fanouts, .. } = self;
        fanouts.take(interest.micros(now), |room| &rooms[room.0 as usize].topic, took);
    }

    /// What is under way and has still to come to a member: the caller delivers it, so it counts as
    /// delivered.
    pub fn pass(&mut self, edge: EdgeId) -> Vec<Arc<Encoded>> {
        let Edge { topic: room, place, .. } = *self.edges.at(edge);
        let entry = &mut self.rooms[room.0 as usize];
        if !entry.owes(place) {
            return Vec::new();
        }
        let runs = entry.current().to_vec();
        let moved = entry.pass(place);
        for place in [moved.start, moved.end] {
            self.edges.set_place(entry.members[place as usize].edge, place);
        }
        self.advance(room, 1);
        runs
    }

    /// What must be delivered to a member before a reply to what it said.
    #[must_use]
    pub fn before_reply(&self, edge: EdgeId) -> Before {
        let Edge { topic, place, .. } = *self.edges.at(edge);
        let room = &self.rooms[topic.0 as usize];
        if room.has_published() {
            Before::Gathering(room.seals.wrapping_add(u32::from(room.pending.is_some())))
        } else if room.owes(place) {
            Before::Delivery
        } else {
            Before::Nothing
        }
    }

    /// Frees memory that was not needed since the last time; says whether anything is left.
    pub fn trim(&mut self) -> bool {
        self.lists.trim();
        self.spare.trim()
    }

    /// Gives back what more rooms and members needed than there are.
    pub fn trim_tables(&mut self) {
        self.edges.trim();
        self.rooms.shrink_to_fit();
        self.handed.trim();
        // It would hash all names once more.
        if self.by_name.capacity() > self.by_name.len() * 4 {
            self.by_name.shrink_to_fit();
        }
        self.queue.trim(self.rooms.len());
        self.fanouts.trim();
    }

    /// Whether there is anything to trim.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.spare.is_empty() && self.lists.is_empty()
    }

    /// The name of a room, if it is open.
    #[must_use]
    pub fn name(&self, room: RoomId) -> Option<&str> {
        self.rooms.get(room.0 as usize).map(|entry| entry.topic.name())
    }

    /// Whether the connection of a slot is in any room: for tests.
    pub fn has(&self, slot: u32) -> bool {
        self.rooms.iter().any(|(_, room)| room.members.iter().any(|it| it.slot == slot))
    }

    /// Rooms that are open.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// The same, without [`HIDDEN`] ones.
    pub fn shown(&self) -> usize {
        self.rooms.len() - self.hidden
    }

    fn member(&self, edge: EdgeId) -> &Member {
        let Edge { topic, place, .. } = *self.edges.at(edge);
        &self.rooms[topic.0 as usize].members[place as usize]
    }

    #[inline]
    fn enqueue(&mut self, id: RoomId) {
        let Self { rooms, queue, fanouts, interest, .. } = self;
        queue.enter(id, &mut rooms[id.0 as usize], || fanouts.micros(interest));
    }

    fn open_room(&mut self, name: &str) -> RoomId {
        let (topic, arrival) = self.interest.join(name, self.worker);
        self.hidden += usize::from(name.starts_with(HIDDEN));
        let room = RoomId(self.rooms.insert(Room::new(Arc::clone(&topic), arrival)) as u32);
        self.by_name.insert(ByName(topic), room);
        room
    }

    /// What was under way, or came by mail, is for nobody here any more.
    pub fn close_room(&mut self, room: RoomId) {
        let mut entry = self.rooms.remove(room.0 as usize);
        self.handed.forget(room);
        self.fanouts.forget(room);
        self.undelivered -= entry.clear(&mut self.lists);
        self.interest.leave(&entry.topic, self.worker);
        self.by_name.remove(entry.topic.name());
        self.hidden -= usize::from(entry.topic.name().starts_with(HIDDEN));
    }
}

#[cfg(test)]
mod edges_tests;
#[cfg(test)]
mod interest_tests;
#[cfg(test)]
mod tests;
