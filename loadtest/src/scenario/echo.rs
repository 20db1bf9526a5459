//! `echo`: every client sends messages and gets each one back.

use std::time::Duration;

use clap::Args;

use super::schedule::Schedule;
use super::stamped::StampedFrame;
use crate::clock::nanoseconds;
use crate::engine::{Behaviour, Command, Crew, Net, Seeds};
use crate::measure::histogram::Latencies;
use crate::options::{Common, parse_payload};
use crate::report::against::{Against, Work};
use crate::report::figures::{self, Fates};
use crate::report::model::Report;
use crate::run::Run;
use crate::stamp::{SENDERS_MAX, Stamp};
use crate::template::Template;
use crate::wire;
use loadtest::units::{parse_duration, parse_nonzero_duration, parse_rate};

/// Closed loop: each client keeps --depth messages under way. Open loop, with --rate: messages
/// leave by the clock, whatever came back. Throng's /echo is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct EchoArgs {
    /// Messages that each client has under way
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    depth: u32,

    /// Messages per second of all clients together: open loop
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    #[arg(conflicts_with_all = ["depth", "floor"])]
    rate: Option<f64>,

    /// With --rate: messages that are meant at the same time, each of another client. The loader
    /// wakes up less often, and a latency has the place in its burst in it
    #[arg(long, value_name = "N", default_value = "1", requires = "rate")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    burst: u32,

    /// Bytes of a message; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "100")]
    size: usize,

    /// How long to measure
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10s")]
    duration: Duration,

    /// How long to send before it counts
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "1s")]
    warm_up: Duration,

    /// Send binary messages, not text
    #[arg(long)]
    binary: bool,

    /// What a client sends: a text with {payload} in it; then replies may have any length
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "binary")]
    publish: Option<String>,

    #[command(flatten)]
    against: Against,

    #[command(flatten)]
    common: Common,
}

impl EchoArgs {
    fn form(&self) -> Result<Form, String> {
        let template = Template::with_payload(self.publish.as_deref())?;
        let opcode = if self.binary { wire::BINARY } else { wire::TEXT };
        Ok(Form { size: self.size, opcode, template })
    }

    fn pace(&self, threads: usize) -> Result<Pace, String> {
        match self.rate {
            Some(rate) if rate > 0.0 => {
                let interval_ns = 1e9 * threads as f64 / rate;
                Ok(Pace::Every { interval_ns, burst: self.burst })
            }
            Some(_) => Err("--rate 0 would send nothing; leave it out for a closed loop".into()),
            None => Ok(Pace::Depth(self.depth)),
        }
    }
}

/// How messages look.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// Bytes of a payload.
    pub(crate) size: usize,
    pub(crate) opcode: u8,
    /// What is around a payload.
    pub(crate) template: Option<Template>,
}

/// How messages leave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many are under way on each connection.
    Depth(u32),
    /// One of this thread's clients sends each so many nanoseconds, or so many of them after as
    /// many times that.
    Every { interval_ns: f64, burst: u32 },
}

/// What echo clients are told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Begin,
    /// From this moment on latencies count.
    Measure(u64),
    Stop,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u32,
    received: u32,
}

/// The clients of one thread.
pub(crate) struct Echo {
    pace: Pace,
    form: Form,
    counts: Vec<Counts>,
    is_sending: bool,
    measured_from_ns: u64,
    /// Of an open loop.
    schedule: Schedule,
    outcome: Outcome,
    /// What is sent, unless a template says how it looks.
    stamped: StampedFrame,
    payload: Vec<u8>,
    message: Vec<u8>,
    frame: Vec<u8>,
}

/// What echo clients have found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Of those whose intended time is in the measured window.
    pub(crate) latencies: Latencies,
    /// Replies with another length or number than what was sent.
    pub(crate) wrong: u64,
    pub(crate) unanswered: u64,
    /// Of an open loop: due at its end, and not sent.
    unsent: u64,
}

impl Echo {
    pub(crate) fn new(pace: Pace, form: Form) -> Self {
        let stamped = StampedFrame::new(form.opcode, form.size);
        Self {
            pace,
            form,
            stamped,
            counts: Vec::new(),
            is_sending: false,
            measured_from_ns: u64::MAX,
            schedule: Schedule::default(),
            outcome: Outcome::default(),
            payload: Vec::new(),
            message: Vec::new(),
            frame: Vec::new(),
        }
    }

