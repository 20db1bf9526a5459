//! Some workers, some clients and a network, moved in an order that the seed decides.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use throng::config::Config;
use throng::driver::sim::{Net, Rng, SimDriver, SimWaker};
use throng::driver::{Driver, Wake};
use throng::id::WorkerId;
use throng::limits::TURN_BUDGET;
use throng::stats::{Counters, Counts};
use throng::worker::{Posted, Shared, Worker, mailboxes};

use crate::client::{Client, Manner, ROOMS};
use crate::visitor::Visitor;

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Two envelopes of a mailbox change places.
    SwappedMail,
    /// An envelope of a mailbox disappears.
    LostMail,
    /// Others take a worker that sleeps for one that is awake.
    LostWake,
    /// Others take a worker for a while for one that has no members.
    LateInterest,
}

pub(crate) struct World {
    net: Net,
    rng: Rng,
    fault: Fault,
    shared: Arc<Shared>,
    counters: Vec<Arc<Counters>>,
    wakers: Vec<SimWaker>,
    workers: Vec<Worker<SimDriver>>,
    /// Until when each worker sleeps, if it does.
    asleep: Vec<Option<Instant>>,
    clients: Vec<Client>,
    visitors: Vec<Visitor>,
    /// For each client: what others had begun to send when it saw its 101.
    obliged: Vec<Option<Vec<u32>>>,
}

const STEPS: usize = 1500;
const STEPS_TO_REST: usize = 6000;
const CLIENTS_MAX: usize = 12;
const VISITORS_MAX: usize = 3;

/// Whose members are hidden, and who is no worker but takes part in topics.
const HIDDEN: WorkerId = WorkerId(1);
const OBSERVER: WorkerId = WorkerId(2);

/// Of a turn: some are spent by one message.
const BUDGETS: [u32; 3] = [3_000, 100_000, TURN_BUDGET];

/// What the last item of each phase may cost beyond the budget: a page, or a run that is compressed
/// for a member and goes to a dozen of them.
const ITEM_COST: u64 = 250_000;
const PHASES: u64 = 4;

/// On some seeds. It is as long as a leap of the time.
const PONG_TIMEOUT: Duration = Duration::from_millis(300);

/// What a worker of a container with 2^30 descriptors may hold: not what it reserves.
const ALLOWED: usize = 1 << 30;

impl World {
    pub(crate) fn new(seed: u64, fault: Fault) -> Self {
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
        let mail = mailboxes(&wakers, 1 + rng.below(3));
        let config = Config {
            max_backlog: [500, 5_000, 1 << 20][rng.below(3)],
            mailbox_capacity: 4,
            turn_budget: BUDGETS[rng.below(3)],
            ping_interval: Duration::from_secs(3),
            pong_timeout: if rng.one_in(3) { PONG_TIMEOUT } else { Duration::ZERO },
            ..Config::default()
        };
        let shared = Arc::new(Shared::new(config, wakers.len(), 1000));
        let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
        let workers =
            drivers.into_iter().zip(mail).zip(&counters).map(|((driver, mail), counters)| {
                Worker::new(driver, Arc::clone(&shared), Arc::clone(counters), mail, ALLOWED)
            });
        let workers = workers.collect();
        let (clients, visitors, obliged) = (Vec::new(), Vec::new(), Vec::new());
        let asleep = vec![None; count];
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
        }
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.come_to_rest()?;
        self.check_deliveries()?;
        self.check_visitors()?;
        self.stop()
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

