//! What a worker knows, apart from its driver: nothing here makes a system call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::answer::Pong;
use super::budget::{Budget, Phase};
use super::cohorts::{Cohorts, Sweep};
use super::deflating::Deflating;
use super::mailbox::{Mail, Posted};
use super::pool::Pool;
use super::shedding::Shedding;
use super::table::{Connection, Ping, Table, flag};
use super::timers::{Tick, Timers};
use super::unfinished::Unfinished;
use crate::config::Config;
use crate::driver::Wake;
use crate::http::Dates;
use crate::hub::Hub;
use crate::id::ConnId;
use crate::limits::RESERVED_CONNECTIONS_MAX;
use crate::protocol::echo::Compressor;
use crate::session::Scratch;
use crate::stats::Counters;
use crate::wire::Encoded;
use crate::wire::deflate::Deflater;

/// Timers' entries that are not worth weeding.
const ENTRIES_KEPT: usize = 1024;

/// What all workers of a server share: read-only, or plain atomics.
#[derive(Debug)]
pub struct Shared {
    /// The options.
    pub config: Config,
    /// Connections that are open, and how many may be.
    pub connections: AtomicUsize,
    /// The bound of the above.
    pub connections_max: usize,
    /// The server stops: set it, then wake every worker.
    pub is_stopping: AtomicBool,
    /// What `Config::memory_in_use` said when all was ready.
    memory_at_start: AtomicUsize,
    /// In which rooms there are members who get compressed messages.
    pub(super) deflating: Deflating,
}

impl Shared {
    /// For a server with these options and room for that many connections.
    #[must_use]
    pub fn new(config: Config, connections_max: usize) -> Self {
        Self {
            config,
            connections: AtomicUsize::new(0),
            connections_max,
            is_stopping: AtomicBool::new(false),
            memory_at_start: AtomicUsize::new(0),
            deflating: Deflating::default(),
        }
    }

    /// Counts one more connection, if there may be one.
    pub(super) fn admit(&self) -> bool {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let is_in = before < self.connections_max;
        if !is_in {
            self.discharge();
        }
        is_in
    }

    pub(super) fn discharge(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes that the process has allocated above its budget of memory.
    pub(super) fn memory_excess(&self) -> Option<usize> {
        let budget = self.config.memory?;
        let at_start = self.memory_at_start.load(Ordering::Relaxed);
        let in_use = (self.config.memory_in_use)().saturating_sub(at_start);
        in_use.checked_sub(budget).filter(|excess| *excess > 0)
    }

    /// The tables are there by now: they reserve more than they will ever use, and do not count.
    pub fn note_memory_at_start(&self) {
        self.memory_at_start.store((self.config.memory_in_use)(), Ordering::Relaxed);
    }
}

/// The state of a worker.
#[derive(Debug)]
pub(super) struct Core<W> {
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<Counters>,
    /// Connections that this worker's descriptors allow.
    pub(super) connections_max: usize,
    pub(super) table: Table,
    pub(super) hub: Hub,
    pub(super) mail: Mail<W>,
    pub(super) pool: Pool,
    pub(super) scratch: Scratch,
    pub(super) compressor: Option<Box<Compressor>>,
    pub(super) deflater: Option<Box<Deflater>>,
    /// Connections with something to do at the end of the turn.
    pub(super) touched: VecDeque<ConnId>,
    /// Publishers that wait until other workers have kept up.
    pub(super) waiting: VecDeque<ConnId>,
    /// Connections that go on in the next turn.
    pub(super) held: VecDeque<ConnId>,
    /// What is left of this turn.
    pub(super) budget: Budget,
    /// Pongs that wait behind what the same connections have published, by slot.
    pub(super) pongs: BTreeMap<u32, Pong>,
    /// Sessions in the middle of a message.
    pub(super) unfinished: Unfinished,
    /// Those of which nothing more has come for long.
    pub(super) stuck: Vec<ConnId>,
    pub(super) shedding: Shedding,
    /// Runs that were delivered in this turn so that a pong comes behind them.
    pub(super) runs_for_pongs: usize,
    pub(super) timers: Timers,
    pub(super) due: Vec<(ConnId, Tick)>,
    /// Connections whose deadline has passed this turn.
    pub(super) suspects: Vec<ConnId>,
    /// Connections whose send is under way for long.
    pub(super) slow: Vec<ConnId>,
    pub(super) cohorts: Cohorts,
    pub(super) pings: Option<Sweep>,
    pub(super) checks: Option<Sweep>,
    pub(super) ping: Arc<Encoded>,
    pub(super) stopping: Option<Stopping>,
    pub(super) refusals: usize,
    /// When pooled memory is looked through, if there is any.
    pub(super) trim_at: Option<Instant>,
    /// When a burst counts as over: pools spilled, so memory was freed all over the heap.
    pub(super) burst_ends_at: Option<Instant>,
    /// When tables with far more slots than connections are trimmed.
    pub(super) sparse_ends_at: Option<Instant>,
    /// The time of this turn.
    pub(super) now: Instant,
    /// The same as the host's clock has it, and until when.
    pub(super) unix_seconds: u64,
    pub(super) second_ends_at: Instant,
    /// What responses say of it.
    pub(super) dates: Dates,
}

/// How far a stopping worker has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    /// Connections in slots below were told.
    pub(super) told: u32,
    /// Connections in slots below were closed when the time was up.
    pub(super) closed: u32,
    /// Until then they may answer.
    pub(super) until: Instant,
}

