//! Some workers, some clients and a network, moved in an order that the seed decides.

mod check;
mod dropping;
mod rewrite;
mod spoil;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use throng::config::{Config, Delivery, Limits, RoomRule, RoomRules};
use throng::driver::sim::{Net, Rng, SimDriver, SimWaker};
use throng::driver::{Driver, Wake};
use throng::limits::TURN_BUDGET;
use throng::protocol::room;
use throng::stats::{Counters, Counts};
use throng::worker::{Shared, Worker, mailboxes_and_control};

use crate::client::{Client, Manner, ROOMS};
use crate::faults::Fault;
use crate::policies::Policies;
use crate::script::{Actor, Outside, Pad, Setups, Simulated, TOPICS, topic_name};
use crate::visitor::Visitor;
pub(crate) use rewrite::Rewrites;
use spoil::Copied;

pub(crate) struct World {
    net: Net,
    rng: Rng,
    fault: Fault,
    shared: Arc<Shared<Simulated>>,
    counters: Vec<Arc<Counters>>,
    wakers: Vec<SimWaker>,
    workers: Vec<Worker<SimDriver, Simulated>>,
    /// Until when each worker sleeps, if it does.
    asleep: Vec<Option<Instant>>,
    clients: Vec<Client>,
    visitors: Vec<Visitor>,
    /// For each client: what others had begun to send when it saw its 101.
    obliged: Vec<Option<Vec<u32>>>,
    /// Their workers.
    homes: Vec<usize>,
    pad: Pad,
    outside: Outside,
    copies: Vec<Copied>,
    /// Whose connections are written out and read back between turns.
    pub(crate) rewrites: Rewrites,
    /// Where something is dropped for who does not keep up.
    policies: Option<Policies>,
    /// Of twelve clients, how many speak the script.
    actors_in_twelve: usize,
    /// Messages gather in rooms before they are delivered.
    is_batched: bool,
    /// What passes with each round of coming to rest: who is paused for what it has sent goes on.
    round: Duration,
}

const STEPS: usize = 1500;
const STEPS_TO_REST: usize = 6000;
const LEAPS_TO_REST: usize = 1000;

/// Rounds without anything: the network is late now and then.
const REST: usize = 200;
const REST_BETWEEN: usize = 10;
const CLIENTS_MAX: usize = 12;
const VISITORS_MAX: usize = 3;

/// Of a turn: some are spent by one message.
const BUDGETS: [u32; 3] = [3_000, 100_000, TURN_BUDGET];

/// What the last item of each phase may cost beyond the budget: a page, or a run that is compressed
/// for a member and goes to a dozen of them.
const ITEM_COST: u64 = 250_000;
const PHASES: u64 = 4;

const PING_INTERVAL: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(3600);

/// A pause of who sends much is over within a rest.
const PACED_ROUND: Duration = Duration::from_millis(20);

/// On some seeds. It is as long as a leap of the time.
const PONG_TIMEOUT: Duration = Duration::from_millis(300);

/// What a worker of a container with 2^30 descriptors may hold: not what it reserves.
const ALLOWED: usize = 1 << 30;

/// Rooms in which messages gather for so long.
fn rooms_of(batch_delay: Duration) -> room::Setup {
    let delivery = Delivery { batch_delay, ..Delivery::default() };
    let rules = RoomRules::new(vec![RoomRule { delivery, ..RoomRule::default() }]);
    room::Setup { rules: rules.expect("it is a good one"), ..room::Setup::default() }
}

fn config_of(rng: &mut Rng, limits: Limits) -> Config {
    Config {
        max_backlog: [500, 5_000, 1 << 20][rng.below(3)],
        mailbox_capacity: 4,
        turn_budget: BUDGETS[rng.below(3)],
        ping_interval: if limits.measures_senders() { HOUR } else { PING_INTERVAL },
        limits,
        pong_timeout: if rng.one_in(3) { PONG_TIMEOUT } else { Duration::ZERO },
        ..Config::default()
    }
}

fn batch_delay(seed: u64, fault: Fault) -> Duration {
    let is_batched = fault == Fault::None && seed % 3 == 1;
    Duration::from_millis(if is_batched { 7 } else { 0 })
}

