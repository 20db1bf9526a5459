//! Very many clients from few threads.
//!
//! A [`Crew`] is some threads, each with a poll, a buffer that all of its connections read into and
//! a descriptor table of its own. What the connections are for is a [`Behaviour`]; what is to
//! be done next comes as a [`Command`] from the conducting thread. Nothing here knows a scenario.

pub(crate) mod calibration;
mod frames;
mod link;
mod net;
mod ramp;
pub(crate) mod sources;
pub(crate) mod table;
pub(crate) mod tally;
mod thread;
mod timer;

pub(crate) use net::{Again, Leave, Net, Opening};

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use mio::{Poll, Token, Waker};

use crate::clock::Clock;
use tally::{Live, LiveCounts, Tally};
use thread::LoaderThread;

/// What the connections of a thread do.
pub(crate) trait Behaviour: Send + 'static {
    /// What the conducting thread asks for.
    type Order: Send + 'static;
    /// What is left when it ends.
    type Outcome: Send + 'static;

    /// A connection is open.
    fn opened(&mut self, _net: &mut Net, _key: usize) {}

    /// A complete message came.
    fn message(&mut self, net: &mut Net, key: usize, payload: &[u8]);

    /// The server's close frame came, on a connection that we had not closed.
    fn closed(&mut self, _net: &mut Net, _key: usize, _code: u16, _reason: &[u8]) {}

    /// The server has ended a connection that is not read from; it stays open until it is.
    fn hung_up(&mut self, _net: &mut Net, _key: usize) {}

    /// A connection that was open is over; its key will be another's.
    fn gone(&mut self, _net: &mut Net, _key: usize) {}

    /// The connection with this number was never open.
    fn failed(&mut self, _net: &mut Net, _id: u32) {}

    /// Something was asked for.
    fn order(&mut self, _net: &mut Net, _order: Self::Order) {}

    /// Does what is due, and says when it is due again: nanoseconds, or `u64::MAX` for never.
    fn tick(&mut self, _net: &mut Net) -> u64 {
        u64::MAX
    }

    /// All that the kernel had has been handled.
    fn turn_done(&mut self, _net: &mut Net) {}

    /// The end.
    fn finish(self, net: &mut Net) -> Self::Outcome;
}

/// How long a run that has all it waited for waits for more: what comes twice comes late.
const STRAYS: Duration = Duration::from_millis(200);

/// What a thread is told.
#[derive(Debug)]
pub(crate) enum Command<O> {
    /// Opens more connections; a rate of 0 is flat out.
    Open { count: u64, per_second: f64 },
    /// Begins no more connections.
    StopOpening,
    /// For the behaviour.
    Order(O),
    /// Forgets which connection had how many pings.
    ResetPings,
    /// Asks how many connections had how many pings.
    CountPings(Sender<Vec<u64>>),
    /// Answers when all commands before have been carried out, and counts show what they did.
    Sync(Sender<()>),
    /// Ends.
    Finish,
}

/// The end of a thread to which commands go.
#[derive(Debug)]
pub(crate) struct Handle<O> {
    commands: Sender<Command<O>>,
    waker: Arc<Waker>,
    live: Arc<Live>,
}

/// What the threads have left.
pub(crate) struct Finished<T> {
    pub(crate) tally: Tally,
    pub(crate) outcomes: Vec<T>,
}

/// A thread that ends with its counts and what its behaviour has left.
type Thread<T> = JoinHandle<io::Result<(Tally, T)>>;

/// The threads of one scenario.
pub(crate) struct Crew<B: Behaviour> {
    handles: Vec<Handle<B::Order>>,
    threads: Vec<Thread<B::Outcome>>,
    /// Connections that were asked for.
    asked: u64,
}

/// What a thread begins with, made while there is one descriptor table.
pub(crate) struct Seeds {
    seeds: Vec<(Poll, Arc<Waker>)>,
}

/// The token of a waker; connections have keys far below.
pub(super) const WAKER: Token = Token(usize::MAX - 1);

impl Seeds {
    /// Opens what `threads` threads are woken by.
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let seed = |_| {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKER)?;
            Ok((poll, Arc::new(waker)))
        };
        Ok(Self { seeds: (0..threads).map(seed).collect::<io::Result<_>>()? })
    }

    /// What wakes each thread, for behaviours that wake others.
    pub(crate) fn wakers(&self) -> Vec<Arc<Waker>> {
        self.seeds.iter().map(|(_, waker)| Arc::clone(waker)).collect()
    }
}