    /// The next message of a client, in its frame.
    fn encode(&mut self, net: &Net, key: usize, time_ns: u64) -> &[u8] {
        let sender = net.id(key) % SENDERS_MAX;
        let counts = &mut self.counts[key];
        let stamp = Stamp { sender, number: counts.sent, time_ns };
        counts.sent = counts.sent.wrapping_add(1);
        self.outcome.sent += 1;
        let Some(template) = &self.form.template else { return self.stamped.with(stamp) };
        self.payload.clear();
        stamp.write_message(self.form.size, &mut self.payload);
        self.message.clear();
        template.write(net.id(key), &self.payload, &mut self.message);
        self.frame.clear();
        wire::put_frame(self.form.opcode, &self.message, &mut self.frame);
        &self.frame
    }

    fn send(&mut self, net: &mut Net, key: usize, time_ns: u64) {
        let frame = self.encode(net, key, time_ns);
        net.send_frames(key, frame);
    }

    fn begin(&mut self, net: &mut Net) {
        self.is_sending = true;
        match self.pace {
            Pace::Every { interval_ns, burst } => {
                self.schedule = Schedule::new(net, interval_ns, burst);
            }
            Pace::Depth(depth) => {
                let mut frames = Vec::new();
                for key in net.open_keys() {
                    let now = net.clock.now_ns();
                    frames.clear();
                    (0..depth).for_each(|_| frames.extend_from_slice(self.encode(net, key, now)));
                    net.send_frames(key, &frames);
                }
            }
        }
    }

    /// Sends what is due by the clock.
    fn send_due(&mut self, net: &mut Net) -> u64 {
        loop {
            match self.schedule.next(net) {
                Ok((key, intended_ns)) => self.send(net, key, intended_ns),
                Err(due_ns) => return due_ns,
            }
        }
    }
}

impl Behaviour for Echo {
    type Order = Order;
    type Outcome = Outcome;

    fn opened(&mut self, _net: &mut Net, key: usize) {
        if key >= self.counts.len() {
            self.counts.resize(key + 1, Counts::default());
        }
        self.counts[key] = Counts::default();
    }

    fn message(&mut self, net: &mut Net, key: usize, payload: &[u8]) {
        let Some(stamp) = Stamp::find(payload) else {
            net.tally.unknown += 1;
            return;
        };
        let counts = &mut self.counts[key];
        let is_expected = stamp.number == counts.received && counts.received != counts.sent;
        let is_own = stamp.sender == net.id(key) % SENDERS_MAX;
        // What a server puts around a payload is not known.
        let is_whole = self.form.template.is_some() || Stamp::is_whole(payload, self.form.size);
        if !is_expected || !is_own || !is_whole {
            self.outcome.wrong += 1;
            return;
        }
        counts.received = counts.received.wrapping_add(1);
        self.outcome.received += 1;
        if stamp.time_ns >= self.measured_from_ns {
            self.outcome.latencies.record(net.now_ns.saturating_sub(stamp.time_ns));
        }
        if self.is_sending && matches!(self.pace, Pace::Depth(_)) {
            self.send(net, key, net.now_ns);
        }
    }

    fn gone(&mut self, _net: &mut Net, key: usize) {
        let counts = std::mem::take(&mut self.counts[key]);
        self.outcome.unanswered += u64::from(counts.sent.wrapping_sub(counts.received));
    }

    fn order(&mut self, net: &mut Net, order: Order) {
        match order {
            Order::Begin => self.begin(net),
            Order::Measure(from_ns) => self.measured_from_ns = from_ns,
            Order::Stop => {
                self.is_sending = false;
                self.outcome.unsent = self.schedule.overdue(net);
            }
        }
    }

    fn tick(&mut self, net: &mut Net) -> u64 {
        match self.pace {
            Pace::Every { .. } if self.is_sending => self.send_due(net),
            _ => u64::MAX,
        }
    }

    fn turn_done(&mut self, net: &mut Net) {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        net.live.messages.store(self.outcome.received, relaxed);
        net.live.sent.store(self.outcome.sent, relaxed);
    }

