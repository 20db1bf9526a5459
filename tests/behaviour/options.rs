//! The command line and the environment.

use testkit::client::{Client, Shape};
use testkit::process::{Finished, Launch};

use crate::support::{PATIENCE, PROGRAM};

fn run(args: &[&str]) -> Finished {
    Launch::new(PROGRAM).args(args).run(PATIENCE)
}

/// The one line that says what is wrong with an option.
fn complaint(finished: &Finished) -> &str {
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    let mut lines = finished.stderr.lines().filter(|line| line.starts_with("error: "));
    let line = lines.next().unwrap_or_else(|| panic!("no complaint:\n{}", finished.stderr));
    assert_eq!(lines.next(), None, "{}", finished.stderr);
    assert!(finished.stderr.lines().count() <= 8, "too long:\n{}", finished.stderr);
    line
}

/// Each option with a value that is bad, and what the complaint must say.
const BAD: [(&str, &str, &str); 39] = [
    ("--listen", "127.0.0.1", "an address like 127.0.0.1:8080"),
    ("--listen", "example.org:80", "names of hosts are not looked up"),
    ("--listen", "127.0.0.1:99999", "99999 is no port"),
    ("--unix-mode", "rw", "octal permissions like 0660"),
    ("--unix-mode", "1777", "octal permissions like 0660"),
    ("--unix-group", "", "value"),
    ("--pin", "on", "auto, off or a list of CPUs"),
    ("--pin", "3-1", "auto, off or a list of CPUs"),
    ("--log-level", "loud", "invalid value 'loud'"),
    ("--listen", "unix:", "an address like"),
    ("--workers", "0", "from 1 to 1024"),
    ("--workers", "1025", "from 1 to 1024"),
    ("--workers", "many", "from 1 to 1024"),
    ("--backend", "kqueue", "invalid value 'kqueue'"),
    ("--max-connections", "0", "at least 1"),
    ("--max-connections", "-5", "-5"),
    ("--max-connections", "1e6", "a number like 40000, 100k or 1m"),
    ("--max-message-size", "0", "from 1 byte to 2 GiB"),
    ("--max-message-size", "3GiB", "from 1 byte to 2 GiB"),
    ("--max-message-size", "1.5", "a size like"),
    ("--max-message-size", "64 KBytes", "a size like"),
    ("--max-message-size", "99999999999999999999", "size"),
    ("--max-backlog", "lots", "a size like"),
    ("--max-backlog", "", "value"),
    ("--ping-interval", "25", "a duration like"),
    ("--ping-interval", "1d", "a duration like"),
    ("--ping-interval", "25h", "at most 24h"),
    ("--pong-timeout", "soon", "a duration like"),
    ("--send-timeout", "never", "a duration like"),
    ("--pong-timeout", "1s1m", "a duration like"),
    ("--drain", "10 seconds", "a duration like"),
    ("--drain", "-1s", "-1"),
    ("--allowed-origins", "app.example", "https://app.example"),
    ("--allowed-origins", "https://a*.example", "a whole first label"),
    ("--allowed-hosts", "http://app.example", "one looks like app.example"),
    ("--compression", "maybe", "invalid value 'maybe'"),
    ("--handshake-timeout", "0", "above 0"),
    ("--handshake-timeout", "10", "a duration like"),
    ("--keep-alive", "for ever", "a duration like"),
];

#[test]
fn bad_values_get_exit_code_2_and_a_line_that_helps() {
    for (option, value, says) in BAD {
        let finished = run(&[option, value]);
        let line = complaint(&finished);
        assert!(line.contains(option) || value.starts_with('-'), "{option} {value}: {line}");
        assert!(line.contains(says), "{option} {value}: {line}");
    }
}

#[test]
fn bad_words_get_exit_code_2_and_a_line_that_helps() {
    for (args, says) in [
        (&["--port", "80"][..], "--port"),
        (&["--listen"], "--listen"),
        (&["start"], "start"),
        (&["serve", "--fast"], "--fast"),
        (&["--workers", "1", "--workers", "2"], "--workers"),
    ] {
        let finished = run(args);
        let line = complaint(&finished);
        assert!(line.contains(says), "{args:?}: {line}");
    }
}

#[test]
fn bad_values_of_the_environment_are_told_like_those_of_flags() {
    for (option, value, says) in BAD.into_iter().filter(|(_, value, _)| !value.is_empty()) {
        let variable = format!("THRONG_{}", option[2..].to_uppercase().replace('-', "_"));
        let finished = Launch::new(PROGRAM).env(&variable, value).run(PATIENCE);
        let line = complaint(&finished);
        assert!(line.contains(option), "{variable}={value}: {line}");
        assert!(line.contains(says) || value.starts_with('-'), "{variable}={value}: {line}");
    }
}

