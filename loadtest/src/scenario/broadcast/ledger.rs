//! What all threads write down together: how many have received each message, and when the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use mio::Waker;

/// Messages that are looked after at the same time.
pub(crate) const MESSAGES_MAX: u64 = 4096;

/// Parts of a run whose latencies are kept apart.
pub(crate) const PHASES: usize = 2;

/// The phase of messages that do not count. It only changes while nothing is on its way.
pub(crate) const NOT_MEASURED: usize = usize::MAX;

/// The common book of a broadcast.
pub(crate) struct Ledger {
    slots: Vec<Slot>,
    /// Connections that every message must reach.
    receivers: AtomicU64,
    /// The next number of each publisher.
    numbers: Vec<AtomicU32>,
    /// Messages published.
    pub(crate) published: AtomicU64,
    /// Messages that all have received.
    pub(crate) complete: AtomicU64,
    /// Messages that were given up: not all had them in time.
    pub(crate) incomplete: AtomicU64,
    /// Messages that could not be published: no publisher is left.
    pub(crate) unpublished: AtomicU64,
    /// Whether a plan is being carried out.
    pub(crate) is_publishing: AtomicBool,
    /// Whether the publisher wants to know when a message is complete.
    pub(crate) is_awaited: AtomicBool,
    /// Where latencies count: [`NOT_MEASURED`], or below [`PHASES`].
    pub(crate) phase: AtomicUsize,
    /// Wakes the thread that publishes.
    publisher: Arc<Waker>,
}

struct Slot {
    index: AtomicU64,
    received: AtomicU64,
    last_ns: AtomicU64,
    intended_ns: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(publishers: usize, publisher: Arc<Waker>) -> Self {
        let slot = |_| Slot {
            index: AtomicU64::new(u64::MAX),
            received: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            intended_ns: AtomicU64::new(0),
        };
        Self {
            slots: (0..MESSAGES_MAX).map(slot).collect(),
            receivers: AtomicU64::new(0),
            numbers: (0..publishers).map(|_| AtomicU32::new(0)).collect(),
            published: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            incomplete: AtomicU64::new(0),
            unpublished: AtomicU64::new(0),
            is_publishing: AtomicBool::new(false),
            is_awaited: AtomicBool::new(false),
            phase: AtomicUsize::new(NOT_MEASURED),
            publisher,
        }
    }

    pub(crate) fn publishers(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::AcqRel);
    }

    /// A receiver has gone: what waits for it waits no more.
    pub(crate) fn remove_receiver(&self) {
        self.receivers.fetch_sub(1, Ordering::AcqRel);
        self.wake_if_awaited();
    }

    /// The number that a publisher's next message has.
    pub(crate) fn next_number(&self, publisher: usize) -> u32 {
        self.numbers[publisher].load(Ordering::Acquire)
    }

    /// Begins a message and gives its number among those of its publisher.
    pub(crate) fn publish(&self, index: u64, publisher: usize, intended_ns: u64) -> u32 {
        let slot = self.slot(index);
        slot.received.store(0, Ordering::Relaxed);
        slot.last_ns.store(0, Ordering::Relaxed);
        slot.intended_ns.store(intended_ns, Ordering::Relaxed);
        slot.index.store(index, Ordering::Release);
        self.published.fetch_add(1, Ordering::AcqRel);
        self.numbers[publisher].fetch_add(1, Ordering::AcqRel)
    }

    /// So many have received a message, the last of them at `last_ns`.
    pub(crate) fn received(&self, index: u64, count: u64, last_ns: u64) {
        let slot = self.slot(index);
        if slot.index.load(Ordering::Acquire) != index {
            return;
        }
        // The time before the count: whoever sees the full count sees the last time.
        slot.last_ns.fetch_max(last_ns, Ordering::AcqRel);
        let before = slot.received.fetch_add(count, Ordering::AcqRel);
        if before + count >= self.receivers.load(Ordering::Acquire) {
            self.wake_if_awaited();
        }
    }

    /// From the intended time to the last receiver, if all have received it.
    pub(crate) fn completed_after_ns(&self, index: u64) -> Option<u64> {
        let slot = self.slot(index);
        let received = slot.received.load(Ordering::Acquire);
        let is_complete = received >= self.receivers.load(Ordering::Acquire);
        let last = slot.last_ns.load(Ordering::Acquire);
        is_complete.then(|| last.saturating_sub(slot.intended_ns.load(Ordering::Relaxed)))
    }

    pub(crate) fn intended_ns(&self, index: u64) -> u64 {
        self.slot(index).intended_ns.load(Ordering::Relaxed)
    }

    fn slot(&self, index: u64) -> &Slot {
        &self.slots[(index % MESSAGES_MAX) as usize]
    }

    fn wake_if_awaited(&self) {
        if self.is_awaited.load(Ordering::Acquire) {
            // A thread that has ended needs no waking.
            let _ = self.publisher.wake();
        }
    }
}