impl<W: Wake> Core<W> {
    pub(super) fn new(
        shared: Arc<Shared>,
        counters: Arc<Counters>,
        mail: Mail<W>,
        connections_max: usize,
        now: Instant,
    ) -> Self {
        let Config { ping_interval, pong_timeout, .. } = shared.config;
        let budget = Budget::new(shared.config.turn_budget);
        let cohorts = Cohorts::new(ping_interval);
        let sweep = |first| (!ping_interval.is_zero()).then(|| cohorts.sweep(ping_interval, first));
        let pings = sweep(now);
        let checks = sweep(now + pong_timeout).filter(|_| !pong_timeout.is_zero());
        Self {
            shared,
            counters,
            connections_max,
            table: Table::with_capacity(connections_max.min(RESERVED_CONNECTIONS_MAX)),
            hub: Hub::default(),
            mail,
            pool: Pool::default(),
            scratch: Scratch::default(),
            compressor: None,
            deflater: None,
            touched: VecDeque::new(),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            budget,
            pongs: BTreeMap::new(),
            unfinished: Unfinished::default(),
            stuck: Vec::new(),
            shedding: Shedding::default(),
            runs_for_pongs: 0,
            timers: Timers::new(now),
            due: Vec::new(),
            suspects: Vec::new(),
            slow: Vec::new(),
            cohorts,
            pings,
            checks,
            ping: Arc::new(Encoded::ping()),
            stopping: None,
            refusals: 0,
            trim_at: None,
            burst_ends_at: None,
            sparse_ends_at: None,
            now,
            unix_seconds: 0,
            second_ends_at: now,
            dates: Dates::default(),
        }
    }

