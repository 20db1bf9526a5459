//! Variables of the environment: empty ones, bad ones, unknown ones.

use testkit::process::Launch;

use crate::support::{PROGRAM, ms};

const NAMES: [&str; 8] =
    ["LISTEN", "WORKERS", "BACKEND", "MAX_CONNECTIONS", "MAX_BACKLOG", "PIN", "DRAIN", "LOG_LEVEL"];

fn throng() -> Launch {
    Launch::new(PROGRAM)
}

#[test]
fn an_empty_variable_is_not_set() {
    let launch = NAMES.iter().fold(throng(), |all, name| all.env(&format!("THRONG_{name}"), ""));
    let server = launch.clone().args(["--listen", "127.0.0.1:0"]).start();
    assert!(!server.log().contains("THRONG_"), "{}", server.log());
    let finished = launch.args(["doctor", "--json"]).run(ms(10_000));
    assert_eq!(finished.stderr, "");
}

#[test]
fn what_is_wrong_in_a_variable_is_told_with_its_name() {
    for name in NAMES.map(|name| format!("THRONG_{name}")) {
        let finished = throng().env(&name, "n/a").run(ms(10_000));
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let line = finished.stderr.lines().find(|line| line.starts_with("error: "));
        let says = format!("'{name} (--");
        assert!(line.is_some_and(|line| line.contains(&says)), "{}", finished.stderr);
    }
    // Where the flag is bad, the variable is not to blame.
    let finished = throng().env("THRONG_WORKERS", "2").args(["--workers=0"]).run(ms(10_000));
    assert!(!finished.stderr.contains("THRONG_"), "{}", finished.stderr);
}

#[test]
fn a_variable_that_nobody_reads_is_told_with_the_nearest_name() {
    let server = throng()
        .args(["--listen", "127.0.0.1:0"])
        .env("THRONG_WORKRES", "1")
        .env("THRONG_SERVICE_HOST", "10.0.0.1")
        .env("THRONG_SERVICE_PORT", "80")
        .env("THRONG_PORT", "tcp://10.0.0.1:80")
        .env("THRONG_PORT_80_TCP_ADDR", "10.0.0.1")
        .start();
    let log = server.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("THRONG_")).collect();
    let [line] = told[..] else { panic!("one line was expected:\n{log}") };
    assert!(line.contains("WARN") && line.contains("is THRONG_WORKERS meant?"), "{line}");
}
