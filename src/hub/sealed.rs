//! What goes from the worker where it was published to the others, and what it costs there.

use std::sync::Arc;

use super::TopicEntry;
use crate::limits::DELIVERY_COST;
use crate::wire::Encoded;

/// What was published in a room in one turn of a worker: it goes to other workers too.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What all workers know of the room.
    pub topic: Arc<TopicEntry>,
    /// The workers that had come to it, read before it is read who is to get this.
    pub arrivals: u32,
    /// When it was published, as [`super::Interest::micros`] counts.
    pub since: u64,
    /// The frames, shared with everybody who gets them.
    pub frames: Arc<Encoded>,
}

/// What it costs to put a run into the queue of one member, and to copy it to the kernel.
#[must_use]
pub fn delivery_cost(run: &Encoded) -> usize {
    DELIVERY_COST + run.plain_bytes() / 8
}
