//! `abuse`: a hostile mix beside honest clients of the same server, who must lose nothing.

mod answer;
mod findings;
mod hostile;
mod kind;
mod metrics;
mod peer;
mod script;
mod tally;

use std::time::Duration;

use clap::Args;

use super::broadcast::publisher::Shape;
use super::broadcast::room::{Publishing, Room};
use super::echo::{self, Echo, Form, Order, Pace};
use crate::clock::{nanoseconds, seconds};
use crate::engine::{Command, Crew, Seeds};
use crate::options::{Common, parse_payload};
use crate::run::Run;
use crate::target::{Target, Url};
use crate::wire;
use findings::{Found, Honest, Memory};
use hostile::{Hostile, Plan};
use kind::Kind;
use loadtest::units::{parse_header, parse_memory, parse_nonzero_duration, parse_rate, parse_size};
use metrics::Operator;
use script::Script;

/// Of --connections, honest clients, three quarters are in a room with a steady broadcast, and the
/// others echo. Beside them come slow handshakes, half frames, frames that are too long, messages
/// in fragments of a byte, texts that are none, deflate bombs, floods of pings and of requests,
/// connects from one and from many addresses, random bytes, resets, and PROXY headers of strangers.
/// Nothing of the honest ones may be lost. Throng's /room/loadtest, /room/abuse and /echo are the
/// places.
#[derive(Clone, Debug, Args)]
pub(crate) struct AbuseArgs {
    /// How long the abuse goes on
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "30s")]
    duration: Duration,

    /// How long the honest ones are alone before, to compare with
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "5s")]
    calm: Duration,

    /// Hostile connections of each kind at the same time
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    each: u64,

    /// Bytes a second of all floods together, 64MiB at most
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "4MiB")]
    flood: usize,

    /// Broadcasts per second, by the clock
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "20")]
    rate: f64,

    /// Echoes per second of all that echo together, by the clock
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "100")]
    echo_rate: f64,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "200")]
    size: usize,

    /// Where messages come back [default: /echo at the host of --url]
    #[arg(long, value_name = "URL")]
    echo_url: Option<String>,

    /// The operator's port, whose /metrics tell what was refused why: http://127.0.0.1:8081
    #[arg(long, value_name = "URL")]
    operator: Option<String>,

    /// A field of that request: 'Authorization: Bearer KEY'; repeatable
    #[arg(long, value_name = "FIELD", value_parser = parse_header, requires = "operator")]
    operator_header: Vec<String>,

    /// Resident memory that the server may have at most, such as 300MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory_max: Option<u64>,

    #[command(flatten)]
    common: Common,
}

/// The phases of the ledger.
const CALM: usize = 0;
const ABUSED: usize = 1;

/// Runs the scenario; gives whether the honest ones got everything.
pub(crate) fn run(args: &AbuseArgs) -> Result<bool, String> {
    check(args)?;
    let operator = args.operator.as_ref();
    let operator = operator.map(|url| Operator::new(url, &args.operator_header)).transpose()?;
    let mut run = Run::start(&args.common, "abuse", "/room/loadtest")?;
    // It is tried before anything is measured.
    let mut counts = vec![operator.as_ref().map(Operator::read_first).transpose()?];
    let mut honest = open(args, &mut run)?;
    let before = run.settled_server_bytes(&honest.room.crew)?;
    let now = run.clock.now_ns();
    honest.echoing.tell_all(|_| Command::Order(Order::Measure(now)));
    let publishing = |time| Publishing { messages: u64::MAX, rate: Some(args.rate), time };
    let calm = honest.room.publish(&mut run, CALM, publishing(args.calm))?;
    let from_s = seconds(run.clock.now_ns());
    let hostile = start_hostile(args, &run)?;
    let abused = honest.room.publish(&mut run, ABUSED, publishing(args.duration))?;
    counts.push(operator.as_ref().map(Operator::read).transpose()?);
    let hostile = hostile.stop()?;
    let samples = run.sampler.samples.iter().filter(|sample| sample.at_s >= from_s);
    let highest = samples.filter_map(|sample| sample.server_bytes).max();
    let after = run.settled_server_bytes(&honest.room.crew)?;
    let memory = Memory { before, highest, after, most: args.memory_max };
    let honest = honest.finish(args, &mut run)?;
    parameters(args, &mut run);
    let counts = counts.pop().flatten().zip(counts.pop().flatten());
    let found = Found { honest, parts: [calm, abused], hostile, counts, memory };
    found.report(&mut run.report);
    run.finish()
}

