//! `chat`: rooms of a few, and everybody talks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Args;

use super::schedule::Schedule;
use crate::engine::{Behaviour, Command, Crew, Net, Seeds};
use crate::measure::histogram::Latencies;
use crate::measure::sequence::{Faults, Sequences};
use crate::options::{Common, parse_payload};
use crate::report::figures::{self, Fates};
use crate::report::model::Report;
use crate::run::Run;
use crate::stamp::{Stamp, StampReader};
use crate::template::Template;
use crate::wire;
use loadtest::units::{parse_nonzero_duration, parse_rate};

/// Clients are in rooms of --room-size and send by the clock, one after the other. {room} in --url,
/// --on-open and --publish is the room's number. Throng's /room/chat-{room} is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChatArgs {
    /// Clients of one room
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=1000))]
    room_size: u32,

    /// Messages per second of all clients together; each goes to everybody in its room
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "1000")]
    rate: f64,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "100")]
    size: usize,

    /// How long they talk
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10s")]
    duration: Duration,

    /// What a client sends: a text with {payload} in it
    #[arg(long, value_name = "TEMPLATE")]
    publish: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// Members that are looked after, of all rooms: each keeps a number for each other one.
const NUMBERS_MAX: u64 = 64 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Begin,
    Stop,
}

/// The clients of one thread.
pub(crate) struct Chatters {
    room_size: u32,
    interval_ns: f64,
    size: usize,
    template: Option<Template>,
    /// How many messages each client has sent, of all threads, by id.
    sent: Arc<[AtomicU32]>,
    sent_here: u64,
    schedule: Option<Schedule>,
    stamps: StampReader,
    /// One for each client and member of its room.
    sequences: Sequences,
    outcome: Outcome,
    payload: Vec<u8>,
    message: Vec<u8>,
    frames: Vec<u8>,
}

/// What chatters have found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    delivered: u64,
    faults: Faults,
    /// Messages of another room.
    misdirected: u64,
    /// Due at the end, and not sent.
    unsent: u64,
    latencies: Latencies,
}

impl Chatters {
    fn new(args: &ChatArgs, interval_ns: f64, sent: &Arc<[AtomicU32]>) -> Self {
        Self {
            room_size: args.room_size,
            interval_ns,
            size: args.size,
            template: args.publish.as_ref().map(|text| {
                let mut template = Template::new(text);
                template.set_room_size(args.room_size);
                template
            }),
            sent: Arc::clone(sent),
            sent_here: 0,
            schedule: None,
            stamps: StampReader::default(),
            sequences: Sequences::default(),
            outcome: Outcome::default(),
            payload: Vec::new(),
            message: Vec::new(),
            frames: Vec::new(),
        }
    }

    fn say(&mut self, net: &mut Net, key: usize, time_ns: u64) {
        let id = net.id(key);
        let number = self.sent[id as usize].fetch_add(1, Ordering::Relaxed);
        self.payload.clear();
        Stamp { sender: id, number, time_ns }.write_message(self.size, &mut self.payload);
        self.message.clear();
        self.frames.clear();
        let message = match &self.template {
            None => &self.payload,
            Some(template) => {
                template.write(id, &self.payload, &mut self.message);
                &self.message
            }
        };
        wire::put_frame(wire::TEXT, message, &mut self.frames);
        net.send_frames(key, &self.frames);
        self.sent_here += 1;
    }

    fn sequence(&self, key: usize, sender: u32) -> usize {
        key * self.room_size as usize + (sender % self.room_size) as usize
    }

    fn end_sequences(&mut self, net: &Net, key: usize) {
        let first = net.id(key) / self.room_size * self.room_size;
        for sender in first..first + self.room_size {
            // The last room may not be full.
            if let Some(sent) = self.sent.get(sender as usize) {
                let count = sent.load(Ordering::Relaxed);
                self.sequences.end(self.sequence(key, sender), count);
            }
        }
    }
}

impl Behaviour for Chatters {
    type Order = Order;
    type Outcome = Outcome;

    fn opened(&mut self, _net: &mut Net, key: usize) {
        for sender in 0..self.room_size {
            self.sequences.begin(self.sequence(key, sender), 0);
        }
    }

    fn message(&mut self, net: &mut Net, key: usize, payload: &[u8]) {
        let Some(stamp) = self.stamps.find(payload) else {
            net.tally.unknown += 1;
            return;
        };
        if stamp.sender / self.room_size != net.id(key) / self.room_size {
            self.outcome.misdirected += 1;
            return;
        }
        if self.sequences.take(self.sequence(key, stamp.sender), stamp.number) {
            self.outcome.delivered += 1;
            self.outcome.latencies.record(net.now_ns.saturating_sub(stamp.time_ns));
        }
    }

    fn order(&mut self, net: &mut Net, order: Order) {
        self.schedule = match order {
            Order::Begin => Some(Schedule::new(net, self.interval_ns, 1)),
            Order::Stop => {
                let schedule = self.schedule.take();
                self.outcome.unsent = schedule.map_or(0, |schedule| schedule.overdue(net));
                None
            }
        };
    }

