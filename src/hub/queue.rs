//! Which rooms have something to deliver, and when: now, in the next turn, or when a batch is due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use slab::Slab;

use super::{Room, RoomId};

/// See the module. A room stands in one of the lists at most, but for entries that it has left.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Rooms to be delivered in now, and some that have closed since.
    due: VecDeque<RoomId>,
    /// Rooms whose delivery of this turn has come to all, with more for the next turn.
    later: Vec<RoomId>,
    /// Rooms that gather, by the time at which they are due; some of these have left.
    batches: BinaryHeap<Reverse<(u64, RoomId)>>,
    /// Rooms that gather and have something that other workers may wait for.
    unposted: Vec<RoomId>,
    turn: u32,
}

/// Where a room stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// In no list: it has nothing to deliver, or a delivery is being looked at.
    #[default]
    Nowhere,
    /// Among those to be delivered in.
    Queued,
    /// Among those that gather until then.
    Gathering(u64),
}

impl Queue {
    /// Another turn begins: what has waited for it is due.
    pub(super) fn begin_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.due.extend(self.later.drain(..));
    }

    /// The number of this turn.
    pub(super) fn turn(&self) -> u32 {
        self.turn
    }

    /// A room has something to deliver; the time is asked for if it gathers.
    #[inline]
    pub(super) fn enter(&mut self, id: RoomId, room: &mut Room, now: impl FnOnce() -> u64) {
        if room.standing == Standing::Queued {
            return;
        }
        if room.gathers() {
            if room.standing == Standing::Nowhere {
                let due = now() + u64::from(room.pace.batch_micros);
                room.standing = Standing::Gathering(due);
                self.batches.push(Reverse((due, id)));
            }
            return;
        }
        room.standing = Standing::Queued;
        // Members are to have one delivery before the next gathers behind it.
        if room.begun_in == self.turn && !room.is_under_way() {
            self.later.push(id);
        } else {
            self.due.push_back(id);
        }
    }

    /// Something was published in a room: the first that nobody has sealed, or more.
    #[inline]
    pub(super) fn publish(
        &mut self,
        id: RoomId,
        room: &mut Room,
        is_first: bool,
        now: impl FnOnce() -> u64,
    ) {
        if is_first && room.is_batched() {
            self.unposted.push(id);
        }
        self.enter(id, room, now);
    }

    /// The rooms where something gathers that nobody has sealed.
    #[inline]
    pub(super) fn next_unposted(&mut self, rooms: &Slab<Room>) -> Option<RoomId> {
        while let Some(id) = self.unposted.pop() {
            if rooms.contains(id.0 as usize) {
                return Some(id);
            }
        }
        None
    }

    /// The batches that are due by now leave.
    #[inline]
    pub(super) fn release(&mut self, now: impl FnOnce() -> u64, rooms: &mut Slab<Room>) {
        if !self.batches.is_empty() {
            self.release_due(now(), rooms);
        }
    }

    #[inline(never)]
    fn release_due(&mut self, now: u64, rooms: &mut Slab<Room>) {
        while let Some(Reverse((due, id))) = self.batches.peek().copied() {
            if due > now {
                break;
            }
            self.batches.pop();
            // It may have left early, or closed, and then another one stands there.
            if let Some(room) = rooms.get_mut(id.0 as usize)
                && room.standing == Standing::Gathering(due)
            {
                room.standing = Standing::Queued;
                self.due.push_back(id);
            }
        }
    }

    /// When the next batch is due.
    pub(super) fn next_batch(&self) -> Option<u64> {
        self.batches.peek().map(|Reverse((due, _))| *due)
    }

    /// The next room to be delivered in, taken out.
    pub(super) fn next(&mut self, rooms: &mut Slab<Room>) -> Option<RoomId> {
        loop {
            let id = self.due.pop_front()?;
            // Another room may stand where one has closed; then it is in the queue by itself.
            if let Some(room) = rooms.get_mut(id.0 as usize)
                && room.standing == Standing::Queued
            {
                room.standing = Standing::Nowhere;
                return Some(id);
            }
        }
    }

    /// Whether any room has something to deliver or to post in this turn or the next.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty() || !self.later.is_empty() || !self.unposted.is_empty()
    }

    /// Gives back what more rooms needed than there are.
    pub(super) fn trim(&mut self, rooms: usize) {
        self.due.shrink_to(rooms);
        self.later.shrink_to(rooms);
        self.batches.shrink_to(rooms);
        self.unposted.shrink_to(rooms);
    }
}
