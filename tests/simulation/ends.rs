//! How long somebody may take for what is sent: minutes of it in no time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use testkit::client::{binary, close, handshake, pong};
use throng::config::Config;
use throng::driver::Driver;
use throng::driver::sim::{Client, Net, SimDriver};
use throng::limits::{CLOSE_TIMEOUT, LETTING_GO_MAX, TAKE_TIMEOUT};
use throng::stats::{Counters, Counts};
use throng::worker::{Shared, Worker, mailboxes};

use crate::world::Rewrites;

pub(crate) const SEEDS: u64 = 10;
const TURNS: usize = 10;
pub(crate) const STEP: Duration = Duration::from_millis(100);
/// Of the options.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

/// Of a message.
const PAYLOAD: usize = 4000;

/// What a member of the room gets of a message.
const DELIVERED: usize = 4 + PAYLOAD;

const NORMAL: &[u8] = b"\x88\x02\x03\xe8";
const GOING_AWAY: &[u8] = b"\x88\x1e\x03\xe9server stops; retry-after=1s";

const PAGE: &[u8] = b"GET /chat.js HTTP/1.1\r\nHost: sim\r\n\r\n";

/// How a client says that it is done.
#[derive(Clone, Copy, Debug)]
enum Done {
    Close,
    Finish,
    /// It finishes, and the server is stopped.
    FinishAndStop,
}

const WAYS: [Done; 3] = [Done::Close, Done::Finish, Done::FinishAndStop];

pub(crate) struct Server {
    pub(crate) net: Net,
    worker: Worker<SimDriver>,
    counters: Arc<Counters>,
    shared: Arc<Shared>,
    /// Connections are written out and read back between turns.
    pub(crate) rewrites: Rewrites,
}

impl Server {
    pub(crate) fn new(seed: u64, config: Config) -> Self {
        let net = Net::new(seed);
        let mut driver = net.driver();
        driver.accept_connects();
        let mail = mailboxes(&[driver.waker()], 1).pop().expect("one worker has one mailbox");
        let counters: Arc<Counters> = Arc::default();
        let shared = Arc::new(Shared::new(config, 1, 10));
        let worker = Worker::new(driver, Arc::clone(&shared), Arc::clone(&counters), mail, 10);
        let is_odd = !seed.is_multiple_of(2);
        let rewrites = if is_odd { Rewrites::all() } else { Rewrites::default() };
        Self { net, worker, counters, shared, rewrites }
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        counts.add(&self.counters);
        counts
    }

    pub(crate) fn turns(&mut self) {
        for _ in 0..TURNS {
            self.rewrites.rewrite(&mut self.worker).expect("it is read back");
            self.worker.turn().expect("a simulated driver does not fail");
        }
    }

