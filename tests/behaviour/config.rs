//! A file with options, and what `throng config` says of it.

use std::fs;

use serde_json::Value;
use testkit::client::{Client, Shape};
use testkit::process::{Finished, Launch, Signal};

use crate::support::{PATIENCE, PROGRAM, Scratch};

/// A key that nobody may ever read.
const KEY: &str = "k3y-of-the-operator";

fn throng(args: &[&str]) -> Launch {
    // Launches are without the port for operators, by this variable.
    Launch::new(PROGRAM).env("THRONG_OPERATOR", "").args(args)
}

/// A file with options; it goes away with the folder.
fn file(scratch: &Scratch, text: &str) -> String {
    let path = scratch.path().join("throng.toml");
    fs::write(&path, text).expect("the folder is ours");
    path.display().to_string()
}

/// The lines that say why the options are bad.
fn complaints(finished: &Finished) -> Vec<&str> {
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(finished.stdout, "");
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("error: ")), "{}", finished.stderr);
    lines
}

#[test]
fn the_file_to_begin_with_passes_the_check() {
    let pipe = "\"$0\" config default | \"$0\" config check --config -";
    let finished = Launch::new("sh").args(["-c", pipe, PROGRAM]).run(PATIENCE);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), "ok\n"), "{finished:?}");
    let pipe = "\"$0\" config print --workers 3 | \"$0\" config print --config -";
    let finished = Launch::new("sh").args(["-c", pipe, PROGRAM]).run(PATIENCE);
    assert!(finished.stdout.contains("workers = 3 # standard input:"), "{finished:?}");
}

#[test]
fn the_reference_is_the_page_in_docs() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
    let finished = throng(&["config", "reference"]).run(PATIENCE);
    assert_eq!(finished.code, Some(0));
    let remedy = "run: cargo run -- config reference > docs/configuration.md";
    assert!(finished.stdout == page, "docs/configuration.md is another one; {remedy}");
}

#[test]
fn a_bad_file_ends_whatever_reads_it_with_the_same_lines_and_exit_code_2() {
    let scratch = Scratch::new();
    let path = file(&scratch, "workers = 0\n\nmax_backlogs = 1\n[log]\nlevel = \"loud\"\n");
    let expected = [
        format!(
            "error: {path}:1: invalid value '0' for 'workers': a number from 1 to 1024 is needed"
        ),
        format!("error: {path}:3: unknown option 'max_backlogs': is 'max_backlog' meant?"),
        format!(
            "error: {path}:5: invalid value 'loud' for 'log.level': error, warn, info, debug or \
             trace is needed"
        ),
    ];
    for args in [&[][..], &["serve"], &["config", "check"], &["config", "print"]] {
        let finished = throng(args).args(["--config", &path]).run(PATIENCE);
        assert_eq!(complaints(&finished), expected, "{args:?}");
    }
    let finished = throng(&[]).env("THRONG_CONFIG", &path).run(PATIENCE);
    assert_eq!(complaints(&finished), expected);
}

#[test]
fn flags_and_variables_that_cannot_be_together_are_told_by_their_names() {
    for (args, variables, says) in [
        (&["--operator", ":9"][..], &[][..], "error: --operator: :9 can be reached"),
        (&["--api-public"], &[], "error: --api-public: clients reach it"),
        (
            &[],
            &[("THRONG_OPERATOR", "127.0.0.1:8080")],
            "error: THRONG_OPERATOR: 127.0.0.1:8080 is",
        ),
        (&["--listen", ":8081"], &[], "error: --listen: :8081 is the port for operators"),
        (
            &["--operator-key-file", "/dev/null"],
            &[("THRONG_OPERATOR_KEY", KEY)],
            "error: --operator-key-file: operator.key is given too",
        ),
    ] {
        let launch = throng(&["config", "check"]).args(args);
        let launch = variables.iter().fold(launch, |all, (name, value)| all.env(name, value));
        let finished = launch.run(PATIENCE);
        assert!(complaints(&finished)[0].starts_with(says), "{args:?}: {}", finished.stderr);
    }
    let good = ["config", "check", "--listen", ":8081", "--operator", "off", "--api-public=false"];
    assert_eq!(throng(&good).run(PATIENCE).stdout, "ok\n");
}

