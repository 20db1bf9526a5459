//! `churn`: clients come and go at a rate.

use std::collections::VecDeque;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::engine::{Behaviour, Command, Crew, Leave, Net, Seeds};
use crate::options::Common;
use crate::report::figures::{self, Fates};
use crate::report::memory;
use crate::run::{Run, SETTLE_TIME};
use loadtest::units::parse_nonzero_duration;

/// Connects by the clock at --connect-rate (1000 by default); each client stays until --connections
/// of them are there at the same time. Throng's /room/loadtest is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChurnArgs {
    /// How long they come
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "30s")]
    duration: Duration,

    /// How clients go
    #[arg(long, value_enum, default_value = "mixed")]
    leave: Leaving,

    #[command(flatten)]
    common: Common,
}

/// How clients go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leaving {
    /// With a close frame, waiting for the server's
    Close,
    /// With a TCP reset, as a client whose network has gone
    Reset,
    /// One like this, one like that
    Mixed,
}

/// Connects per second, if none were asked for.
const DEFAULT_RATE: f64 = 1000.0;

/// Clients that go after a while.
pub(crate) struct Churners {
    lifetime_ns: u64,
    leaving: Leaving,
    /// When whom to let go, in order; the number tells whether the key is still the same client's.
    due: VecDeque<(u64, usize, u32)>,
    left: u64,
}

impl Churners {
    pub(crate) fn new(lifetime: Duration, leaving: Leaving) -> Self {
        let lifetime_ns = crate::clock::nanoseconds(lifetime);
        Self { lifetime_ns, leaving, due: VecDeque::new(), left: 0 }
    }

    fn how(&self) -> Leave {
        match self.leaving {
            Leaving::Close => Leave::Close,
            Leaving::Reset => Leave::Reset,
            Leaving::Mixed if self.left.is_multiple_of(2) => Leave::Close,
            Leaving::Mixed => Leave::Reset,
        }
    }
}

impl Behaviour for Churners {
    type Order = ();
    type Outcome = u64;

    fn opened(&mut self, net: &mut Net, key: usize) {
        self.due.push_back((net.now_ns + self.lifetime_ns, key, net.id(key)));
    }

    fn message(&mut self, net: &mut Net, _key: usize, _payload: &[u8]) {
        net.tally.unknown += 1;
    }

    fn tick(&mut self, net: &mut Net) -> u64 {
        let now = net.clock.now_ns();
        while let Some((due_ns, key, id)) = self.due.front().copied() {
            if due_ns > now {
                return due_ns;
            }
            self.due.pop_front();
            if net.is_open(key) && net.id(key) == id {
                net.leave(key, self.how());
                self.left += 1;
            }
        }
        u64::MAX
    }

    fn finish(self, _net: &mut Net) -> u64 {
        self.left
    }
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &ChurnArgs) -> Result<bool, String> {
    let mut run = Run::start(&args.common, "churn", "/room/loadtest")?;
    let at_once = args.common.loader.connections;
    let asked = args.common.loader.connect_rate;
    let rate = if asked > 0.0 { asked } else { DEFAULT_RATE };
    let lifetime = Duration::from_secs_f64(at_once as f64 / rate);
    let count = (rate * args.duration.as_secs_f64()).ceil() as u64;
    // Those on their way in and out need room too.
    let threads = run.threads(2 * at_once + args.common.loader.connecting)?;
    let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
    let churners = (0..threads).map(|_| Churners::new(lifetime, args.leave)).collect();
    let mut crew: Crew<Churners> = run.crew(seeds, churners)?;
    let none = run.memory();
    let window = run.window();
    crew.open(count, rate);
    run.hold(&crew, "churning", args.duration)?;
    let (spent, came) = (window.end(), crew.live().opened);
    crew.tell_all(|_| Command::StopOpening);
    crew.sync();
    run.progress.begin("letting go", crew.live().opened);
    // The last may open late, stay as long as the others, and wait for the answer to its close.
    let longest = lifetime + 2 * args.common.loader.timeout + Duration::from_secs(1);
    run.wait(longest, &crew, |_, live| live.open + live.opening + live.closing == 0)?;
    let opened = crew.live().opened;
    let rest = run.settled_memory(&crew, SETTLE_TIME)?;
    let open = crew.live().open;
    let finished = crew.finish().map_err(|error| error.to_string())?;
    let left: u64 = finished.outcomes.iter().sum();
    let fates = Fates { asked: count, open_at_end: open, let_go: left };
    figures::connections(&mut run.report, &finished.tally, fates, 0.0);
    run.report.parameter("rate", rate);
    let unanswered = finished.tally.closes - finished.tally.closes_answered;
    let section = run.report.section("Churn");
    section.tell("rate_asked", "connects asked for, open loop", rate, "/s");
    let came_rate = came as f64 / spent.seconds;
    section.gain("connect_rate", "connect rate, with handshakes", came_rate, "/s");
    section.tell("closes", "close frames that we sent", finished.tally.closes as f64, "");
    section.cost("closes_unanswered", "  not answered by the server's", unanswered as f64, "");
    section.tell("lifetime_seconds", "each stays", lifetime.as_secs_f64(), "s");
    section.gain("left", "let go by us", left as f64, "");
    if let (Some(before), Some(growth)) = (none.server_bytes, memory::growth(&none, &rest)) {
        section.tell("server_rss_none", "server, resident, before", before as f64, "B");
        section.cost("server_rss_left", "  left behind when all have gone", growth, "B");
    } else {
        section.not_known(memory::SERVER_NOT_KNOWN);
    }
    figures::spent(&mut run.report, &spent, came, "connection that came and went");
    if unanswered > 0 {
        run.report.problem(format!("{unanswered} closes were not answered"));
    }
    if opened < count {
        run.report.problem(format!("{opened} of {count} connections opened in time"));
    }
    run.finish()
}