    fn tick(&mut self, net: &mut Net) -> u64 {
        let Some(mut schedule) = self.schedule.take() else { return u64::MAX };
        let due_ns = loop {
            match schedule.next(net) {
                Ok((key, intended_ns)) => self.say(net, key, intended_ns),
                Err(due_ns) => break due_ns,
            }
        };
        self.schedule = Some(schedule);
        due_ns
    }

    fn turn_done(&mut self, net: &mut Net) {
        net.live.messages.store(self.outcome.delivered, Ordering::Relaxed);
        net.live.sent.store(self.sent_here, Ordering::Relaxed);
    }

    fn finish(mut self, net: &mut Net) -> Outcome {
        for key in net.open_keys() {
            self.end_sequences(net, key);
        }
        self.outcome.faults = self.sequences.faults;
        self.outcome
    }
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &ChatArgs) -> Result<bool, String> {
    check(args)?;
    let mut run = Run::start(&args.common, "chat", "/room/chat-{room}")?;
    let count = args.common.loader.connections;
    run.target.set_room_size(args.room_size);
    let threads = run.threads(count)?;
    let seeds = Seeds::new(threads).map_err(|error| error.to_string())?;
    let sent: Arc<[AtomicU32]> = (0..count).map(|_| AtomicU32::new(0)).collect();
    let interval_ns = 1e9 * threads as f64 / args.rate;
    let chatters = (0..threads).map(|_| Chatters::new(args, interval_ns, &sent)).collect();
    let mut crew: Crew<Chatters> = run.crew(seeds, chatters)?;
    run.open(&mut crew, count)?;
    let window = run.window();
    crew.tell_all(|_| Command::Order(Order::Begin));
    run.hold(&crew, "talking", args.duration)?;
    let (spent, delivered) = (window.end(), crew.live().messages);
    crew.tell_all(|_| Command::Order(Order::Stop));
    crew.sync();
    // Rooms are full, so each message comes back as often as a room has members.
    let size = u64::from(args.room_size);
    let is_done =
        |_: &mut Run, live: crate::engine::tally::LiveCounts| live.messages >= live.sent * size;
    run.wait(args.common.loader.timeout, &crew, is_done)?;
    let open = crew.live().open;
    let said = crew.live().sent;
    let finished = crew.finish().map_err(|error| error.to_string())?;
    let mut all = Outcome::default();
    finished.outcomes.iter().for_each(|outcome| all.add(outcome));
    let fates = Fates { asked: count, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &finished.tally, fates, 0.0);
    report(&mut run.report, &all, args, (said, delivered), spent.seconds);
    figures::spent(&mut run.report, &spent, delivered, "delivery");
    run.finish()
}

fn check(args: &ChatArgs) -> Result<(), String> {
    let (count, size) = (args.common.loader.connections, u64::from(args.room_size));
    if args.rate <= 0.0 {
        return Err("--rate 0 would send nothing".into());
    }
    if !count.is_multiple_of(size) {
        return Err(format!("--connections {count} is no multiple of --room-size {size}"));
    }
    if count * size > NUMBERS_MAX {
        return Err(format!("--connections times --room-size is over {NUMBERS_MAX}; take fewer"));
    }
    Template::with_payload(args.publish.as_deref()).map(drop)
}

impl Outcome {
    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.faults.add(other.faults);
        self.misdirected += other.misdirected;
        self.unsent += other.unsent;
        self.latencies.add(&other.latencies);
    }
}

fn report(
    report: &mut Report,
    all: &Outcome,
    args: &ChatArgs,
    (said, delivered): (u64, u64),
    seconds: f64,
) {
    report.parameter("payload_bytes", args.size as f64);
    report.parameter("room_size", f64::from(args.room_size));
    report.parameter("rate", args.rate);
    let section = report.section("Chat");
    section.tell("room_size", "clients of a room", f64::from(args.room_size), "");
    section.tell("rate_asked", "messages asked for, open loop", args.rate, "/s");
    section.tell("said", "messages sent", said as f64, "");
    section.tell("delivered", "messages delivered", all.delivered as f64, "");
    section.gain("delivery_rate", "deliveries", delivered as f64 / seconds, "/s");
    let faults = [
        ("lost", "lost", all.faults.lost),
        ("duplicated", "duplicated", all.faults.duplicated),
        ("out_of_order", "out of order", all.faults.out_of_order),
        ("misdirected", "in the wrong room", all.misdirected),
    ];
    for (id, label, count) in faults {
        section.cost(id, label, count as f64, "");
    }
    figures::unsent(report, all.unsent, said);
    for (_, label, count) in faults.into_iter().filter(|(.., count)| *count > 0) {
        report.problem(format!("{count} deliveries {label}"));
    }
    let from = "open loop: from the intended send time of the schedule";
    report.latency(("delivery_latency", "delivery, each receiver"), from, &all.latencies);
}
