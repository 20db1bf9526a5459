//! How long somebody may take for the last bytes: minutes of it in no time.

use std::sync::Arc;
use std::time::Duration;

use throng::config::Config;
use throng::driver::Driver;
use throng::driver::sim::{Client, Net, SimDriver};
use throng::limits::{CLOSE_BYTES_PER_SECOND, CLOSE_TIMEOUT, CLOSE_TIMEOUT_MAX};
use throng::stats::{Counters, Counts};
use throng::worker::{Shared, Worker, mailboxes};

const SEEDS: u64 = 10;
const TURNS: usize = 10;
const STEP: Duration = Duration::from_millis(100);

const REQUEST: &[u8] = b"GET /room/a HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Binary, masked with zeros.
const MESSAGE: usize = 4000;
const HEAD: [u8; 8] = [0x82, 0x80 | 126, (MESSAGE >> 8) as u8, MESSAGE as u8, 0, 0, 0, 0];

/// What a member of the room gets of a message.
const DELIVERED: usize = 4 + MESSAGE;

const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
const CLOSED: [u8; 4] = [0x88, 0x02, 0x03, 0xe8];

struct Room {
    net: Net,
    worker: Worker<SimDriver>,
    counters: Arc<Counters>,
    slow: Client,
}

impl Room {
    /// With a member that does not read from here on, and so much waiting for it.
    fn with_messages(seed: u64, config: Config, messages: usize) -> Self {
        let net = Net::new(seed);
        let mut driver = net.driver();
        driver.accept_connects();
        let mail = mailboxes(&[driver.waker()], 1).pop().expect("one worker has one mailbox");
        let counters: Arc<Counters> = Arc::default();
        let shared = Arc::new(Shared::new(config, 10));
        let worker = Worker::new(driver, shared, Arc::clone(&counters), mail, 10);
        let slow = net.connect(0);
        let mut room = Self { net, worker, counters, slow };
        room.open(&room.slow.clone());
        room.publish(messages);
        room
    }

    fn connections(&self) -> u64 {
        let mut counts = Counts::default();
        counts.add(&self.counters);
        counts.connections()
    }

    fn turns(&mut self) {
        (0..TURNS).for_each(|_| self.worker.turn().expect("a simulated driver does not fail"));
    }

    fn open(&mut self, client: &Client) {
        client.write(REQUEST);
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            self.turns();
            response.extend(client.read());
        }
        assert!(response.starts_with(b"HTTP/1.1 101 "));
    }

    /// By one who comes and reads what it gets, and goes.
    fn publish(&mut self, messages: usize) {
        let publisher = self.net.connect(0);
        self.open(&publisher);
        for _ in 0..messages {
            publisher.write(&HEAD);
            publisher.write(&[0; MESSAGE]);
        }
        let mut came = 0;
        while came < messages * DELIVERED {
            self.turns();
            came += publisher.read().len();
        }
        publisher.reset();
        self.turns();
        assert_eq!(self.connections(), 1, "the publisher is gone");
    }

    fn pass(&mut self, span: Duration) {
        self.net.advance(span);
        self.turns();
    }

    /// How long the member stays that reads nothing.
    fn stays(&mut self) -> Duration {
        let mut waited = Duration::ZERO;
        while self.connections() > 0 {
            assert!(waited <= CLOSE_TIMEOUT_MAX * 2, "it holds its connection");
            self.pass(STEP);
            waited += STEP;
        }
        waited
    }
}

fn without_pings() -> Config {
    Config { ping_interval: Duration::ZERO, ..Config::default() }
}

/// Time added for so many bytes.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes / CLOSE_BYTES_PER_SECOND) as u64)
}

#[test]
fn who_reads_slowly_gets_all_that_comes_before_the_end() {
    const MESSAGES: usize = 60;
    const BYTES_PER_STEP: f64 = 3000.0;
    for seed in 0..SEEDS {
        let says_goodbye = seed % 2 == 0;
        let mut room = Room::with_messages(seed, without_pings(), MESSAGES);
        let slow = room.slow.clone();
        if says_goodbye {
            slow.write(&CLOSE)
        } else {
            slow.finish()
        }
        room.turns();
        let (mut got, mut waited) = (Vec::new(), Duration::ZERO);
        while !slow.is_ended() {
            got.extend(slow.read());
            let due = STEP.mul_f64(got.len() as f64 / BYTES_PER_STEP);
            let wait = due.saturating_sub(waited);
            room.pass(wait);
            waited += wait;
        }
        assert!(waited > CLOSE_TIMEOUT.mul_f64(1.5), "seed={seed}: {waited:?}");
        let end: &[u8] = if says_goodbye { &CLOSED } else { &[] };
        assert_eq!(got.len(), MESSAGES * DELIVERED + end.len(), "seed={seed}");
        assert!(got.ends_with(end) && !slow.is_reset(), "seed={seed}");
    }
}

#[test]
fn who_takes_nothing_is_cut() {
    const SIZE_MAX: usize = 128 << 10;
    let config = || Config { max_backlog: SIZE_MAX, max_message_size: SIZE_MAX, ..without_pings() };
    for seed in 0..SEEDS {
        let mut room = Room::with_messages(seed, config(), 10);
        if seed % 2 == 0 {
            room.slow.write(&CLOSE)
        } else {
            room.slow.finish()
        }
        room.turns();
        let stays = room.stays();
        let most = CLOSE_TIMEOUT + time_for(3 * SIZE_MAX) + 2 * STEP;
        assert!((CLOSE_TIMEOUT..=most).contains(&stays), "seed={seed}: {stays:?}");
    }
}

#[test]
fn who_takes_nothing_is_cut_within_a_minute_whatever_may_be_coming() {
    let config =
        Config { max_backlog: usize::MAX, max_message_size: usize::MAX, ..without_pings() };
    let mut room = Room::with_messages(1, config, 10);
    room.slow.write(&CLOSE);
    room.turns();
    let stays = room.stays();
    assert!(stays <= CLOSE_TIMEOUT_MAX + 2 * STEP, "{stays:?}");
}

#[test]
fn who_has_finished_is_cut_though_a_pong_may_take_longer() {
    let config = || Config {
        max_message_size: 64 << 10,
        ping_interval: Duration::from_secs(1),
        pong_timeout: Duration::from_secs(3600),
        ..Config::default()
    };
    for seed in 0..SEEDS {
        let mut room = Room::with_messages(seed, config(), 0);
        while room.slow.read().is_empty() {
            room.pass(STEP);
        }
        room.publish(10);
        room.slow.finish();
        room.turns();
        assert!(room.stays() <= CLOSE_TIMEOUT_MAX, "seed={seed}");
    }
}