impl World {
    pub(crate) fn new(seed: u64, fault: Fault) -> Self {
        Self::with(seed, fault, Limits::default(), None)
    }

    /// What clients send is measured, and those who send much are paused again and again. They are
    /// not pinged, or they would never come to rest.
    pub(crate) fn paced(seed: u64) -> Self {
        let limits = Limits {
            messages_per_second: Some(if seed.is_multiple_of(2) { 8 } else { 1000 }),
            bytes_per_second: Some(200_000),
            ..Limits::default()
        };
        Self { round: PACED_ROUND, ..Self::with(seed, Fault::None, limits, None) }
    }

    /// Rooms and topics have small bounds and policies, and readers sleep now and then.
    pub(crate) fn dropping(seed: u64, fault: Fault) -> Self {
        let policies = Policies::of(seed, batch_delay(seed, fault));
        Self::with(seed, fault, Limits::default(), Some(policies))
    }

    fn with(seed: u64, fault: Fault, limits: Limits, policies: Option<Policies>) -> Self {
        let net = Net::new(seed);
        let mut rng = Rng::new(seed ^ 0x5eed);
        let count = if fault == Fault::None { 1 + rng.below(4) } else { 2 };
        let drivers: Vec<SimDriver> = (0..count)
            .map(|_| {
                let mut driver = net.driver_with_budget(1 + rng.below(16));
                driver.accept_connects();
                driver
            })
            .collect();
        let mut wakers: Vec<SimWaker> = drivers.iter().map(Driver::waker).collect();
        if fault == Fault::LateInterest {
            // Of one that takes part in topics and in nothing else.
            wakers.push(SimWaker::default());
        }
        let control = SimWaker::default();
        let (mail, control) = mailboxes_and_control(&wakers, control, 1 + rng.below(3));
        let pad = Pad::default();
        pad.ledger().fault = fault;
        let rooms = || rooms_of(batch_delay(seed, fault));
        let room = policies.as_ref().map_or_else(rooms, Policies::rooms);
        let setups = Setups { script: pad.clone(), room, ..Setups::default() };
        let mut config = config_of(&mut rng, limits);
        if let Some(policies) = &policies {
            pad.ledger().deliveries = policies.topics;
            policies.set(&mut config);
        }
        let shared = Shared::with_setups(config, wakers.len(), 1000, Arc::new(setups));
        let shared = Arc::new(shared);
        let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
        let workers =
            drivers.into_iter().zip(mail).zip(&counters).map(|((driver, mail), counters)| {
                Worker::new(driver, Arc::clone(&shared), Arc::clone(counters), mail, ALLOWED)
            });
        let workers = workers.collect();
        let (clients, visitors, obliged, homes) = Default::default();
        let asleep = vec![None; count];
        let actors_in_twelve = [0, 4, 12][rng.below(3)];
        let outside = Outside::new(control, Rng::new(rng.next_u64()), fault);
        Self {
            net,
            rng,
            fault,
            shared,
            counters,
            wakers,
            workers,
            asleep,
            clients,
            visitors,
            obliged,
            homes,
            pad,
            outside,
            copies: Vec::new(),
            rewrites: Rewrites::of(seed, fault),
            policies,
            actors_in_twelve,
            is_batched: !batch_delay(seed, fault).is_zero(),
            round: Duration::ZERO,
        }
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.wake_all()?;
        self.come_to_rest(REST)?;
        self.let_batches_leave()?;
        self.check_deliveries()?;
        self.let_time_pass()?;
        self.let_batches_leave()?;
        self.check_deliveries()?;
        self.check_visitors()?;
        self.stop()?;
        self.check_nothing_is_left()
    }

    /// What happened, for comparing two runs.
    pub(crate) fn transcript(&self) -> String {
        let heard: Vec<_> = self.clients.iter().map(|client| &client.heard).collect();
        format!("{:?} {heard:?}", self.counts())
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.counters.iter().for_each(|counters| counts.add(counters));
        counts
    }

    /// What scripts have done, and how often.
    pub(crate) fn tally(&self) -> BTreeMap<String, u64> {
        self.pad.ledger().tally.clone()
    }