    fn step(&mut self) -> Result<bool, String> {
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
        self.net.advance(Duration::from_millis(self.rng.below(300) as u64));
        Ok(())
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
        let link = self.net.connect(self.rng.below(self.workers.len()));
        self.clients.push(Client::new(id, link, Rng::new(self.rng.next_u64())));
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
        worker.turn().map_err(|error| error.to_string())?;
        let (work, budget) = (worker.work(), self.shared.config.turn_budget);
        if work > u64::from(budget) + PHASES * ITEM_COST {
            return Err(format!("a turn costs {work} for a budget of {budget}"));
        }
        if worker.is_drained() {
            worker.mail().close();
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

    fn plant_fault(&mut self) -> Result<(), String> {
        match self.fault {
            Fault::None => {}
            Fault::LostWake => {
                self.asleep[1].inspect(|_| self.workers[1].mail().wake_up());
            }
            Fault::LateInterest => return self.hide_members(),
            Fault::SwappedMail | Fault::LostMail => self.spoil_mail(),
        }
        Ok(())
    }

    /// Worker 0 has a turn while worker 1 seems to have no members. The observer keeps the topic
    /// alive, whoever leaves.
    fn hide_members(&mut self) -> Result<(), String> {
        let interest = Arc::clone(&self.shared.interest);
        for room in ROOMS.map(|room| room.to_string()) {
            if interest.find(&room).is_some_and(|(.., workers)| workers.contains(&HIDDEN)) {
                let (topic, _) = interest.join(&room, OBSERVER);
                interest.leave(&topic, HIDDEN);
                self.turn(0)?;
                interest.join(&room, HIDDEN);
                interest.leave(&topic, OBSERVER);
            }
        }
        Ok(())
    }

    fn spoil_mail(&mut self) {
        let [first, second] = [0, 1].map(|_| self.workers[1].mail().receive());
        self.workers[1].mail().call_waiting();
        let again = match self.fault {
            Fault::SwappedMail => [second, first],
            _ => [second, None],
        };
        for envelope in again.into_iter().flatten() {
            self.workers[0].mail().send(1, envelope, &mut Posted::default());
        }
    }

    /// Moves everybody until nothing moves any more.
    fn come_to_rest(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..STEPS_TO_REST {
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
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet == 200 {
                return Ok(());
            }
        }
        Err("no rest".into())
    }

    fn check_deliveries(&self) -> Result<(), String> {
        // Who is not open yet was slow itself to say what it wants.
        let is_ended = |c: &&Client| c.manner == Manner::Polite && c.is_open && c.is_ended();
        let ended = self.clients.iter().filter(is_ended).count() as u64;
        let slow = self.counts().closed_slow;
        if ended > slow {
            return Err(format!("{ended} polite clients were ended, {slow} for slowness"));
        }
        for (receiver, obliged) in self.clients.iter().zip(&self.obliged) {
            let Some(obliged) = obliged else { continue };
            if receiver.manner != Manner::Polite || receiver.is_ended() {
                self.check_end(receiver)?;
                continue;
            }
            if !receiver.has_said_all() {
                return Err(format!("client {} is stuck", receiver.id));
            }
            if !receiver.has_all_pongs() {
                return Err(format!("client {} misses a pong", receiver.id));
            }
            for sender in &self.clients {
                let is_mine = sender.id == receiver.id || receiver.room.is_some();
                if !is_mine || sender.room != receiver.room {
                    continue;
                }
                let from = obliged.get(sender.id as usize).copied().unwrap_or(0);
                check_pair(receiver, sender, from)?;
            }
        }
        Ok(())
    }

    fn check_visitors(&self) -> Result<(), String> {
        let is_kept_out =
            |it: &&Client| it.manner == Manner::Polite && !it.is_open && !it.is_ended();
        if let Some(client) = self.clients.iter().find(is_kept_out) {
            return Err(format!("client {} was never let in", client.id));
        }
        let is_sad = |visitor: &&Visitor| !visitor.is_content() && !visitor.is_ended();
        match self.visitors.iter().find(is_sad) {
            Some(visitor) => Err(format!("{} answers only", visitor.answers)),
            None => Ok(()),
        }
    }

    /// A polite client may be ended only where deliveries waited too long for it, without a word.
    fn check_end(&self, receiver: &Client) -> Result<(), String> {
        let Client { id, room, manner, close_code, .. } = receiver;
        if *manner == Manner::Polite && (room.is_none() || close_code.is_some()) {
            return Err(format!("client {id} was ended for no reason: {close_code:?}"));
        }
        Ok(())
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
            self.net.advance(Duration::from_millis(5));
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
        let names = ROOMS.map(|room| room.to_string());
        if names.iter().any(|room| self.shared.interest.find(room).is_some()) {
            return Err("a worker seems to have members".into());
        }
        if counts.connections() != 0 || self.shared.connections.load(Ordering::Relaxed) != 0 {
            return Err(format!("connections are left: {counts:?}"));
        }
        Ok(())
    }
}

/// Each message once and in order was checked as they came; here: that none is missing.
fn check_pair(receiver: &Client, sender: &Client, from: u32) -> Result<(), String> {
    let (next, first) = match receiver.heard.get(&sender.id) {
        Some((next, first)) => (*next, *first),
        None => (from, from),
    };
    let names = format!("client {} of {}", receiver.id, sender.id);
    if first > from {
        return Err(format!("{names}: begins with {first}, but {from} was sent after its 101"));
    }
    // Of those who broke off the last words may be lost; who does not read is not read either.
    let is_whole = matches!(sender.manner, Manner::Polite | Manner::Leaves);
    let was_cut = sender.is_ended() && sender.close_code.is_none();
    if is_whole && !was_cut && next < sender.sent {
        return Err(format!("{names}: heard up to {next} of {}", sender.sent));
    }
    Ok(())
}
