//! Names for connections and workers.

/// One connection of one driver: a slot and the number of times any slot was filled before it.
///
/// The generation makes a late word about a former tenant of the slot recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The slot in the connection tables of the worker.
    pub index: u32,
    /// Counts up with every connection of the driver and wraps after 2^32.
    pub generation: u32,
}

/// One worker thread, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

/// One connection of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId {
    /// Its worker.
    pub worker: WorkerId,
    /// Which one there.
    pub conn: ConnId,
}

impl WorkerId {
    /// The place of the worker in tables that have one entry for each.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
