//! What a turn costs, whatever clients send, and that everybody else gets on meanwhile.

use std::sync::Arc;

use testkit::client::{Shape, binary, close, handshake, ping, text};
use throng::config::Config;
use throng::driver::Driver;
use throng::driver::sim::{Client, Net, SimDriver};
use throng::limits::{RECEIVE_BYTES, SLICE_COST, TURN_BUDGET};
use throng::stats::{Counters, Counts};
use throng::worker::{Shared, Worker, mailboxes};

use crate::deflate::deflate;

/// Of a turn, where a delivery is to take many of them.
const SMALL_BUDGET: u32 = 400_000;

/// What the last item of each of four phases may cost beyond the budget.
const BEYOND: u64 = 4 * SLICE_COST as u64;

/// In how many turns an echo is answered, however much others send: those of a simulated network
/// that is late now and then.
const ECHO_TURNS_MAX: usize = 60;

struct Server {
    net: Net,
    workers: Vec<Worker<SimDriver>>,
    counters: Vec<Arc<Counters>>,
    budget: u32,
    most: u64,
}

impl Server {
    fn new(count: usize, budget: u32) -> Self {
        let net = Net::new(7);
        let drivers: Vec<SimDriver> =
            (0..count).map(|_| net.driver_with_budget(RECEIVE_BYTES)).collect();
        let wakers: Vec<_> = drivers.iter().map(Driver::waker).collect();
        let config = Config { turn_budget: budget, max_backlog: 64 << 20, ..Config::default() };
        let shared = Arc::new(Shared::new(config, count, 100_000));
        let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
        let workers = drivers.into_iter().zip(mailboxes(&wakers, 1024)).zip(&counters).map(
            |((mut driver, mail), counters)| {
                driver.accept_connects();
                Worker::new(driver, Arc::clone(&shared), Arc::clone(counters), mail, 100_000)
            },
        );
        Self { net, workers: workers.collect(), counters, budget, most: 0 }
    }

