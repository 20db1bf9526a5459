//! Assembly: listeners, threads, limits, the way up and the way down.
//!
//! Everything that happens once stands here. It never touches a connection.

mod activation;
pub mod capacity;
pub mod cgroup;
#[allow(unsafe_code, reason = "no library has this system call in a safe form")]
mod close_range;
mod descriptors;
mod error;
mod handle;
mod launch;
mod listeners;
mod memory;
mod monitor;
mod patience;
mod pinning;
pub mod readiness;
mod reload;
pub mod signals;
mod unix_path;
pub mod watchdog;

pub use activation::Inherited;
pub use descriptors::try_parting;
pub use error::StartError;
pub use handle::{Asked, Busy, Handle, Questions};
pub use monitor::{Facts, MemoryUse, Monitor};
pub use reload::{OtherList, Reloader};

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use crate::config::{Backend, Config, ListenAddr};
use crate::driver::{EventWaker, Wake, uring};
use crate::protocol::{Builtin, Protocols, Setups};
use crate::stats::{Counters, Counts};
use handle::Control;
use launch::Exit;
use listeners::Bound;

/// A server that runs. Dropped, it stops and waits for its workers, which go on for
/// [`Config::drain_delay`], close their connections over [`Config::drain`] and wait for the last
/// answers; [`Server::detach`] lets it run on.
#[derive(Debug)]
pub struct Server {
    stopper: Stopper,
    control: Control,
    monitor: Monitor,
    reloader: Reloader,
    bound: Bound,
    exits: Receiver<Exit>,
    threads: Vec<JoinHandle<()>>,
}

/// Stops a server from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper {
    is_stopping: Arc<AtomicBool>,
    wakers: Arc<[EventWaker]>,
}

impl Server {
    /// Starts a server that speaks what is built in; it listens when this returns.
    ///
    /// # Errors
    ///
    /// What the operator has to mend, in a line.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let setups = Setups::from(&config);
        Self::start_with::<Builtin>(config, setups)
    }

    /// As [`Server::start`], on listeners that the process was started with where the options name
    /// their addresses.
    ///
    /// # Errors
    ///
    /// As for [`Server::start`].
    pub fn start_on(inherited: Inherited, config: Config) -> Result<Self, StartError> {
        let setups = Setups::from(&config);
        Self::start_all::<Builtin>(inherited, config, setups)
    }

    /// Starts a server that speaks this list of protocols ([`crate::protocols!`] writes one).
    ///
    /// # Errors
    ///
    /// As for [`Server::start`].
    pub fn start_with<L: Protocols>(config: Config, setups: L::Setups) -> Result<Self, StartError> {
        Self::start_all::<L>(Inherited::default(), config, setups)
    }

    fn start_all<L: Protocols>(
        inherited: Inherited,
        config: Config,
        setups: L::Setups,
    ) -> Result<Self, StartError> {
        let (backend, fallback) = choose(config.backend)?;
        let may_choose = config.backend == Backend::Auto;
        let server = launch::launch::<L>(config, inherited, setups, backend, fallback)?;
        if may_choose && server.backend() == Backend::IoUring {
            tracing::info!("backend io_uring, because this kernel has and permits what it needs");
        }
        Ok(server)
    }

    /// Where it listens; port 0 has become a real one.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddr] {
        self.bound.addresses()
    }

    /// The kernel interface in use.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.monitor.facts().backend
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.monitor.facts().workers
    }

    /// Connections that fit.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.monitor.connections_max()
    }

    /// How large it is, for people: `2 workers, room for 40 connections`.
    #[must_use]
    pub fn size(&self) -> String {
        let (workers, room) = (self.workers(), self.connections_max());
        let plural = |number| if number == 1 { "" } else { "s" };
        format!("{workers} worker{}, room for {room} connection{}", plural(workers), plural(room))
    }

    /// What all workers did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.monitor.counts()
    }

    /// What each worker did so far.
    #[must_use]
    pub fn counts_by_worker(&self) -> Vec<Counts> {
        let single = |counters: &Arc<Counters>| {
            let mut counts = Counts::default();
            counts.add(counters);
            counts
        };
        self.monitor.counters().iter().map(single).collect()
    }

    /// Wakes every worker and tells it nothing, for tests of what a wake may not do.
    pub fn wake(&self) {
        self.stopper.wake();
    }

    /// What publishes, from any thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.control.handle()
    }

    /// What connections ask, for a thread that answers.
    #[must_use]
    pub fn questions(&self) -> Questions {
        self.control.questions()
    }

    /// What is to be seen of it, and asked, from any thread.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Takes other options, of a server that speaks what is built in: see [`Reloader`].
    ///
    /// # Errors
    ///
    /// If it speaks another list.
    pub fn reload(&self, config: Config) -> Result<(), OtherList> {
        self.reloader.reload(config)
    }

    /// What gives it other options, from any thread.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// What stops this server, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Begins to stop: after [`Config::drain_delay`] nothing is accepted any more, and everybody is
    /// told, one after the other.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Waits until every worker has ended, and gives what they did.
    ///
    /// # Errors
    ///
    /// If one failed; the others are stopped then.
    pub fn join(mut self) -> io::Result<Counts> {
        self.wait()?;
        Ok(self.counts())
    }

    /// Lets it run on without this value, until a [`Stopper`] stops it or the process ends. Nobody
    /// hears of workers that fail, and the paths of its Unix sockets stay.
    pub fn detach(mut self) {
        self.threads.clear();
        self.bound.detach();
    }

    /// Waits for what workers there are.
    fn wait(&mut self) -> io::Result<()> {
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
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop();
            // What failed is in the log.
            let _ = self.wait();
        }
    }
}

impl Stopper {
    fn is_stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_stopping)
    }

    /// Wakes all workers, which look whether anything has changed.
    fn wake(&self) {
        self.wakers.iter().for_each(Wake::wake);
    }

    /// As [`Server::stop`].
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wake();
    }
}

/// Settles what `auto` means here, and says why: the backend, and what to take where not every
/// worker can have it.
fn choose(backend: Backend) -> Result<(Backend, Option<Backend>), StartError> {
    match (backend, uring::probe()) {
        (Backend::Epoll, _) => Ok((Backend::Epoll, None)),
        (Backend::IoUring, Err(reason)) => Err(StartError::NoIoUring(reason)),
        (Backend::Auto, Err(reason)) => {
            tracing::info!("backend epoll, because io_uring does not work here: {reason}");
            Ok((Backend::Epoll, None))
        }
        (Backend::Auto, Ok(())) => Ok((Backend::IoUring, Some(Backend::Epoll))),
        (Backend::IoUring, Ok(())) => Ok((Backend::IoUring, None)),
    }
}
