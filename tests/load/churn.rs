//! Connections that come and end in every way: nothing of them is left.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor};
use throng::config::Backend;
use throng::limits::BURST_OVER;

use crate::support::{
    config, holds_within, must_run_all, name, on_both_at_once, report, seconds, spawn, start, stop,
};

on_both!(no_connection_and_no_descriptor_is_left);

/// Connections that are there at the same time.
const AT_ONCE: usize = 500;

/// What the process may have grown by in the second half: five bytes a cycle.
const GROWTH_KIB_MAX: u64 = 256;

fn cycles() -> usize {
    if must_run_all() { 100_000 } else { 10_000 }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// A message, its echo, and the closing handshake.
    Clean,
    /// A reset behind a message.
    Reset,
    /// A FIN without a close frame; the server closes.
    Finish,
    /// Gone in the middle of a frame.
    InFrame,
    /// Gone in the middle of the request.
    InHandshake,
    /// In a room, gone without a word.
    InRoom,
}

const FATES: [Fate; 6] =
    [Fate::Clean, Fate::Reset, Fate::Finish, Fate::InFrame, Fate::InHandshake, Fate::InRoom];

struct Churn {
    echo: Target,
    room: Target,
    swarm: Swarm,
    ends: Ends,
    made: usize,
}

/// What is to be done to links once the swarm is not looking at them.
#[derive(Default)]
struct Ends {
    done: usize,
    to_reset: Vec<usize>,
    to_drop: Vec<usize>,
}

fn fate(tag: usize) -> Fate {
    FATES[tag % FATES.len()]
}

impl Churn {
    fn new(address: SocketAddr) -> Self {
        Self {
            echo: Target::new(address, "/echo"),
            room: Target::new(address, "/room/churn"),
            swarm: Swarm::new(),
            ends: Ends::default(),
            made: 0,
        }
    }

    /// Goes on until so many have come and gone in all.
    fn run_to(&mut self, cycles: usize) {
        let until = Instant::now() + seconds(120);
        while self.ends.done < cycles {
            while self.swarm.len() < AT_ONCE && self.made < cycles {
                self.connect(self.made);
                self.made += 1;
            }
            self.swarm.turn(Duration::from_millis(20), &mut self.ends);
            self.carry_out();
            assert!(Instant::now() < until, "{} of {cycles} cycles", self.ends.done);
        }
    }

    fn connect(&mut self, tag: usize) {
        match fate(tag) {
            Fate::InHandshake => {
                let address = self.echo.address();
                let key = self.swarm.connect_silent(address, tag).expect("connects are taken");
                let request = self.echo.request();
                self.swarm.link(key).queue(&request[..tag / FATES.len() % request.len()]);
            }
            Fate::InRoom => {
                self.swarm.connect(&self.room, tag).expect("connects are taken");
            }
            _ => {
                self.swarm.connect(&self.echo, tag).expect("connects are taken");
            }
        }
    }

    fn carry_out(&mut self) {
        // Those in the middle of their request are never open: they go when they have connected.
        let waiting = |link: &&Link| matches!(fate(link.tag), Fate::InHandshake) && link.is_up();
        let waiting: Vec<usize> = self.swarm.links().filter(waiting).map(Link::key).collect();
        self.ends.to_drop.extend(waiting);
        for key in std::mem::take(&mut self.ends.to_reset) {
            if self.swarm.has(key) {
                self.swarm.reset(key);
                self.ends.done += 1;
            }
        }
        for key in std::mem::take(&mut self.ends.to_drop) {
            if self.swarm.has(key) {
                self.swarm.drop_link(key);
                self.ends.done += 1;
            }
        }
    }
}

impl Visitor for Ends {
    fn opened(&mut self, link: &mut Link) {
        match fate(link.tag) {
            Fate::Clean | Fate::Reset => link.frame(BINARY, &[b"hello"]),
            Fate::Finish => link.finish(),
            // Masked, of 300 bytes, and then only some of them.
            Fate::InFrame => link.queue(b"\x82\xfe\x01\x2c\x01\x02\x03\x04what comes of it"),
            Fate::InRoom => {
                link.frame(BINARY, &[b"to all"]);
                self.to_drop.push(link.key());
            }
            Fate::InHandshake => {}
        }
    }

