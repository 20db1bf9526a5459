//! Listeners that outlive a process: the service manager passes them (LISTEN_FDS of
//! sd_listen_fds(3)), or keeps those of an earlier process in its store (FDSTORE of sd_notify(3)).
//!
//! It decides whose each listener is; it never accepts from one.

mod inherited;
mod keeping;

pub use inherited::Inherited;
pub(super) use inherited::Passed;
pub(super) use keeping::{Keeping, Store, forget};
