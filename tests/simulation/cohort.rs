//! A cohort of more connections than are pinged in a turn.

use std::sync::Arc;
use std::time::Duration;

use testkit::client::handshake;
use throng::config::Config;
use throng::driver::Driver;
use throng::driver::sim::{Client, Net, SimDriver};
use throng::limits::PINGS_PER_TURN;
use throng::stats::Counters;
use throng::worker::{Shared, Worker, mailboxes};

const CLIENTS: usize = PINGS_PER_TURN + PINGS_PER_TURN / 2;

/// So short that there is one cohort.
const PING_INTERVAL: Duration = Duration::from_millis(100);

/// Sends of a simulated network take some turns.
const TURNS_MAX: usize = 2000;

/// A worker with connections in one cohort, and what it counts.
fn worker(net: &Net, ping_interval: Duration) -> (Worker<SimDriver>, Arc<Counters>) {
    let mut driver = net.driver_with_budget(4 * CLIENTS);
    driver.accept_connects();
    let mail = mailboxes(&[driver.waker()], 1).pop().expect("there is one");
    let config = Config { ping_interval, pong_timeout: Duration::ZERO, ..Config::default() };
    let shared = Arc::new(Shared::new(config, 1, CLIENTS));
    let counters = Arc::<Counters>::default();
    (Worker::new(driver, shared, Arc::clone(&counters), mail, CLIENTS), counters)
}

#[test]
fn the_first_who_comes_after_a_quiet_time_is_not_pinged_at_once() {
    const INTERVAL: Duration = Duration::from_secs(25);
    for quiet in [1, 24, 26, 3000] {
        let net = Net::new(1);
        let (mut worker, counters) = worker(&net, INTERVAL);
        worker.turn().expect("a simulated driver does not fail");
        net.advance(Duration::from_secs(quiet));
        let client = net.connect(0);
        client.write(handshake("/echo", &[]).as_bytes());
        let mut passed = Duration::ZERO;
        while counters.pings.get() == 0 {
            (0..20).for_each(|_| worker.turn().expect("a simulated driver does not fail"));
            net.advance(Duration::from_millis(100));
            passed += Duration::from_millis(100);
            assert!(passed < 2 * INTERVAL, "it is pinged");
        }
        assert!(passed > INTERVAL - Duration::from_millis(300), "after {quiet} s: {passed:?}");
    }
}

#[test]
fn a_large_cohort_is_pinged_in_parts_and_nobody_left_out() {
    let net = Net::new(1);
    let (mut worker, counters) = worker(&net, PING_INTERVAL);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| net.connect(0)).collect();
    clients.iter().for_each(|client| client.write(handshake("/echo", &[]).as_bytes()));
    let mut heard = vec![Vec::new(); CLIENTS];
    let mut turns = 0;
    let mut turn = |heard: &mut Vec<Vec<u8>>| {
        worker.turn().expect("a simulated driver does not fail");
        turns += 1;
        assert!(turns < TURNS_MAX, "it comes to an end");
        heard.iter_mut().zip(&clients).for_each(|(heard, client)| heard.extend(client.read()));
        worker.time_to_sleep()
    };
    while !heard.iter().all(|heard| heard.ends_with(b"\r\n\r\n")) {
        turn(&mut heard);
    }
    assert_eq!(counters.pings.get(), 0);
    net.advance(PING_INTERVAL);
    heard.iter_mut().for_each(Vec::clear);
    assert_eq!(turn(&mut heard), Duration::ZERO, "the others wait");
    assert_eq!(counters.pings.get(), PINGS_PER_TURN as u64);
    turn(&mut heard);
    assert_eq!(counters.pings.get(), CLIENTS as u64);
    while !heard.iter().all(|heard| heard.len() >= 2) {
        turn(&mut heard);
    }
    assert!(heard.iter().all(|heard| heard == b"\x89\x00"), "one ping for each");
}
