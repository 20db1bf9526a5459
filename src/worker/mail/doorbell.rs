//! Whether a worker sleeps, so that only a sleeping one is woken.
//!
//! A sender puts mail and then looks whether the worker sleeps; the worker says that it will sleep
//! and then looks for mail. Each must see the other's first step or its own second step must see
//! the other's: hence a sequentially consistent fence between the two steps on both sides.

use super::atomic::{AtomicBool, Ordering, fence};

/// One worker's doorbell.
#[derive(Debug)]
pub struct Doorbell {
    is_asleep: AtomicBool,
}

impl Doorbell {
    /// Of a worker that is awake.
    #[must_use]
    pub fn new() -> Self {
        Self { is_asleep: AtomicBool::new(false) }
    }

    /// The worker will sleep unless it finds mail after this.
    pub fn fall_asleep(&self) {
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake, woken or by itself.
    pub fn wake_up(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
    }

    /// After mail was put: whether the worker must be woken. Of several senders one is told so.
    #[must_use]
    pub fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed)
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}