    fn turn(&mut self) {
        for worker in &mut self.workers {
            worker.turn().expect("a simulated driver does not fail");
            self.most = self.most.max(worker.work());
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.counters.iter().for_each(|counters| counts.add(counters));
        counts
    }

    fn connect(&mut self, at: usize, path: &str, fields: &[&str]) -> Client {
        let client = self.net.connect(at);
        client.write(handshake(path, fields).as_bytes());
        client
    }

    fn open(&mut self, at: usize, path: &str, fields: &[&str]) -> Client {
        let client = self.connect(at, path, fields);
        let mut came = Vec::new();
        self.wait_for(|| {
            came.extend(client.read());
            came.ends_with(b"\r\n\r\n")
        });
        client
    }

    fn wait_for(&mut self, mut has_come: impl FnMut() -> bool) -> usize {
        for turns in 0..20_000 {
            if has_come() {
                return turns;
            }
            self.turn();
        }
        panic!("it does not come");
    }

    /// Turns until an echo is there.
    fn echo(&mut self, client: &Client) -> usize {
        client.write(&text("hello"));
        let mut came = Vec::new();
        self.wait_for(|| {
            came.extend(client.read());
            came.ends_with(b"hello")
        })
    }

    fn check(&self) {
        let bound = u64::from(self.budget) + BEYOND;
        assert!(self.most <= bound, "a turn costs {} where {bound} is the bound", self.most);
    }
}

/// Another client's echo while these flood; the turns it takes, at most.
fn flooded(path: &str, fields: &[&str], unit: &[u8]) {
    const FLOODERS: usize = 100;
    let mut server = Server::new(1, TURN_BUDGET);
    let other = server.open(0, "/echo", &[]);
    let flooders: Vec<Client> = (0..FLOODERS)
        .map(|_| {
            let flooder = server.net.connect(0);
            if fields != ["none"] {
                flooder.write(handshake(path, fields).as_bytes());
            }
            flooder
        })
        .collect();
    let bytes = unit.repeat((60_000 / unit.len()).max(1));
    let mut slowest = 0;
    for _ in 0..10 {
        for flooder in &flooders {
            flooder.write(&bytes);
            let _ = flooder.read();
        }
        slowest = slowest.max(server.echo(&other));
    }
    server.check();
    assert!(slowest <= ECHO_TURNS_MAX, "an echo takes {slowest} turns");
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";

#[test]
fn texts_do_not_make_a_turn_long() {
    flooded("/echo", &[], &text("x"));
}

#[test]
fn pings_do_not_make_a_turn_long() {
    flooded("/echo", &[], &ping(b"12345678"));
}

#[test]
fn pings_behind_publishes_do_not_make_a_turn_long() {
    flooded("/room/a", &[], &[text("x"), ping(b"1")].concat());
}

#[test]
fn pongs_and_empty_fragments_do_not_make_a_turn_long() {
    flooded("/echo", &[], &Shape::new(10).with(b""));
    let fragments = [Shape::new(0).unfinished().with(b"")].concat();
    let begin = Shape::new(2).unfinished().with(b"");
    flooded("/echo", &[], &[begin, fragments.repeat(3000)].concat());
}

#[test]
fn requests_do_not_make_a_turn_long() {
    flooded("", &["none"], b"GET /n HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn what_inflates_does_not_make_a_turn_long() {
    let bomb = Shape::new(2).reserved(0x40).with(&deflate(&[0; 60_000]));
    flooded("/echo", &[DEFLATE], &bomb);
}

#[test]
fn mail_that_is_to_be_compressed_does_not_make_a_turn_long() {
    const MESSAGES: usize = 300;
    let mut server = Server::new(2, SMALL_BUDGET);
    let publisher = server.open(0, "/room/a", &[]);
    let member = server.open(1, "/room/a", &[DEFLATE]);
    let other = server.open(1, "/echo", &[]);
    let payload: Vec<u8> = (0..30_000_u32).map(|at| ((at * at) >> 7) as u8).collect();
    (0..MESSAGES).for_each(|_| publisher.write(&binary(&payload)));
    let mut slowest = 0;
    for _ in 0..100 {
        slowest = slowest.max(server.echo(&other));
        let _ = (publisher.read(), member.read());
    }
    let counters = Arc::clone(&server.counters[1]);
    server.wait_for(|| {
        let _ = (publisher.read(), member.read());
        counters.messages_delivered.get() == MESSAGES as u64
    });
    server.check();
    assert!(slowest <= ECHO_TURNS_MAX, "an echo takes {slowest} turns");
}

/// One room with many members and a tiny budget: others come, go and talk meanwhile.
#[test]
fn a_delivery_to_a_large_room_lets_others_get_on() {
    const MEMBERS: usize = 3000;
    let mut server = Server::new(2, SMALL_BUDGET);
    let mut members: Vec<Client> =
        (0..MEMBERS).map(|_| server.connect(0, "/room/large", &[])).collect();
    server.wait_for({
        let counters = Arc::clone(&server.counters[0]);
        move || counters.upgraded.get() == MEMBERS as u64
    });
    let elsewhere = server.open(1, "/room/large", &[]);
    let (echo, small) = (server.open(0, "/echo", &[]), server.open(0, "/room/small", &[]));
    (0..200).for_each(|_| server.turn());
    for member in &members {
        assert!(member.read().ends_with(b"\r\n\r\n"), "it is let in");
    }
    server.most = 0;
    let publisher = members.pop().expect("there are many");
    publisher.write(&text("to all"));
    let began = server.counts();
    let delivered = |server: &Server| server.counts().messages_delivered - began.messages_delivered;
    server.wait_for(|| !elsewhere.read().is_empty());
    assert!(delivered(&server) < MEMBERS as u64 / 2, "it takes many turns");
    // In the middle of it one leaves, one joins and says something, and one asks for a pong.
    let leaver = members.remove(MEMBERS / 3);
    leaver.write(&[text("bye"), close(1000)].concat());
    let asker = members.swap_remove(7);
    asker.write(&[text("and you?"), ping(b"now")].concat());
    let late = server.open(0, "/room/large", &[]);
    let (mut echoes, mut talks) = (0, 0);
    while delivered(&server) < MEMBERS as u64 / 2 {
        echoes = echoes.max(server.echo(&echo));
        talks = talks.max(server.echo(&small));
    }
    assert!(echoes <= ECHO_TURNS_MAX, "an echo takes {echoes} turns");
    assert!(talks <= ECHO_TURNS_MAX, "a message in a small room takes {talks} turns");
    let all = (MEMBERS - 1) * 3 + 3;
    server.wait_for({
        let counters = server.counters.clone();
        let before = began.messages_delivered + (talks > 0) as u64;
        move || {
            let sum: u64 = counters.iter().map(|c| c.messages_delivered.get()).sum();
            sum >= before + all as u64
        }
    });
    (0..400).for_each(|_| server.turn());
    server.check();
    let expected = [b"\x81\x06to all".as_slice(), b"\x81\x03bye", b"\x81\x08and you?"];
    for member in &members {
        let got = member.read();
        assert!(got.starts_with(expected[0]), "{got:?}");
        let others = [expected[1..].concat(), [expected[2], expected[1]].concat()];
        assert!(others.contains(&got[8..].to_vec()), "{got:?}");
    }
    let asked = asker.read();
    let place = |what: &[u8]| asked.windows(what.len()).position(|bytes| bytes == what);
    let (own, pong) = (place(expected[2]), place(b"\x8a\x03now"));
    assert!(own.is_some() && own < pong, "a pong comes behind what was published: {asked:?}");
    let left = leaver.read();
    assert!(left.ends_with(b"\x81\x03bye\x88\x02\x03\xe8"), "its own word, then the end: {left:?}");
    assert!(left.starts_with(expected[0]));
    let late = late.read();
    assert!(!late.windows(6).any(|bytes| bytes == b"to all"), "it came behind the cursor");
}