    fn drained(&mut self, link: &mut Link) {
        match fate(link.tag) {
            Fate::Reset => self.to_reset.push(link.key()),
            Fate::InFrame if link.tag.is_multiple_of(2) => self.to_reset.push(link.key()),
            Fate::InFrame => self.to_drop.push(link.key()),
            _ => {}
        }
    }

    fn frame(&mut self, link: &mut Link, _first: u8, payload: &[u8]) {
        if matches!(fate(link.tag), Fate::Clean) {
            assert_eq!(payload, b"hello");
            link.close(1000);
        }
    }

    fn ended(&mut self, link: &Link, end: &End) {
        let code = match fate(link.tag) {
            Fate::Clean => Some(1000),
            _ => None,
        };
        assert_eq!((end.code, &end.response), (code, &None), "{:?}", fate(link.tag));
        self.done += 1;
    }
}

fn no_connection_and_no_descriptor_is_left(backend: Backend) {
    let (server, address) = start(config(backend, 2));
    let mut churn = Churn::new(address);
    // One of everything, so that what is opened once is open.
    churn.run_to(AT_ONCE);
    let are_gone = |server: &throng::server::Server| {
        holds_within(seconds(20), || server.counts().connections() == 0)
    };
    assert!(are_gone(&server), "{:?}", server.counts());
    let (before, began) = (descriptors(), Instant::now());
    churn.run_to(AT_ONCE + cycles());
    let took = began.elapsed();
    assert!(are_gone(&server), "{:?}", server.counts());
    let counts = server.counts();
    assert_eq!(counts.accepted, churn.made as u64);
    assert_eq!((counts.refused, counts.dropped, counts.closed_slow), (0, 0, 0));
    let settled = holds_within(seconds(5), || descriptors() == before);
    assert!(settled, "{before:?} descriptors of each thread before, {:?} after", descriptors());
    report(&format!("{} cycles in {took:.1?}; descriptors {before:?}", cycles()));
    stop(server);
}

#[test]
fn the_process_does_not_grow() {
    on_both_at_once(the_process_does_not_grow_on);
}

fn the_process_does_not_grow_on(backend: Backend) {
    let server = spawn(backend, &["--workers", "2", "--ping-interval", "0"]);
    let mut churn = Churn::new(server.address());
    churn.run_to(AT_ONCE);
    let before = settled(&mut churn, || server.descriptors());
    churn.run_to(cycles() / 2);
    let half_kib = lowest_kib(&mut churn, &server);
    churn.run_to(cycles());
    let full_kib = lowest_kib(&mut churn, &server);
    let after = server.descriptors();
    let name = name(backend);
    report(&format!("{name} {half_kib} KiB after half of the cycles, {full_kib} KiB after all"));
    assert!(full_kib <= half_kib + GROWTH_KIB_MAX, "{half_kib} KiB, then {full_kib} KiB");
    assert_eq!(after, before, "descriptors of each thread");
}

/// What is seen when the server has noticed the end of the last ones.
fn settled<T>(churn: &mut Churn, see: impl Fn() -> T) -> T {
    churn.swarm.run_for(seconds(3), &mut churn.ends);
    see()
}

/// The memory that is left when what the server gives back after a burst has gone.
fn lowest_kib(churn: &mut Churn, server: &Spawned) -> u64 {
    let until = Instant::now() + BURST_OVER + seconds(3);
    let mut lowest = u64::MAX;
    while Instant::now() < until {
        churn.swarm.run_for(seconds(1) / 5, &mut churn.ends);
        lowest = lowest.min(server.rss_kib());
    }
    lowest
}

/// Descriptors in the table of each thread of this process, which has the server's workers.
fn descriptors() -> Vec<usize> {
    let tasks = fs::read_dir("/proc/self/task").expect("proc(5)");
    let mut tasks: Vec<_> = tasks.filter_map(|task| Some(task.ok()?.path())).collect();
    tasks.sort();
    tasks.iter().filter_map(|task| Some(fs::read_dir(task.join("fd")).ok()?.count())).collect()
}
