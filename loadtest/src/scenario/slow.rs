//! `slow`: a share of the receivers stops reading; what happens to the others.

use std::time::Duration;

use clap::Args;

use super::broadcast::publisher::Shape;
use super::broadcast::room::{Published, Publishing, Room};
use super::broadcast::subscriber::Outcome;
use crate::options::{Common, parse_payload};
use crate::report::figures::{self, Fates};
use crate::report::memory;
use crate::report::model::Report;
use crate::run::{Run, SETTLE_TIME};
use crate::template::Template;
use crate::wire;
use loadtest::units::{parse_nonzero_duration, parse_rate, parse_share};

/// Publishes by the clock, first while all read, then while a share of the receivers does not.
/// Those read again at the end, which shows whom the server has ended: the end of a connection
/// waits behind what is not read. Throng's /room/loadtest is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct SlowArgs {
    /// The share that stops reading: 0.1 or 10%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "10%")]
    share: f64,

    /// Messages per second, by the clock
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "50")]
    rate: f64,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "16KiB")]
    size: usize,

    /// How long each of the two parts takes
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10s")]
    duration: Duration,

    /// What a client sends: a text with {payload} in it
    #[arg(long, value_name = "TEMPLATE")]
    publish: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// Runs the scenario; gives whether the others got everything.
pub(crate) fn run(args: &SlowArgs) -> Result<bool, String> {
    if args.rate <= 0.0 {
        return Err("--rate 0 would wait for those that do not read; a rate is needed".into());
    }
    let mut run = Run::start(&args.common, "slow", "/room/loadtest")?;
    let count = args.common.loader.connections;
    let template = Template::with_payload(args.publish.as_deref())?;
    let shape = Shape {
        burst: 1,
        size: args.size,
        opcode: if template.is_some() { wire::TEXT } else { wire::BINARY },
        template,
        http: None,
        timeout_ns: crate::clock::nanoseconds(args.common.loader.timeout),
    };
    let none = run.memory();
    let mut room = Room::new(&run, count, 1, &shape, false)?;
    let filled = room.fill(&mut run, count, &none)?;
    let what = Publishing { messages: u64::MAX, rate: Some(args.rate), time: args.duration };
    let all_read = room.publish(&mut run, 0, what)?;
    room.deafen(args.share);
    let some_read = room.publish(&mut run, 1, what)?;
    let highest = run.sampler.samples.iter().map(|sample| sample.server_bytes).max().flatten();
    let rest = run.settled_memory(&room.crew, SETTLE_TIME)?;
    room.hear_again(&mut run)?;
    let open = room.crew.live().open;
    let (tally, outcome) = room.finish()?;
    for (name, value) in [("rate", args.rate), ("share", args.share)] {
        run.report.parameter(name, value);
    }
    run.report.parameter("payload_bytes", shape.size as f64);
    let fates = Fates { asked: count, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &tally, fates, filled.opening_s);
    report(&mut run.report, &outcome, [&all_read, &some_read]);
    let moments = [
        ("server_rss_before", "resident, all reading", filled.server_bytes()),
        ("server_rss_highest", "  the highest", highest),
        ("server_rss_after", "  at the end", rest.server_bytes),
    ];
    memory::moments(&mut run.report, moments);
    figures::judge_loader(&mut run.report, &all_read.spent);
    figures::spent(&mut run.report, &some_read.spent, some_read.delivered, "delivery");
    run.finish()
}

fn report(report: &mut Report, all: &Outcome, parts: [&Published; 2]) {
    let section = report.section("Slow receivers");
    section.tell("deaf", "stopped reading", all.deaf as f64, "");
    section.tell("deaf_ended", "  ended by the server", all.deaf_ended as f64, "");
    section.tell("deaf_kept", "  kept, with all when they read again", all.deaf_kept as f64, "");
    let neither = all.deaf.saturating_sub(all.deaf_ended + all.deaf_kept);
    section.tell("deaf_neither", "  open, and without all in time", neither as f64, "");
    let published: u64 = parts.iter().map(|part| part.messages).sum();
    section.tell("published", "messages published", published as f64, "");
    let section = report.section("The others");
    section.cost("lost", "lost", all.faults.lost as f64, "");
    section.cost("duplicated", "duplicated", all.faults.duplicated as f64, "");
    section.cost("out_of_order", "out of order", all.faults.out_of_order as f64, "");
    let incomplete: u64 = parts.iter().map(|part| part.incomplete).sum();
    section.cost("incomplete", "not with all in time", incomplete as f64, "");
    let from = "open loop: from the intended send time of the schedule";
    let names =
        [("all_read", "delivery, all reading"), ("some_read", "delivery, some not reading")];
    for (name, latencies) in names.into_iter().zip(&all.latencies) {
        report.latency(name, from, latencies);
    }
    let faults = all.faults.lost + all.faults.duplicated + all.faults.out_of_order;
    if faults > 0 {
        report.problem(format!("{faults} deliveries to the others went wrong"));
    }
    if incomplete > 0 {
        report.problem(format!("{incomplete} messages did not reach all others in time"));
    }
}
