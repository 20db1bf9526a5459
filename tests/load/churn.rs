//! Connections that come and end in every way: nothing of them is left.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor};
use throng::config::Backend;
use throng::limits::BURST_OVER;

use crate::support::{
    PATIENCE, comes_to_hold, config, name, on_both_at_once, report, seconds, spawn, start, stop,
};

on_both!(no_connection_and_no_descriptor_is_left);

/// Connections that are there at the same time.
const AT_ONCE: usize = 500;

/// Connections that come and go.
const CYCLES: usize = 50_000;

/// Connections in waves: those before the first look at the memory, those before the last, and what
/// the process may have grown by between them. Where what stays lies in a heap varies by 200 KiB;
/// 16 bytes of each connection would be 1,280.
const FIRST_CYCLES: usize = 20_000;
const ALL_CYCLES: usize = 100_000;
const GROWTH_KIB_MAX: u64 = 640;

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
        let until = Instant::now() + PATIENCE;
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

    /// As `run_to`, but the next ones come when all before them have gone.
    fn waves_to(&mut self, cycles: usize) {
        while self.ends.done < cycles {
            self.run_to(cycles.min(self.made + AT_ONCE));
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
    let are_gone =
        |server: &throng::server::Server| comes_to_hold(|| server.counts().connections() == 0);
    assert!(are_gone(&server), "{:?}", server.counts());
    let (before, began) = (descriptors(), Instant::now());
    churn.run_to(AT_ONCE + CYCLES);
    let took = began.elapsed();
    assert!(are_gone(&server), "{:?}", server.counts());
    let counts = server.counts();
    assert_eq!(counts.accepted, churn.made as u64);
    assert_eq!((counts.refused, counts.turned_away, counts.closed_slow), (0, 0, 0));
    let settled = comes_to_hold(|| descriptors() == before);
    assert!(settled, "{before:?} descriptors of each thread before, {:?} after", descriptors());
    report(&format!("{CYCLES} cycles in {took:.1?}; descriptors {before:?}"));
    stop(server);
}

#[test]
fn the_process_does_not_grow() {
    on_both_at_once(the_process_does_not_grow_on);
}

/// Connections come and go in waves: how many of them are open at once decides what tables and
/// pools grow to, and must not depend on how fast they are closed. One worker has them all.
fn the_process_does_not_grow_on(backend: Backend) {
    let server = spawn(backend, &["--workers", "1", "--ping-interval", "0"]);
    let mut churn = Churn::new(server.address());
    churn.waves_to(FIRST_CYCLES);
    let (kib, table) = plateau(&mut churn, &server);
    churn.waves_to(ALL_CYCLES);
    let mut latest = (0, Vec::new());
    let is_back = churn.swarm.run(PATIENCE, &mut churn.ends, |_, _| {
        latest = (server.rss_kib(), server.descriptors());
        latest.0 <= kib + GROWTH_KIB_MAX && latest.1 == table
    });
    let name = name(backend);
    let (now_kib, now) = &latest;
    let figures =
        format!("{name} {kib} KiB after {FIRST_CYCLES} cycles, {now_kib} KiB after {ALL_CYCLES}");
    report(&figures);
    assert!(is_back, "{figures}; descriptors of each thread {table:?}, {now:?}");
}

/// The memory and the descriptors that are left when what the server gives back after a burst has
/// gone.
fn plateau(churn: &mut Churn, server: &Spawned) -> (u64, Vec<usize>) {
    let until = Instant::now() + BURST_OVER + seconds(3);
    let mut lowest = u64::MAX;
    while Instant::now() < until {
        churn.swarm.run_for(seconds(1) / 5, &mut churn.ends);
        lowest = lowest.min(server.rss_kib());
    }
    (lowest, server.descriptors())
}

/// Descriptors in the table of each thread of this process, which has the server's workers.
fn descriptors() -> Vec<usize> {
    let tasks = fs::read_dir("/proc/self/task").expect("proc(5)");
    let mut tasks: Vec<_> = tasks.filter_map(|task| Some(task.ok()?.path())).collect();
    tasks.sort();
    tasks.iter().filter_map(|task| Some(fs::read_dir(task.join("fd")).ok()?.count())).collect()
}