    pub(crate) fn open(&mut self, path: &str) -> Client {
        let client = self.net.connect(0);
        client.write(handshake(path, &[]).as_bytes());
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            assert!(!client.is_ended(), "it is let in");
            self.turns();
            response.extend(client.read());
        }
        assert!(response.starts_with(b"HTTP/1.1 101 "));
        client
    }

    /// A member of a room for whom so many messages wait.
    fn member_behind(&mut self, messages: usize) -> Client {
        let member = self.open("/room/a");
        self.publish(messages);
        member
    }

    /// By one who comes and reads what it gets, and goes.
    fn publish(&mut self, messages: usize) {
        let publisher = self.open("/room/a");
        for _ in 0..messages {
            publisher.write(&binary(&[0; PAYLOAD]));
        }
        let mut came = 0;
        while came < messages * DELIVERED {
            assert!(!publisher.is_ended(), "it is kept");
            self.turns();
            came += publisher.read().len();
        }
        publisher.reset();
        self.turns();
        assert_eq!(self.counts().connections(), 1, "the publisher is gone");
    }

    fn end(&mut self, client: &Client, how: Done) {
        match how {
            Done::Close => client.write(&close(1000)),
            Done::Finish | Done::FinishAndStop => client.finish(),
        }
        self.turns();
        if matches!(how, Done::FinishAndStop) {
            self.stop();
        }
    }

    /// The network goes on to accept, so the worker waits for the last of that as long as it may.
    pub(crate) fn stop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.turns();
        self.pass(LETTING_GO_MAX);
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.net.advance(span);
        self.turns();
    }

    /// How long a client stays that reads nothing, within an hour.
    pub(crate) fn stays(&mut self) -> Duration {
        let mut waited = Duration::ZERO;
        while self.counts().connections() > 0 && waited < HOUR {
            self.pass(STEP);
            waited += STEP;
        }
        waited
    }

    /// What a client gets that reads a little every so often, and how long that takes.
    fn reads_every(&mut self, span: Duration, client: &Client) -> (Vec<u8>, Duration) {
        let (mut got, mut waited) = (Vec::new(), Duration::ZERO);
        while !client.is_ended() && waited < HOUR * 24 {
            got.extend(client.read());
            self.pass(span);
            waited += span;
        }
        (got, waited)
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Where the server may take its time to stop.
fn patient(config: Config) -> Config {
    Config { drain: HOUR, ..config }
}

pub(crate) fn without_pings() -> Config {
    patient(Config { ping_interval: Duration::ZERO, ..Config::default() })
}

fn with_hasty_pings() -> Config {
    patient(Config { ping_interval: secs(1), pong_timeout: secs(1), ..Config::default() })
}

/// Nearly as long as it may, each time.
#[test]
fn who_reads_slowly_gets_all_that_comes_before_the_end() {
    const MESSAGES: usize = 40;
    for (seed, how) in (0..SEEDS).flat_map(|seed| WAYS.map(|how| (seed, how))) {
        for config in [without_pings(), with_hasty_pings()] {
            let mut server = Server::new(seed, config);
            let slow = server.member_behind(MESSAGES);
            server.end(&slow, how);
            // A server that stops has no more time than for the last answers.
            let is_stopped = matches!(how, Done::FinishAndStop);
            let often = if is_stopped { STEP / 10 } else { TAKE_TIMEOUT.mul_f64(0.98) };
            let (got, waited) = server.reads_every(often, &slow);
            assert!(waited > often * 2, "seed={seed} {how:?}: {waited:?}");
            assert!(slow.is_ended() && !slow.is_reset(), "seed={seed} {how:?}");
            let end: &[u8] = match how {
                Done::Close => NORMAL,
                Done::Finish => &[],
                Done::FinishAndStop => GOING_AWAY,
            };
            assert_eq!(&got[MESSAGES * DELIVERED..], end, "seed={seed} {how:?}");
        }
    }
}

/// The ping went before it had finished, and messages are still to come.
#[test]
fn who_has_finished_owes_no_pong() {
    const MESSAGES: usize = 20;
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, with_hasty_pings());
        let slow = server.member_behind(MESSAGES);
        while server.counts().pings == 0 {
            server.pass(STEP);
        }
        let (sends, mut got) = (server.counts().sends, Vec::new());
        while server.counts().sends == sends {
            assert!(!slow.is_ended(), "seed={seed}");
            got.extend(slow.read());
            server.pass(STEP);
        }
        server.publish(MESSAGES);
        server.end(&slow, Done::Finish);
        got.extend(server.reads_every(secs(1), &slow).0);
        assert_eq!(server.counts().pings, 1, "seed={seed}");
        assert_eq!(got.len(), 2 + 2 * MESSAGES * DELIVERED, "seed={seed}");
    }
}

