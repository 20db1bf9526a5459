//! Subscribers of one place, and what is done with all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ledger::{Ledger, NOT_MEASURED};
use super::publisher::{Plan, Shape};
use super::subscriber::{Order, Outcome, Subscribers};
use crate::clock::nanoseconds;
use crate::engine::tally::Tally;
use crate::engine::{Command, Crew, Seeds};
use crate::measure::memory::MemoryState;
use crate::measure::window::Spent;
use crate::report::figures;
use crate::report::memory::{self, SLOPE_CONNECTIONS_MIN, States};
use crate::report::model::Report;
use crate::run::{Run, SETTLE_TIME};

/// What certainly fits into one segment on loopback.
const SEGMENT_BYTES_SURE: u64 = 32 * 1024;

/// The subscribers, and the book that they share.
pub(crate) struct Room {
    pub(crate) crew: Crew<Subscribers>,
    ledger: Arc<Ledger>,
    burst: u64,
    /// How long the last receiver of a message may take.
    timeout: Duration,
}

/// Memory with none, a third and all of the subscribers, each after the same traffic.
pub(crate) struct Filled {
    states: States,
    /// Seconds that opening took, without what was done in between.
    pub(crate) opening_s: f64,
}

/// What goes before memory is read, beside a broadcast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// Each client has had a ping, which come so often; zero is not to wait for it.
    pub(crate) pings_every: Duration,
    /// How long what is to be freed may take.
    pub(crate) settle: Duration,
}

/// What to publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing {
    pub(crate) messages: u64,
    /// Messages per second; `None` is back to back.
    pub(crate) rate: Option<f64>,
    pub(crate) time: Duration,
}

/// What was published in one go.
pub(crate) struct Published {
    pub(crate) messages: u64,
    pub(crate) delivered: u64,
    pub(crate) incomplete: u64,
    unpublished: u64,
    pub(crate) spent: Spent,
}

impl Room {
    pub(crate) fn new(
        run: &Run,
        connections: u64,
        publishers: usize,
        shape: &Shape,
        for_others: bool,
    ) -> Result<Self, String> {
        let threads = run.threads(connections)?;
        if publishers as u64 > connections / threads as u64 {
            return Err(format!("{publishers} publishers need more --connections"));
        }
        let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
        let ledger = Arc::new(Ledger::new(publishers, Arc::clone(&seeds.wakers()[0])));
        let subscribers =
            (0..threads).map(|index| Subscribers::new(&ledger, shape, index == 0, for_others));
        let crew = run.crew(seeds, subscribers.collect())?;
        let timeout = Duration::from_nanos(shape.timeout_ns);
        Ok(Self { crew, ledger, burst: shape.burst, timeout })
    }

    /// Opens a third, then the rest, and looks at the memory of each.
    pub(crate) fn fill(
        &mut self,
        run: &mut Run,
        count: u64,
        none: &MemoryState,
    ) -> Result<Filled, String> {
        let first_s = self.open_part(run, count)?;
        let part = self.memory(run, count, Rest::SHORT)?;
        let rest_s = self.open_rest(run, count)?;
        let all = self.memory(run, count, Rest::SHORT)?;
        Ok(Filled::new([*none, part, all], first_s + rest_s, Rest::SHORT))
    }

    /// Opens a third of `count`; gives the seconds that it took.
    pub(crate) fn open_part(&mut self, run: &mut Run, count: u64) -> Result<f64, String> {
        let publishers = self.ledger.publishers() as u64 * self.crew.threads() as u64;
        let first = (count / 3).max(publishers).min(count);
        run.open(&mut self.crew, first)
    }

    /// Opens what is missing to `count`; gives the seconds that it took.
    pub(crate) fn open_rest(&mut self, run: &mut Run, count: u64) -> Result<f64, String> {
        let missing = count - self.crew.asked();
        run.open(&mut self.crew, missing)
    }

    /// Memory after a broadcast and some rest. Few connections say nothing about it, so nothing is
    /// waited for.
    pub(crate) fn memory(
        &mut self,
        run: &mut Run,
        count: u64,
        rest: Rest,
    ) -> Result<MemoryState, String> {
        if count < SLOPE_CONNECTIONS_MIN {
            self.greet(run)?;
            return Ok(MemoryState { connections: self.crew.live().open, ..run.memory() });
        }
        self.await_pings(run, rest.pings_every)?;
        self.greet(run)?;
        run.settled_memory(&self.crew, rest.settle)
    }

