//! What the operator's port costs a server that holds many connections.

use std::thread;
use std::time::Duration;

use testkit::client::{Address, Client};
use testkit::process::{Launch, Process};
use testkit::swarm::{Nobody, Swarm, Target};
use throng::config::Backend;
use throng::limits::TURN_BUDGET;

use crate::support::{name, program, report, seconds};

on_both_in_full!(a_scrape_with_ten_thousand_connections_takes_less_than_five_milliseconds);

const CONNECTIONS: usize = 10_000;
const SCRAPES: u32 = 10;

/// Within it one scrape is shared, so each of ours is a new one.
const INTERVAL: Duration = Duration::from_millis(1100);

/// CPU time of all threads, beside what they take without a scrape.
const SCRAPE_MAX: Duration = Duration::from_millis(5);

fn a_scrape_with_ten_thousand_connections_takes_less_than_five_milliseconds(backend: Backend) {
    let args = ["--backend", name(backend), "--listen", "127.0.0.1:0", "--workers", "2"];
    let launch = Launch::new(program()).args(args);
    let server = launch.args(["--operator", "127.0.0.1:0", "--ping-interval", "0"]).start();
    let operator = operator_of(&server);
    let mut swarm = Swarm::new();
    let target = Target::new(server.tcp(), "/room/a");
    swarm.open(CONNECTIONS, &[target], &mut Nobody);
    // What a burst leaves is given back after ten seconds, which would count.
    thread::sleep(seconds(20));

    let without = spent(&server, || thread::sleep(INTERVAL));
    let long_before = long_turns(&scrape(&operator));
    let with = spent(&server, || {
        thread::sleep(INTERVAL);
        let text = scrape(&operator);
        assert!(sum(&text, "throng_websockets{") == CONNECTIONS as f64, "{text}");
    });
    let each = with.saturating_sub(without) / SCRAPES;
    let long = long_turns(&scrape(&operator)) - long_before;
    report(&format!("a scrape takes {each:?} of CPU, {long} turns were over their budget"));
    assert!(each < SCRAPE_MAX, "{each:?}");
    assert_eq!(long, 0.0, "a turn over its budget");
}

fn operator_of(server: &Process) -> Address {
    let log = server.log();
    let line = log.lines().find_map(|line| line.split_once("operator port on http://"));
    line.expect("it is told").1.trim().parse().expect("it is an address")
}

/// CPU time of the server while something is done again and again.
fn spent(server: &Process, mut act: impl FnMut()) -> Duration {
    let before = server.scheduled_time();
    (0..SCRAPES).for_each(|_| act());
    server.scheduled_time() - before
}

fn scrape(operator: &Address) -> String {
    let mut client = Client::connect(operator).expect("it listens");
    client.write(format!("GET /metrics HTTP/1.1\r\nHost: {operator}\r\n\r\n").as_bytes());
    String::from_utf8(client.response().body).expect("it is text")
}

/// Turns that cost more than the budget.
fn long_turns(text: &str) -> f64 {
    let within = format!("le=\"{TURN_BUDGET}\"}}");
    let buckets = text.lines().filter(|line| line.starts_with("throng_worker_turn_units_bucket"));
    let within: Vec<&str> = buckets.filter(|line| line.contains(&within)).collect();
    assert_eq!(within.len(), 2, "a bucket of each worker ends with the budget: {text}");
    sum(text, "throng_worker_turn_units_count") - within.iter().map(|line| value(line)).sum::<f64>()
}

fn sum(text: &str, name: &str) -> f64 {
    text.lines().filter(|line| line.starts_with(name)).map(value).sum()
}

fn value(line: &str) -> f64 {
    let word = line.rsplit(' ').next().and_then(|word| word.parse().ok());
    word.expect("a line ends with its value")
}
