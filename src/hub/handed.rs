//! Who has left a room and has had all that has gathered there: it is not to get it again when it
//! comes back before that is delivered.

use std::collections::{HashMap, HashSet};

use super::RoomId;

/// Slots of connections, by room.
#[derive(Debug, Default)]
pub(super) struct Handed(HashMap<RoomId, HashSet<u32>>);

impl Handed {
    pub(super) fn note(&mut self, room: RoomId, slot: u32) {
        self.0.entry(room).or_default().insert(slot);
    }

    /// Whether one comes back of whom that was noted; it is no longer.
    pub(super) fn take(&mut self, room: RoomId, slot: u32) -> bool {
        self.0.get_mut(&room).is_some_and(|slots| slots.remove(&slot))
    }

    /// What has gathered is being delivered, or nobody is left to get it.
    #[inline]
    pub(super) fn forget(&mut self, room: RoomId) {
        if !self.0.is_empty() {
            self.0.remove(&room);
        }
    }

    /// Rooms of which anything is noted.
    #[cfg(test)]
    pub(super) fn rooms(&self) -> usize {
        self.0.len()
    }

    pub(super) fn trim(&mut self) {
        self.0.shrink_to_fit();
    }
}
