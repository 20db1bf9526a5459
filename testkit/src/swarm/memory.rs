//! What idle connections cost a server: the slope of its resident memory.
//!
//! Each figure is a difference of two states that differ only in how many connections there are, so
//! that what a server needs once does not count as a cost of connections.

use std::fmt;
use std::path::Path;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{BINARY, Link, Pattern, Spawned, Swarm, Target, Visitor};

/// Connections of the first state.
pub const FEW: usize = 5_000;

/// Connections of the second state.
pub const MANY: usize = 15_000;

/// Connections of a whole life: little more than half of a power of two, so that what grows by
/// doubling has the most room that is not used at first.
pub const SOME: usize = 9_000;

/// Connections that go before.
pub const FIRST: usize = 2_000;

/// What an idle connection may cost, in bytes.
pub const BYTES_MAX: f64 = 256.0;

/// What each echo connection sends once.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Echo connections that have sent and not got it back. 15,000 of them would exceed what the kernel
/// allows all sockets together (`net.ipv4.tcp_mem`): it drops segments then, for minutes.
const AT_ONCE: usize = 1000;

/// Pings come so often where it makes no difference; the default takes longer.
const PING_INTERVAL: &str = "2s";

/// A step of the measurement may take so long.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);

/// Memory that has not been given back for so long never is.
const RETURN_TIMEOUT: Duration = Duration::from_secs(60);

/// The lowest figure within this time counts: a server gives the memory of a burst back 10 s later.
const SETTLE_TIME: Duration = Duration::from_secs(16);

/// Connections in one room, after a broadcast and a round of pings in each state.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// KiB without any connection.
    pub none_kib: u64,
    /// KiB with [`FEW`] connections.
    pub few_kib: u64,
    /// KiB with [`MANY`] connections.
    pub many_kib: u64,
}

/// Connections at `/echo`, after a round of pings in each state: at a server where none has sent
/// anything, and at another where each has sent and got back a message of 64 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// KiB with [`FEW`] connections that have sent nothing.
    pub few_kib: u64,
    /// KiB with [`MANY`] of them.
    pub many_kib: u64,
    /// KiB with [`FEW`] connections after a message of each.
    pub few_used_kib: u64,
    /// KiB with [`MANY`] of them.
    pub many_used_kib: u64,
}

/// Connections in one room, from the first to after the last.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// KiB without any connection, after [`FIRST`] have come and gone: rings were walked round.
    pub none_kib: u64,
    /// KiB with [`SOME`] connections that have just got a message, before they are pinged.
    pub before_kib: u64,
    /// KiB with them after a round of pings.
    pub after_kib: u64,
    /// KiB when all have gone.
    pub gone_kib: u64,
}

#[derive(Debug)]
struct Counting {
    pattern: Pattern,
    received: usize,
}

impl Visitor for Counting {
    fn frame(&mut self, _link: &mut Link, _first: u8, payload: &[u8]) {
        assert!(payload == self.pattern.slice(1, payload.len()), "what came is what was sent");
        self.received += 1;
    }
}

/// A server as it is by default.
#[must_use]
pub fn server(program: &Path, backend: &str) -> Spawned {
    Spawned::start(program, &["--backend", backend])
}

/// A server as it is by default, but for the interval of its pings.
#[must_use]
pub fn server_that_pings_often(program: &Path, backend: &str) -> Spawned {
    Spawned::start(program, &["--backend", backend, "--ping-interval", PING_INTERVAL])
}

/// Measures idle connections in one room.
#[must_use]
pub fn idle(server: &Spawned) -> Idle {
    let none_kib = settled(server);
    let mut crowd = Crowd::new(server, "/room/idle");
    crowd.grow_to(FEW);
    crowd.broadcast();
    let few_kib = crowd.rest();
    crowd.grow_to(MANY);
    crowd.broadcast();
    let many_kib = crowd.rest();
    crowd.swarm.reset_all();
    Idle { none_kib, few_kib, many_kib }
}

