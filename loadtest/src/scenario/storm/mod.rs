//! `storm`: the server is restarted, and all its clients come back.

mod findings;
mod restart;
mod returning;
mod seconds;
mod slot;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;

use crate::engine::{Crew, Seeds};
use crate::options::Common;
use crate::run::Run;
use findings::Found;
use loadtest::units::parse_nonzero_duration;
use restart::Restart;
use returning::{Habits, Honouring, Outcome, Returning, Watched};

/// All clients are connected; then the server is restarted: by this command, if it was started with
/// --spawn or with --restart says how to start the next one, or else by somebody else. A client
/// that is closed with retry-after=15s in the reason waits for that time, if it honours it; all
/// others come back after a wait that doubles with each attempt that fails. Throng's /room/loadtest
/// is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct StormArgs {
    /// Whether clients wait for the time that the server asks for
    #[arg(long, value_enum, default_value = "half")]
    honour_slot: Honouring,

    /// Start the next server with this command, when that of --server-pid was told to stop
    #[arg(long, value_name = "CMD", requires = "server_pid")]
    restart: Option<String>,

    /// Where somebody else restarts it: how long that may take to begin
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "5m")]
    wait: Duration,

    /// How long it may take until all are back; and the old server until it has gone
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "2m")]
    within: Duration,

    /// The longest wait before a first attempt; it doubles with each that fails
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "500ms")]
    backoff: Duration,

    /// The longest wait of all
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "20s")]
    backoff_max: Duration,

    #[command(flatten)]
    common: Common,
}

/// Runs the scenario; gives whether all came back.
pub(crate) fn run(args: &StormArgs) -> Result<bool, String> {
    let mut run = Run::start(&args.common, "storm", "/room/loadtest")?;
    let count = args.common.loader.connections;
    let watched = Arc::<Watched>::default();
    let mut crew = crew(args, &run, &watched)?;
    let opening_s = run.open(&mut crew, count)?;
    let opened = crew.live().opened;
    if opened < count {
        return Err(format!("{opened} of {count} clients opened: there is no storm to measure"));
    }
    run.hold(&crew, "connected", CALM)?;
    let restart = restart(args, &mut run, &crew, &watched)?;
    run.progress.begin("coming back", count);
    let is_back = run.wait(args.within, &crew, |run, live| {
        let left = watched.left.load(Ordering::Acquire);
        run.progress.update(live.open, count, &format!("{left} had left"));
        left == count && live.open == count
    })?;
    run.progress.end();
    if is_back {
        run.hold(&crew, "connected again", CALM)?;
    }
    let back = crew.live().open;
    let finished = crew.finish().map_err(|error| error.to_string())?;
    let mut outcome = Outcome::default();
    finished.outcomes.iter().for_each(|other| outcome.add(other));
    let honoured = f64::from(args.honour_slot as u8);
    run.report.parameter("honour_slot", honoured);
    run.report.parameter("backoff_seconds", args.backoff.as_secs_f64());
    let left = watched.left.load(Ordering::Acquire);
    let tally = &finished.tally;
    let found = Found { count, left, back, opening_s, restart, tally, outcome: &outcome };
    found.report(&mut run.report);
    run.finish()
}

/// How long nothing happens before the restart, and when all are back.
const CALM: Duration = Duration::from_secs(1);

fn crew(args: &StormArgs, run: &Run, watched: &Arc<Watched>) -> Result<Crew<Returning>, String> {
    let count = args.common.loader.connections;
    // While some go others may come already.
    let threads = run.threads(count + args.common.loader.connecting)?;
    let habits = Habits {
        honouring: args.honour_slot,
        backoff_ns: crate::clock::nanoseconds(args.backoff),
        backoff_max_ns: crate::clock::nanoseconds(args.backoff_max),
        threads: threads as u32,
    };
    let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
    run.crew(seeds, (0..threads).map(|_| Returning::new(habits, watched)).collect())
}

/// Restarts the server, or waits until somebody else does.
fn restart(
    args: &StormArgs,
    run: &mut Run,
    crew: &Crew<Returning>,
    watched: &Watched,
) -> Result<Restart, String> {
    let begin_ns = run.clock.now_ns();
    // From here on its end is what is wanted.
    let server = run.server.take();
    let next = args.restart.as_ref().or(args.common.spawn.as_ref());
    if let (Some(server), Some(next)) = (server, next) {
        return restart::replace(run, crew, server, next, args.within);
    }
    run.progress.begin("waiting for the restart", 0);
    let has_begun = run.wait(args.wait, crew, |_, _| watched.left.load(Ordering::Acquire) > 0)?;
    run.progress.end();
    if has_begun {
        return Ok(Restart { begin_ns, gone_ns: None, listens_ns: None });
    }
    let waited = args.wait.as_secs();
    Err(format!(
        "in {waited} s the server has ended no connection; restart it meanwhile, or give --restart"
    ))
}