#[test]
fn who_takes_nothing_at_the_end_is_cut() {
    for (seed, how) in (0..SEEDS).flat_map(|seed| WAYS.map(|how| (seed, how))) {
        for config in [without_pings(), with_hasty_pings()] {
            let mut server = Server::new(seed, config);
            let slow = server.member_behind(10);
            server.end(&slow, how);
            let stays = server.stays();
            let most = CLOSE_TIMEOUT + TAKE_TIMEOUT + 2 * STEP;
            assert!((CLOSE_TIMEOUT..=most).contains(&stays), "seed={seed} {how:?}: {stays:?}");
        }
    }
}

#[test]
fn who_has_finished_is_cut_though_a_pong_may_take_longer() {
    let config = || Config { ping_interval: secs(1), pong_timeout: HOUR, ..without_pings() };
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, config());
        let slow = server.member_behind(0);
        while slow.read().is_empty() {
            server.pass(STEP);
        }
        server.publish(10);
        slow.finish();
        server.turns();
        let (stays, most) = (server.stays(), CLOSE_TIMEOUT + TAKE_TIMEOUT + 2 * STEP);
        assert!((CLOSE_TIMEOUT..=most).contains(&stays), "seed={seed}: {stays:?}");
    }
}

#[test]
fn a_member_who_takes_nothing_is_cut_in_time() {
    for seed in 0..SEEDS {
        let config = Config::default();
        let (interval, timeout) = (config.ping_interval, config.send_timeout);
        let mut server = Server::new(seed, config);
        let silent = server.member_behind(10);
        // A first send that is taken in the end.
        while server.counts().pings == 0 {
            server.pass(STEP);
        }
        while !silent.read().is_empty() {
            server.turns();
        }
        silent.write(&pong(b""));
        server.publish(10);
        let stays = server.stays();
        assert!(
            (timeout..=interval + timeout + 2 * STEP).contains(&stays),
            "seed={seed}: {stays:?}"
        );
        assert_eq!(server.counts().closed_slow, 1, "seed={seed}");
    }
}

#[test]
fn who_owes_a_pong_and_takes_nothing_is_cut_in_time_too() {
    for seed in 0..SEEDS {
        let config = Config { pong_timeout: HOUR * 2, ..Config::default() };
        let (interval, timeout) = (config.ping_interval, config.send_timeout);
        let mut server = Server::new(seed, config);
        let silent = server.open("/room/a");
        // The ping is taken and not answered.
        while silent.read().is_empty() {
            server.pass(STEP);
        }
        server.publish(10);
        let stays = server.stays();
        assert!(stays <= interval + timeout + 2 * STEP, "seed={seed}: {stays:?}");
        assert_eq!(server.counts().closed_slow, 1, "seed={seed}");
    }
}

#[test]
fn an_echo_client_that_takes_nothing_is_cut_in_time() {
    for seed in 0..SEEDS {
        let config = Config { max_backlog: 64 << 10, ..Config::default() };
        let (interval, timeout) = (config.ping_interval, config.send_timeout);
        let mut server = Server::new(seed, config);
        let silent = server.open("/echo");
        (0..60).for_each(|_| silent.write(&binary(&[0; PAYLOAD])));
        server.turns();
        (0..10).for_each(|_| server.turns());
        assert_eq!(server.counts().paused, 1, "seed={seed}");
        let stays = server.stays();
        assert!(
            (timeout..=interval + timeout + 2 * STEP).contains(&stays),
            "seed={seed}: {stays:?}"
        );
    }
}

#[test]
fn who_takes_a_little_now_and_then_is_kept() {
    const MESSAGES: usize = 40;
    let config = || Config { pong_timeout: Duration::ZERO, ..Config::default() };
    let often = config().send_timeout.mul_f64(0.98);
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, config());
        let slow = server.member_behind(MESSAGES);
        let mut got = 0;
        while got < MESSAGES * DELIVERED {
            assert!(!slow.is_ended(), "seed={seed}: {got} bytes came");
            got += slow.read().len();
            server.pass(often);
        }
    }
}

