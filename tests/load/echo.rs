//! A megabyte through each of a thousand echoes, in random pieces.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::swarm::{BINARY, Link, Pattern, Rng, Swarm, TEXT, Target, Visitor, put_frame};
use throng::config::Backend;

use crate::support::{PATIENCE, config, report, seconds, start, stop};

on_both!(every_byte_comes_back);

const CLIENTS: usize = 1000;
const BYTES: usize = 1 << 20;

/// Clients that have begun and not got all back. With all at once what is on its way exceeds what
/// the kernel allows all sockets together (`net.ipv4.tcp_mem`) where others use some of it too:
/// it drops segments then, and eight retransmissions, each after twice the time of the last, take
/// 54 s.
const AT_ONCE: usize = 200;

/// Writes end somewhere below this.
const CUT_BYTES_MAX: usize = 300_000;

fn every_byte_comes_back(backend: Backend) {
    let (server, address) = start(config(backend, 2));
    let mut swarm = Swarm::new();
    let (sent, took) = exchange(&mut swarm, address);
    let counts = server.counts();
    assert_eq!((counts.messages_received, counts.closed), (sent, 0));
    report(&format!(
        "{CLIENTS} x 1 MiB in {sent} messages in {took:.1?}, paused {} times",
        counts.paused
    ));
    swarm.reset_all();
    stop(server);
}

/// Lets every client of a new swarm send its megabyte and get it back; gives the number of messages
/// and the time.
pub(crate) fn exchange(swarm: &mut Swarm, address: SocketAddr) -> (u64, Duration) {
    let seed = seed();
    let mut echoes = Echoes {
        seed,
        text: Pattern::text(BYTES),
        binary: Pattern::binary(BYTES),
        clients: (0..CLIENTS).map(|tag| Client::new(seed.0, tag)).collect(),
        complete: 0,
    };
    swarm.open(CLIENTS, &[Target::new(address, "/echo")], &mut echoes);
    let began = Instant::now();
    let mut begun = 0;
    let is_done = swarm.run(PATIENCE, &mut echoes, |swarm, echoes| {
        while begun < CLIENTS.min(echoes.complete + AT_ONCE) {
            echoes.drained(swarm.link(begun));
            begun += 1;
        }
        echoes.complete == CLIENTS
    });
    let took = began.elapsed();
    assert!(is_done, "{} clients in {took:?}", echoes.complete);
    swarm.run_for(seconds(1) / 5, &mut echoes);
    (echoes.clients.iter().map(|client| client.messages).sum(), took)
}

/// What decides every length; a failure shows it, and `THRONG_TEST_SEED` sets it.
#[derive(Clone, Copy)]
struct Seed(u64);

fn seed() -> Seed {
    let given = std::env::var("THRONG_TEST_SEED").ok();
    let given = given.map(|seed| seed.parse().expect("THRONG_TEST_SEED is a number"));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("1970 is over").as_nanos();
    Seed(given.unwrap_or_else(|| now() as u64))
}

struct Echoes {
    seed: Seed,
    text: Pattern,
    binary: Pattern,
    clients: Vec<Client>,
    complete: usize,
}

impl Drop for Echoes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("THRONG_TEST_SEED={}", self.seed.0);
        }
    }
}

struct Client {
    rng: Rng,
    /// The longest message; some send all in one.
    message_bytes_max: usize,
    /// Frames that were made, and how much of them was written.
    frames: Vec<u8>,
    written: usize,
    /// Payload bytes that were put into messages, and those that came back.
    made: usize,
    back: usize,
    messages: u64,
    /// First byte and length of each message on its way.
    expected: VecDeque<(u8, usize)>,
}

impl Client {
    fn new(seed: u64, tag: usize) -> Self {
        let rng = Rng::new(seed.wrapping_add(tag as u64));
        let message_bytes_max = [BYTES, 100_000, 20_000, 3_000][tag % 4];
        Self {
            rng,
            message_bytes_max,
            frames: Vec::new(),
            written: 0,
            made: 0,
            back: 0,
            messages: 0,
            expected: VecDeque::new(),
        }
    }

    /// Makes the next message, in fragments.
    fn make(&mut self, tag: usize, text: &Pattern, binary: &Pattern) {
        let is_text = self.rng.below(2) == 0;
        let (first, pattern) = if is_text { (TEXT, text) } else { (BINARY, binary) };
        let length = match tag % 8 {
            0 => BYTES,
            _ => (1 + self.rng.magnitude(self.message_bytes_max)).min(BYTES - self.made),
        };
        let payload = pattern.slice(name(tag, self.made), length);
        let (mut rest, mut opcode) = (payload, first & 0x0f);
        loop {
            let count = self.rng.magnitude(length).min(rest.len());
            let (fragment, others) = rest.split_at(count);
            // Some end with an empty fragment.
            let is_last = others.is_empty() && self.rng.below(8) > 0;
            let first = opcode | if is_last { 0x80 } else { 0 };
            put_frame(&mut self.frames, first, self.rng.number() as u32, &[fragment]);
            (rest, opcode) = (others, 0);
            if is_last {
                break;
            }
        }
        self.made += length;
        self.messages += 1;
        self.expected.push_back((first, length));
    }
}

impl Visitor for Echoes {
    /// Each piece is a write of its own, and ends in the middle of anything.
    fn drained(&mut self, link: &mut Link) {
        let client = &mut self.clients[link.tag];
        let wanted = 1 + client.rng.magnitude(CUT_BYTES_MAX);
        client.frames.drain(..client.written);
        while client.frames.len() < wanted && client.made < BYTES {
            client.make(link.tag, &self.text, &self.binary);
        }
        client.written = wanted.min(client.frames.len());
        link.queue(&client.frames[..client.written]);
    }

    fn frame(&mut self, link: &mut Link, first: u8, payload: &[u8]) {
        let client = &mut self.clients[link.tag];
        let expected = client.expected.pop_front();
        assert_eq!(expected, Some((first, payload.len())), "client {}", link.tag);
        let pattern = if first == TEXT { &self.text } else { &self.binary };
        let is_right = payload == pattern.slice(name(link.tag, client.back), payload.len());
        assert!(is_right, "client {}: other bytes than those behind {}", link.tag, client.back);
        client.back += payload.len();
        self.complete += usize::from(client.back == BYTES);
    }

    fn ended(&mut self, link: &Link, end: &testkit::swarm::End) {
        panic!("client {} was closed: {end:?}", link.tag);
    }
}

fn name(tag: usize, position: usize) -> u64 {
    (tag * BYTES + position) as u64
}
