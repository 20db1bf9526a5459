//! Ten thousand connects within a second, and what they do to somebody else's echo: by the clock,
//! so it is of the full tier. What a turn accepts is counted in `turns`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::unistd::gettid;
use testkit::swarm::{Nobody, Swarm, Target, put_frame};
use throng::config::Backend;

use crate::support::{PATIENCE, config, report, seconds, start, stop};

on_both_in_full!(a_storm_of_connects_delays_an_echo_by_a_hundredth_of_its_time_at_most);

const CONNECTS: usize = 10_000;
const TRIES: usize = 5;

/// How much of a storm's time an echo may be late.
const DELAY_SHARE_MAX: f64 = 0.01;

/// The storm comes in so many parts, one each 2 ms: ten thousand within a second.
const PARTS: usize = 450;

/// How much later the worst echo of a storm comes than an echo without one, in the median try.
fn a_storm_of_connects_delays_an_echo_by_a_hundredth_of_its_time_at_most(backend: Backend) {
    let (server, address) = start(config(backend, 1));
    leave_the_worker_alone();
    let (mut lines, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let calm = Figures::of(measure(address, || thread::sleep(seconds(1))));
        let mut swarm = Swarm::new();
        let mut took = Duration::ZERO;
        let times = measure(address, || took = storm(&mut swarm, address));
        let figures = Figures::of(times);
        let delay = figures.worst.saturating_sub(calm.median);
        shares.push(delay.as_secs_f64() / took.as_secs_f64());
        lines.push(format!("idle {calm}, storm {figures} in {took:.2?}"));
        swarm.reset_all();
        thread::sleep(Duration::from_millis(300));
    }
    shares.sort_by(f64::total_cmp);
    let share = shares[TRIES / 2];
    report(&format!("{share:.4} of the storm at the median: {}", lines.join("; ")));
    assert!(share <= DELAY_SHARE_MAX, "the worst echo of the median try is late");
    stop(server);
}

/// The clients, and the threads that they start, keep off the CPU that the worker is pinned to: how
/// long the system lets one wait for the other is not what is measured.
fn leave_the_worker_alone() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(other) = cores.get(1) {
        core_affinity::set_for_current(*other);
    }
}

/// The present thread does not wait for the CPU that it shares with those who connect: a slice of
/// theirs is 3 ms long, and a delay of the clients is none of the server's.
fn overtake_the_storm() {
    let thread = gettid().to_string();
    let output = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        report("echoes wait for the clients that connect: chrt(1) as root would prevent it");
    }
}

/// Connects evenly over most of a second, and upgrades all of them.
fn storm(swarm: &mut Swarm, address: SocketAddr) -> Duration {
    let target = Target::new(address, "/echo");
    let began = Instant::now();
    for part in 1..=PARTS {
        let due = began + Duration::from_millis(2) * part as u32;
        for tag in swarm.len()..CONNECTS * part / PARTS {
            swarm.connect(&target, tag).expect("connects are taken");
        }
        loop {
            let left = due.saturating_duration_since(Instant::now());
            swarm.turn(left, &mut Nobody);
            if left.is_zero() {
                break;
            }
        }
    }
    let is_done = swarm.run(PATIENCE, &mut Nobody, |swarm, _| swarm.opening() == 0);
    assert!(is_done, "{} are not open", swarm.opening());
    assert_eq!(swarm.len(), CONNECTS);
    began.elapsed()
}

struct Figures {
    median: Duration,
    p99: Duration,
    worst: Duration,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Self { median: at(0.5), p99: at(0.99), worst: at(1.0) }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, p99, worst } = self;
        write!(f, "median {median:.0?} p99 {p99:.0?} worst {worst:.0?}")
    }
}

/// Echo round trips of a client of its own thread while something is done.
fn measure(address: SocketAddr, what: impl FnOnce()) -> Vec<Duration> {
    let must_end = Arc::new(AtomicBool::new(false));
    let mut echo = connect(address);
    let thread: JoinHandle<Vec<Duration>> = thread::spawn({
        let must_end = Arc::clone(&must_end);
        move || {
            overtake_the_storm();
            let mut times = Vec::new();
            let mut due = Instant::now();
            while !must_end.load(Ordering::Relaxed) {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                round_trip(&mut echo);
                // From when it was due: a late start is a delay too.
                times.push(due.elapsed());
                due = (due + Duration::from_millis(1)).max(Instant::now());
            }
            times
        }
    });
    thread::sleep(Duration::from_millis(50));
    what();
    must_end.store(true, Ordering::Relaxed);
    thread.join().expect("every echo comes")
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.write_all(Target::new(address, "/echo").request()).expect("it is open");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a response comes");
        response.push(byte[0]);
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "));
    stream
}

fn round_trip(stream: &mut TcpStream) {
    let mut frame = Vec::new();
    put_frame(&mut frame, 0x82, 0x0102_0304, &[b"echo"]);
    stream.write_all(&frame).expect("it is open");
    let mut reply = [0; 6];
    stream.read_exact(&mut reply).expect("every echo comes");
    assert_eq!(&reply, b"\x82\x04echo");
}