#[test]
fn options_without_a_flag_have_variables_that_are_told_by_name() {
    for (name, value, says) in [
        ("THRONG_ROOM_INFO", "yes", "true or false"),
        ("THRONG_LOG_ACCESS", "2", "a share"),
        ("THRONG_OPERATOR_METRICS", "on", "true or false"),
        ("THRONG_OPERATOR_METRICS_KEY", "1", "true or false"),
        ("THRONG_OPERATOR_ALLOWED_HOSTS", "http://a", "one looks like"),
    ] {
        let finished = throng(&["config", "check"]).env(name, value).run(PATIENCE);
        let line = format!("error: invalid value '{value}' for '{name}': ");
        assert!(complaints(&finished)[0].starts_with(&line), "{}", finished.stderr);
        assert!(finished.stderr.contains(says), "{}", finished.stderr);
        let finished = throng(&["config", "check"]).env(name, "").run(PATIENCE);
        assert_eq!(finished.stdout, "ok\n", "an empty one is not set");
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let scratch = Scratch::new();
    let path = file(
        &scratch,
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\nmax_connections = 7\nmax_message_size = 100\n",
    );
    let server = throng(&["--config", &path, "--max-connections", "9"])
        .env("THRONG_WORKERS", "3")
        .env("THRONG_MAX_CONNECTIONS", "8")
        .start();
    let log = server.log();
    assert!(log.contains("3 workers, room for 9 connections"), "{log}");
    let mut client = Client::open(server.address(), "/echo");
    client.write(&Shape::new(2).with(&[0; 100]));
    assert_eq!(client.frame().payload.len(), 100);
    client.write(&Shape::new(2).with(&[0; 101]));
    assert_eq!(client.close_code(), 1009);
}

/// Every option but tables and the key: its key, its flag, and a value that is no default.
const VALUES: [(&str, &str, &str); 42] = [
    ("listen", "--listen", ":1,unix:/a"),
    ("unix.mode", "--unix-mode", "0660"),
    ("unix.group", "--unix-group", "33"),
    ("allowed_origins", "--allowed-origins", "https://a.example"),
    ("allowed_hosts", "--allowed-hosts", "a.example,b.example"),
    ("workers", "--workers", "3"),
    ("pin", "--pin", "0,1"),
    ("backend", "--backend", "epoll"),
    ("max_connections", "--max-connections", "9"),
    ("max_message_size", "--max-message-size", "2MiB"),
    ("max_backlog", "--max-backlog", "2MiB"),
    ("memory", "--memory", "1GiB"),
    ("compression", "--compression", "off"),
    ("trusted_proxies", "--trusted-proxies", "10.0.0.0/8"),
    ("proxy_protocol", "", "false"),
    ("limits.per_ip.connections", "", "100"),
    ("limits.per_ip.connect_rate", "", "20"),
    ("limits.messages_per_second", "", "50"),
    ("limits.bytes_per_second", "", "64KiB"),
    ("limits.over", "", "close"),
    ("limits.rooms", "", "100000"),
    ("limits.rooms_per_connection", "", "7"),
    ("limits.connection_max_age", "", "1h"),
    ("drain_delay", "--drain-delay", "5s"),
    ("drain_code", "", "1012"),
    ("drain_reconnect", "", "restart"),
    ("ping_interval", "--ping-interval", "1m"),
    ("pong_timeout", "--pong-timeout", "1m"),
    ("send_timeout", "--send-timeout", "1m"),
    ("handshake_timeout", "--handshake-timeout", "1m"),
    ("keep_alive", "--keep-alive", "1m"),
    ("drain", "--drain", "1m"),
    ("room_info", "", "false"),
    ("operator.listen", "--operator", "off"),
    ("operator.key_file", "--operator-key-file", "/proc/sys/kernel/ostype"),
    ("operator.allowed_hosts", "", "a.example"),
    ("operator.metrics", "", "false"),
    ("operator.metrics_key", "", "false"),
    ("api.public", "--api-public", "false"),
    ("log.level", "--log-level", "warn"),
    ("log.format", "--log-format", "json"),
    ("log.access", "", "1%"),
];

/// The lines of options, by what gives them.
fn printed(finished: &Finished, by: &str) -> Vec<String> {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines = finished.stdout.lines().filter_map(|line| line.strip_suffix(by));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_option_is_the_same_by_flag_by_variable_and_by_file() {
    let scratch = Scratch::new();
    for (key, flag, value) in VALUES {
        let name = if flag.is_empty() { key } else { &flag[2..] };
        let variable = format!("THRONG_{}", name.to_uppercase().replace(['-', '.'], "_"));
        let print = throng(&["config", "print"]);
        let by_variable = print.clone().env(&variable, value).run(PATIENCE);
        let [line] = &printed(&by_variable, &format!(" # {variable}"))[..] else {
            panic!("{variable}: {by_variable:?}")
        };
        let (table, _) = key.rsplit_once('.').unwrap_or_default();
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let path = file(&scratch, &format!("{header}{line}\n"));
        let by_file = print.clone().args(["--config", &path]).run(PATIENCE);
        let number = if table.is_empty() { 1 } else { 2 };
        assert_eq!(printed(&by_file, &format!(" # {path}:{number}")), [line.as_str()], "{key}");
        if !flag.is_empty() {
            let by_flag = print.args([format!("{flag}={value}")]).run(PATIENCE);
            assert_eq!(printed(&by_flag, &format!(" # {flag}")), [line.as_str()], "{key}");
        }
    }
    let reference = throng(&["config", "reference"]).run(PATIENCE).stdout;
    let keys = reference.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let others = ["operator.key", "rooms", "routes"];
    let missing = keys.filter(|key| !others.contains(key) && !VALUES.iter().any(|it| it.0 == *key));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_check_tells_of_a_variable_that_nobody_reads() {
    for (name, meant) in [
        ("THRONG_WORKRES", "is THRONG_WORKERS meant?"),
        ("THRONG_OPERATOR_LISTEN", "is THRONG_OPERATOR meant?"),
    ] {
        let finished = throng(&["config", "check"]).env(name, "3").run(PATIENCE);
        assert_eq!((finished.code, &*finished.stdout), (Some(0), "ok\n"), "{finished:?}");
        let line = finished.stderr.trim_end();
        assert!(line.starts_with(&format!("warning: {name} ")) && line.ends_with(meant), "{line}");
    }
}

#[test]
fn an_empty_name_of_a_file_is_none() {
    let finished = throng(&["config", "check"]).env("THRONG_CONFIG", "").run(PATIENCE);
    assert_eq!(finished.stdout, "ok\n", "{finished:?}");
}

#[test]
fn a_key_is_shown_to_nobody() {
    let scratch = Scratch::new();
    let path = file(&scratch, &format!("operator.key = \"{KEY}\"\n"));
    let by_file = throng(&["config", "print", "--config", &path]).run(PATIENCE);
    assert!(by_file.stdout.contains(&format!("key = \"***\" # {path}:1\n")), "{by_file:?}");
    let by_variable = throng(&["config", "print"]).env("THRONG_OPERATOR_KEY", KEY).run(PATIENCE);
    let line = "key = \"***\" # THRONG_OPERATOR_KEY\n";
    assert!(by_variable.stdout.contains(line), "{by_variable:?}");
    let bad = format!("{KEY} and more");
    let refused = throng(&["config", "print"]).env("THRONG_OPERATOR_KEY", &bad).run(PATIENCE);
    let path = file(&scratch, &format!("operator.key = \"{bad}\"\nworkers = 0\n"));
    let bad_file = throng(&["config", "check", "--config", &path]).run(PATIENCE);
    assert_eq!((refused.code, bad_file.code), (Some(2), Some(2)));
    let help = throng(&["--help"]).env("THRONG_OPERATOR_KEY", KEY).run(PATIENCE);
    for finished in [by_file, by_variable, refused, bad_file, help] {
        assert!(!format!("{finished:?}").contains(KEY), "{finished:?}");
    }
    let server = throng(&["--listen", "127.0.0.1:0", "--log-level", "trace"])
        .env("THRONG_OPERATOR_KEY", KEY)
        .start();
    drop(Client::open(server.address(), "/echo"));
    assert!(!server.log().contains(KEY), "{}", server.log());
}

#[test]
fn config_without_a_word_says_what_there_is() {
    let finished = throng(&["config"]).run(PATIENCE);
    assert_eq!(finished.code, Some(2));
    for word in ["check", "print", "default", "reference"] {
        assert!(finished.stderr.contains(word), "{finished:?}");
    }
}

/// The objects of a log, one in each line.
fn objects(log: &str) -> Vec<Value> {
    let objects = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let objects: Vec<Value> = objects.collect();
    for object in &objects {
        assert!(object["timestamp"].is_string() && object["level"].is_string(), "{object}");
        assert!(object["fields"]["message"].is_string(), "{object}");
    }
    objects
}

#[test]
fn a_log_for_programs_has_an_object_in_each_line() {
    let mut server = throng(&["--log-format", "json", "--log-level", "debug", "--workers", "2"])
        .args(["--listen", "127.0.0.1:0", "--drain", "0"])
        .env("THRONG_WORKRES", "1")
        .start();
    server.signal(Signal::SIGHUP);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    let objects = objects(&server.log());
    let has = |level: &str, text: &str| {
        let is_it = |object: &Value| {
            let message = object["fields"]["message"].as_str().unwrap_or_default();
            object["level"] == level && message.contains(text)
        };
        assert!(objects.iter().any(is_it), "{level} {text}: {objects:#?}");
    };
    has("INFO", "listening on 127.0.0.1:");
    has("WARN", "is THRONG_WORKERS meant?");
    has("INFO", "stopped: ");
}

#[test]
fn why_a_server_does_not_start_is_an_object_too() {
    let args = ["--log-format", "json", "--listen", "unix:/nowhere/throng.sock"];
    let finished = throng(&args).run(PATIENCE);
    assert_eq!(finished.code, Some(1));
    let objects = objects(&finished.stderr);
    let last = objects.last().expect("there is a line");
    assert_eq!(last["level"], "ERROR");
    assert!(last["fields"]["message"].as_str().is_some_and(|text| text.contains("/nowhere")));
}
