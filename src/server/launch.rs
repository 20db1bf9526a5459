//! Starting the workers, in the order that private descriptor tables demand.
//!
//! Wakers, polls and the first listeners are made here, while there is one table; then each thread
//! parts its table from the others, keeps those and closes the rest, and sets its ring up. When all
//! have one they open what they still need to listen. No value that owns a descriptor crosses
//! threads after the tables have parted, not even to be dropped.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::activation::Inherited;
use super::capacity::{self, Room, Tables};
use super::handle::Control;
use super::listeners::{Bound, Share};
use super::monitor::{Bounds, Facts, Monitor, View};
use super::reload::Reloader;
use super::{Server, StartError, Stopper, descriptors, memory, pinning};
use crate::config::{Backend, Config, Pin};
use crate::driver::{Driver, EventWaker, Tuning, epoll, uring};
use crate::hub::Interest;
use crate::id::WorkerId;
use crate::limits::REFUSALS_MAX;
use crate::protocol::Protocols;
use crate::stats::Counters;
use crate::worker::{Mail, Shared, Worker, mailboxes_and_control};

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
struct Plan<L: Protocols> {
    id: WorkerId,
    /// How many of them there are.
    workers: usize,
    seed: Option<Seed>,
    cpu: Option<usize>,
    /// Whether it was told which CPU, so that it must be that one.
    must_pin: bool,
    share: Share,
    tables: Tables,
    /// Descriptors that survive the parting of the tables.
    keep: Vec<RawFd>,
    mail: Mail<EventWaker>,
    shared: Arc<Shared<L>>,
    counters: Arc<Counters>,
    connections_max: usize,
}

/// How a worker's thread and the launch hear of each other.
#[derive(Clone)]
struct Line {
    /// The worker has a driver; then, that it listens.
    reports: Sender<Result<(), StartError>>,
    /// It may listen; disconnected if it shall not.
    go: Receiver<()>,
    exits: Sender<Exit>,
}

/// What is the same for every attempt to start.
struct Launch<L: Protocols> {
    config: Config,
    setups: Arc<L::Setups>,
    workers: usize,
    tables: Tables,
    room: Room,
    connections_max: usize,
    bound: Bound,
}

/// A server whose workers listen.
struct Started {
    stopper: Stopper,
    control: Control,
    counters: Vec<Arc<Counters>>,
    bounds: Arc<dyn Bounds>,
    interest: Arc<Interest>,
    exits: Receiver<Exit>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Starts the workers, on another backend if they cannot have the first one.
pub(super) fn launch<L: Protocols>(
    config: Config,
    inherited: Inherited,
    setups: L::Setups,
    backend: Backend,
    fallback: Option<Backend>,
) -> Result<Server, StartError> {
    let mut launch = Launch::<L>::prepare(config, inherited, setups)?;
    let (started, backend) = match (launch.start(backend), fallback) {
        (Err(error @ StartError::Ring { .. }), Some(fallback)) => {
            tracing::warn!("backend epoll, because {error}");
            (launch.start(fallback)?, fallback)
        }
        (result, _) => (result?, backend),
    };
    launch.bound.let_go();
    let Started { stopper, control, counters, bounds, interest, exits, threads } = started;
    let Launch { bound, config, workers, room, .. } = launch;
    let addresses = bound.addresses().to_vec();
    let monitor = Monitor::new(View {
        control: control.clone(),
        interest,
        counters,
        is_stopping: stopper.is_stopping(),
        bounds: Arc::clone(&bounds),
        facts: Facts { addresses, backend, workers },
    });
    let reloader = Reloader::new::<L>(stopper.clone(), config, workers, room, bounds);
    Ok(Server { stopper, control, monitor, reloader, bound, exits, threads })
}

impl<L: Protocols> Launch<L> {
    fn prepare(
        mut config: Config,
        inherited: Inherited,
        setups: L::Setups,
    ) -> Result<Self, StartError> {
        config.memory.get_or_insert_with(memory::default_budget);
        let limit = descriptors::raise_limit();
        let tables = descriptors::try_parting().map_err(StartError::Worker)?;
        let workers = capacity::workers(&config);
        let bound = Bound::bind(&config, inherited, workers)?;
        let room = capacity::room(limit, workers, bound.listeners_of_worker(workers), tables);
        if room.all == 0 {
            return Err(StartError::TooFewDescriptors(limit));
        }
        if tables == Tables::Shared {
            tracing::warn!(
                "all workers share one descriptor table, as a seccomp filter forbids both \
                 unshare(2) and close_range(2): the limit of {limit} descriptors is for all \
                 connections together, and not for each worker"
            );
        }
        let connections_max = connections_max(&config, room.all, workers);
        let setups = Arc::new(setups);
        Ok(Self { config, setups, workers, tables, room, connections_max, bound })
    }