/// What cannot be carried out is told before anything is started.
fn check(args: &AbuseArgs) -> Result<(), String> {
    if args.rate <= 0.0 || args.echo_rate <= 0.0 {
        return Err("rates of honest clients are by the clock: above 0".into());
    }
    if args.memory_max.is_some() && args.common.spawn.is_none() && args.common.server_pid.is_none()
    {
        return Err("--memory-max needs a server that is watched: --server-pid or --spawn".into());
    }
    if args.flood == 0 {
        return Err("--flood 0 floods nothing; 1 byte a second is the least".into());
    }
    Ok(())
}

fn parameters(args: &AbuseArgs, run: &mut Run) {
    let parameters = [
        ("payload_bytes", args.size as f64),
        ("rate", args.rate),
        ("echo_rate", args.echo_rate),
        ("each", args.each as f64),
        ("flood_bytes_per_second", args.flood as f64),
    ];
    for (name, value) in parameters {
        run.report.parameter(name, value);
    }
}

/// The clients that do nothing wrong.
struct Clients {
    room: Room,
    echoing: Crew<Echo>,
    asked: u64,
    opening_s: f64,
}

fn open(args: &AbuseArgs, run: &mut Run) -> Result<Clients, String> {
    let asked = args.common.loader.connections;
    let part = (asked / 4).max(1);
    let listeners = asked.saturating_sub(part).max(1);
    let shape = Shape {
        burst: 1,
        size: args.size,
        opcode: wire::TEXT,
        template: None,
        http: None,
        timeout_ns: nanoseconds(args.common.loader.timeout),
    };
    let mut room = Room::new(run, listeners, 1, &shape, false)?;
    let url = match &args.echo_url {
        Some(url) => Url::parse(url, "ws")?,
        None => Url { path: "/echo".into(), ..run.url.clone() },
    };
    let target = Target::new(&url, &args.common.header, &args.common.subprotocol)?;
    let seeds = Seeds::new(1).map_err(|error| error.to_string())?;
    let pace = Pace::Every { interval_ns: 1e9 / args.echo_rate, burst: 1 };
    let form = Form { size: args.size, opcode: wire::TEXT, template: None };
    let mut echoing = run.crew_at(&target, seeds, vec![Echo::new(pace, form)])?;
    let none = run.memory();
    let opening_s = room.fill(run, listeners, &none)?.opening_s;
    run.open(&mut echoing, part)?;
    echoing.tell_all(|_| Command::Order(Order::Begin));
    Ok(Clients { room, echoing, asked: listeners + part, opening_s })
}

fn start_hostile(args: &AbuseArgs, run: &Run) -> Result<Hostile, String> {
    let scripts = Kind::ALL.iter().map(|kind| Script::of(*kind, &run.url, &args.common.header));
    let scripts = scripts.collect::<Result<Vec<_>, _>>()?;
    let each = args.each as usize;
    let plan = Plan { address: run.target.address, each, flood: args.flood };
    Hostile::start(plan, scripts).map_err(|error| error.to_string())
}

impl Clients {
    /// Lets what is under way come to its end, and ends them.
    fn finish(self, args: &AbuseArgs, run: &mut Run) -> Result<Honest, String> {
        self.echoing.tell_all(|_| Command::Order(Order::Stop));
        self.echoing.sync();
        let timeout = args.common.loader.timeout;
        run.wait(timeout, &self.echoing, |_, live| live.messages >= live.sent)?;
        let open_at_end = self.room.crew.live().open + self.echoing.live().open;
        let (mut tally, room) = self.room.finish()?;
        let echoing = self.echoing.finish().map_err(|error| error.to_string())?;
        tally.add(&echoing.tally);
        let mut echoes = echo::Outcome::default();
        echoing.outcomes.iter().for_each(|outcome| echoes.add(outcome));
        let (asked, opening_s) = (self.asked, self.opening_s);
        Ok(Honest { tally, room, echoes, asked, open_at_end, opening_s })
    }
}
