//! Who is in which room: publishes become runs of encoded frames, one run per room and turn.
//!
//! The hub of a worker knows the worker's own connections. It never sends, never looks at a
//! connection and never waits: [`Hub::seal`] gives what was published and to whom it goes.

mod spare;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use crate::id::ConnId;
use crate::wire::{Encoded, Kind};
use spare::Spare;

/// A connection's place in a room. The connection keeps it and gives it back when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership(u32);

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

#[derive(Debug)]
struct Room {
    name: Arc<str>,
    members: Vec<Member>,
    /// Nobody else has it before it is sealed.
    pending: Option<Arc<Encoded>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    room: RoomId,
    index: u32,
}

/// Rooms by name, and who is in them.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: Slab<Room>,
    by_name: HashMap<Arc<str>, RoomId>,
    places: Slab<Place>,
    /// Rooms with something published, in the order of their first publish, and some where that
    /// was sealed since.
    published: VecDeque<RoomId>,
    spare: Spare,
}

/// What was published in a room and not delivered yet.
#[derive(Debug)]
pub struct Sealed {
    /// The room.
    pub room: RoomId,
    /// Its name, which is what other workers know it by.
    pub name: Arc<str>,
    /// The frames.
    pub frames: Arc<Encoded>,
}

impl Hub {
    /// Puts a connection into a room, which is made if it is not there. Deliver what [`Hub::seal`]
    /// gives for [`Hub::room`] first: it was published before.
    pub fn join(&mut self, name: &str, conn: ConnId, window_bits: u8) -> Membership {
        let room = self.room(name).unwrap_or_else(|| self.make_room(name));
        let members = &mut self.rooms[room.0 as usize].members;
        let place = Place { room, index: members.len() as u32 };
        let membership = Membership(self.places.insert(place) as u32);
        members.push(Member { conn, window_bits, membership });
        membership
    }

    /// Takes a connection out of its room; the last one closes the room. Deliver what
    /// [`Hub::seal`] gives first: it was published before.
    pub fn leave(&mut self, membership: Membership) {
        let Place { room, index } = self.places.remove(membership.0 as usize);
        let members = &mut self.rooms[room.0 as usize].members;
        let left = members.swap_remove(index as usize);
        assert_eq!(left.membership, membership, "places and members agree");
        if let Some(moved) = members.get(index as usize) {
            self.places[moved.membership.0 as usize].index = index;
        } else if members.is_empty() {
            self.close_room(room);
        } else if members.capacity() > 64 && members.len() < members.capacity() / 4 {
            members.shrink_to(members.len() * 2);
        }
    }

    /// Publishes a message to the room of a member.
    pub fn publish(&mut self, membership: Membership, kind: Kind, payload: &[u8]) {
        let room = self.room_of(membership);
        let pending = self.rooms[room.0 as usize].pending.get_or_insert_with(|| {
            self.published.push_back(room);
            self.spare.take()
        });
        let frames = Arc::get_mut(pending).expect("pending frames are given to nobody");
        frames.push(kind, payload);
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

    /// Who is in a room.
    #[must_use]
    pub fn members(&self, room: RoomId) -> &[Member] {
        &self.rooms[room.0 as usize].members
    }

    /// Takes what was published in a room since the last time.
    pub fn seal(&mut self, room: RoomId) -> Option<Sealed> {
        let Room { name, pending, .. } = self.rooms.get_mut(room.0 as usize)?;
        let frames = pending.take()?;
        let name = Arc::clone(name);
        self.spare.watch(&frames);
        Some(Sealed { room, name, frames })
    }

    /// Takes what was published in the first of the rooms where anything was.
    pub fn seal_next(&mut self) -> Option<Sealed> {
        loop {
            let room = self.published.pop_front()?;
            let sealed = self.seal(room);
            if sealed.is_some() {
                return sealed;
            }
        }
    }

    /// Whether anything was published in the room of a member and not sealed.
    #[must_use]
    pub fn has_published(&self, membership: Membership) -> bool {
        self.rooms[self.room_of(membership).0 as usize].pending.is_some()
    }

    /// Frees memory that was not needed since the last time; says whether anything is left.
    pub fn trim(&mut self) -> bool {
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
        self.published.shrink_to(self.rooms.len());
    }

    /// Whether there is anything to trim.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.spare.is_empty()
    }

    /// Rooms that are open.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    fn make_room(&mut self, name: &str) -> RoomId {
        let name: Arc<str> = name.into();
        let room = Room { name: Arc::clone(&name), members: Vec::with_capacity(1), pending: None };
        let room = RoomId(self.rooms.insert(room) as u32);
        self.by_name.insert(name, room);
        room
    }

    fn close_room(&mut self, room: RoomId) {
        let Room { name, pending, .. } = self.rooms.remove(room.0 as usize);
        assert!(pending.is_none(), "what was published is delivered before the last leaves");
        self.by_name.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: index }
    }

    fn members(hub: &Hub, name: &str) -> Vec<u32> {
        let room = hub.room(name).expect("the room is open");
        let mut members: Vec<u32> = hub.members(room).iter().map(|m| m.conn.index).collect();
        members.sort_unstable();
        members
    }

    #[test]
    fn members_come_and_go_in_any_order() {
        let mut hub = Hub::default();
        let places: Vec<_> = (0..100).map(|i| hub.join("a", conn(i), 0)).collect();
        let other = hub.join("b", conn(100), 15);
        for i in (0..100).step_by(3) {
            hub.leave(places[i as usize]);
        }
        let left: Vec<u32> = (0..100).filter(|i| i % 3 != 0).collect();
        assert_eq!(members(&hub, "a"), left);
        for i in left {
            hub.leave(places[i as usize]);
        }
        assert_eq!(hub.room("a"), None, "an empty room is closed");
        hub.leave(other);
        assert_eq!((hub.rooms(), hub.places.len(), hub.by_name.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_published_in_a_turn_is_one_run_per_room() {
        let mut hub = Hub::default();
        let (a, b) = (hub.join("a", conn(1), 0), hub.join("b", conn(2), 0));
        hub.publish(b, Kind::Text, b"1");
        hub.publish(a, Kind::Text, b"2");
        hub.publish(b, Kind::Text, b"3");
        let sealed: Vec<_> = std::iter::from_fn(|| hub.seal_next()).collect();
        let runs: Vec<_> = sealed.iter().map(|s| (&*s.name, s.frames.messages())).collect();
        assert_eq!(runs, [("b", 2), ("a", 1)]);
        assert!(hub.seal(hub.room_of(a)).is_none());
    }
}