impl<B: Behaviour> Crew<B> {
    /// Starts a thread for each behaviour. Each inherits the CPUs of the caller.
    pub(crate) fn start(
        seeds: Seeds,
        behaviours: Vec<B>,
        opening: &Opening,
        clock: Clock,
    ) -> io::Result<Self> {
        let count = behaviours.len();
        assert_eq!(count, seeds.seeds.len(), "each thread has a seed");
        let mut crew = Self { handles: Vec::new(), threads: Vec::new(), asked: 0 };
        let (ready_sender, ready) = bounded(count);
        let seeds = seeds.seeds.into_iter().zip(behaviours);
        for (index, ((poll, waker), behaviour)) in seeds.enumerate() {
            // Each command is answered by an action before the next phase, so few ever wait.
            let (sender, commands): (_, Receiver<Command<B::Order>>) = unbounded();
            let live = Arc::new(Live::default());
            let handle = Handle { commands: sender, waker, live: Arc::clone(&live) };
            crew.handles.push(handle);
            let (opening, ready) = (opening.clone(), ready_sender.clone());
            let builder = std::thread::Builder::new().name(format!("loader-{index}"));
            crew.threads.push(builder.spawn(move || {
                let place = (index, count);
                let thread = table::part().and_then(|()| {
                    LoaderThread::new(poll, commands, behaviour, opening, live, clock, place)
                });
                // The receiver outlives all threads that start.
                let _ = ready.send(());
                thread?.run()
            })?);
        }
        for _ in 0..count {
            ready.recv().map_err(|_| io::Error::other("a loader thread panicked"))?;
        }
        Ok(crew)
    }

    pub(crate) fn threads(&self) -> usize {
        self.handles.len()
    }

    /// The counts of all threads.
    pub(crate) fn live(&self) -> LiveCounts {
        LiveCounts::sum(self.handles.iter().map(|handle| &*handle.live))
    }

    /// Opens more connections, spread evenly.
    pub(crate) fn open(&mut self, count: u64, per_second: f64) {
        let threads = self.threads() as u64;
        let before = self.asked;
        self.asked += count;
        for (index, handle) in (0..).zip(&self.handles) {
            // Whatever was opened before, the totals of two threads differ by one at most.
            let share = |total: u64| (total + threads - 1 - index) / threads;
            let count = share(before + count) - share(before);
            let per_second = per_second / threads as f64;
            handle.tell(Command::Open { count, per_second });
        }
    }

    /// Connections that were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// Whether every connection that was asked for is open, was open or has failed.
    pub(crate) fn has_opened(&self) -> bool {
        let live = self.live();
        live.opened + live.failed >= self.asked
    }

    /// Tells one thread.
    pub(crate) fn tell(&self, thread: usize, command: Command<B::Order>) {
        self.handles[thread].tell(command);
    }

    /// Tells all threads.
    pub(crate) fn tell_all(&self, command: impl Fn(usize) -> Command<B::Order>) {
        for (index, handle) in self.handles.iter().enumerate() {
            handle.tell(command(index));
        }
    }

    /// Waits until all that was told has been carried out, and counts show it.
    pub(crate) fn sync(&self) {
        let (sender, done) = bounded(self.threads());
        self.tell_all(|_| Command::Sync(sender.clone()));
        drop(sender);
        // It ends when each thread has answered, or has ended.
        done.into_iter().for_each(drop);
    }

    /// How many connections had how many pings since the last reset: the index is the pings.
    pub(crate) fn count_pings(&self) -> Vec<u64> {
        let (sender, counts) = bounded(self.threads());
        self.tell_all(|_| Command::CountPings(sender.clone()));
        drop(sender);
        let mut sum: Vec<u64> = Vec::new();
        for counts in counts {
            sum.resize(sum.len().max(counts.len()), 0);
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        sum
    }

    /// Ends all threads.
    pub(crate) fn finish(self) -> io::Result<Finished<B::Outcome>> {
        // Clients still read.
        std::thread::sleep(STRAYS);
        self.tell_all(|_| Command::Finish);
        let mut finished = Finished { tally: Tally::default(), outcomes: Vec::new() };
        for thread in self.threads {
            let result = thread.join().map_err(|_| io::Error::other("a loader thread panicked"))?;
            let (tally, outcome) = result?;
            finished.tally.add(&tally);
            finished.outcomes.push(outcome);
        }
        Ok(finished)
    }
}

impl<O> Handle<O> {
    fn tell(&self, command: Command<O>) {
        // A thread that has ended says why when it is joined.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}
