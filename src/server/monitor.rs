//! What those outside see of a server that runs, and what they ask of its workers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::handle::{Busy, Control, Handle};
use crate::config::{Backend, ListenAddr};
use crate::hub::{Interest, TopicInfo};
use crate::protocol::Protocols;
use crate::stats::{Counters, Counts};
use crate::worker::{Inquired, Inquiry, Reload, Report, Shared};

/// A view of a server, from any thread; it does not keep it running.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<View>);

#[derive(Debug)]
pub(super) struct View {
    pub(super) control: Control,
    pub(super) interest: Arc<Interest>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) is_stopping: Arc<AtomicBool>,
    pub(super) bounds: Arc<dyn Bounds>,
    pub(super) facts: Facts,
}

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where it listens.
    pub addresses: Vec<ListenAddr>,
    /// The kernel interface in use.
    pub backend: Backend,
    /// How many workers there are.
    pub workers: usize,
}

/// The memory of the process, as [`crate::config::Config::memory_in_use`] counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes that were allocated since the start.
    pub in_use: usize,
    /// How many may be.
    pub budget: Option<usize>,
}

/// What all workers share of their bounds, whatever they speak.
pub(super) trait Bounds: fmt::Debug + Send + Sync {
    fn memory(&self) -> MemoryUse;
    fn connections_max(&self) -> usize;
    fn set(&self, connections_max: usize, memory: Option<usize>);
    fn reload(&self, reload: Reload);
}

impl<L: Protocols> Bounds for Shared<L> {
    fn memory(&self) -> MemoryUse {
        MemoryUse { in_use: self.memory_in_use(), budget: self.memory_budget() }
    }

    fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    fn set(&self, connections_max: usize, memory: Option<usize>) {
        self.set_bounds(connections_max, memory);
    }

    fn reload(&self, reload: Reload) {
        Self::reload(self, reload);
    }
}

impl MemoryUse {
    /// Whether it is over the budget, so that nobody is let in.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.in_use > budget)
    }
}

impl Monitor {
    pub(super) fn new(inner: View) -> Self {
        Self(Arc::new(inner))
    }

    /// What does not change.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// Connections that fit.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.0.bounds.connections_max()
    }

    /// Whether the server has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Acquire)
    }

    /// Whether every worker has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.control.has_ended()
    }

    /// What each worker counts.
    #[must_use]
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.0.counters
    }

    /// The sum of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.0.counters.iter().for_each(|counters| counts.add(counters));
        counts
    }

    /// The memory of the process.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        self.0.bounds.memory()
    }

    /// Envelopes that lie in the mailbox of a worker, and their bytes.
    #[must_use]
    pub fn mailbox(&self, worker: usize) -> (usize, usize) {
        self.0.control.mailbox(worker)
    }

    /// All rooms and other topics that have subscribers, in no order. It takes the locks of 64
    /// parts of the list in turn, each for as long as that part is copied.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.0.interest.list()
    }

    /// One of them.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.0.interest.info(name)
    }

    /// What publishes.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.control.handle()
    }

    /// Asks a worker. The reply is called on its thread, and must return at once; it is dropped
    /// without a call if the worker stops or has too many questions. Neither may use a descriptor,
    /// so it may not wake a runtime either: the worker has a table of its own, where the number is
    /// another's, perhaps a client's socket. It may lay the answer where the caller looks for it.
    ///
    /// # Errors
    ///
    /// If the worker's mailbox is full.
    pub fn ask(
        &self,
        worker: usize,
        inquiry: Inquiry,
        reply: impl FnOnce(Report) + Send + 'static,
    ) -> Result<(), Busy> {
        self.0.control.inquire(worker, Inquired { inquiry, reply: Box::new(reply) })
    }
}