    /// Whether this phase of the turn has nothing left.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// Begins a turn.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.budget.begin();
        self.runs_for_pongs = 0;
    }

    /// Begins a phase of the turn.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.budget.enter(phase);
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Puts a connection on the list of those to flush.
    pub(super) fn touch(&mut self, conn: ConnId) {
        if let Some(connection) = self.table.get_mut(conn) {
            touch(&mut self.touched, conn, connection);
        }
    }

    /// Sets when something must have happened on a connection.
    pub(super) fn arm(&mut self, conn: ConnId, delay: Duration) {
        self.arm_at(conn, self.timers.tick_after(self.now, delay));
    }

    /// As `arm`, at a tick. An entry of the timers that comes before it finds the new deadline by
    /// itself: whoever asks all the time has one entry and not one for each request.
    pub(super) fn arm_at(&mut self, conn: ConnId, due: Tick) {
        if let Some(connection) = self.table.get_mut(conn) {
            connection.clear(flag::REPRIEVED | flag::HEARD);
            self.set_deadline(conn, due);
        }
    }

    /// Sets the deadline alone: what was seen of the last one (REPRIEVED, HEARD) stays.
    pub(super) fn set_deadline(&mut self, conn: ConnId, due: Tick) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.deadline = due;
        // The entry that there is comes first, and is entered again then.
        if connection.timer != 0 && !self.timers.is_before(due, connection.timer) {
            return;
        }
        connection.timer = due;
        self.timers.enter(conn, due);
        // Of each connection one entry counts. Others are of those that have gone since.
        if self.timers.len() > 2 * self.table.len() + ENTRIES_KEPT {
            let table = &mut self.table;
            self.timers.weed(|conn, tick| table.get_mut(conn).is_some_and(|c| c.timer == tick));
        }
    }

    /// Whether a deadline has come, when the timers say so. One that was moved is entered again.
    pub(super) fn is_due(&mut self, conn: ConnId, tick: Tick) -> bool {
        let Some(connection) = self.table.get_mut(conn) else { return false };
        if connection.timer != tick {
            return false;
        }
        connection.timer = 0;
        let deadline = connection.deadline;
        let is_ahead = self.timers.is_ahead(deadline, self.now);
        if is_ahead {
            self.set_deadline(conn, deadline);
        }
        deadline != 0 && !is_ahead
    }

    /// Appends bytes of its own to what a connection has coming.
    pub(super) fn append(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.table.get_mut(conn) {
            self.pool.append(&mut connection.queue, write);
            touch(&mut self.touched, conn, connection);
        }
    }

    pub(super) fn count_posted(&self, posted: Posted) {
        self.counters.envelopes.add(posted.envelopes);
        self.counters.wakes.add(posted.wakes);
        self.counters.mailbox_full.add(posted.full);
    }

    /// How long there is nothing to do unless something happens.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        const FOREVER: Duration = Duration::from_secs(3600);
        let is_telling = self.stopping.as_ref().is_some_and(|s| s.told < self.table.end());
        let has_work = self.hub.has_due() || !self.due.is_empty() || !self.touched.is_empty();
        if is_telling || has_work || self.may_go_on() {
            return Duration::ZERO;
        }
        let mut nearest = FOREVER;
        let mut consider = |span: Option<Duration>| {
            if let Some(span) = span {
                nearest = nearest.min(span);
            }
        };
        consider(self.trim_at.map(|at| at.saturating_duration_since(now)));
        consider(self.stopping.as_ref().map(|s| s.until.saturating_duration_since(now)));
        if self.table.len() > 0 {
            consider(self.pings.as_ref().map(|sweep| sweep.until_next(now)));
            consider(self.checks.as_ref().map(|sweep| sweep.until_next(now)));
        }
        consider(self.timers.until_next(now));
        consider(self.unfinished.next_look(now));
        consider(self.shedding.next_look(now));
        nearest
    }
}

/// As [`Core::touch`], for a connection that is at hand.
pub(super) fn touch(touched: &mut VecDeque<ConnId>, conn: ConnId, connection: &mut Connection) {
    if !connection.has(flag::TOUCHED) {
        connection.set(flag::TOUCHED);
        touched.push_back(conn);
    }
}

/// Any bytes prove life; a ping that still waits in the queue goes out all the same.
pub(super) fn prove_life(connection: &mut Connection) {
    if connection.ping != Ping::Queued {
        connection.ping = Ping::None;
    }
    if connection.has(flag::REPRIEVED) {
        connection.set(flag::HEARD);
    }
}
