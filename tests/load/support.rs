//! What the tests of this binary share.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, Link, Spawned, Visitor, memory};
use throng::config::{Backend, Config, ListenAddr};
use throng::driver::uring;
use throng::server::Server;

/// How long anything may take that must come: who waits longer hangs, however loud the host is.
pub(crate) const PATIENCE: Duration = seconds(180);

/// The program under test: that of `THRONG_BIN`, or the one built with these tests.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let given = || std::env::var_os("THRONG_BIN").map(PathBuf::from);
    PROGRAM.get_or_init(|| given().unwrap_or_else(|| program_built_here().to_owned()))
}

/// The one built with these tests.
pub(crate) fn program_built_here() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_throng"))
}

static ALONE: Mutex<()> = Mutex::new(());

/// Holds off every other test of this binary, and makes room for descriptors.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    memory::raise_nofile().expect("20,000 descriptors are needed");
    guard
}

/// Whether nothing may be skipped.
fn must_run_all() -> bool {
    std::env::var_os("THRONG_TEST_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// Whether tests of the full tier run, by the clock and for minutes.
pub(crate) fn is_full_tier() -> bool {
    std::env::var_os("THRONG_TEST_FULL").is_some_and(|value| value == "1")
}

/// Tells that the present test cannot be run, past the harness, which hides what tests print.
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(!must_run_all(), "THRONG_TEST_REQUIRE_ALL=1, but {test} cannot be run: {reason}");
    say(&format!("SKIPPED {test}: {reason}"));
}

/// Shows a figure, past the harness.
pub(crate) fn report(figures: &str) {
    let thread = thread::current();
    say(&format!("{}: {figures}", thread.name().unwrap_or("a test")));
}

fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error is open");
}

/// Whether io_uring can be tested here; says so if not.
pub(crate) fn has_io_uring() -> bool {
    let probed = uring::probe();
    if let Err(reason) = &probed {
        skip(&format!("io_uring does not work here: {reason}"));
    }
    probed.is_ok()
}

/// Tests all backends at the same time, for what waits most of its time; no other test runs beside.
pub(crate) fn on_both_at_once(case: fn(Backend)) {
    let _alone = alone();
    if !has_io_uring() {
        return case(Backend::Epoll);
    }
    memory::side_by_side(|| case(Backend::Epoll), || case(Backend::IoUring));
}

/// The name of a backend on the command line.
pub(crate) fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Epoll => "epoll",
        Backend::IoUring => "io_uring",
    }
}

/// Options for a server of this process, without pings, which tells all at once when it stops.
pub(crate) fn config(backend: Backend, workers: usize) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address of the documented form")],
        workers,
        backend,
        ping_interval: Duration::ZERO,
        drain: Duration::ZERO,
        ..Config::default()
    }
}

/// Starts a server in this process.
pub(crate) fn start(config: Config) -> (Server, SocketAddr) {
    let server = Server::start(config).expect("a port of the kernel's choice is free");
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    (server, address)
}

/// Stops a server whose clients are gone.
pub(crate) fn stop(server: Server) {
    server.stop();
    server.join().expect("no worker fails");
}

/// The program with options, on this backend.
pub(crate) fn spawn(backend: Backend, args: &[&str]) -> Spawned {
    let args: Vec<&str> = ["--backend", name(backend)].iter().chain(args).copied().collect();
    Spawned::start(program(), &args)
}

/// Waits until something holds; false if it never does.
pub(crate) fn comes_to_hold(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Returns when every worker has ended the turn that it was in, with all that is counted in it.
pub(crate) fn end_turns(server: &Server) {
    let turns = || server.counts_by_worker().into_iter().map(|counts| counts.turns);
    let before: Vec<u64> = turns().collect();
    // One that is in no turn takes one.
    server.wake();
    let have_ended = || turns().zip(&before).all(|(now, before)| now > *before);
    assert!(comes_to_hold(have_ended), "a worker that is woken takes a turn");
}

/// Shorter than `Duration::from_secs`.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Counts what the clients of a swarm receive, which is one message again and again.
pub(crate) struct Received {
    payload: &'static [u8],
    pub(crate) count: usize,
}

impl Received {
    pub(crate) fn of(payload: &'static [u8]) -> Self {
        Self { payload, count: 0 }
    }
}

impl Visitor for Received {
    fn frame(&mut self, _link: &mut Link, first: u8, payload: &[u8]) {
        assert_eq!((first, payload), (BINARY, self.payload));
        self.count += 1;
    }
}
