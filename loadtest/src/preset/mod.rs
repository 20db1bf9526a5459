//! `100k` and `1m`: the whole claim in one command.
//!
//! Starts the server with as many workers as the descriptor limit makes necessary, opens the
//! connections, holds them with pings, and broadcasts to all of them.

mod claim;
mod host;
mod memlock;
pub(crate) mod sysctl;
mod workers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::engine::{Command, table};
use crate::options::{Common, LoaderArgs, parse_payload};
use crate::report::figures::{self, Fates};
use crate::run::Run;
use crate::scenario::broadcast::publisher::Shape;
use crate::scenario::broadcast::room::{Filled, Published, Publishing, Rest, Room};
use crate::scenario::pings;
use crate::wire;
use loadtest::units::{Cpus, parse_count, parse_cpus, parse_duration, parse_nonzero_duration};

/// What a preset stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    name: &'static str,
    connections: u64,
    hold: Duration,
    /// The server's own default would end clients whose pong waits behind a broadcast to a million
    /// others, where both ends share few CPUs.
    pong_timeout: &'static str,
}

pub(crate) const HUNDRED_THOUSAND: Preset = Preset {
    name: "100k",
    connections: 100_000,
    hold: Duration::from_secs(60),
    pong_timeout: "8s",
};

pub(crate) const MILLION: Preset = Preset {
    name: "1m",
    connections: 1_000_000,
    hold: Duration::from_secs(120),
    pong_timeout: "24s",
};

/// Starts Throng with as many workers as the descriptor limit makes necessary, opens the
/// connections, holds them with pings, broadcasts to all, and checks that each got every message
/// exactly once.
#[derive(Clone, Debug, Args)]
pub(crate) struct PresetArgs {
    /// The server's program [default: throng beside this program, or $THRONG_BIN]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,

    /// The server's --backend
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: String,

    /// The server's --workers [default: what the descriptor limit makes necessary]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// The server's --ping-interval; every client must be pinged as often
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "25s")]
    ping_interval: Duration,

    /// The server's --pong-timeout [default: 8s for 100k, 24s for 1m]
    #[arg(long, value_name = "DUR")]
    pong_timeout: Option<String>,

    /// Where the server listens
    #[arg(long, value_name = "PORT", default_value = "18080")]
    port: u16,

    /// CPUs that the server may use
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    server_cpus: Option<Cpus>,

    /// CPUs that the loader may use
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    cpus: Option<Cpus>,

    /// Connections [default: what the name says]
    #[arg(long, short = 'n', value_name = "N", value_parser = parse_count)]
    connections: Option<u64>,

    /// Connects under way at the same time
    #[arg(long, value_name = "N", value_parser = parse_count, default_value = "1000")]
    connecting: u64,

    /// How long to hold them [default: 1m for 100k, 2m for 1m]
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration)]
    hold: Option<Duration>,

    /// How long freed memory may take before the lowest is read: of a burst it goes 10 s later
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "16s")]
    settle: Duration,

    /// Broadcasts, back to back
    #[arg(long, value_name = "N", default_value = "3")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    broadcasts: u64,

    /// Bytes of a broadcast; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "100")]
    size: usize,

    /// How long a handshake, or a broadcast to all, may take
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "2m")]
    timeout: Duration,

    /// What the loader's threads sleep between looks, so that waking them is not the server's work
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "5ms")]
    nap: Duration,

    /// Write the report here, for programs and for compare
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report here, as one page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// What the report is called
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

/// Runs a preset; gives whether all has held.
pub(crate) fn run(args: &PresetArgs, preset: &Preset) -> Result<bool, String> {
    let connections = args.connections.unwrap_or(preset.connections);
    let limit = table::raise_limit();
    let missing = host::missing(connections);
    if !missing.is_empty() {
        return Err(format!("this host cannot do it:\n  {}", missing.join("\n  ")));
    }
    let workers = workers(args, connections, limit)?;
    let program = program(args)?;
    memlock::check(&program, &args.backend, workers, connections)?;
    let _guard = sysctl::Guard::of_kernel();
    for need in host::needs(connections) {
        if let Some(said) = sysctl::meet(&need)? {
            eprintln!("{said}");
        }
    }
    let pong_timeout = args.pong_timeout.as_deref().unwrap_or(preset.pong_timeout);
    eprintln!("pings every {:?}, a client has {pong_timeout} to answer", args.ping_interval);
    eprintln!(
        "{workers} workers: the limit is {limit} descriptors in each table, and the kernel's hash \
         gives one worker up to {:.0} of {connections} connections",
        workers::largest_share(connections, workers)
    );
    let common = common(args, preset, connections, workers, &program);
    let mut run = Run::start(&common, preset.name, "/room/loadtest")?;
    let section = run.report.section("Server");
    section.tell("workers", "workers", workers as f64, "");
    section.tell("descriptor_limit", "descriptors in each table", limit as f64, "");
    for (name, value) in [("workers", workers as f64), ("payload_bytes", args.size as f64)] {
        run.report.parameter(name, value);
    }
    prove(&mut run, args, connections, args.hold.unwrap_or(preset.hold))?;
    claim::judge(&mut run.report, connections, args.ping_interval, &program);
    run.finish()
}