    fn step(&mut self) -> Result<bool, String> {
        self.nap();
        match self.rng.below(10) {
            0 if self.clients.len() < CLIENTS_MAX && self.fault_allows_connect() => {
                self.connect();
                Ok(true)
            }
            1 => {
                self.leap()?;
                Ok(false)
            }
            2 => {
                self.plant_fault()?;
                self.outside.collect();
                self.outside.act();
                if self.rng.one_in(3) {
                    self.outside.disturb();
                }
                Ok(false)
            }
            3..=5 => {
                let at = self.rng.below(self.workers.len());
                self.turn(at)?;
                Ok(false)
            }
            _ => self.act(),
        }
    }

    /// Time goes by in leaps. Who is held to an answer answers before: late is only the server.
    fn leap(&mut self) -> Result<(), String> {
        for at in 0..self.clients.len() {
            let is_prompt = matches!(self.clients[at].manner, Manner::Polite | Manner::Leaves);
            if is_prompt && !self.shared.config.pong_timeout.is_zero() {
                self.watch(at, Client::catch_up)?;
            }
        }
        let span = Duration::from_millis(self.rng.below(300) as u64);
        self.advance(span);
        Ok(())
    }

    fn advance(&mut self, span: Duration) {
        self.net.advance(span);
        self.pad.ledger().now += span;
    }

    fn fault_allows_connect(&self) -> bool {
        !self.shared.is_stopping.load(Ordering::Relaxed)
    }

    fn connect(&mut self) {
        if self.visitors.len() < VISITORS_MAX && self.rng.one_in(4) {
            let link = self.net.connect(self.rng.below(self.workers.len()));
            return self.visitors.push(Visitor::new(link, Rng::new(self.rng.next_u64())));
        }
        let id = self.clients.len() as u32;
        let worker = self.rng.below(self.workers.len());
        let is_actor = self.rng.below(12) < self.actors_in_twelve;
        let actor = is_actor.then(|| Actor::new(id, worker, self.pad.clone()));
        let (link, rng) = (self.net.connect(worker), Rng::new(self.rng.next_u64()));
        let swaps = self.fault == Fault::SwappedFrames;
        let mut client = Client::new(id, link, rng, actor, swaps);
        client.is_batched = self.is_batched;
        if let Some(policies) = &self.policies {
            policies.hold_for(&mut client, self.fault);
        }
        self.clients.push(client);
        self.homes.push(worker);
        self.obliged.push(None);
    }

    /// A turn of a worker, unless it sleeps: it looks at its mailbox before it falls asleep, and
    /// then nothing but its driver or the time wakes it.
    fn turn(&mut self, at: usize) -> Result<(), String> {
        let worker = &mut self.workers[at];
        let now = worker.driver().now();
        let until = *self.asleep[at].get_or_insert_with(|| now + worker.time_to_sleep());
        if now < until && !worker.driver().has_events() {
            return Ok(());
        }
        self.asleep[at] = None;
        self.rewrites.rewrite(worker)?;
        worker.turn().map_err(|error| error.to_string())?;
        let (work, budget) = (worker.work(), self.shared.config.turn_budget);
        if work > u64::from(budget) + PHASES * ITEM_COST {
            return Err(format!("a turn costs {work} for a budget of {budget}"));
        }
        if worker.is_drained() {
            worker.mail().close();
        }
        if !self.outside.is_lazy {
            self.outside.collect();
        }
        if let Some(what) = self.pad.ledger().broken.pop() {
            return Err(what);
        }
        self.check_sleepers()
    }