#[test]
fn every_option_can_be_set_by_the_environment() {
    let server = Launch::new(PROGRAM)
        .env("THRONG_LISTEN", "127.0.0.1:0,[::1]:0")
        .env("THRONG_WORKERS", "3")
        .env("THRONG_BACKEND", "epoll")
        .env("THRONG_MAX_CONNECTIONS", "7")
        .env("THRONG_MAX_MESSAGE_SIZE", "100B")
        .env("THRONG_MAX_BACKLOG", "64KiB")
        .env("THRONG_PING_INTERVAL", "300ms")
        .env("THRONG_PONG_TIMEOUT", "300ms")
        .env("THRONG_DRAIN", "1s")
        .env("THRONG_ALLOWED_ORIGINS", "https://app.example")
        .start();
    let log = server.log();
    assert_eq!(server.addresses().len(), 2, "{log}");
    assert!(log.contains("3 workers, room for 7 connections"), "{log}");
    let rings =
        server.tasks().iter().flat_map(|task| &task.descriptors).cloned().collect::<Vec<_>>();
    assert!(!rings.iter().any(|target| target.contains("io_uring")), "{rings:?}");
    let origin = ["Origin: https://app.example"];
    let (mut client, _) = Client::open_with(server.address(), "/echo", &origin);
    client.write(&Shape::new(2).with(&[0; 100]));
    assert_eq!(client.frame().payload.len(), 100);
    client.write(&Shape::new(2).with(&[0; 101]));
    assert_eq!(client.close_code(), 1009);
    let mut client = Client::open(server.address(), "/echo");
    assert_eq!(client.frame().first, 0x89);
    assert_eq!(client.close_code(), 1008);
    let mut server = server;
    let _deaf = Client::open(server.address(), "/echo");
    server.signal(testkit::process::Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
}

#[test]
fn flags_win_over_the_environment() {
    let environment = Launch::new(PROGRAM)
        .env("THRONG_WORKERS", "3")
        .env("THRONG_MAX_CONNECTIONS", "7")
        .env("THRONG_LISTEN", "192.0.2.1:1")
        .env("THRONG_MAX_MESSAGE_SIZE", "100");
    for serve in [&[][..], &["serve"]] {
        let server = environment
            .clone()
            .args(serve)
            .args(["--workers", "2", "--max-connections", "9", "--listen", "127.0.0.1:0"])
            .args(["--max-message-size", "200"])
            .start();
        let log = server.log();
        assert!(log.contains("2 workers, room for 9 connections"), "{log}");
        let mut client = Client::open(server.address(), "/echo");
        client.write(&Shape::new(2).with(&[0; 200]));
        assert_eq!(client.frame().payload.len(), 200);
    }
}

#[test]
fn the_short_help_fits_on_a_screen_and_names_what_matters() {
    for args in [&["-h"][..], &["serve", "-h"]] {
        let finished = run(args);
        assert_eq!(finished.code, Some(0));
        let help = finished.stdout;
        assert!(help.lines().count() <= 45, "{}:\n{help}", help.lines().count());
        for option in MATTER {
            assert!(help.contains(&format!("--{option} ")), "{option} is not in\n{help}");
        }
        assert!(!help.contains("--pong-timeout") && help.contains("--help has all"), "{help}");
    }
}

/// The options that most people need.
const MATTER: [&str; 10] = [
    "listen",
    "allowed-origins",
    "workers",
    "backend",
    "max-connections",
    "max-message-size",
    "max-backlog",
    "ping-interval",
    "drain",
    "log-level",
];

#[test]
fn the_long_help_fits_on_three_screens_and_names_the_defaults() {
    for args in [&["--help"][..], &["serve", "--help"]] {
        let finished = run(args);
        assert_eq!(finished.code, Some(0));
        let help = finished.stdout;
        assert!(help.lines().count() <= 3 * 45, "{}:\n{help}", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        // Where it is broken into lines is no matter.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for option in BAD.map(|(option, ..)| option) {
            let variable = format!("THRONG_{}", option[2..].to_uppercase().replace('-', "_"));
            assert!(help.contains(option), "{option} is not in\n{help}");
            assert!(help.contains(&variable), "{variable} is not in\n{help}");
        }
        for default in [
            "127.0.0.1:8080",
            "auto",
            "1MiB",
            "25s",
            "20s",
            "10s",
            "75s",
            "any",
            "on",
            "one per CPU",
        ] {
            assert!(help.contains(&format!("default: {default}")), "{default} is not in\n{help}");
        }
        assert!(help.contains("64KB is 64,000") && help.contains("65,536"), "{help}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for word in ["--version", "-V"] {
        let finished = run(&[word]);
        assert_eq!(finished.code, Some(0));
        assert_eq!(finished.stdout, format!("throng {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(finished.stderr, "");
    }
}