    /// Waits until each open client has had a ping since the last reset.
    fn await_pings(&self, run: &mut Run, every: Duration) -> Result<(), String> {
        if every.is_zero() {
            return Ok(());
        }
        let look_ns = nanoseconds(every / 20).clamp(100_000_000, 1_000_000_000);
        let mut look_at_ns = 0;
        run.progress.begin("waiting for pings", 0);
        let have_all = run.wait(2 * every + PINGS_LATE, &self.crew, |run, _| {
            let now = run.clock.now_ns();
            if now < look_at_ns {
                return false;
            }
            look_at_ns = now + look_ns;
            self.crew.count_pings().first().is_none_or(|without| *without == 0)
        })?;
        run.progress.end();
        if !have_all {
            run.report.note("memory was read although some clients had not had a ping");
        }
        Ok(())
    }

    /// One write to all, which does not count.
    fn greet(&mut self, run: &mut Run) -> Result<(), String> {
        self.prepare(run, "greeting all", 1)
    }

    /// So many writes to all, which do not count.
    pub(crate) fn warm_up(&mut self, run: &mut Run, writes: u64) -> Result<(), String> {
        if writes > 0 { self.prepare(run, "warming up", writes) } else { Ok(()) }
    }

    fn prepare(&mut self, run: &mut Run, step: &str, writes: u64) -> Result<(), String> {
        let messages = writes * self.burst;
        let plan = Plan { messages, until_ns: u64::MAX, interval_ns: None };
        let before = self.counts().1;
        self.carry_out(run, step, plan)?;
        let missed = self.counts().1 - before;
        if missed > 0 {
            let open = self.crew.live().open;
            run.report.problem(format!(
                "{missed} messages did not reach all {open} in time while {step}"
            ));
        }
        Ok(())
    }

    /// Publishes, and waits until all have all of it.
    pub(crate) fn publish(
        &mut self,
        run: &mut Run,
        phase: usize,
        what: Publishing,
    ) -> Result<Published, String> {
        let window = run.window();
        let now = run.clock.now_ns();
        self.ledger.phase.store(phase, Ordering::Release);
        let before = self.counts();
        let delivered = self.crew.live().messages;
        let plan = Plan {
            messages: what.messages,
            until_ns: now + nanoseconds(what.time),
            interval_ns: what.rate.map(|rate| self.burst as f64 * 1e9 / rate),
        };
        self.carry_out(run, "publishing", plan)?;
        self.ledger.phase.store(NOT_MEASURED, Ordering::Release);
        let spent = window.end();
        let after = self.counts();
        self.crew.sync();
        Ok(Published {
            messages: after.0 - before.0,
            incomplete: after.1 - before.1,
            unpublished: after.2 - before.2,
            delivered: self.crew.live().messages - delivered,
            spent,
        })
    }

    /// The book, for others that are in the same room.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    fn counts(&self) -> (u64, u64, u64) {
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Acquire);
        let ledger = &self.ledger;
        (get(&ledger.published), get(&ledger.incomplete), get(&ledger.unpublished))
    }

    fn carry_out(&mut self, run: &mut Run, step: &str, plan: Plan) -> Result<(), String> {
        let ledger = Arc::clone(&self.ledger);
        ledger.is_publishing.store(true, Ordering::Release);
        self.crew.tell(0, Command::Order(Order::Publish(plan)));
        let begin = run.clock.now_ns();
        let time = plan.until_ns.saturating_sub(begin);
        let longest = Duration::from_nanos(time.min(nanoseconds(LONGEST))) + 2 * self.timeout;
        run.progress.begin(step, time.min(nanoseconds(LONGEST)) / 1_000_000_000);
        let is_done = run.wait(longest, &self.crew, |run, live| {
            let seconds = (run.clock.now_ns() - begin) / 1_000_000_000;
            let published = ledger.published.load(Ordering::Relaxed);
            let detail = format!("s, {published} published, {} delivered", live.messages);
            run.progress.update(seconds, time.min(nanoseconds(LONGEST)) / 1_000_000_000, &detail);
            !ledger.is_publishing.load(Ordering::Acquire)
        })?;
        run.progress.end();
        if is_done { Ok(()) } else { Err("publishing did not end in time".into()) }
    }

    /// Ends the subscribers.
    pub(crate) fn finish(self) -> Result<(Tally, Outcome), String> {
        let finished = self.crew.finish().map_err(|error| error.to_string())?;
        let mut outcome = Outcome::default();
        finished.outcomes.iter().for_each(|other| outcome.add(other));
        Ok((finished.tally, outcome))
    }
}