    fn finish(mut self, net: &mut Net) -> Outcome {
        for key in net.open_keys() {
            self.gone(net, key);
        }
        self.outcome
    }
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &EchoArgs) -> Result<bool, String> {
    let form = args.form()?;
    let mut run = Run::start(&args.common, "echo", "/echo")?;
    let work = Work::Echo { bytes: form.size, depth: args.depth };
    let yardstick = args.against.yardstick(work, &args.common, &run.report.host)?;
    let count = args.common.loader.connections;
    let threads = run.threads(count)?;
    let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
    let pace = args.pace(threads)?;
    let clients = (0..threads).map(|_| Echo::new(pace, form.clone())).collect();
    let mut crew: Crew<Echo> = run.crew(seeds, clients)?;
    run.open(&mut crew, count)?;
    crew.tell_all(|_| Command::Order(Order::Begin));
    run.hold(&crew, "warming up", args.warm_up)?;
    let window = run.window();
    let (begin, before) = (run.clock.now_ns(), crew.live());
    crew.tell_all(|_| Command::Order(Order::Measure(begin)));
    run.hold(&crew, "echoing", args.duration)?;
    let (after, spent) = (crew.live(), window.end());
    crew.tell_all(|_| Command::Order(Order::Stop));
    crew.sync();
    let is_answered =
        run.wait(args.common.loader.timeout, &crew, |_, live| live.messages >= live.sent)?;
    let late_ns = nanoseconds(args.common.loader.timeout);
    let open = crew.live().open;
    let finished = crew.finish().map_err(|error| error.to_string())?;
    let fates = Fates { asked: count, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &finished.tally, fates, 0.0);
    let mut all = Outcome::default();
    finished.outcomes.iter().for_each(|outcome| all.add(outcome));
    let echoed = after.messages - before.messages;
    report(&mut run.report, &all, echoed, spent.seconds, args);
    figures::spent(&mut run.report, &spent, echoed, "echo");
    if let Some(yardstick) = yardstick {
        yardstick.report(&mut run.report, &spent, echoed);
    }
    if !is_answered {
        let seconds = late_ns as f64 / 1e9;
        run.report.problem(format!("not all replies came within {seconds} s of the end"));
    }
    run.finish()
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.wrong += other.wrong;
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
        self.latencies.add(&other.latencies);
    }
}

fn report(report: &mut Report, all: &Outcome, echoed: u64, seconds: f64, args: &EchoArgs) {
    let section = report.section("Echo");
    let size = args.size as f64;
    section.tell("message_bytes", "bytes of a message", size, "B");
    section.gain("echo_rate", "echoes", echoed as f64 / seconds, "/s");
    section.tell("echoes", "echoes in the measured time", echoed as f64, "");
    section.cost(
        "echoes_wrong",
        "replies with other bytes or another number",
        all.wrong as f64,
        "",
    );
    section.cost("echoes_unanswered", "messages without a reply", all.unanswered as f64, "");
    match args.rate {
        Some(rate) => {
            section.tell("rate_asked", "asked for, open loop", rate, "/s");
            section.tell("burst", "meant at the same time", f64::from(args.burst), "");
            figures::unsent(report, all.unsent, all.sent);
            let measured = "open loop: from the intended send time of the schedule to the reply";
            report.latency(("echo_latency", "echo"), measured, &all.latencies);
        }
        None => {
            section.tell("depth", "under way on each connection", f64::from(args.depth), "");
            let measured = "closed loop: from the send to the reply; a slow server is asked less";
            report.latency(("echo_latency", "echo"), measured, &all.latencies);
        }
    }
    report.parameter("message_bytes", size);
    report.parameters_beyond_default([("binary", f64::from(args.binary))]);
    match args.rate {
        Some(rate) => {
            report.parameter("rate", rate);
            report.parameter("burst", f64::from(args.burst));
        }
        None => report.parameter("depth", f64::from(args.depth)),
    }
    if all.wrong > 0 {
        report.problem(format!("{} replies had other bytes or another number", all.wrong));
    }
    if all.unanswered > 0 {
        report.problem(format!("{} messages had no reply", all.unanswered));
    }
}
