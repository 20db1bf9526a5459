//! Ticks of timers wrap while a server runs: deadlines before, across and behind that are as long
//! as they always are.

use std::sync::Arc;
use std::time::Duration;

use testkit::client::handshake;
use throng::config::Config;
use throng::driver::Driver;
use throng::driver::sim::{Client, Net, SimDriver};
use throng::worker::{Shared, Worker, mailboxes};

/// Workers begin half a minute before the wrap, so that it lies in the middle.
const SPAN: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(20);
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PONG_TIMEOUT: Duration = Duration::from_secs(3);

/// A client, when it came, and how long it may stay.
struct Silent {
    client: Client,
    since: Duration,
    range: std::ops::Range<Duration>,
}

fn turn(worker: &mut Worker<SimDriver>) {
    (0..4).for_each(|_| worker.turn().expect("a simulated driver does not fail"));
}

#[test]
fn who_is_silent_stays_as_long_as_ever_when_ticks_wrap() {
    let net = Net::new(1);
    let mut driver = net.driver();
    driver.accept_connects();
    let mail = mailboxes(&[driver.waker()], 1).pop().expect("there is one");
    let (ping_interval, pong_timeout) = (PING_INTERVAL, PONG_TIMEOUT);
    let config = Config { ping_interval, pong_timeout, ..Config::default() };
    let mut worker =
        Worker::new(driver, Arc::new(Shared::new(config, 1, 1000)), Arc::default(), mail, 1000);
    let slack = Duration::from_millis(500);
    let mut silent: Vec<Silent> = Vec::new();
    let (mut passed, mut ended) = (Duration::ZERO, 0);
    while passed < SPAN || !silent.is_empty() {
        if passed < SPAN && passed.subsec_millis() == 0 {
            let client = net.connect(0);
            let timeout = Config::default().handshake_timeout;
            let range = timeout..timeout + slack;
            silent.push(Silent { client, since: passed, range });
            let client = net.connect(0);
            client.write(handshake("/echo", &[]).as_bytes());
            let range = PONG_TIMEOUT..PING_INTERVAL + PONG_TIMEOUT + slack;
            silent.push(Silent { client, since: passed, range });
        }
        net.advance(STEP);
        passed += STEP;
        turn(&mut worker);
        silent.retain(|Silent { client, since, range }| {
            let _pings = client.read();
            let stayed = passed - *since;
            assert!(stayed < range.end, "who came after {since:?} is still there");
            if client.is_ended() {
                assert!(stayed >= range.start, "who came after {since:?} was ended at {stayed:?}");
                ended += 1;
            }
            !client.is_ended()
        });
    }
    assert_eq!(ended, 2 * SPAN.as_secs());
}
