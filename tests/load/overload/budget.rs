//! More than the server may take in memory: messages that are never finished, and readers that
//! stop. The process stays within its bound, and who does nothing wrong notices nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{Address, Client, Got, Shape, binary};
use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor, memory};
use throng::config::Backend;

use super::crowd::{Crowd, Script};
use super::peer::request;
use crate::support::{PATIENCE, name, report, seconds, spawn};

on_both_in_full!(unfinished_messages_and_stopped_readers_stay_within_the_memory_that_was_set);

const MEMORY: &str = "256MiB";
const PEAK_KIB_MAX: u64 = 400 * 1024;

/// A server that takes so much is ended: this machine has other uses for it.
const ABORT_KIB: u64 = 2 << 20;

/// Clients that leave a message unfinished, on so many threads, and how long they try.
const HOLDERS: usize = 20_000;
const THREADS: usize = 4;
const MESSAGE_BYTES: usize = 1 << 20;
const HOLDING: Duration = seconds(60);

/// Readers that stop, and how long a publisher goes on.
const STOPPED: usize = 2000;
const PUBLISHING: Duration = seconds(40);

/// Clients that do nothing wrong: half of them echo, half are in a room.
const HONEST: usize = 40;

/// What the holders were told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    held: usize,
    refused: usize,
    try_again_later: usize,
    ended: usize,
}

fn unfinished_messages_and_stopped_readers_stay_within_the_memory_that_was_set(backend: Backend) {
    let args = ["--workers", "2", "--memory", MEMORY, "--ping-interval", "0"];
    let server = spawn(backend, &args);
    let address = server.address();
    let (is_over, must_stop) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let (told, published, peak_kib) = thread::scope(|scope| {
        let honest = memory::beside(scope, || honest(address, must_stop));
        let readers = memory::beside(scope, || stopped_readers(address, is_over));
        let holders: Vec<_> = (0..THREADS)
            .map(|_| memory::beside(scope, || holders(address, HOLDERS / THREADS, is_over)))
            .collect();
        watch(&server, is_over, || {
            readers.is_finished() && holders.iter().all(|it| it.is_finished())
        });
        must_stop.store(true, Ordering::Relaxed);
        let told: Vec<Told> =
            holders.into_iter().map(|it| it.join().expect("it only looks")).collect();
        let published = readers.join().expect("the publisher is not closed");
        honest.join().expect("who does nothing wrong loses nothing");
        (told, published, server.peak_rss_kib())
    });
    let sum = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    let (held, ended) = (sum(|told| told.held), sum(|told| told.ended));
    let (refused, later) = (sum(|told| told.refused), sum(|told| told.try_again_later));
    let counts = server.stop_and_count(PATIENCE);
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort();
    report(&format!(
        "{}: peak {} MiB of {MEMORY}; of {HOLDERS} messages {held} are held, {refused} got 503, \
         {later} got 1013, {ended} ended in all; {published} messages to {STOPPED} that stopped; \
         {counts:?}",
        name(backend),
        peak_kib >> 10,
    ));
    assert!(peak_kib <= PEAK_KIB_MAX, "{peak_kib} KiB");
    assert!(refused + later > 0, "so much is not there, so some are told");
}

/// Ends the others early where the server takes far too much.
fn watch(server: &Spawned, is_over: &AtomicBool, are_done: impl Fn() -> bool) {
    while !are_done() {
        thread::sleep(Duration::from_millis(50));
        if server.rss_kib() > ABORT_KIB {
            is_over.store(true, Ordering::Relaxed);
        }
    }
}

