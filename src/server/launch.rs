//! Starting the workers, in the order that private descriptor tables demand.
//!
//! Wakers, polls and the first listeners are made here, while there is one table; then each thread
//! parts its table from the others, keeps those and closes the rest; only then it opens what it
//! still needs to listen, and its ring. No value that owns a descriptor crosses threads after that,
//! not even to be dropped.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use core_affinity::CoreId;
use crossbeam_channel::{Sender, bounded};

use super::capacity::{connections_per_worker, default_workers};
use super::listeners::{Bound, Share};
use super::{Server, StartError, Stopper, descriptors, memory};
use crate::config::{Backend, Config};
use crate::driver::{Driver, EventWaker, Tuning, epoll, uring};
use crate::id::WorkerId;
use crate::limits::REFUSALS_MAX;
use crate::stats::Counters;
use crate::worker::{Mail, Shared, Worker, mailboxes};

/// The last word of a worker.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) worker: WorkerId,
    pub(super) result: io::Result<()>,
}

/// What becomes a driver on the worker's thread.
enum Seed {
    Epoll(epoll::Seed),
    IoUring(EventWaker),
}

/// What a worker's thread is given.
struct Plan {
    id: WorkerId,
    seed: Option<Seed>,
    cpu: Option<CoreId>,
    share: Share,
    /// Descriptors that survive the parting of the tables.
    keep: Vec<RawFd>,
    mail: Mail<EventWaker>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    connections_max: usize,
}

pub(super) fn launch(mut config: Config, backend: Backend) -> Result<Server, StartError> {
    config.memory.get_or_insert_with(memory::default_budget);
    let limit = descriptors::raise_limit();
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let workers = if config.workers > 0 { config.workers } else { default_workers() };
    let room = connections_per_worker(limit, workers, config.listen.len());
    if room == 0 {
        return Err(StartError::TooFewDescriptors(limit));
    }
    let connections_max = connections_max(&config, room, workers);
    let mut bound = Bound::bind(&config.listen)?;
    let seeds = (0..workers).map(|_| Seed::new(backend)).collect::<io::Result<Vec<_>>>();
    let seeds = seeds.map_err(StartError::Worker)?;
    let wakers: Arc<[EventWaker]> = seeds.iter().map(Seed::waker).collect();
    let mail = mailboxes(&wakers, config.mailbox_capacity);
    let counters: Vec<Arc<Counters>> = (0..workers).map(|_| Arc::default()).collect();
    let shared = Arc::new(Shared::new(config, connections_max));
    let mut plans = Vec::new();
    for (id, (seed, mail)) in seeds.into_iter().zip(mail).enumerate() {
        let share = bound.share().map_err(StartError::Worker)?;
        let keep = keep(&seed, &wakers, &share);
        plans.push(Plan {
            id: WorkerId(id as u16),
            cpu: (!cpus.is_empty()).then(|| cpus[id % cpus.len()]),
            seed: Some(seed),
            share,
            keep,
            mail,
            shared: Arc::clone(&shared),
            counters: Arc::clone(&counters[id]),
            connections_max: room.min(connections_max),
        });
    }
    let handed_over: Vec<RawFd> = plans.iter().flat_map(Plan::own_descriptors).collect();
    let stopper = Stopper { shared, wakers };
    let (exit_sender, exits) = bounded(workers);
    let threads = spawn(plans, &stopper, &exit_sender, &handed_over)?;
    stopper.shared.note_memory_at_start();
    bound.let_go();
    Ok(Server { stopper, counters, bound, backend, exits, threads })
}

/// Starts the threads and waits until all of them listen.
fn spawn(
    plans: Vec<Plan>,
    stopper: &Stopper,
    exits: &Sender<Exit>,
    handed_over: &[RawFd],
) -> Result<Vec<thread::JoinHandle<()>>, StartError> {
    let (ready_sender, ready) = bounded(plans.len());
    let mut threads = Vec::new();
    let mut failure = None;
    for plan in plans {
        let (ready, exits) = (ready_sender.clone(), exits.clone());
        let thread = thread::Builder::new().name(format!("worker-{}", plan.id.0));
        match thread.spawn(move || plan.run(&ready, &exits)) {
            Ok(thread) => threads.push(thread),
            Err(error) => failure = Some(StartError::Worker(error)),
        }
    }
    drop(ready_sender);
    for _ in 0..threads.len() {
        let gone = || StartError::Worker(io::Error::other("a worker panicked"));
        if let Err(error) = ready.recv().unwrap_or_else(|_| Err(gone())) {
            failure.get_or_insert(error);
        }
    }
    // The workers have these in their own tables now.
    handed_over.iter().copied().for_each(descriptors::close_here);
    let Some(failure) = failure else { return Ok(threads) };
    stopper.stop();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Err(failure)
}