#[test]
fn a_send_timeout_of_zero_is_none() {
    let config = Config { send_timeout: Duration::ZERO, ..Config::default() };
    let mut server = Server::new(1, config);
    let _silent = server.member_behind(10);
    assert_eq!(server.stays(), HOUR);
}

#[test]
fn who_reads_slowly_gets_every_page() {
    const PAGES: usize = 50;
    let often = TAKE_TIMEOUT.mul_f64(0.98);
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        let slow = server.net.connect(0);
        slow.write(&PAGE.repeat(PAGES));
        server.turns();
        let (got, waited) = server.reads_every(often, &slow);
        assert!(waited > often * 5, "seed={seed}: {waited:?}");
        let heads = got.windows(12).filter(|part| part == b"HTTP/1.1 200").count();
        assert_eq!(heads, PAGES, "seed={seed}");
    }
}

/// It asks on, a little each time.
#[test]
fn who_asks_on_and_takes_no_page_is_cut() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        let silent = server.net.connect(0);
        silent.write(&PAGE.repeat(10));
        let mut waited = Duration::ZERO;
        while server.counts().connections() > 0 || waited.is_zero() {
            // What its side takes at first may come late.
            assert!(waited < HANDSHAKE_TIMEOUT + 2 * TAKE_TIMEOUT + secs(36), "seed={seed}");
            server.pass(secs(9));
            waited += secs(9);
            silent.write(b"GET /none HTTP/1.1\r\nHost: sim\r\n\r\n");
        }
    }
}

/// Its request waits behind a page, and is cut with it.
#[test]
fn who_takes_no_page_and_asks_for_an_upgrade_is_cut() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, Config::default());
        let silent = server.net.connect(0);
        silent.write(&PAGE.repeat(10));
        server.turns();
        server.pass(HANDSHAKE_TIMEOUT + STEP);
        silent.write(handshake("/echo", &[]).as_bytes());
        server.turns();
        assert_eq!(server.counts().upgraded, 0, "seed={seed}");
        assert!(server.stays() < secs(100), "seed={seed}");
    }
}

/// With a ping that has gone, to which nobody waits for an answer.
#[test]
fn who_takes_nothing_is_cut_without_a_pong_timeout_too() {
    for seed in 0..SEEDS {
        let config = Config { pong_timeout: Duration::ZERO, ..Config::default() };
        let mut server = Server::new(seed, config);
        let _silent = server.member_behind(0);
        while server.counts().pings == 0 {
            server.pass(STEP);
        }
        server.publish(10);
        assert!(server.stays() < secs(100), "seed={seed}");
    }
}

#[test]
fn who_takes_no_page_is_cut() {
    for seed in 0..SEEDS {
        let mut server = Server::new(seed, without_pings());
        server.net.connect(0).write(&PAGE.repeat(100));
        server.turns();
        let stays = server.stays();
        // Some pages leave before one does not.
        let most = HANDSHAKE_TIMEOUT + TAKE_TIMEOUT + 5 * STEP;
        assert!((HANDSHAKE_TIMEOUT..=most).contains(&stays), "seed={seed}: {stays:?}");
    }
}

/// It has answers coming and more requests behind them, which are not read before.
#[test]
fn a_stalled_connection_is_told_when_it_goes_on_that_the_server_stops() {
    for (seed, pages) in (0..SEEDS).flat_map(|seed| [1, 2, 3, 20].map(|pages| (seed, pages))) {
        let mut server = Server::new(seed, Config { max_backlog: 8 << 10, ..without_pings() });
        let slow = server.net.connect(0);
        slow.write(&PAGE.repeat(pages));
        server.turns();
        server.stop();
        let (got, waited) = server.reads_every(STEP, &slow);
        assert!(waited < HANDSHAKE_TIMEOUT, "seed={seed}: {waited:?}");
        assert!(got.starts_with(b"HTTP/1.1 200"), "seed={seed}: what was asked is answered");
        assert!(slow.is_ended() && !slow.is_reset(), "seed={seed}");
    }
}
