//! Rooms that stay open though their last member has left: their members are being written out.
//! With a room would go what has gathered there, and the mail that is on its way.

use super::RoomId;

/// See the module.
#[derive(Debug, Default)]
pub struct HeldRooms(Option<Vec<RoomId>>);

impl HeldRooms {
    /// Rooms stay open from here on, until they are taken.
    pub fn hold(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Whether they do.
    #[must_use]
    #[inline]
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }

    /// The last member has left a room: whether it stays open.
    pub(super) fn keep(&mut self, room: RoomId) -> bool {
        self.0.as_mut().map(|held| held.push(room)).is_some()
    }

    /// The rooms that were held, each once.
    pub(super) fn take(&mut self) -> Option<Vec<RoomId>> {
        let mut held = self.0.take()?;
        held.sort_unstable();
        held.dedup();
        Some(held)
    }
}