fn connections_max(config: &Config, room: usize, workers: usize) -> usize {
    let possible = room.saturating_mul(workers);
    match config.max_connections {
        Some(wanted) if wanted > possible => {
            tracing::warn!(
                "--max-connections {wanted} is more than the descriptor limit allows: \
                 {possible} with {workers} workers; raise `ulimit -n` or --workers"
            );
            possible
        }
        Some(wanted) => wanted,
        None => possible,
    }
}

fn keep(seed: &Seed, wakers: &[EventWaker], share: &Share) -> Vec<RawFd> {
    let wakers = wakers.iter().map(AsRawFd::as_raw_fd);
    wakers.chain(share.descriptors()).chain(seed.descriptor()).collect()
}

impl Seed {
    fn new(backend: Backend) -> io::Result<Self> {
        match backend {
            Backend::Epoll => epoll::Seed::new().map(Self::Epoll),
            Backend::Auto | Backend::IoUring => EventWaker::new().map(Self::IoUring),
        }
    }

    fn waker(&self) -> EventWaker {
        match self {
            Self::Epoll(seed) => seed.waker(),
            Self::IoUring(waker) => waker.clone(),
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Epoll(seed) => Some(seed.descriptor()),
            Self::IoUring(_) => None,
        }
    }
}

impl Plan {
    /// Descriptors that the thread will own, in its own table.
    fn own_descriptors(&self) -> Vec<RawFd> {
        let seed = self.seed.as_ref().and_then(Seed::descriptor);
        self.share.descriptors().chain(seed).collect()
    }

    fn run(self, ready: &Sender<Result<(), StartError>>, exits: &Sender<Exit>) {
        let worker = self.id;
        if let Some(cpu) = self.cpu
            && !core_affinity::set_for_current(cpu)
        {
            tracing::warn!(worker = worker.0, cpu = cpu.id, "cannot pin the worker");
        }
        let result = self.serve(ready);
        // Nobody listens any more if the start has failed.
        let _ = exits.send(Exit { worker, result });
    }

    fn serve(mut self, ready: &Sender<Result<(), StartError>>) -> io::Result<()> {
        let parted = descriptors::part(&self.keep).map_err(StartError::Worker);
        let tuning = Tuning::for_connections(self.connections_max + REFUSALS_MAX);
        // The one choice between backends: below it everything is compiled once for each.
        match self.seed.take().expect("a plan is carried out once") {
            Seed::Epoll(seed) => self.serve_on(ready, parted, || Ok(seed.build(tuning))),
            Seed::IoUring(waker) => {
                self.serve_on(ready, parted, || uring::UringDriver::new(waker, tuning))
            }
        }
    }

    fn serve_on<D: Driver<Waker = EventWaker>>(
        self,
        ready: &Sender<Result<(), StartError>>,
        parted: Result<(), StartError>,
        build: impl FnOnce() -> io::Result<D>,
    ) -> io::Result<()> {
        let Self { share, shared, counters, mail, connections_max, .. } = self;
        let started = parted.and_then(|()| {
            let driver = build().map_err(StartError::Worker)?;
            let shared = Arc::clone(&shared);
            let mut worker = Worker::new(driver, shared, counters, mail, connections_max);
            for listener in share.open()? {
                worker.listen(listener).map_err(StartError::Worker)?;
            }
            Ok(worker)
        });
        let mut worker = match started {
            Ok(worker) => worker,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok(()));
        let result = worker.run();
        if result.is_err() {
            shared.is_stopping.store(true, Ordering::Release);
        }
        result
    }
}
