//! Who waits for room in a mailbox, so that whoever makes room calls them.
//!
//! A sender says that it waits and then looks whether the mailbox is full; its worker takes mail
//! and then looks who waits. As with the doorbell, one of the two sees the other's first step,
//! since both have a sequentially consistent fence before their second.
//!
//! A call uses the mark up, also where the sender was awake and another sender takes the room. So a
//! sender says it again each time before it sleeps.

use super::atomic::{AtomicBool, Ordering, fence};

/// The senders that wait for one mailbox.
#[derive(Debug)]
pub struct Waiters {
    waits: Box<[AtomicBool]>,
}

impl Waiters {
    /// None of so many senders waits.
    #[must_use]
    pub fn new(senders: usize) -> Self {
        Self { waits: (0..senders).map(|_| AtomicBool::new(false)).collect() }
    }

    /// A sender will wait unless it finds room after this.
    pub fn enter(&self, sender: usize) {
        self.waits[sender].store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// After room was made: takes out who waits and calls each.
    pub fn call(&self, mut call: impl FnMut(usize)) {
        fence(Ordering::SeqCst);
        for (sender, waits) in self.waits.iter().enumerate() {
            if waits.load(Ordering::Relaxed) && waits.swap(false, Ordering::Relaxed) {
                call(sender);
            }
        }
    }
}