    /// Whoever sleeps and is not about to wake has nothing to do.
    fn check_sleepers(&mut self) -> Result<(), String> {
        for (at, worker) in self.workers.iter_mut().enumerate() {
            let is_asleep = self.asleep[at].is_some_and(|until| worker.driver().now() < until);
            if is_asleep && !worker.driver().has_events() && !worker.mail().is_at_rest() {
                return Err(format!("worker {at} sleeps beside its mail"));
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<bool, String> {
        let count = self.clients.len() + self.visitors.len();
        if count == 0 {
            return Ok(false);
        }
        let at = self.rng.below(count);
        match at.checked_sub(self.clients.len()) {
            Some(visitor) => self.visitors[visitor].act(),
            None => self.watch(at, Client::act),
        }
    }

    /// Something that a client does; if its 101 comes, notes what it is owed from then on.
    fn watch<T>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Client) -> Result<T, String>,
    ) -> Result<T, String> {
        let was_open = self.clients[at].is_open;
        let result = act(&mut self.clients[at])?;
        if self.clients[at].is_open && !was_open {
            self.obliged[at] = Some(self.clients.iter().map(|client| client.queued).collect());
        }
        Ok(result)
    }

    /// Moves everybody until nothing moves any more for so many rounds.
    fn come_to_rest(&mut self, rounds: usize) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..STEPS_TO_REST + self.paced_steps() {
            let mut moved = false;
            for at in 0..self.clients.len() {
                moved |= self.watch(at, Client::act)?;
            }
            for visitor in &mut self.visitors {
                moved |= visitor.act()?;
            }
            for at in 0..self.workers.len() {
                self.turn(at)?;
            }
            self.advance(self.round);
            self.outside.collect();
            moved |= self.outside.act() || !self.outside.is_at_rest();
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet == rounds {
                return Ok(());
            }
        }
        Err("no rest".into())
    }

    /// What was sent at once may take a minute where it is measured.
    fn paced_steps(&self) -> usize {
        if self.round.is_zero() { 0 } else { (HOUR / 60).div_duration_f64(self.round) as usize }
    }

    /// Until nobody waits for an answer or a moment any more.
    fn let_time_pass(&mut self) -> Result<(), String> {
        let waits = |it: &Client| it.is_here() && it.actor.as_ref().is_some_and(Actor::waits);
        for _ in 0..LEAPS_TO_REST {
            if !self.clients.iter().any(waits) {
                // Who is stalled may still have something to ask.
                self.come_to_rest(REST)?;
                if !self.clients.iter().any(waits) {
                    break;
                }
            }
            self.leap()?;
            self.come_to_rest(REST_BETWEEN)?;
        }
        self.check_answers()
    }

    /// Until nothing that was published gathers any more.
    fn let_batches_leave(&mut self) -> Result<(), String> {
        for _ in 0..LEAPS_TO_REST {
            if self.workers.iter().all(|worker| worker.leftovers()[1] == 0) {
                break;
            }
            self.leap()?;
            self.come_to_rest(REST_BETWEEN)?;
        }
        self.come_to_rest(REST)
    }

    fn stop(&mut self) -> Result<(), String> {
        let polite: Vec<usize> = (0..self.clients.len())
            .filter(|at| {
                let client = &self.clients[*at];
                client.manner == Manner::Polite && client.is_open && !client.is_ended()
            })
            .collect();
        self.shared.is_stopping.store(true, Ordering::Release);
        self.wakers.iter().for_each(Wake::wake);
        for _ in 0..STEPS_TO_REST {
            if self.workers.iter().all(Worker::is_drained) {
                break;
            }
            for at in 0..self.clients.len() {
                self.clients[at].act()?;
            }
            for at in 0..self.workers.len() {
                if !self.workers[at].is_drained() {
                    self.turn(at)?;
                }
            }
            self.advance(Duration::from_millis(5));
        }
        if !self.workers.iter().all(Worker::is_drained) {
            return Err(format!("not drained: {:?}", self.counts()));
        }
        for at in polite {
            self.clients[at].act()?;
            if self.clients[at].close_code != Some(1001) {
                return Err(format!("client {at}: {:?}, not 1001", self.clients[at].close_code));
            }
        }
        let counts = self.counts();
        let rooms = ROOMS.iter().map(u32::to_string);
        let mut names = rooms.chain((0..TOPICS).map(topic_name));
        if names.any(|name| self.shared.interest.find(&name).is_some()) {
            return Err("a worker seems to have members".into());
        }
        if counts.connections() != 0 || self.shared.connections.load(Ordering::Relaxed) != 0 {
            return Err(format!("connections are left: {counts:?}"));
        }
        Ok(())
    }
}