/// Measures echo connections: at one server they have sent nothing, at another each a message.
#[must_use]
pub fn used(fresh: &Spawned, used: &Spawned) -> Used {
    let ([few_kib, many_kib], [few_used_kib, many_used_kib]) =
        side_by_side(|| echoing(fresh, |_| ()), || echoing(used, |crowd| crowd.echo()));
    Used { few_kib, many_kib, few_used_kib, many_used_kib }
}

/// Measures connections as they come, are pinged and go, at a server that pings each 8 s.
#[must_use]
pub fn life(program: &Path, backend: &str) -> Life {
    let server = Spawned::start(program, &["--backend", backend, "--ping-interval", "8s"]);
    let mut crowd = Crowd::new(&server, "/room/life");
    crowd.grow_to(FIRST);
    crowd.broadcast();
    crowd.swarm.reset_all();
    let none_kib = crowd.lowest();
    crowd.grow_to(SOME);
    crowd.broadcast();
    let before_kib = server.rss_kib();
    let after_kib = crowd.rest();
    crowd.swarm.reset_all();
    let gone_kib = crowd.lowest();
    Life { none_kib, before_kib, after_kib, gone_kib }
}

/// Lets so many echo connections each send a message of 64 KiB; gives the memory before, in KiB,
/// and what it has come back to: at most `growth_kib` more, or the least that was seen.
#[must_use]
pub fn returned(server: &Spawned, count: usize, growth_kib: u64) -> (u64, u64) {
    let mut crowd = Crowd::new(server, "/echo");
    // What is needed once for as many as send at the same time is no cost of connections.
    crowd.grow_to(AT_ONCE);
    crowd.echo();
    crowd.grow_to(count);
    let before_kib = crowd.rest();
    crowd.echo();
    let mut lowest_kib = u64::MAX;
    crowd.swarm.run(RETURN_TIMEOUT, &mut crowd.counting, |_, _| {
        lowest_kib = lowest_kib.min(server.rss_kib());
        lowest_kib <= before_kib + growth_kib
    });
    crowd.swarm.reset_all();
    (before_kib, lowest_kib)
}

/// Measures two servers at the same time, on threads with the name of the present one: most of a
/// measurement is waiting. Each has a table of descriptors of its own, as one does not hold the
/// connections of both everywhere.
pub fn side_by_side<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let (one, other) = (beside(scope, one), beside(scope, other));
        let failed = "what it panicked with stands above";
        (one.join().expect(failed), other.join().expect(failed))
    })
}

/// Does something on a thread with the name of the present one and with its own descriptors.
///
/// # Panics
///
/// If the thread cannot be started.
pub fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    act: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let act = || {
        unshare(CloneFlags::CLONE_FILES).expect("Linux lets everybody have a table of their own");
        act()
    };
    thread::Builder::new().name(name).spawn_scoped(scope, act).expect("there is room for a thread")
}

fn echoing(server: &Spawned, mut act: impl FnMut(&mut Crowd<'_>)) -> [u64; 2] {
    let mut crowd = Crowd::new(server, "/echo");
    let figures = [FEW, MANY].map(|count| {
        crowd.grow_to(count);
        act(&mut crowd);
        crowd.rest()
    });
    crowd.swarm.reset_all();
    figures
}

struct Crowd<'a> {
    server: &'a Spawned,
    target: Target,
    swarm: Swarm,
    counting: Counting,
}

impl<'a> Crowd<'a> {
    fn new(server: &'a Spawned, path: &str) -> Self {
        let target = Target::new(server.address(), path);
        let counting = Counting { pattern: Pattern::binary(MESSAGE_BYTES), received: 0 };
        Self { server, target, swarm: Swarm::new(), counting }
    }

    fn grow_to(&mut self, count: usize) {
        let more = count - self.swarm.len();
        self.swarm.open(more, std::slice::from_ref(&self.target), &mut self.counting);
    }

