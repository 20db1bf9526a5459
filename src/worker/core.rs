//! What a worker knows, apart from its driver: nothing here makes a system call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::answer::Pong;
use super::cohorts::{Cohorts, Sweep};
use super::mailbox::{Mail, Posted};
use super::pool::Pool;
use super::table::{Connection, Ping, Table, flag};
use super::timers::{Tick, Timers};
use crate::config::Config;
use crate::driver::Wake;
use crate::http::Dates;
use crate::hub::Hub;
use crate::id::ConnId;
use crate::limits::{BURST_OVER, MESSAGES_PER_TURN_BYTES, RESERVED_CONNECTIONS_MAX, TRIM_INTERVAL};
use crate::protocol::echo::Compressor;
use crate::session::Scratch;
use crate::stats::Counters;
use crate::wire::Encoded;
use crate::wire::deflate::Deflater;

/// Connections that the list of those to flush has room for even after a quiet second.
const TOUCHED_KEPT: usize = 1024;

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
    /// What the messages of this turn have come to: see [`MESSAGES_PER_TURN_BYTES`].
    pub(super) spent: usize,
    /// Pongs that wait for the end of the turn, behind what the same connections have published.
    pub(super) pongs: Vec<Pong>,
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
    /// The time of this turn.
    pub(super) now: Instant,
    /// The same as the host's clock has it, and until when.
    pub(super) unix_seconds: u64,
    pub(super) second_ends_at: Instant,
    /// What responses say of it.
    pub(super) dates: Dates,
}

/// How far a stopping worker has come.
#[derive(Debug)]
pub(super) struct Stopping {
    /// Connections in slots below were told.
    pub(super) told: u32,
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
            spent: 0,
            pongs: Vec::new(),
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
            now,
            unix_seconds: 0,
            second_ends_at: now,
            dates: Dates::default(),
        }
    }

    /// Whether this turn handles no more messages.
    pub(super) fn is_spent(&self) -> bool {
        self.spent >= MESSAGES_PER_TURN_BYTES
    }

    /// Whether connections wait for nothing but the next turn.
    fn may_go_on(&self) -> bool {
        !self.held.is_empty() || !self.waiting.is_empty() && !self.mail.is_congested()
    }

    /// Begins a turn. Those who were held or had to wait come first, or it might be for ever.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        (self.spent, self.runs_for_pongs) = (0, 0);
        for _ in 0..self.held.len() {
            if self.is_spent() {
                break;
            }
            let Some(conn) = self.held.pop_front() else { break };
            self.unstall(conn);
        }
        if !self.mail.is_congested() {
            self.release_waiting();
        }
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
            connection.deadline = due;
            if connection.timer == 0 || connection.timer > due {
                connection.timer = due;
                self.timers.enter(conn, due);
            }
        }
    }

    /// An entry of the timers has come; whether it is of the deadline that the connection has.
    pub(super) fn is_due(&mut self, conn: ConnId, tick: Tick) -> bool {
        let Some(connection) = self.table.get_mut(conn) else { return false };
        if connection.timer != tick {
            return false;
        }
        let deadline = connection.deadline;
        let is_later = deadline > self.timers.tick(self.now);
        connection.timer = if is_later { deadline } else { 0 };
        if is_later {
            self.timers.enter(conn, deadline);
        }
        deadline != 0 && !is_later
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

    /// Frees pooled memory that is not needed any more, so that a burst leaves nothing behind.
    pub(super) fn trim(&mut self) {
        match self.trim_at {
            Some(at) if at <= self.now => {
                let is_left = self.pool.trim() | self.scratch.trim() | self.hub.trim();
                self.touched.shrink_to(TOUCHED_KEPT);
                self.end_burst();
                let must_look = is_left || self.burst_ends_at.is_some();
                self.trim_at = must_look.then(|| self.now + TRIM_INTERVAL);
            }
            None if !self.is_trimmed() => self.trim_at = Some(self.now + TRIM_INTERVAL),
            _ => {}
        }
    }

    fn is_trimmed(&self) -> bool {
        self.pool.is_empty() && self.scratch.is_empty() && self.hub.is_trimmed()
    }

    fn end_burst(&mut self) {
        if self.pool.take_spilled() | self.scratch.take_spilled() {
            self.burst_ends_at = Some(self.now + BURST_OVER);
        } else if self.burst_ends_at.take_if(|at| *at <= self.now).is_some() {
            (self.config().on_burst_freed)();
        }
    }

    /// How long there is nothing to do unless something happens.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        const FOREVER: Duration = Duration::from_secs(3600);
        let is_telling = self.stopping.as_ref().is_some_and(|s| s.told < self.table.end());
        if is_telling || !self.touched.is_empty() || self.may_go_on() {
            return Duration::ZERO;
        }
        let trim = self.trim_at.map(|at| at.saturating_duration_since(now));
        let stop = self.stopping.as_ref().map(|s| s.until.saturating_duration_since(now));
        let sweeps = [&self.pings, &self.checks].into_iter().flatten();
        let sweeps = sweeps.filter(|_| self.table.len() > 0).map(|sweep| sweep.until_next(now));
        let nearest = sweeps.chain(self.timers.until_next(now)).chain(stop).chain(trim).min();
        nearest.map_or(FOREVER, |nearest| nearest.min(FOREVER))
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
