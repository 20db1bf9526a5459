//! How a server stops while clients are there: it leaves, and closes them spread over a time.

use std::time::{Duration, Instant};

use testkit::client::{Address, Client, text};
use testkit::process::Signal;
use testkit::swarm::{End, Link, Swarm, Target, Visitor, memory};
use throng::config::Backend;

use crate::support::{PATIENCE, clients, launch, ms, server};

on_both!(
    a_server_that_leaves_goes_on_until_its_delay_is_over,
    clients_are_closed_one_after_the_other_and_told_when_to_come_back,
    the_code_and_the_time_are_options,
    thousands_leave_and_come_back_spread,
);

fn a_server_that_leaves_goes_on_until_its_delay_is_over(backend: Backend) {
    let mut server = server(backend, &["--drain-delay", "2s", "--drain", "0"]);
    let mut before = Client::open(server.address(), "/room/a");
    let begin = Instant::now();
    server.signal(Signal::SIGTERM);
    assert!(server.wait_for_log("stopping", PATIENCE), "{}", server.log());
    let mut after = Client::open(server.address(), "/room/a");
    after.write(&text("still here"));
    for client in [&mut before, &mut after] {
        assert_eq!(client.frame().payload, b"still here");
    }
    for client in [&mut before, &mut after] {
        assert_eq!(client.close_code(), 1001);
    }
    assert!(begin.elapsed() >= ms(2000), "{:?}", begin.elapsed());
    drop((before, after));
    assert_eq!(server.exit_code(PATIENCE), 0);
}

/// The reason of a close frame.
fn reason(client: &mut Client) -> String {
    let frame = client.frame();
    assert!(frame.close_code().is_some(), "{frame:?}");
    String::from_utf8(frame.payload[2..].to_vec()).expect("RFC 6455, 5.5.1: it is UTF-8")
}

fn clients_are_closed_one_after_the_other_and_told_when_to_come_back(backend: Backend) {
    // A hundred a second are closed at least.
    let mut server = server(backend, &["--workers", "1", "--drain", "1h"]);
    let mut all: [Client; 50] = clients(server.address(), "/room/a");
    let begin = Instant::now();
    server.signal(Signal::SIGTERM);
    for client in &mut all {
        assert_eq!(reason(client), "server stops; retry-after=1s");
    }
    assert!(begin.elapsed() >= ms(490), "{:?}", begin.elapsed());
    drop(all);
    assert_eq!(server.exit_code(PATIENCE), 0);
}

fn the_code_and_the_time_are_options(backend: Backend) {
    let launch = launch(backend, &["--drain", "0"]).env("THRONG_DRAIN_CODE", "1012");
    for (when, expected) in [("now", 0..=0), ("restart", 1..=10)] {
        let mut server = launch.clone().env("THRONG_DRAIN_RECONNECT", when).start();
        let mut all: [Client; 4] = clients(server.address(), "/echo");
        server.signal(Signal::SIGTERM);
        for client in &mut all {
            let frame = client.frame();
            assert_eq!(frame.close_code(), Some(1012));
            let seconds = seconds_of(std::str::from_utf8(&frame.payload[2..]).expect("it is text"));
            assert!(expected.contains(&seconds), "{when}: {seconds}");
        }
        drop(all);
        assert_eq!(server.exit_code(PATIENCE), 0);
    }
}

fn seconds_of(reason: &str) -> u64 {
    let seconds = reason.split_once("retry-after=").expect("it says when").1;
    seconds.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).expect("it is a number")
}

/// When each was told, and when each has come back.
struct Crowd {
    began: Instant,
    told: Vec<(usize, Duration)>,
    back: Vec<Duration>,
}

impl Visitor for Crowd {
    fn opened(&mut self, _link: &mut Link) {
        self.back.push(self.began.elapsed());
    }

    fn ended(&mut self, link: &Link, end: &End) {
        if end.code == Some(1001) {
            self.told.push((link.tag, self.began.elapsed()));
        }
    }
}

const CROWD: usize = 5000;
const DRAIN: Duration = Duration::from_secs(3);

/// What is in the close frame: the drain, and five seconds for the last answers.
const SLOT: Duration = Duration::from_secs(8);

