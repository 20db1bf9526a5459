//! `soak`: a mix for a long time. Some listen in a room, some echo, some come and go.

use std::time::Duration;

use clap::Args;

use super::broadcast::publisher::Shape;
use super::broadcast::room::{Publishing, Room};
use super::churn::{Churners, Leaving};
use super::echo::{self, Echo, Form, Order, Pace};
use crate::engine::{Command, Crew, Seeds};
use crate::measure::memory::MemoryState;
use crate::options::{Common, parse_payload};
use crate::report::figures::{self, Fates};
use crate::report::memory;
use crate::report::model::Report;
use crate::run::{Run, SETTLE_TIME};
use crate::target::{Target, Url};
use crate::template::Template;
use crate::wire;
use loadtest::units::{parse_nonzero_duration, parse_rate};

/// Of --connections, 80 % listen in a room, 10 % echo, and 10 % are always coming and going.
/// Throng's /room/loadtest and /echo are the default places.
#[derive(Clone, Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10m")]
    duration: Duration,

    /// Where messages come back [default: /echo at the host of --url]
    #[arg(long, value_name = "URL")]
    echo_url: Option<String>,

    /// Broadcasts per second, by the clock
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "1")]
    rate: f64,

    /// Echoes per second of all that echo together, by the clock
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "100")]
    echo_rate: f64,

    /// Connects per second of those that come and go
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "20")]
    churn_rate: f64,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "100")]
    size: usize,

    /// What a client sends: a text with {payload} in it
    #[arg(long, value_name = "TEMPLATE")]
    publish: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// The groups beside the room.
struct Others {
    echoing: Crew<Echo>,
    churning: Crew<Churners>,
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &SoakArgs) -> Result<bool, String> {
    if [args.rate, args.echo_rate, args.churn_rate].iter().any(|rate| *rate <= 0.0) {
        return Err("rates of a soak are by the clock: above 0".into());
    }
    let mut run = Run::start(&args.common, "soak", "/room/loadtest")?;
    let count = args.common.loader.connections;
    let part = (count / 10).max(1);
    let listeners = count.saturating_sub(2 * part).max(1);
    let none = run.memory();
    let shape = Shape {
        burst: 1,
        size: args.size,
        opcode: wire::TEXT,
        template: Template::with_payload(args.publish.as_deref())?,
        http: None,
        timeout_ns: crate::clock::nanoseconds(args.common.loader.timeout),
    };
    let mut room = Room::new(&run, listeners, 1, &shape, false)?;
    let mut others = start_others(args, &run, part)?;
    let filled = room.fill(&mut run, listeners, &none)?;
    run.open(&mut others.echoing, part)?;
    others.echoing.tell_all(|_| Command::Order(Order::Begin));
    let coming = (args.churn_rate * args.duration.as_secs_f64()).ceil() as u64;
    others.churning.open(coming, args.churn_rate);
    let before = run.settled_memory(&room.crew, SETTLE_TIME)?;
    let now = run.clock.now_ns();
    others.echoing.tell_all(|_| Command::Order(Order::Measure(now)));
    let what = Publishing { messages: u64::MAX, rate: Some(args.rate), time: args.duration };
    let published = room.publish(&mut run, 0, what)?;
    let after = run.settled_memory(&room.crew, SETTLE_TIME)?;
    others.echoing.tell_all(|_| Command::Order(Order::Stop));
    others.churning.tell_all(|_| Command::StopOpening);
    others.echoing.sync();
    others.churning.sync();
    let timeout = args.common.loader.timeout;
    run.wait(timeout, &others.echoing, |_, live| live.messages >= live.sent)?;
    let open = room.crew.live().open + others.echoing.live().open;
    let (mut tally, outcome) = room.finish()?;
    let echoing = others.echoing.finish().map_err(|error| error.to_string())?;
    let churning = others.churning.finish().map_err(|error| error.to_string())?;
    tally.add(&echoing.tally);
    tally.add(&churning.tally);
    let came = churning.tally.opened;
    let let_go: u64 = churning.outcomes.iter().sum();
    // Those that came last are still there.
    let open_at_end = open + came.saturating_sub(let_go + churning.tally.lost);
    let fates = Fates { asked: listeners + part + churning.tally.begun, open_at_end, let_go };
    figures::connections(&mut run.report, &tally, fates, 0.0);
    filled.report(&mut run);
    for (name, rate) in [("echo_rate", args.echo_rate), ("churn_rate", args.churn_rate)] {
        run.report.parameter(name, rate);
    }
    published.report(&mut run, &outcome, &shape, Some(args.rate));
    let mut echoes = echo::Outcome::default();
    echoing.outcomes.iter().for_each(|outcome| echoes.add(outcome));
    report(&mut run.report, &echoes, came, (&before, &after), published.spent.seconds);
    run.finish()
}

fn start_others(args: &SoakArgs, run: &Run, part: u64) -> Result<Others, String> {
    let url = match &args.echo_url {
        Some(url) => Url::parse(url, "ws")?,
        None => Url { path: "/echo".into(), ..run.url.clone() },
    };
    let mut target = Target::new(&url, &args.common.header, &args.common.subprotocol)?;
    target.on_open.clone_from(&run.target.on_open);
    target.replies.clone_from(&run.target.replies);
    let seeds = || Seeds::new(1).map_err(|error| error.to_string());
    // One thread each: they are few, and the room has the CPUs.
    run.threads(part).and_then(|threads| match threads {
        1 | 2 => Ok(()),
        _ => Err("a tenth of --connections must fit into one descriptor table".to_owned()),
    })?;
    let pace = Pace::Every { interval_ns: 1e9 / args.echo_rate, burst: 1 };
    let form = Form {
        size: args.size,
        opcode: wire::TEXT,
        template: Template::with_payload(args.publish.as_deref())?,
    };
    let echoing = run.crew_at(&target, seeds()?, vec![Echo::new(pace, form)])?;
    let lifetime = Duration::from_secs_f64(part as f64 / args.churn_rate);
    let churners = vec![Churners::new(lifetime, Leaving::Mixed)];
    let churning = run.crew_at(&target, seeds()?, churners)?;
    Ok(Others { echoing, churning })
}

fn report(
    report: &mut Report,
    echoes: &echo::Outcome,
    came: u64,
    (before, after): (&MemoryState, &MemoryState),
    seconds: f64,
) {
    let section = report.section("The others");
    section.tell("came", "came, of those that come and go", came as f64, "");
    section.tell("echoes", "echoes", echoes.received as f64, "");
    section.cost("echoes_wrong", "replies with a wrong length or number", echoes.wrong as f64, "");
    section.cost("echoes_unanswered", "messages without a reply", echoes.unanswered as f64, "");
    if let Some(grown) = memory::growth(before, after) {
        section.cost("server_rss_grown", "server, resident, grown meanwhile", grown, "B");
        let per_hour = grown * 3600.0 / seconds;
        section.cost("server_rss_per_hour", "  in an hour at this pace", per_hour, "B");
    } else {
        section.not_known(memory::SERVER_NOT_KNOWN);
    }
    let measured = "open loop: from the intended send time of the schedule to the reply";
    report.latency(("echo_latency", "echo"), measured, &echoes.latencies);
    if echoes.wrong + echoes.unanswered > 0 {
        report.problem(format!("{} echoes went wrong", echoes.wrong + echoes.unanswered));
    }
}
