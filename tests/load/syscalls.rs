//! System calls of the io_uring backend: none per message.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor};

use crate::echo;
use crate::support::{PATIENCE, alone, comes_to_hold, has_io_uring, program, report, skip};

const CLIENTS: usize = 1000;
const MESSAGES: usize = 200;
const ALL: usize = CLIENTS * MESSAGES;

/// One that is busy. Several beside one thread of clients would each sleep after every message.
const WORKERS: usize = 1;

/// Tracing alone slows the server down too little when the host holds the clients up.
const SLOW_ENTER: &str = "inject=io_uring_enter:delay_exit=500";

/// Calls for each message: with one for each of them it would be 1 at least, and it is 0.07 where
/// the clients are not held up.
const SHARE_MAX: f64 = 0.5;

/// What moves bytes or waits for them, by other means than the ring.
const FORBIDDEN: [&str; 14] = [
    "read", "readv", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "writev",
    "accept", "accept4", "close", "poll", "epoll_",
];

/// Where many come at once the driver accepts a few a turn by calls, at most one for each of them
/// and one that finds nobody.
const ACCEPTS_MAX: u64 = 2 * CLIENTS as u64;

#[derive(Default)]
struct Echoes(usize);

impl Visitor for Echoes {
    fn frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        assert_eq!((first, payload), (BINARY, &b"ping"[..]));
        self.0 += 1;
        if (link.frames as usize) < MESSAGES {
            link.frame(BINARY, &[b"ping"]);
        }
    }

    fn ended(&mut self, link: &Link, end: &End) {
        panic!("client {} was closed: {end:?}", link.tag);
    }
}

/// Each client has one message on its way.
fn exchange(address: std::net::SocketAddr) {
    let (mut swarm, mut echoes) = (Swarm::new(), Echoes::default());
    swarm.open(CLIENTS, &[Target::new(address, "/echo")], &mut echoes);
    (0..CLIENTS).for_each(|key| swarm.link(key).frame(BINARY, &[b"ping"]));
    let is_done = swarm.run(PATIENCE, &mut echoes, |_, echoes| echoes.0 == ALL);
    assert!(is_done, "{} of {ALL} echoes", echoes.0);
    swarm.reset_all();
}

/// With calls that take half a millisecond the server is slower than its clients. One that keeps up
/// with them sleeps after every message, rightly, and there is nothing to count.
#[test]
fn io_uring_makes_no_system_call_per_message() {
    let _alone = alone();
    if !can_trace() {
        return;
    }
    let busy = check(0, |server| exchange(server.address()));
    let enters = busy.get("io_uring_enter").copied().unwrap_or(0);
    let share = enters as f64 / ALL as f64;
    report(&format!("{enters} io_uring_enter for {ALL} messages: {share:.4} each; {busy:?}"));
    assert!(enters > 0 && share < SHARE_MAX, "{busy:?}");
}

#[test]
fn io_uring_moves_a_thousand_megabytes_through_the_ring_alone() {
    let _alone = alone();
    if !can_trace() {
        return;
    }
    // Who gives much memory back: glibc reads /proc/sys/vm/overcommit_memory before, once.
    let busy = check(1, |server| {
        let mut swarm = Swarm::new();
        echo::exchange(&mut swarm, server.address());
        swarm.reset_all();
    });
    report(&format!("{busy:?}"));
}

fn can_trace() -> bool {
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !has_strace {
        skip("strace is not installed");
    }
    has_strace && has_io_uring()
}

/// The calls of a server while something is done to it: none moves bytes but by the ring. So many
/// files may be read.
fn check(files: u64, what: impl FnOnce(&Spawned)) -> BTreeMap<String, u64> {
    let (idle, busy) = (trace(|_| {}), trace(what));
    for (call, count) in &busy {
        let is_forbidden = FORBIDDEN.iter().any(|name| match name.strip_suffix('_') {
            Some(_) => call.starts_with(name),
            None => call == name,
        });
        let more = match &call[..] {
            "read" | "close" => files,
            "accept4" => ACCEPTS_MAX,
            _ => 0,
        };
        let before = idle.get(call).copied().unwrap_or(0) + more;
        assert!(!is_forbidden || *count <= before, "{call}: {count}, without traffic {before}");
    }
    busy
}

/// Calls of all threads of a server, from its start to its end.
fn trace(what: impl FnOnce(&Spawned)) -> BTreeMap<String, u64> {
    let summary = Summary::new();
    let path = summary.0.to_str().expect("paths of this test are UTF-8");
    // -D: strace is the child, so that the server is ours to stop.
    let wrapper = ["strace", "-D", "-f", "-c", "-e", SLOW_ENTER, "-o", path];
    let workers = WORKERS.to_string();
    let args = ["--backend", "io_uring", "--workers", &workers, "--ping-interval", "0"];
    let mut server = Spawned::start_wrapped(&wrapper, program(), &args);
    what(&server);
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    let status = server.wait(PATIENCE).expect("it ends when asked to");
    assert!(status.success(), "{status}");
    let has_summary = || fs::read_to_string(path).is_ok_and(|text| text.contains(" total"));
    assert!(comes_to_hold(has_summary), "strace writes its summary");
    let text = fs::read_to_string(path).expect("it was read before");
    text.lines().filter_map(parse).collect()
}

/// `% time  seconds  usecs/call  calls  [errors]  syscall`.
fn parse(line: &str) -> Option<(String, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let call = *words.last()?;
    let count = words.get(3)?.parse().ok()?;
    (call != "total").then(|| (call.to_owned(), count))
}

struct Summary(PathBuf);

impl Summary {
    fn new() -> Self {
        let name = format!("throng-load-{}.strace", std::process::id());
        let path = std::env::temp_dir().join(name);
        // One of an earlier run would be taken for the new one.
        let _ = fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Summary {
    fn drop(&mut self) {
        // A file that is left over is no reason to fail.
        let _ = fs::remove_file(&self.0);
    }
}