/// A crowd that leaves one server and comes back to the next, each when it was told to.
fn leave_and_come_back(backend: Backend) -> Crowd {
    memory::raise_nofile().expect("there is room for a crowd");
    let args = ["--workers", "2", "--drain", "3s", "--handshake-timeout", "2m"];
    let mut first = launch(backend, &args).start();
    let address = first.tcp();
    let mut one = Client::open(first.address(), "/room/a");
    let (mut swarm, targets) = (Swarm::new(), [Target::new(address, "/room/a")]);
    let mut crowd = Crowd { began: Instant::now(), told: vec![], back: vec![] };
    swarm.open(CROWD, &targets, &mut crowd);
    crowd.back.clear();
    crowd.began = Instant::now();
    first.signal(Signal::SIGTERM);
    let is_one_told = swarm.run(PATIENCE, &mut crowd, |_, crowd| !crowd.told.is_empty());
    assert!(is_one_told, "nobody is told");
    // It listens while the first one says goodbye, as its listeners are closed by then.
    let listen = Address::Tcp(address).to_string();
    let second = launch(backend, &["--listen", &listen, "--workers", "2"]).start();
    let are_told = swarm.run(PATIENCE, &mut crowd, |_, crowd| crowd.told.len() == CROWD);
    assert!(are_told, "{} were told", crowd.told.len());
    assert_eq!(reason(&mut one), format!("server stops; retry-after={}s", SLOT.as_secs()));
    drop(one);
    assert_eq!(first.exit_code(PATIENCE), 0);
    let mut waiting = crowd.told.clone().into_iter().peekable();
    let are_back = swarm.run(PATIENCE, &mut crowd, |swarm, crowd| {
        while waiting.next_if(|(_, told)| *told + SLOT <= crowd.began.elapsed()).is_some() {
            let [target] = &targets;
            swarm.connect(target, 0).expect("somebody listens");
        }
        crowd.back.len() == CROWD
    });
    assert!(are_back, "{} have come back", crowd.back.len());
    drop(second);
    crowd
}

impl Crowd {
    fn told(&self) -> impl Iterator<Item = Duration> {
        self.told.iter().map(|(_, at)| *at)
    }

    /// When each has come back, as if nobody had to wait.
    fn back(&self) -> impl Iterator<Item = Duration> {
        self.back.iter().map(|at| at.saturating_sub(SLOT))
    }
}

/// From the first to the last.
fn span(times: impl Iterator<Item = Duration> + Clone) -> Duration {
    times.clone().max().zip(times.min()).map_or(Duration::ZERO, |(last, first)| last - first)
}

/// Late they may be where others use the host, but not early.
fn thousands_leave_and_come_back_spread(backend: Backend) {
    let crowd = leave_and_come_back(backend);
    let (told, back): (Vec<_>, Vec<_>) = (crowd.told().collect(), crowd.back().collect());
    println!("told: {:?}", tenths(&told));
    println!("back: {:?}", tenths(&back));
    assert!(span(told.iter().copied()) >= DRAIN * 4 / 5, "{:?}", tenths(&told));
    assert!(span(back.iter().copied()) >= DRAIN * 4 / 5, "{:?}", tenths(&back));
    assert!(crowd.back.iter().all(|at| *at >= SLOT), "{:?}", crowd.back.iter().min());
}

/// How many fall into each tenth of the drain.
fn tenths(times: &[Duration]) -> [usize; 10] {
    let mut counts = [0; 10];
    for time in times {
        let tenth = (time.as_nanos() * 10 / DRAIN.as_nanos()) as usize;
        counts[tenth.min(9)] += 1;
    }
    counts
}

/// What only the clock can judge, on a host without others.
mod full {
    use super::{CROWD, leave_and_come_back, tenths};
    use crate::support::is_full_tier;
    use throng::config::Backend;

    /// More than a third of them in a tenth of the time are no spread any more.
    fn is_spread(counts: [usize; 10]) {
        assert!(counts.iter().all(|count| *count <= CROWD / 3), "{counts:?}");
    }

    fn no_tenth_of_the_time_has_a_third_of_them(backend: Backend) {
        if is_full_tier() {
            let crowd = leave_and_come_back(backend);
            is_spread(tenths(&crowd.told().collect::<Vec<_>>()));
            is_spread(tenths(&crowd.back().collect::<Vec<_>>()));
        }
    }

    on_both!(no_tenth_of_the_time_has_a_third_of_them);
}
