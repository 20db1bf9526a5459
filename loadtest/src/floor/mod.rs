//! What the kernel alone costs on this machine: bytes that are encoded already, to sockets that
//! are accepted already, from one thread that does nothing else. No server can be cheaper with the
//! same calls, so a result means most as a multiple of this.
//!
//! It never flatters a result: the measured thread polls nothing while it broadcasts, a round
//! begins only after the peers have everything of the one before, and the cheapest round is told
//! beside the one in the middle.

mod broadcast;
mod cpu;
mod echo;
mod figures;
mod frames;
mod memory;
mod pairs;
mod peers;
mod table;
#[allow(unsafe_code, reason = "io_uring's requests name memory by its address")]
mod uring;

pub use broadcast::WARM_UP_WRITES;
pub use figures::{Calls, Cost, Floor};
pub use frames::COALESCED;

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::builder::RangedI64ValueParser;

use cpu::Placement;
use frames::Echoed;
use pairs::Pairs;
use uring::Ring;

use crate::units::parse_duration;

/// What to measure the floor for.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections to send to, at most 20 fewer than the hard limit of descriptors.
    #[arg(long, default_value_t = 5000, value_parser = within(1..=1_000_000))]
    pub connections: u32,
    /// Bytes of payload of a message that is broadcast.
    #[arg(long, default_value_t = 100, value_parser = within(1..=16_384))]
    pub size: u32,
    /// Rounds of each kind.
    #[arg(long, default_value_t = 15, value_parser = within(1..=1000))]
    pub rounds: u32,
    /// Messages in flight on each connection in the echo.
    #[arg(long, default_value_t = 1, value_parser = within(1..=256))]
    pub depth: u32,
    /// Bytes of payload of a message that is echoed; with --depth, 60 KiB at most.
    #[arg(long, default_value_t = 20, value_parser = within(1..=61_440))]
    pub echo_size: u32,
    /// Readers sleep so long between looks, as clients with --nap do; 1s at most.
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "0")]
    pub nap: Duration,
}

/// The longest nap: a round with many of them would seem to stand still.
const NAP_MAX: Duration = Duration::from_secs(1);

/// Bytes in flight on a connection at most: a socket takes them in one call.
const IN_FLIGHT_BYTES_MAX: u32 = 60 * 1024;

impl Options {
    fn echoed(&self) -> Echoed {
        Echoed::new(self.echo_size)
    }

    fn check(&self) -> Result<()> {
        let (size, depth) = (self.echo_size, self.depth);
        ensure!(
            size * depth <= IN_FLIGHT_BYTES_MAX,
            "{depth} messages of {size} bytes in flight are more than {IN_FLIGHT_BYTES_MAX} bytes: \
             take a smaller --depth or --echo-size"
        );
        ensure!(self.nap <= NAP_MAX, "--nap is {NAP_MAX:?} at most");
        Ok(())
    }
}

fn within(range: RangeInclusive<i64>) -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(range)
}

/// Measures the floor, on two threads with descriptor tables and processors of their own.
///
/// It takes some 10 microseconds for each connection and round, on a host at rest.
///
/// # Errors
///
/// If the descriptors or the processors do not suffice, or if a round stands still for 10 seconds.
/// Where only io_uring is missing, the floor says so and has the rest.
pub fn run(options: &Options) -> Result<Floor> {
    options.check()?;
    let placement = Placement::choose()?;
    table::make_room(options.connections)?;
    let options = options.clone();
    let server = thread::Builder::new().name("floor-server".into());
    let server = server.spawn(move || measure(&options, placement)).context("no thread")?;
    server.join().map_err(|_| anyhow!("the measuring thread panicked"))?
}

/// On the thread that is measured.
fn measure(options: &Options, placement: Placement) -> Result<Floor> {
    table::part().context("no descriptor table for the senders")?;
    cpu::pin(placement.server)?;
    let memory_ns = memory::access_ns()?;
    let pairs = Pairs::open(options, placement)?;
    let mut ring = Ring::new();
    let broadcast = broadcast::measure(&pairs, options, ring.as_mut().ok())?;
    let by_epoll = {
        // Gone before the ring has its turn: what waits there as well would cost it.
        let mut epoll = echo::Epoll::new(&pairs.sockets, options.echoed())?;
        echo::measure(&pairs, options, &mut epoll)?
    };
    let by_ring = match &mut ring {
        Ok(ring) => {
            let mut echo = ring.echo(&pairs.sockets, options.echoed())?;
            Some(echo::measure(&pairs, options, &mut echo)?)
        }
        Err(_) => None,
    };
    let calls = |of: &broadcast::Samples, echo: &cpu::Samples| Calls {
        single: of.single.cost(),
        coalesced: of.coalesced.cost(),
        echo: echo.cost(),
    };
    let (utsname, cpuinfo) = (nix::sys::utsname::uname()?, fs::read_to_string("/proc/cpuinfo"));
    Ok(Floor {
        connections: options.connections,
        size_bytes: options.size,
        rounds: options.rounds,
        depth: options.depth,
        echo_bytes: options.echo_size,
        nap_us: options.nap.as_micros() as u64,
        kernel: utsname.release().to_string_lossy().into_owned(),
        processor: processor(&cpuinfo.unwrap_or_default()),
        memory_ns,
        epoll: calls(&broadcast.by_calls, &by_epoll),
        io_uring: broadcast.by_ring.zip(by_ring).map(|(of, echo)| calls(&of, &echo)),
        io_uring_missing: ring.err().map(|error| why_no_ring(&error)),
    })
}

fn processor(cpuinfo: &str) -> String {
    let mut lines = cpuinfo.lines().filter(|line| line.starts_with("model name"));
    let name = lines.next().and_then(|line| line.split_once(':'));
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn why_no_ring(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "io_uring is forbidden here: `sysctl -w \
             kernel.io_uring_disabled=0`, or allow it in the container's seccomp profile"
            .into(),
        Some(libc::ENOMEM) => "no memory may be locked: `ulimit -l unlimited`".into(),
        Some(libc::ENOSYS | libc::EINVAL) => {
            "this kernel is too old for io_uring as it is used here: Linux 6.6 is needed".into()
        }
        _ => format!("no io_uring: {error}"),
    }
}
