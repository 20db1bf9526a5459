//! What a worker knows, apart from its driver: nothing here makes a system call.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::clock::Clock;
use super::connection::Connection;
use super::table::Table;
use crate::config::Config;
use crate::driver::Wake;
use crate::http::Places;
use crate::hub::{Hub, Interest};
use crate::id::ConnId;
use crate::limits::{RESERVED_CONNECTIONS_MAX, TIMER_TICK};
use crate::protocol::{Asks, Builtin, Protocols, Setups, Staged};
use crate::stats::Counters;
use crate::websocket::{Compressor, Scratch};
use crate::wire::deflate::Deflater;
use crate::worker::egress::out::Out;
use crate::worker::egress::pongs::Pongs;
use crate::worker::ingress::access::Access;
use crate::worker::ingress::held::Stalls;
use crate::worker::inquiry::Scans;
use crate::worker::life::goodbye::Stopping;
use crate::worker::life::{Life, persist};
use crate::worker::limits::{self, Addresses, Clients, Limits};
use crate::worker::mail::{Mail, Posted};
use crate::worker::memory::Memory;
use crate::worker::notices::Notices;

/// What all workers of a server share: read-only, or plain atomics, and who has members of what.
#[derive(Debug)]
pub struct Shared<L: Protocols = Builtin> {
    /// The options that it was started with.
    pub config: Arc<Config>,
    /// Connections that are open, and how many may be.
    pub connections: AtomicUsize,
    /// The bound of the above.
    pub connections_max: AtomicUsize,
    /// As [`Config::memory`]; `usize::MAX` is none.
    memory_budget: AtomicUsize,
    /// How many workers they are.
    pub(super) workers: usize,
    /// The server stops: set it, then wake every worker.
    pub is_stopping: Arc<AtomicBool>,
    /// What `Config::memory_in_use` said when all was ready.
    memory_at_start: AtomicUsize,
    /// Options that were given since.
    reloads: Reloads,
    /// Which workers have members of which rooms.
    pub interest: Arc<Interest>,
    /// What the connections of each protocol have in common.
    pub(super) setups: Arc<L::Setups>,
    /// What was told of it lately.
    pub(super) notices: Notices,
    /// How many connections each address has, once that is limited.
    addresses: OnceLock<Addresses>,
}

impl Shared<Builtin> {
    /// For so many workers with these options and room for that many connections, which speak what
    /// is built in.
    #[must_use]
    pub fn new(config: Config, workers: usize, connections_max: usize) -> Self {
        let setups = Arc::new(Setups::from(&config));
        Self::with_setups(config, workers, connections_max, setups)
    }
}

impl<L: Protocols> Shared<L> {
    /// For workers that speak this list.
    #[must_use]
    pub fn with_setups(
        config: Config,
        workers: usize,
        connections_max: usize,
        setups: Arc<L::Setups>,
    ) -> Self {
        let counts_addresses = config.limits.counts_addresses();
        let shared = Self {
            connections: AtomicUsize::new(0),
            connections_max: AtomicUsize::new(connections_max),
            memory_budget: AtomicUsize::new(config.memory.unwrap_or(usize::MAX)),
            config: Arc::new(config),
            workers,
            is_stopping: Arc::default(),
            memory_at_start: AtomicUsize::new(0),
            reloads: Reloads::default(),
            setups,
            interest: Arc::new(Interest::new(workers)),
            notices: Notices::default(),
            addresses: OnceLock::new(),
        };
        if counts_addresses {
            shared.addresses();
        }
        shared
    }

    /// How many connections each address has: it is made before the options hold that need it.
    pub(super) fn addresses(&self) -> &Addresses {
        let max = || self.connections_max.load(Ordering::Relaxed);
        self.addresses.get_or_init(|| Addresses::for_connections(max()))
    }

    /// Counts one more connection, if there may be one.
    pub(super) fn admit(&self) -> bool {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let is_in = before < self.connections_max.load(Ordering::Relaxed);
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
        let budget = self.memory_budget.load(Ordering::Relaxed);
        if budget == usize::MAX {
            return None;
        }
        self.memory_in_use().checked_sub(budget).filter(|excess| *excess > 0)
    }

    /// Bytes that the process has allocated since all was ready.
    #[must_use]
    pub fn memory_in_use(&self) -> usize {
        let at_start = self.memory_at_start.load(Ordering::Relaxed);
        (self.config.memory_in_use)().saturating_sub(at_start)
    }

    /// How many bytes that may be.
    #[must_use]
    pub fn memory_budget(&self) -> Option<usize> {
        Some(self.memory_budget.load(Ordering::Relaxed)).filter(|budget| *budget != usize::MAX)
    }

    /// Gives all workers other options: wake them afterwards.
    pub fn reload(&self, reload: Reload) {
        if reload.config.limits.counts_addresses() {
            self.addresses();
        }
        *self.latest_reload() = Some(Arc::new(reload));
        self.reloads.count.fetch_add(1, Ordering::Release);
    }

