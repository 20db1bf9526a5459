//! `connect`: open, hold, answer pings, count the survivors.

use std::time::Duration;

use clap::Args;

use super::pings;
use crate::engine::{Behaviour, Command, Crew, Net, Seeds};
use crate::options::Common;
use crate::report::figures::{self, Fates};
use crate::report::memory::{self, States};
use crate::run::{Run, SETTLE_TIME};
use loadtest::units::parse_duration;

/// Opens connections at `--connect-rate`, or flat out, and holds them. Throng's /room/loadtest is
/// the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArgs {
    /// How long to hold them
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "30s")]
    hold: Duration,

    /// The server's time between pings: clients that have fewer are counted; 0 is not to look
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "0")]
    pings_every: Duration,

    #[command(flatten)]
    common: Common,
}

/// A client that only listens.
pub(crate) struct Listener {
    messages: u64,
}

impl Behaviour for Listener {
    type Order = ();
    type Outcome = u64;

    fn message(&mut self, net: &mut Net, _key: usize, _payload: &[u8]) {
        self.messages += 1;
        net.tally.unknown += 1;
    }

    fn finish(self, _net: &mut Net) -> u64 {
        self.messages
    }
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &ConnectArgs) -> Result<bool, String> {
    let mut run = Run::start(&args.common, "connect", "/room/loadtest")?;
    let count = args.common.loader.connections;
    let threads = run.threads(count)?;
    let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
    let listeners = (0..threads).map(|_| Listener { messages: 0 }).collect();
    let mut crew: Crew<Listener> = run.crew(seeds, listeners)?;
    let none = run.memory();
    run.open(&mut crew, count / 3)?;
    let part = run.settled_memory(&crew, SETTLE_TIME)?;
    let opening = run.window();
    let already = crew.live().opened;
    let opening_s = run.open(&mut crew, count - count / 3)?;
    let opened = opening.end();
    let all = run.settled_memory(&crew, SETTLE_TIME)?;
    crew.tell_all(|_| Command::ResetPings);
    let holding = run.window();
    run.hold(&crew, "holding", args.hold)?;
    let held = holding.end();
    let counts = crew.count_pings();
    let open = crew.live().open;
    run.calibrate(count);
    let finished = crew.finish().map_err(|error| error.to_string())?;
    let opened_in_window = finished.tally.opened - already;
    let fates = Fates { asked: count, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &finished.tally, fates, 0.0);
    let section = run.report.sections.last_mut().expect("connections were just added");
    let rate = opened_in_window as f64 / opening_s.max(1e-9);
    section.gain("connect_rate", "connect rate, with handshakes", rate, "/s");
    let after = format!("opening and {SETTLE_TIME:?}, before pings");
    memory::tell(&mut run.report, &States { none, part, all, after }, run.loader_end);
    figures::idle(&mut run.report, &held, open);
    if !args.pings_every.is_zero() {
        pings::judge(&mut run.report, &counts, args.hold, args.pings_every);
    }
    figures::spent(&mut run.report, &opened, opened_in_window, "connect");
    run.finish()
}