    fn start(&self, backend: Backend) -> Result<Started, StartError> {
        let seeds = (0..self.workers).map(|_| Seed::new(backend)).collect::<io::Result<Vec<_>>>();
        let seeds = seeds.map_err(StartError::Worker)?;
        let wakers: Arc<[EventWaker]> = seeds.iter().map(Seed::waker).collect();
        let waker = EventWaker::new().map_err(StartError::Worker)?;
        let capacity = self.config.mailbox_capacity;
        let (mail, control) = mailboxes_and_control(&wakers, waker.clone(), capacity);
        let counters: Vec<Arc<Counters>> = (0..self.workers).map(|_| Arc::default()).collect();
        let setups = Arc::clone(&self.setups);
        let config = self.config.clone();
        let shared = Shared::<L>::with_setups(config, self.workers, self.connections_max, setups);
        let shared = Arc::new(shared);
        let shares = self.bound.shares(self.workers).map_err(StartError::Worker)?;
        let cpus = pinning::cpus_of_workers(&self.config.pin, self.workers);
        let mut plans = Vec::new();
        for (id, ((seed, mail), share)) in seeds.into_iter().zip(mail).zip(shares).enumerate() {
            let keep = keep(&seed, &wakers, &waker, &share);
            plans.push(Plan {
                id: WorkerId(id as u16),
                workers: self.workers,
                cpu: cpus[id],
                must_pin: matches!(self.config.pin, Pin::List(_)),
                seed: Some(seed),
                share,
                tables: self.tables,
                keep,
                mail,
                shared: Arc::clone(&shared),
                counters: Arc::clone(&counters[id]),
                connections_max: self.room.each.min(self.connections_max),
            });
        }
        let stopper = Stopper { is_stopping: Arc::clone(&shared.is_stopping), wakers };
        let interest = Arc::clone(&shared.interest);
        let control = Control::new(control, Arc::clone(&interest), waker);
        let (exit_sender, exits) = bounded(self.workers);
        let threads = spawn(plans, &stopper, &exit_sender, self.tables)?;
        shared.note_memory_at_start();
        let bounds: Arc<dyn Bounds> = shared;
        Ok(Started { stopper, control, counters, bounds, interest, exits, threads })
    }
}

/// Starts the threads and waits until all of them listen.
fn spawn<L: Protocols>(
    plans: Vec<Plan<L>>,
    stopper: &Stopper,
    exits: &Sender<Exit>,
    tables: Tables,
) -> Result<Vec<thread::JoinHandle<()>>, StartError> {
    let (report_sender, reports) = bounded(plans.len());
    let (go_sender, go) = bounded(plans.len());
    let line = Line { reports: report_sender, go, exits: exits.clone() };
    let (mut threads, mut handed_over) = (Vec::new(), Vec::new());
    let mut failure = None;
    for plan in plans {
        let (line, own) = (line.clone(), plan.own_descriptors());
        let thread = thread::Builder::new().name(format!("worker-{}", plan.id.0));
        match thread.spawn(move || plan.run(&line)) {
            Ok(thread) => {
                threads.push(thread);
                handed_over.extend(own);
            }
            Err(error) => failure = Some(StartError::Worker(error)),
        }
    }
    drop(line);
    // Nobody is accepted before every worker has a driver: a start that fails has no clients.
    let hear = |failure: &mut Option<StartError>| {
        for _ in 0..threads.len() {
            let gone = || StartError::Worker(io::Error::other("a worker panicked"));
            if let Err(error) = reports.recv().unwrap_or_else(|_| Err(gone())) {
                failure.get_or_insert(error);
            }
        }
    };
    hear(&mut failure);
    if failure.is_none() {
        // One for each, and the channel has room for them all.
        for _ in &threads {
            // There is room for all; it fails only if no thread is left to hear it.
            let _ = go_sender.send(());
        }
        hear(&mut failure);
    }
    drop(go_sender);
    if tables == Tables::Private {
        // The workers have these in their own tables now.
        handed_over.into_iter().for_each(descriptors::close_here);
    }
    let Some(failure) = failure else { return Ok(threads) };
    stopper.stop();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Err(failure)
}

/// Connections of the whole process.
pub(super) fn connections_max(config: &Config, possible: usize, workers: usize) -> usize {
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

fn keep(seed: &Seed, wakers: &[EventWaker], control: &EventWaker, share: &Share) -> Vec<RawFd> {
    let wakers = wakers.iter().chain([control]).map(AsRawFd::as_raw_fd);
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

impl<L: Protocols> Plan<L> {
    /// Descriptors that the thread will own, in its own table.
    fn own_descriptors(&self) -> Vec<RawFd> {
        let seed = self.seed.as_ref().and_then(Seed::descriptor);
        self.share.descriptors().chain(seed).collect()
    }

    fn run(self, line: &Line) {
        let worker = self.id;
        let result = self.serve(line);
        // Nobody listens any more if the start has failed.
        let _ = line.exits.send(Exit { worker, result });
    }

    fn serve(mut self, line: &Line) -> io::Result<()> {
        let prepared = self.part().and_then(|()| self.pin());
        let tuning = Tuning::for_connections(self.connections_max + REFUSALS_MAX);
        let workers = self.workers;
        // The one choice between backends: below it everything is compiled once for each.
        match self.seed.take().expect("a plan is carried out once") {
            Seed::Epoll(seed) => {
                let driver = prepared.map(|()| seed.build(tuning));
                self.serve_on(line, driver)
            }
            Seed::IoUring(waker) => {
                let no_ring = |error| StartError::Ring { workers, error };
                let ring = || uring::UringDriver::new(waker, tuning).map_err(no_ring);
                self.serve_on(line, prepared.and_then(|()| ring()))
            }
        }
    }

    fn part(&self) -> Result<(), StartError> {
        match self.tables {
            Tables::Private => descriptors::part(&self.keep).map_err(StartError::Worker),
            Tables::Shared => Ok(()),
        }
    }

    fn pin(&self) -> Result<(), StartError> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        match pinning::pin_to(cpu) {
            Err(error) if self.must_pin => Err(StartError::Pin(cpu, error)),
            Err(error) => {
                tracing::warn!(worker = self.id.0, cpu, %error, "cannot pin the worker");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn serve_on<D: Driver<Waker = EventWaker>>(
        self,
        line: &Line,
        driver: Result<D, StartError>,
    ) -> io::Result<()> {
        let Self { share, shared, counters, mail, connections_max, .. } = self;
        let (driver, report) = match driver {
            Ok(driver) => (Some(driver), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The launch hears every report: it waits for as many as there are threads.
        let _ = line.reports.send(report);
        let Some(driver) = driver else { return Ok(()) };
        if line.go.recv().is_err() {
            return Ok(());
        }
        let mut worker = Worker::new(driver, Arc::clone(&shared), counters, mail, connections_max);
        let listens = share.open().and_then(|listeners| {
            let mut listeners = listeners.into_iter();
            listeners.try_for_each(|listener| worker.listen(listener).map_err(StartError::Worker))
        });
        let is_serving = listens.is_ok();
        let _ = line.reports.send(listens);
        if !is_serving {
            return Ok(());
        }
        let result = worker.run();
        if result.is_err() {
            shared.is_stopping.store(true, Ordering::Release);
        }
        result
    }
}
