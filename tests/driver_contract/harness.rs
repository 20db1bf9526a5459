//! What a driver is tried with: somebody who makes it, and peers who talk to it.

use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use throng::driver::sim::Rng;
use throng::driver::{Driver, ListenerId, Tuning};

use crate::log::Rest;
use crate::rig::Rig;

/// One network and one kind of driver.
pub(crate) trait Harness: Sized {
    type Driver: Driver;
    type Peer: Peer;

    /// More bytes than any socket of this network takes at once.
    const BULK: usize;
    /// How long nothing has to be told until nothing more will be.
    const REST: Rest;
    /// Whether a peer that writes to somebody who does not read is stopped in the end.
    const STOPS_WRITERS: bool;

    /// Runs a case in each of its variants, as often as it takes.
    fn run(variants: usize, case: impl Fn(Self, usize));

    fn driver(&mut self, tuning: Tuning) -> Self::Driver;

    /// Makes the driver made last listen; `connect` leads there from now on.
    fn listen(&mut self, driver: &mut Self::Driver) -> ListenerId;

    /// Nobody, if the connect was refused.
    fn connect(&mut self) -> Option<Self::Peer>;

    /// A connected socket that no driver knows, and who is at its other end.
    fn socket(&mut self) -> (OwnedFd, Self::Peer);

    /// Times that a queue of the kernel overflowed, where there is such a queue.
    fn overflows(_driver: &Self::Driver) -> Option<u32> {
        None
    }
}

/// The other end of a connection. It never blocks.
pub(crate) trait Peer {
    /// Sends; how many bytes were taken.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Sends a few bytes and a FIN, together if the network can do that.
    fn write_and_finish(&mut self, bytes: &[u8]);

    /// What has come, about so many bytes at most.
    fn read(&mut self, max: usize) -> Vec<u8>;

    /// Whether a read has met the end, be it a FIN or a reset.
    fn is_ended(&mut self) -> bool;

    fn finish(&mut self);

    /// Sends a byte of urgent data (RFC 9293, 3.8.5), if the network has such; whether it did.
    fn write_urgent(&mut self) -> bool {
        false
    }

    /// Breaks the connection. Over a Unix socket this takes bytes that were not read.
    fn reset(self);
}

/// Bytes that differ at every place and for every seed.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let words = std::iter::repeat_with(|| rng.next_u64().to_le_bytes());
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test measures how long a wait took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Names what was being tried if the test fails.
pub(crate) struct Trying(pub(crate) String);

impl Drop for Trying {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with {}", self.0);
        }
    }
}

/// What the drivers run with in production, one completion per wait, and hardly any room.
fn tunings() -> [(&'static str, Tuning); 3] {
    let ample = Tuning::for_connections(64);
    let scarce = Tuning {
        budget: 3,
        connections: 1,
        submissions: 8,
        completions: 16,
        buffers: 2,
        buffer_bytes: 512,
        receive_bytes: 512,
        write_bytes: 1,
    };
    [
        ("ample room", ample),
        ("a budget of one and a trim in every turn", Tuning { budget: 1, ..ample }),
        ("hardly", scarce),
    ]
}

/// A case for every tuning; whatever it leaves open is closed and watched to the end.
pub(crate) fn tuned<H: Harness>(case: fn(&mut Rig<H>)) {
    let tunings = tunings();
    H::run(tunings.len(), |harness, variant| {
        let (name, tuning) = tunings[variant];
        let _trying = Trying(format!("{name}: {tuning:?}"));
        let mut rig = Rig::new(harness, tuning);
        case(&mut rig);
        rig.wind_up();
    });
}

/// A case that tunes for itself.
pub(crate) fn plain<H: Harness>(case: fn(H)) {
    H::run(1, |harness, _| case(harness));
}

/// Runs a test in a process of its own: it is about what a whole process has.
pub(crate) fn apart(path: &str, test: impl FnOnce()) {
    const CHILD: &str = "THRONG_DRIVER_CONTRACT_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let (_, name) = path.split_once("::").expect("a path begins with the crate");
    let program = std::env::current_exe().expect("a process knows its program");
    let mut command = Command::new(program);
    command.args([name, "--exact", "--nocapture"]).env(CHILD, "1");
    let output = command.output().expect("the program runs once more");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_right = output.status.success() && stdout.contains("1 passed");
    eprint!("{stderr}");
    assert!(is_right, "{name} by itself: {}\n{stdout}", output.status);
}

/// Tests must not hang, and nothing here takes nearly so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
