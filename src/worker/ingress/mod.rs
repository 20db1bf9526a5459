//! What comes in on a connection, in the order of its stages: bytes (`ingest`), the header of a
//! proxy (`proxy`), frames and messages (`visit`), requests, what a protocol has left to be done
//! (`staged`), and where it waits: `stash`, `held`, `parked`. Nothing here calls the driver, and no
//! message is ever thrown away: what may not be handled now waits, and its connection is never read
//! meanwhile.

pub(crate) mod access;
pub(crate) mod held;
pub(crate) mod held_requests;
pub(crate) mod ingest;
pub(crate) mod parked;
pub(crate) mod proxy;
pub(crate) mod refusals;
pub(crate) mod requests;
pub(crate) mod staged;
pub(crate) mod stash;
pub(crate) mod visit;
