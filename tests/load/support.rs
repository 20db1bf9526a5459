//! What the tests of this binary share.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testkit::swarm::{Spawned, memory};
use throng::config::{Backend, Config, ListenAddr};
use throng::driver::uring;
use throng::server::Server;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_throng");

static ALONE: Mutex<()> = Mutex::new(());

/// Holds off every other test of this binary, and makes room for descriptors.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    memory::raise_nofile().expect("20,000 descriptors are needed");
    guard
}

/// Whether the long variants must run and nothing may be skipped.
pub(crate) fn must_run_all() -> bool {
    std::env::var_os("THRONG_TEST_REQUIRE_ALL").is_some_and(|value| value == "1")
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

/// Options for a server of this process, without pings.
pub(crate) fn config(backend: Backend, workers: usize) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address of the documented form")],
        workers,
        backend,
        ping_interval: Duration::ZERO,
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
    Spawned::start(Path::new(PROGRAM), &args)
}

/// Waits until something holds; false if it does not in time.
pub(crate) fn holds_within(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    while !holds() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Shorter than `Duration::from_secs`.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
