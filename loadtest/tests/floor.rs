//! The floor, measured for real on a few connections.

use std::process::Command;
use std::time::Duration;

use loadtest::floor::{Floor, Options, run};

fn options(connections: u32) -> Options {
    Options { connections, size: 100, rounds: 3, depth: 1, echo_size: 20, nap: Duration::ZERO }
}

#[test]
fn every_way_is_measured_and_coalescing_is_cheaper_than_single_sends() {
    let floor = run(&options(200)).expect("a host that runs the tests has two processors");
    assert!(floor.io_uring.is_some(), "{:?}", floor.io_uring_missing);
    for calls in [Some(floor.epoll), floor.io_uring].into_iter().flatten() {
        let costs = [calls.single, calls.coalesced, calls.echo];
        for cost in costs {
            assert!(cost.lowest_us > 0.0 && cost.median_us >= cost.lowest_us, "{floor}");
            let parts = cost.user_us + cost.system_us + cost.softirq_us;
            assert!((parts - cost.lowest_us).abs() < 1e-9, "{floor}");
        }
        assert!(calls.coalesced.lowest_us < calls.single.lowest_us / 2.0, "{floor}");
        assert!(calls.echo.lowest_us > calls.coalesced.lowest_us, "{floor}");
    }
}

#[test]
fn messages_in_flight_on_one_connection_share_calls() {
    let alone = run(&options(4)).expect("a host that runs the tests has two processors");
    let deep = run(&Options { depth: 64, ..options(4) }).expect("as before");
    let (alone, deep) = (alone.epoll.echo.lowest_us, deep.epoll.echo.lowest_us);
    assert!(deep < alone / 2.0, "{deep} us at a depth of 64, {alone} us at 1");
}

/// Bytes that the loopback device has carried.
fn carried() -> u64 {
    let devices = std::fs::read_to_string("/proc/net/dev").expect("it is there");
    let mut fields = devices.lines().filter_map(|line| line.trim().strip_prefix("lo:"));
    let received = fields.next().and_then(|fields| fields.split_whitespace().next());
    received.expect("every host has lo").parse().expect("it is a number")
}

#[test]
fn large_messages_are_carried_both_ways_whole() {
    let options = Options { echo_size: 16_384, rounds: 1, size: 1, ..options(200) };
    let before = carried();
    let floor = run(&options).expect("a host that runs the tests has two processors");
    assert_eq!(floor.echo_bytes, 16_384);
    assert!(floor.io_uring.is_some(), "{:?}", floor.io_uring_missing);
    // 100 on each connection, by epoll and by io_uring, once to warm up and once to count.
    let messages = 200 * 100 * 2 * 2;
    let (there, back) = (8 + 16_384, 4 + 16_384);
    let carried = carried() - before;
    assert!(carried >= messages * (there + back), "{carried} bytes");
}

#[test]
fn more_in_flight_than_a_socket_takes_is_refused() {
    let options = Options { echo_size: 16_384, depth: 4, ..options(1) };
    let error = run(&options).expect_err("it is too much").to_string();
    assert!(error.contains("a smaller --depth"), "{error}");
}

#[test]
fn one_processor_is_refused_with_the_remedy() {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_loadtest"), "floor"]);
    let output = command.output().expect("util-linux is there");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("`taskset -c 0,1`"), "{error}");
}

#[test]
fn the_command_writes_its_figures_as_json_too() {
    let file = std::env::temp_dir().join(format!("loadtest-floor-{}.json", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["floor", "--connections", "50", "--rounds", "1", "--json"]).arg(&file);
    let output = command.output().expect("the program was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::remove_file(&file).expect("it is ours");
    let floor: Floor = serde_json::from_str(&text).expect("it is what was promised");
    assert_eq!(floor.to_string(), String::from_utf8_lossy(&output.stdout));
}
