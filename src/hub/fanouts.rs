//! How long it takes from a publish until all members of a worker have it.

use std::time::Instant;

use super::{Interest, RoomId, TopicEntry};

/// Deliveries that have come to all since somebody asked, and the time of the turn.
#[derive(Debug, Default)]
pub struct Fanouts {
    now: Option<Instant>,
    /// Rooms, and when what was delivered there was published.
    ended: Vec<(RoomId, u64)>,
}

impl Fanouts {
    /// What is published from here on is published now.
    #[inline]
    pub fn set_time(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Whether none has come to all since the last time that they were taken.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// The time of the turn, as [`Interest::micros`] counts.
    pub(super) fn micros(&self, interest: &Interest) -> u64 {
        self.now.map_or(0, |now| interest.micros(now))
    }

    /// A delivery has come to all.
    pub(super) fn end(&mut self, room: RoomId, since: u64) {
        self.ended.push((room, since));
    }

    /// A room has closed, and another may have its name.
    pub(super) fn forget(&mut self, room: RoomId) {
        self.ended.retain(|(other, _)| *other != room);
    }

    /// Takes them, and tells their topics how long they took until now.
    pub(super) fn take<'t>(
        &mut self,
        now: u64,
        topic: impl Fn(RoomId) -> &'t TopicEntry,
        mut took: impl FnMut(u64),
    ) {
        for (room, since) in self.ended.drain(..) {
            took(now.saturating_sub(since));
            topic(room).note_fanout(since, now);
        }
    }

    /// Gives memory back that a turn with many deliveries has needed.
    pub(super) fn trim(&mut self) {
        self.ended.shrink_to_fit();
    }
}