    /// One message of 100 bytes to everybody.
    fn broadcast(&mut self) {
        let payload = self.counting.pattern.slice(1, 100).to_vec();
        self.swarm.link(0).frame(BINARY, &[&payload]);
        self.expect(self.swarm.len());
    }

    /// One message of 64 KiB from and to everybody; so many at a time as the kernel has memory for.
    fn echo(&mut self) {
        let payload = self.counting.pattern.slice(1, MESSAGE_BYTES).to_vec();
        let keys: Vec<usize> = (0..self.swarm.len()).collect();
        for wave in keys.chunks(AT_ONCE) {
            for key in wave {
                self.swarm.link(*key).frame(BINARY, &[&payload]);
            }
            self.expect(wave.len());
        }
    }

    fn expect(&mut self, messages: usize) {
        self.counting.received = 0;
        let has_come = |_: &mut Swarm, counting: &mut Counting| counting.received >= messages;
        let is_done = self.swarm.run(STEP_TIMEOUT, &mut self.counting, has_come);
        assert!(is_done, "{} of {messages} messages came", self.counting.received);
    }

    /// A round of pings to everybody; then the memory that is left.
    fn rest(&mut self) -> u64 {
        let before: Vec<u64> = self.swarm.links().map(|link| link.pings).collect();
        let is_done = self.swarm.run(STEP_TIMEOUT, &mut self.counting, |swarm, _| {
            swarm.links().zip(&before).all(|(link, before)| link.pings > *before)
        });
        assert!(is_done, "everybody is pinged");
        self.lowest()
    }

    /// What is left when the server has given back what it does not need.
    fn lowest(&mut self) -> u64 {
        let until = Instant::now() + SETTLE_TIME;
        let mut lowest = u64::MAX;
        while Instant::now() < until {
            self.swarm.run_for(Duration::from_millis(100), &mut self.counting);
            lowest = lowest.min(self.server.rss_kib());
        }
        lowest
    }
}

fn settled(server: &Spawned) -> u64 {
    thread::sleep(Duration::from_millis(500));
    server.rss_kib()
}

impl Idle {
    /// Bytes per connection.
    #[must_use]
    pub fn slope(&self) -> f64 {
        per_connection(self.few_kib, self.many_kib)
    }
}

impl Used {
    /// Bytes per connection that has sent nothing.
    #[must_use]
    pub fn slope(&self) -> f64 {
        per_connection(self.few_kib, self.many_kib)
    }

    /// Bytes per connection that has sent a message.
    #[must_use]
    pub fn slope_used(&self) -> f64 {
        per_connection(self.few_used_kib, self.many_used_kib)
    }
}

fn per_connection(few_kib: u64, many_kib: u64) -> f64 {
    (many_kib as f64 - few_kib as f64) * 1024.0 / (MANY - FEW) as f64
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { none_kib, few_kib, many_kib } = self;
        write!(
            f,
            "in a room: {none_kib} KiB without connections, {few_kib} KiB with {FEW}, \
             {many_kib} KiB with {MANY}: {:.1} bytes per connection",
            self.slope()
        )
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { few_kib, many_kib, few_used_kib, many_used_kib } = self;
        write!(
            f,
            "at /echo: {few_kib} KiB with {FEW}, {many_kib} KiB with {MANY}: {:.1} bytes per \
             connection; where each has sent 64 KiB {few_used_kib} KiB and {many_used_kib} KiB: \
             {:.1} bytes per connection",
            self.slope(),
            self.slope_used()
        )
    }
}

/// Lets this process have as many descriptors as it may, enough for [`MANY`] clients.
///
/// # Errors
///
/// If that is not enough.
pub fn raise_nofile() -> Result<(), String> {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (_, hard) = limits.map_err(|error| error.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error| error.to_string())?;
    if hard < MANY as u64 + 100 {
        return Err(format!("raise `ulimit -Hn`, now {hard}, to {} at least", MANY + 100));
    }
    Ok(())
}