/// No step takes longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How much later than twice their interval pings may be.
const PINGS_LATE: Duration = Duration::from_secs(10);

impl Rest {
    /// What suffices to see that a broadcast leaves little behind.
    const SHORT: Self = Self { pings_every: Duration::ZERO, settle: SETTLE_TIME };

    fn describe(self, connections: u64) -> String {
        let settle = self.settle;
        match (connections < SLOPE_CONNECTIONS_MIN, self.pings_every.is_zero()) {
            (true, _) => "a broadcast".to_owned(),
            (false, true) => format!("a broadcast and {settle:?}"),
            (false, false) => format!("a round of pings, a broadcast and {settle:?}"),
        }
    }
}

impl Filled {
    /// Of states with no, some and all connections.
    pub(crate) fn new([none, part, all]: [MemoryState; 3], opening_s: f64, rest: Rest) -> Self {
        let after = rest.describe(all.connections);
        Self { states: States { none, part, all, after }, opening_s }
    }

    /// Bytes of the server with all connections.
    pub(crate) fn server_bytes(&self) -> Option<u64> {
        self.states.all.server_bytes
    }

    pub(crate) fn report(&self, run: &mut Run) {
        memory::tell(&mut run.report, &self.states, run.loader_end);
    }
}

impl Published {
    /// How many messages left together: one segment on loopback is one send of the server, but for
    /// those in which the publishers wrote their groups.
    fn report_segments(&self, report: &mut Report, shape: &Shape) {
        if self.spent.server.is_none() || shape.size as u64 * shape.burst > SEGMENT_BYTES_SURE {
            return;
        }
        let groups = self.messages / shape.burst;
        let segments = self.spent.segments.saturating_sub(groups) as f64;
        let section = report.sections.last_mut().expect("what was spent was just added");
        let label = "TCP segments of this machine per delivery";
        section.cost("segments_per_delivery", label, segments / self.delivered.max(1) as f64, "");
    }

    pub(crate) fn report(&self, run: &mut Run, all: &Outcome, shape: &Shape, rate: Option<f64>) {
        let report = &mut run.report;
        report.parameter("payload_bytes", shape.size as f64);
        report.parameter("burst", shape.burst as f64);
        report.parameter("rate", rate.unwrap_or(0.0));
        let seconds = self.spent.seconds;
        let section = report.section("Broadcast");
        section.tell("payload_bytes", "bytes of a payload", shape.size as f64, "B");
        section.tell("burst", "messages in one write", shape.burst as f64, "");
        section.tell("published", "messages published", self.messages as f64, "");
        section.tell("delivered", "messages delivered", self.delivered as f64, "");
        section.gain("delivery_rate", "deliveries", self.delivered as f64 / seconds, "/s");
        section.gain("publish_rate", "broadcasts", self.messages as f64 / seconds, "/s");
        section.cost("lost", "lost", all.faults.lost as f64, "");
        section.cost("duplicated", "duplicated", all.faults.duplicated as f64, "");
        section.cost("out_of_order", "out of order", all.faults.out_of_order as f64, "");
        section.cost("mangled", "with other bytes", all.mangled as f64, "");
        section.cost("incomplete", "not with all in time", self.incomplete as f64, "");
        let from = match rate {
            Some(rate) => {
                section.tell("rate_asked", "asked for, open loop", rate, "/s");
                "open loop: from the intended send time of the schedule"
            }
            None => {
                "back to back: from the send, which waits for the last receiver of the one before"
            }
        };
        report.latency(("delivery_latency", "delivery, each receiver"), from, &all.latencies[0]);
        report.latency(("last_latency", "delivery, the last receiver"), from, &all.to_last[0]);
        figures::spent(report, &self.spent, self.delivered, "delivery");
        self.report_segments(report, shape);
        let faults = [
            (all.faults.lost, "deliveries were lost"),
            (all.faults.duplicated, "deliveries came twice"),
            (all.faults.out_of_order, "deliveries were out of order"),
            (all.mangled, "deliveries had other bytes than were sent"),
            (self.incomplete, "messages did not reach all in time"),
            (self.unpublished.min(1), "publisher was lost"),
        ];
        for (count, what) in faults.into_iter().filter(|(count, _)| *count > 0) {
            report.problem(format!("{count} {what}"));
        }
        if self.messages == 0 {
            report.problem("nothing was published");
        }
    }
}