    fn latest_reload(&self) -> MutexGuard<'_, Option<Arc<Reload>>> {
        self.reloads.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the bounds that all workers share.
    pub fn set_bounds(&self, connections_max: usize, memory: Option<usize>) {
        self.connections_max.store(connections_max, Ordering::Relaxed);
        self.memory_budget.store(memory.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// The tables are there by now: they reserve more than they will ever use, and do not count.
    pub fn note_memory_at_start(&self) {
        self.memory_at_start.store((self.config.memory_in_use)(), Ordering::Relaxed);
    }
}

/// Options that hold from the next turn on. What a worker is made with stays: listeners, the
/// backend, CPUs, the interval of pings.
#[derive(Debug)]
pub struct Reload {
    /// The options.
    pub config: Arc<Config>,
    /// Connections that a worker's descriptors and the options allow.
    pub connections_max: usize,
    /// What the connections of each protocol have in common: the `Setups` of the worker's list.
    pub setups: Arc<dyn Any + Send + Sync>,
}

/// The latest other options, for each worker to take when its next turn begins.
#[derive(Debug, Default)]
struct Reloads {
    /// How many there were.
    count: AtomicU64,
    latest: Mutex<Option<Arc<Reload>>>,
}

/// The state of a worker: its connections, and all the rest. A visit to one connection borrows both
/// at once.
#[derive(Debug)]
pub(super) struct Core<W, L: Protocols> {
    pub(super) table: Table<L::Spoken>,
    pub(super) parts: Parts<W, L>,
}

/// What a worker has beside its connections.
#[derive(Debug)]
pub(super) struct Parts<W, L: Protocols> {
    pub(super) shared: Arc<Shared<L>>,
    pub(super) settings: Settings<L>,
    pub(super) counters: Arc<Counters>,
    pub(super) hub: Hub,
    pub(super) mail: Mail<W>,
    pub(super) out: Out,
    pub(super) codecs: Codecs,
    /// What is left of this turn.
    pub(super) budget: Budget,
    pub(super) stalls: Stalls,
    pub(super) pongs: Pongs,
    pub(super) said: Said,
    pub(super) life: Life,
    pub(super) memory: Memory,
    pub(super) clock: Clock,
    pub(super) admission: Admission,
    /// What those outside have asked.
    pub(super) scans: Scans,
}

/// What unpacks messages and packs them, for all connections of a worker.
#[derive(Debug, Default)]
pub(super) struct Codecs {
    pub(super) scratch: Scratch,
    pub(super) compressor: Option<Box<Compressor>>,
    pub(super) deflater: Option<Box<Deflater>>,
}

/// What protocols have said that is not carried out yet.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Of the present call.
    pub(super) staged: Staged,
    pub(super) asks: Asks,
}

/// How many more may come, and what is written of those who do.
#[derive(Debug)]
pub(super) struct Admission {
    /// Which requests are logged.
    pub(super) access: Access,
    /// Connections that this worker's descriptors allow.
    pub(super) connections_max: usize,
    /// Connections over the limit that are being told so.
    pub(super) refusals: usize,
    /// For requests that are held.
    pub(super) held: Places,
    /// Who is connected, as far as options need to know.
    pub(super) clients: Clients,
    /// What each has taken, as far as that is limited.
    pub(super) limits: Limits,
    /// How far it has come with the end of the server.
    pub(super) stopping: Stopping,
}

/// What holds in this turn: a reload changes it between two.
#[derive(Debug)]
pub(super) struct Settings<L: Protocols> {
    /// Which of the reloads it is of.
    count: u64,
    pub(super) config: Arc<Config>,
    /// What the connections of each protocol have in common.
    pub(super) setups: Arc<L::Setups>,
    /// Whether options need to know where each connection comes from.
    pub(super) needs_peers: bool,
}

impl<L: Protocols> Settings<L> {
    /// The number of these options, from 1 on: for rooms that follow them.
    pub(super) fn number(&self) -> u32 {
        (self.count as u32).wrapping_add(1).max(1)
    }

    fn new(count: u64, config: Arc<Config>, setups: Arc<L::Setups>) -> Self {
        let Config { limits, trusted_proxies, access_log, .. } = &*config;
        let needs_peers =
            limits.counts_addresses() || !trusted_proxies.is_empty() || *access_log > 0;
        Self { count, config, setups, needs_peers }
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    pub(super) fn new(
        shared: Arc<Shared<L>>,
        counters: Arc<Counters>,
        mail: Mail<W>,
        connections_max: usize,
        now: Instant,
    ) -> Self {
        let (config, setups) = (Arc::clone(&shared.config), Arc::clone(&shared.setups));
        let settings = Settings::new(0, config, setups);
        let parts = Parts {
            hub: Hub::new(Arc::clone(&shared.interest), mail.id()),
            mail,
            out: Out::default(),
            codecs: Codecs::default(),
            budget: Budget::new(shared.config.turn_budget),
            stalls: Stalls::default(),
            pongs: Pongs::default(),
            said: Said::default(),
            life: Life::new(&shared.config, now),
            memory: Memory::default(),
            clock: Clock::new(now),
            admission: Admission {
                connections_max,
                refusals: 0,
                held: Places::default(),
                clients: Clients::default(),
                limits: Limits::new(&shared.config.limits, now),
                stopping: Stopping::default(),
                access: Access::default(),
            },
            scans: Scans::default(),
            settings,
            shared,
            counters,
        };
        let reserved = connections_max.min(RESERVED_CONNECTIONS_MAX);
        Self { table: Table::with_capacity(reserved), parts }
    }

    /// Begins a turn.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.parts.clock.now = now;
        if self.parts.shared.reloads.count.load(Ordering::Acquire) != self.parts.settings.count {
            self.parts.reload();
            limits::reload(self);
        }
        self.parts.hub.begin_turn(now, self.parts.settings.number());
        self.parts.budget.begin();
        self.parts.pongs.runs = 0;
        if self.parts.hub.held.is_held() {
            persist::close_held_rooms(self);
        }
        if self.table.len() == 0 {
            // Else who comes now would be pinged at once, for a sweep that is due since long.
            self.parts.life.skip_sweeps(now);
        }
    }

