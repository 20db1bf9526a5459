//! Mail between workers, and with those outside: bounded mailboxes, the bell of a worker that
//! sleeps, and who waits for room. A sender never blocks: what finds no room waits in its outbox.

mod doorbell;
mod mailbox;
mod waiters;

/// What [`doorbell`] and [`waiters`] are built on; a test builds them on loom's.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

pub use doorbell::Doorbell;
pub use mailbox::{Address, Envelope, Mail, Posted, mailboxes, mailboxes_and_control};
pub use waiters::Waiters;
