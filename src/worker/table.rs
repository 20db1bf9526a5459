//! The connections of a worker, in the slots that its driver gives them.

use super::connection::Connection;
use crate::id::ConnId;

/// Connections by slot.
#[derive(Debug)]
pub(crate) struct Table<S> {
    slots: Vec<Option<Connection<S>>>,
    count: usize,
    reserved: usize,
}

/// Slots that are not worth a trim.
const SLOTS_KEPT: usize = 1024;

impl<S> Table<S> {
    /// Has room for that many without growing, which would copy all of them. Memory that is not
    /// used is not resident.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), count: 0, reserved: capacity }
    }

    pub(crate) fn insert(&mut self, conn: ConnId, connection: Connection<S>) {
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let former = self.slots[index].replace(connection);
        assert!(former.is_none(), "a slot is given out again only after Closed");
        self.count += 1;
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Connection<S> {
        let slot = self.slots.get_mut(conn.index as usize).and_then(Option::take);
        self.count -= 1;
        slot.expect("Closed comes once for each connection")
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection<S>> {
        let slot = self.slots.get_mut(conn.index as usize)?.as_mut();
        slot.filter(|connection| connection.generation == conn.generation)
    }

    /// The connection of a slot, with its whole name.
    pub(crate) fn at(&mut self, index: u32) -> Option<(ConnId, &mut Connection<S>)> {
        let connection = self.slots.get_mut(index as usize)?.as_mut()?;
        Some((ConnId { index, generation: connection.generation }, connection))
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Slots that were used since the last trim: all connections are below.
    pub(crate) fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Whether three quarters of the slots are free. Who comes and goes in smaller numbers finds
    /// the memory as it was.
    pub(crate) fn is_sparse(&self) -> bool {
        self.slots.len() > SLOTS_KEPT && self.count < self.slots.len() / 4
    }

    /// Gives back the memory of the slots behind the last that is used, but not the room for them.
    /// Less than a millisecond for 100,000 of them.
    pub(crate) fn trim(&mut self) {
        let used = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.slots.truncate(used);
        self.slots.shrink_to_fit();
        self.slots.reserve_exact(self.reserved.saturating_sub(used));
    }
}