    /// Puts a connection on the list of those to flush.
    pub(super) fn touch(&mut self, conn: ConnId) {
        if let Some(connection) = self.table.get_mut(conn) {
            self.parts.out.touch(conn, connection);
        }
    }

    /// Sets when something must have happened on a connection.
    pub(super) fn arm(&mut self, conn: ConnId, delay: Duration) {
        if let Some(connection) = self.table.get_mut(conn) {
            self.parts.arm(conn, connection, delay);
        }
    }

    /// Appends bytes of its own to what a connection has coming.
    pub(super) fn append(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.table.get_mut(conn) {
            self.parts.out.pool.append(&mut connection.queue, write);
            self.parts.out.touch(conn, connection);
        }
    }

    /// How long there is nothing to do unless something happens.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        const FOREVER: Duration = Duration::from_secs(3600);
        let parts = &self.parts;
        let has_work =
            parts.hub.has_due() || !parts.life.due.is_empty() || !parts.out.touched.is_empty();
        if has_work || parts.may_go_on() {
            return Duration::ZERO;
        }
        let mut nearest = FOREVER;
        let mut consider = |span: Option<Duration>| {
            if let Some(span) = span {
                nearest = nearest.min(span);
            }
        };
        consider(parts.hub.until_batch(now));
        consider(parts.scans.has_work().then_some(Duration::ZERO));
        consider(parts.memory.trimming.at.map(|at| at.saturating_duration_since(now)));
        consider(parts.admission.stopping.until_next(now));
        if self.table.len() > 0 {
            consider(parts.life.pings.as_ref().map(|sweep| sweep.until_next(now)));
            consider(parts.life.checks.as_ref().map(|sweep| sweep.until_next(now)));
        }
        consider(parts.life.timers.until_next(now));
        consider(parts.life.unfinished.next_look(now));
        consider(parts.said.asks.has_unsent().then_some(TIMER_TICK));
        consider(parts.life.asked.next_look(now));
        consider(parts.life.wakes.until_next(now));
        consider(parts.admission.limits.until_next(now));
        consider(parts.memory.shedding.next_look(now));
        nearest
    }
}

impl<W: Wake, L: Protocols> Parts<W, L> {
    /// Whether this phase of the turn has nothing left.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// Whether the server stops and this worker has not begun to.
    pub(super) fn is_stop_unseen(&self) -> bool {
        matches!(self.admission.stopping, Stopping::Serving)
            && self.shared.is_stopping.load(Ordering::Acquire)
    }

    pub(super) fn config(&self) -> &Config {
        &self.settings.config
    }

    /// Takes the latest options; those of setups that are of another list are a fault of ours.
    #[inline(never)]
    fn reload(&mut self) {
        let count = self.shared.reloads.count.load(Ordering::Acquire);
        let Some(reload) = self.shared.latest_reload().clone() else { return };
        self.admission.connections_max = reload.connections_max;
        let setups = Arc::clone(&reload.setups).downcast::<L::Setups>();
        let setups = setups.expect("they are of this worker's list");
        self.settings = Settings::new(count, Arc::clone(&reload.config), setups);
    }

    /// Sets when something must have happened on a connection.
    pub(super) fn arm(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<L::Spoken>,
        delay: Duration,
    ) {
        let due = self.life.timers.tick_after(self.clock.now, delay);
        self.life.arm_at(conn, connection, due);
    }

    /// Whether those who publish must wait: another worker does not keep up, or this one.
    #[inline]
    pub(super) fn must_publishers_wait(&self) -> bool {
        self.mail.is_congested() || self.hub.is_behind()
    }

    /// Whether connections wait for nothing but the next turn.
    pub(super) fn may_go_on(&self) -> bool {
        !self.stalls.held.is_empty()
            || !self.stalls.waiting.is_empty() && !self.must_publishers_wait()
    }

    pub(super) fn count_posted(&self, posted: Posted) {
        self.counters.envelopes.add(posted.envelopes);
        self.counters.wakes.add(posted.wakes);
        self.counters.mailbox_full.add(posted.full);
    }
}