fn holders(address: SocketAddr, count: usize, is_over: &AtomicBool) -> Told {
    let frame = Shape::new(2).with(&vec![7; MESSAGE_BYTES]);
    let mut first = request(address, "/echo", "");
    first.extend_from_slice(&frame[..frame.len() - 1]);
    let mut crowd = Crowd::connect(address, count, Script { first, again: Vec::new() });
    crowd.run_until(HOLDING, |crowd| {
        is_over.load(Ordering::Relaxed) || crowd.written() + crowd.ended() >= count
    });
    // What the last ones are told is still on its way.
    crowd.run_for(seconds(2));
    Told {
        held: count - crowd.ended(),
        refused: crowd.ended_behind(b" 503 "),
        try_again_later: crowd.ended_behind(&1013_u16.to_be_bytes()),
        ended: crowd.ended(),
    }
}

/// Opens readers that never read, and publishes small messages of which none is like another.
fn stopped_readers(address: SocketAddr, is_over: &AtomicBool) -> u64 {
    let address = Address::from(address);
    let stopped: Vec<Option<Client>> = (0..STOPPED)
        .map(|_| {
            let mut client = Client::connect_with(&address, Some(16 << 10)).ok()?;
            client.try_write(testkit::client::handshake("/room/slow", &[]).as_bytes()).ok()?;
            Some(client)
        })
        .collect();
    let mut publisher = Client::open(&address, "/room/slow");
    let (began, mut number) = (Instant::now(), 0_u64);
    while began.elapsed() < PUBLISHING && !is_over.load(Ordering::Relaxed) {
        let burst = (number..number + 50).map(|number| number.to_be_bytes());
        publisher.write(&burst.clone().flat_map(|number| binary(&number)).collect::<Vec<u8>>());
        for expected in burst {
            match publisher.frame_within(PATIENCE) {
                Got::Frame(frame) => assert_eq!(frame.payload, expected),
                other => panic!("the publisher reads, but: {other:?}"),
            }
        }
        number += 50;
    }
    drop(stopped);
    number
}

struct Honest {
    /// Messages that each has sent, and how many of the room each has got.
    sent: [u64; HONEST],
    got: [u64; HONEST],
    must_stop: bool,
}

impl Honest {
    fn new() -> Self {
        Self { sent: [0; HONEST], got: [0; HONEST], must_stop: false }
    }

    /// Client 1 is the one that publishes; the even ones echo.
    fn sends(tag: usize) -> bool {
        tag == 1 || tag.is_multiple_of(2)
    }

    fn send(&mut self, link: &mut Link) {
        if Self::sends(link.tag) && !self.must_stop {
            link.frame(BINARY, &[&self.sent[link.tag].to_be_bytes()]);
            self.sent[link.tag] += 1;
        }
    }

    fn have_all(&self) -> bool {
        (0..HONEST).all(|tag| {
            let from = if tag.is_multiple_of(2) { tag } else { 1 };
            self.got[tag] == self.sent[from]
        })
    }
}

impl Visitor for Honest {
    fn frame(&mut self, link: &mut Link, _first: u8, payload: &[u8]) {
        assert_eq!(payload, self.got[link.tag].to_be_bytes(), "client {} loses one", link.tag);
        self.got[link.tag] += 1;
        self.send(link);
    }

    fn ended(&mut self, link: &Link, end: &End) {
        panic!("client {} has done nothing wrong and is closed: {end:?}", link.tag);
    }
}

fn honest(address: SocketAddr, must_stop: &AtomicBool) {
    let targets = ["/echo", "/room/honest"].map(|path| Target::new(address, path));
    let (mut swarm, mut honest) = (Swarm::new(), Honest::new());
    swarm.open(HONEST, &targets, &mut honest);
    (0..HONEST).for_each(|key| honest.send(swarm.link(key)));
    while !must_stop.load(Ordering::Relaxed) {
        swarm.turn(Duration::from_millis(20), &mut honest);
    }
    honest.must_stop = true;
    let have_all = swarm.run(PATIENCE, &mut honest, |_, honest| honest.have_all());
    assert!(have_all, "sent {:?}, got {:?}", honest.sent, honest.got);
    swarm.reset_all();
}
