//! What the tests of this binary share.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};
use testkit::client::{Address, Client};
use testkit::process::{Launch, Process};
use throng::config::Backend;
use throng::driver::uring;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_throng");

/// The program with options, on this backend; on a port of the kernel's choice and without pings
/// unless told otherwise.
pub(crate) fn launch(backend: Backend, args: &[&str]) -> Launch {
    let launch = Launch::new(PROGRAM).args(["--backend", name(backend)]);
    let has_address = args.contains(&"--listen");
    let launch = if has_address { launch } else { launch.args(["--listen", "127.0.0.1:0"]) };
    let has_pings = args.contains(&"--ping-interval");
    let launch = if has_pings { launch } else { launch.args(["--ping-interval", "0"]) };
    launch.args(args)
}

/// A server that runs.
pub(crate) fn server(backend: Backend, args: &[&str]) -> Process {
    launch(backend, args).start()
}

/// The name of a backend on the command line.
pub(crate) fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Epoll => "epoll",
        Backend::IoUring => "io_uring",
    }
}

/// Whether io_uring can be tested here; says so if not.
pub(crate) fn has_io_uring() -> bool {
    let probed = uring::probe();
    if let Err(reason) = &probed {
        skip(&format!("io_uring does not work here: {reason}"));
    }
    probed.is_ok()
}

/// Tells that the present test cannot be run, past the harness, which hides what tests print.
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let must_run = std::env::var_os("THRONG_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!must_run, "THRONG_TEST_REQUIRE_ALL=1, but {test} cannot be run: {reason}");
    writeln!(io::stderr(), "SKIPPED {test}: {reason}").expect("standard error is open");
}

/// Whether what needs the clock, minutes or large tools is to be run.
pub(crate) fn is_full_tier() -> bool {
    std::env::var_os("THRONG_TEST_FULL").is_some_and(|value| value == "1")
}

/// How long anything may take that must come: who waits longer hangs, however loud the host is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

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

/// Shorter than `Duration::from_millis`.
pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Several clients of one path.
pub(crate) fn clients<const N: usize>(address: &Address, path: &str) -> [Client; N] {
    std::array::from_fn(|_| Client::open(address, path))
}

/// A TCP port of this host that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("[::]:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Bytes without a pattern that a compressor would find, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(length).collect()
}

/// A directory that goes away with the test.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("throng-behaviour-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the name is ours alone");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A Unix socket in it, as an option's value.
    pub(crate) fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.0.join(name).display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left over files are no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As permessage-deflate has it in a message.
pub(crate) fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() / 512 + 1024);
    let mut compress = Compress::new(Compression::new(9), false);
    compress.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room enough");
    assert_eq!(compress.total_in(), payload.len() as u64, "there is room enough");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "a sync flush ends so");
    out.truncate(out.len() - 4);
    out
}
