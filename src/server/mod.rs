//! Assembly: listeners, threads, limits, the way up and the way down.
//!
//! Everything that happens once stands here. It never touches a connection.

pub mod capacity;
pub mod cgroup;
mod descriptors;
mod error;
mod launch;
mod listeners;
mod memory;
pub mod readiness;
pub mod signals;

pub use error::StartError;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use crate::config::{Backend, Config, ListenAddr};
use crate::driver::{EventWaker, Wake, uring};
use crate::stats::{Counters, Counts};
use crate::worker::Shared;
use launch::Exit;
use listeners::Bound;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    stopper: Stopper,
    counters: Vec<Arc<Counters>>,
    bound: Bound,
    backend: Backend,
    exits: Receiver<Exit>,
    threads: Vec<JoinHandle<()>>,
}

/// Stops a server from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper {
    shared: Arc<Shared>,
    wakers: Arc<[EventWaker]>,
}

impl Server {
    /// Starts a server; it listens when this returns.
    ///
    /// # Errors
    ///
    /// What the operator has to mend, in a line.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let backend = choose(config.backend)?;
        launch::launch(config, backend)
    }

    /// Where it listens; port 0 has become a real one.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddr] {
        self.bound.addresses()
    }

    /// The kernel interface in use.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.counters.len()
    }

    /// Connections that fit.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.stopper.shared.connections_max
    }

    /// What all workers did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.counters.iter().for_each(|counters| counts.add(counters));
        counts
    }

    /// What each worker did so far.
    #[must_use]
    pub fn counts_by_worker(&self) -> Vec<Counts> {
        let single = |counters: &Arc<Counters>| {
            let mut counts = Counts::default();
            counts.add(counters);
            counts
        };
        self.counters.iter().map(single).collect()
    }

    /// Wakes every worker and tells it nothing, for tests of what a wake may not do.
    pub fn wake(&self) {
        self.stopper.wakers.iter().for_each(Wake::wake);
    }

    /// What stops this server, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Begins to stop: nothing is accepted any more, everybody gets 1001.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Waits until every worker has ended, and gives what they did.
    ///
    /// # Errors
    ///
    /// If one failed; the others are stopped then.
    pub fn join(mut self) -> io::Result<Counts> {
        let mut failure = None;
        for _ in 0..self.threads.len() {
            let Ok(Exit { worker, result }) = self.exits.recv() else { break };
            if let Err(error) = result {
                tracing::error!(worker = worker.0, %error, "a worker failed");
                failure.get_or_insert(error);
                self.stop();
            }
        }
        for thread in std::mem::take(&mut self.threads) {
            let is_panicked = thread.join().is_err();
            if is_panicked {
                failure.get_or_insert_with(|| io::Error::other("a worker panicked"));
            }
        }
        failure.map_or_else(|| Ok(self.counts()), Err)
    }
}

impl Stopper {
    /// As [`Server::stop`].
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.wakers.iter().for_each(Wake::wake);
    }
}

/// Settles what `auto` means here, and says why.
fn choose(backend: Backend) -> Result<Backend, StartError> {
    match (backend, uring::probe()) {
        (Backend::Epoll, _) => Ok(Backend::Epoll),
        (Backend::IoUring, Err(reason)) => Err(StartError::NoIoUring(reason)),
        (Backend::Auto, Err(reason)) => {
            tracing::info!("backend epoll, because io_uring does not work here: {reason}");
            Ok(Backend::Epoll)
        }
        (Backend::Auto, Ok(())) => {
            tracing::info!("backend io_uring, because this kernel has and permits what it needs");
            Ok(Backend::IoUring)
        }
        (Backend::IoUring, Ok(())) => Ok(Backend::IoUring),
    }
}
