//! `slow`: a share of the receivers never reads; what becomes of them, and of the others.

mod findings;
mod stalled;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::broadcast::publisher::Shape;
use super::broadcast::room::{Published, Publishing, Room};
use crate::engine::tally::Tally;
use crate::engine::{Command, Crew, Seeds};
use crate::options::{Common, parse_payload};
use crate::run::Run;
use crate::template::Template;
use crate::wire;
use findings::{Found, Memory};
use loadtest::units::{parse_count, parse_nonzero_duration, parse_rate, parse_share};
use stalled::{Order, Outcome, Stalled};

/// Publishes by the clock, in turns without and with clients that read nothing from their upgrade
/// on. At the end of each turn those read what waits for them, which shows whom the server has
/// ended, how, and what it has dropped. The server needs a room with the policy that is expected:
/// Throng's /room/slow-POLICY is the default place, such as [[rooms]] match = "slow-latest",
/// policy = "latest". A turn is to be shorter than the time in which the server wants its pings
/// answered.
#[derive(Clone, Debug, Args)]
pub(crate) struct SlowArgs {
    /// What the server does with a receiver that does not keep up
    #[arg(long, value_enum, default_value = "disconnect")]
    policy: Policy,

    /// The share that never reads: 0.1 or 10%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "10%")]
    share: f64,

    /// Messages per second, by the clock; 0 is back to back: when all that read have the one before
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "50")]
    rate: f64,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "16KiB")]
    size: usize,

    /// Messages of a turn, at most
    #[arg(long, value_name = "N", value_parser = parse_count)]
    messages: Option<u64>,

    /// How long each turn takes
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "5s")]
    duration: Duration,

    /// How many turns without and with them there are
    #[arg(long, value_name = "N", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,

    /// What a client sends: a text with {payload} in it
    #[arg(long, value_name = "TEMPLATE")]
    publish: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// What a server does with a receiver that does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// Closes it with 1008, behind what it got until then
    Disconnect,
    /// Drops what has waited longest, and keeps it
    #[value(name = "drop_oldest")]
    DropOldest,
    /// Keeps the newest message for it only
    Latest,
}

impl Policy {
    fn path(self) -> &'static str {
        match self {
            Self::Disconnect => "/room/slow-disconnect",
            Self::DropOldest => "/room/slow-drop_oldest",
            Self::Latest => "/room/slow-latest",
        }
    }
}

/// Turns without and with those that do not read; the phases of the ledger.
const ALL_READ: usize = 0;
const SOME_READ: usize = 1;

/// Runs the scenario; gives whether all was as the policy wants it.
pub(crate) fn run(args: &SlowArgs) -> Result<bool, String> {
    let slow = (args.common.loader.connections as f64 * args.share).round() as u64;
    let count = args.common.loader.connections - slow;
    if count == 0 {
        return Err("--share leaves nobody who reads; less than 100% is needed".into());
    }
    let shape = shape(args)?;
    let mut run = Run::start(&args.common, "slow", args.policy.path())?;
    let none = run.memory();
    let mut room = Room::new(&run, count, 1, &shape, false)?;
    let filled = room.fill(&mut run, count, &none)?;
    let mut silent = Silent::start(&run, &room, slow)?;
    let rate = Some(args.rate).filter(|rate| *rate > 0.0);
    let messages = args.messages.unwrap_or(u64::MAX);
    let what = Publishing { messages, rate, time: args.duration };
    let mut parts: [Vec<Published>; 2] = Default::default();
    let mut highest = None;
    for _ in 0..args.rounds {
        parts[ALL_READ].push(room.publish(&mut run, ALL_READ, what)?);
        silent.come(&mut run)?;
        let from_s = crate::clock::seconds(run.clock.now_ns());
        parts[SOME_READ].push(room.publish(&mut run, SOME_READ, what)?);
        let samples = run.sampler.samples.iter().filter(|sample| sample.at_s >= from_s);
        highest = highest.max(samples.filter_map(|sample| sample.server_bytes).max());
        silent.read_out(&mut run)?;
    }
    let after = run.settled_server_bytes(&room.crew)?;
    let open = room.crew.live().open;
    let (tally, others) = room.finish()?;
    let (of_slow, slow) = silent.finish()?;
    for (name, value) in [("rate", args.rate), ("share", args.share)] {
        run.report.parameter(name, value);
    }
    run.report.parameter("payload_bytes", shape.size as f64);
    run.report.parameter("policy", f64::from(args.policy as u8));
    let memory = Memory { before: filled.server_bytes(), highest, after };
    let is_paced = rate.is_some();
    let found = Found {
        is_paced,
        policy: args.policy,
        slow: &slow,
        others: &others,
        parts: &parts,
        memory,
    };
    findings::connections(&mut run.report, (&tally, &of_slow), (count, open), filled.opening_s);
    found.report(&mut run.report);
    run.finish()
}

fn shape(args: &SlowArgs) -> Result<Shape, String> {
    let template = Template::with_payload(args.publish.as_deref())?;
    Ok(Shape {
        burst: 1,
        size: args.size,
        opcode: if template.is_some() { wire::TEXT } else { wire::BINARY },
        template,
        http: None,
        timeout_ns: crate::clock::nanoseconds(args.common.loader.timeout),
    })
}

/// Those that do not read, and what is done with all of them.
struct Silent {
    crew: Option<Crew<Stalled>>,
    count: u64,
    /// Those of which it is not known yet what they have got.
    unsettled: Arc<AtomicU64>,
}

impl Silent {
    fn start(run: &Run, room: &Room, count: u64) -> Result<Self, String> {
        let unsettled = Arc::<AtomicU64>::default();
        if count == 0 {
            return Ok(Self { crew: None, count, unsettled });
        }
        let threads = run.threads(count)?;
        let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
        let stalled = (0..threads).map(|_| Stalled::new(room.ledger(), Arc::clone(&unsettled)));
        let crew = run.crew(seeds, stalled.collect())?;
        Ok(Self { crew: Some(crew), count, unsettled })
    }

    /// As many as there are to be join the room.
    fn come(&mut self, run: &mut Run) -> Result<(), String> {
        let Some(crew) = &mut self.crew else { return Ok(()) };
        run.open(crew, self.count).map(|_| ())
    }

    /// Reads what waits for them, until each has come to its end or to the newest message; then
    /// those that are still there go.
    fn read_out(&self, run: &mut Run) -> Result<(), String> {
        let Some(crew) = &self.crew else { return Ok(()) };
        crew.tell_all(|_| Command::Order(Order::Read));
        run.progress.begin("reading what waited", 0);
        let longest = run.common.loader.timeout;
        // Those of which nothing is known in time are told as such.
        let _ = run.wait(longest, crew, |_, _| self.unsettled.load(Ordering::Acquire) == 0)?;
        crew.tell_all(|_| Command::Order(Order::Leave));
        run.wait(longest, crew, |_, live| live.open == 0)?;
        run.progress.end();
        Ok(())
    }

    fn finish(self) -> Result<(Tally, Outcome), String> {
        let Some(crew) = self.crew else { return Ok(Default::default()) };
        let finished = crew.finish().map_err(|error| error.to_string())?;
        let mut outcome = Outcome::default();
        finished.outcomes.iter().for_each(|other| outcome.add(other));
        Ok((finished.tally, outcome))
    }
}