/// Opens, holds and broadcasts.
fn prove(run: &mut Run, args: &PresetArgs, connections: u64, hold: Duration) -> Result<(), String> {
    let shape = Shape {
        burst: 1,
        size: args.size,
        opcode: wire::TEXT,
        template: None,
        http: None,
        timeout_ns: crate::clock::nanoseconds(args.timeout),
    };
    let rest = Rest { pings_every: args.ping_interval, settle: args.settle };
    let none = run.memory();
    let mut room = Room::new(run, connections, 1, &shape, false)?;
    let first_s = room.open_part(run, connections)?;
    let part = room.memory(run, connections, rest)?;
    let rest_s = room.open_rest(run, connections)?;
    room.crew.tell_all(|_| Command::ResetPings);
    let holding = run.window();
    run.hold(&room.crew, "holding", hold)?;
    let held = holding.end();
    let pings_counted = room.crew.count_pings();
    let all = room.memory(run, connections, rest)?;
    let filled = Filled::new([none, part, all], first_s + rest_s, rest);
    let what = Publishing { messages: args.broadcasts, rate: None, time: 10 * args.timeout };
    let published: Published = room.publish(run, 0, what)?;
    let open = room.crew.live().open;
    run.calibrate(connections);
    let threads = room.crew.threads();
    let (tally, outcome) = room.finish()?;
    let fates = Fates { asked: connections, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &tally, fates, filled.opening_s);
    filled.report(run);
    figures::idle(&mut run.report, &held, open);
    pings::judge(&mut run.report, &pings_counted, hold, args.ping_interval);
    published.report(run, &outcome, &shape, None);
    let section = run.report.section("Tables");
    section.tell("loader_threads", "loader threads, a table each", threads as f64, "");
    section.tell("nap_us", "what they sleep between looks", args.nap.as_micros() as f64, "us");
    if open != connections {
        run.report.problem(format!("{open} of {connections} connections were open at the end"));
    }
    Ok(())
}

fn workers(args: &PresetArgs, connections: u64, limit: usize) -> Result<usize, String> {
    let cpus = match &args.server_cpus {
        Some(cpus) => cpus.0.len(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let needed = workers::needed(connections, limit, cpus).ok_or_else(|| {
        format!(
            "{connections} connections do not fit into 1024 descriptor tables of {limit}; raise \
             the limit: ulimit -Hn 1048576"
        )
    })?;
    let workers = args.workers.map_or(needed, usize::from);
    if !workers::have_room(connections, limit, workers) {
        return Err(format!(
            "--workers {workers} have no room for {connections} connections in tables of {limit} \
             descriptors: take {needed}, or raise the limit: ulimit -Hn 1048576"
        ));
    }
    Ok(workers)
}

/// The options that a scenario would have got.
fn common(
    args: &PresetArgs,
    preset: &Preset,
    connections: u64,
    workers: usize,
    program: &Path,
) -> Common {
    let address = format!("127.0.0.1:{}", args.port);
    let interval_ms = args.ping_interval.as_millis();
    let pong_timeout = args.pong_timeout.as_deref().unwrap_or(preset.pong_timeout);
    let spawn = format!(
        "'{}' --listen {address} --operator off --workers {workers} --backend {} \
         --ping-interval {interval_ms}ms --pong-timeout {pong_timeout}",
        program.display(),
        args.backend
    );
    Common {
        url: Some(format!("ws://{address}/room/loadtest")),
        spawn: Some(spawn),
        server_pid: None,
        server_cpus: args.server_cpus.clone(),
        header: Vec::new(),
        subprotocol: Vec::new(),
        on_open: Vec::new(),
        settle: Duration::ZERO,
        reply: Vec::new(),
        loader: LoaderArgs {
            connections,
            threads: None,
            cpus: args.cpus.clone(),
            connect_rate: 0.0,
            connecting: args.connecting,
            timeout: args.timeout,
            nap: args.nap,
            json: args.json.clone(),
            html: args.html.clone(),
            title: args.title.clone(),
        },
    }
}

/// The server's program: the one that was named, or the one that was built with this one.
fn program(args: &PresetArgs) -> Result<PathBuf, String> {
    let beside = || {
        let own = std::env::current_exe().ok()?;
        Some(own.parent()?.join("throng"))
    };
    let named = args.server.clone().or_else(|| std::env::var_os("THRONG_BIN").map(PathBuf::from));
    let program = named.or_else(beside).unwrap_or_else(|| Path::new("throng").to_owned());
    if program.is_file() {
        return Ok(program);
    }
    let program = program.display();
    Err(format!("{program} is not there; cargo build --release, or take --server PATH"))
}
