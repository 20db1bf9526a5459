//! `packaging/throng.service`: systemd understands it, and it permits what the server does.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use testkit::client::{Client, close, text};
use testkit::manager::Manager;
use testkit::process::Signal;
use throng::config::{Backend, Config, parse_duration};
use throng::limits::CLOSE_TIMEOUT;

use crate::support::{PATIENCE, PROGRAM, Scratch, comes_to_hold, launch, skip};

on_both!(the_unit_permits_every_system_call_of_the_server);

const UNIT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/throng.service"));

/// What the program is called in the unit.
const INSTALLED: &str = "/usr/local/bin/throng";

fn settings(name: &str) -> impl Iterator<Item = &str> {
    UNIT.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

/// What `systemd-analyze` says; says so if it is not here.
fn analyze(args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("systemd-analyze").args(args).output() else {
        skip("no systemd-analyze here; install with: scripts/install-test-tools.sh");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "systemd-analyze {args:?}:\n{text}");
    Some(text)
}

#[test]
fn systemd_understands_the_unit() {
    let scratch = Scratch::new();
    let path = scratch.path().join("throng.service");
    assert!(UNIT.contains(INSTALLED));
    fs::write(&path, UNIT.replace(INSTALLED, PROGRAM)).expect("it is ours");
    let path = path.to_str().expect("it is UTF-8");
    let Some(complaints) = analyze(&["verify", "--man=no", path]) else { return };
    let ours = complaints.lines().filter(|line| line.contains("throng.service"));
    // A systemd older than its own list of calls, or than the kernel, says so of itself.
    let ours: Vec<&str> = ours.filter(|line| !line.contains("system call, ignoring")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn systemd_understands_the_socket_unit() {
    const SOCKET: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/throng.socket"));
    let scratch = Scratch::new();
    let [socket, service] =
        ["throng.socket", "throng.service"].map(|name| scratch.path().join(name));
    fs::write(&socket, SOCKET).expect("it is ours");
    fs::write(&service, UNIT.replace(INSTALLED, PROGRAM)).expect("it is ours");
    let path = socket.to_str().expect("it is UTF-8");
    let Some(complaints) = analyze(&["verify", "--man=no", path]) else { return };
    let ours: Vec<&str> =
        complaints.lines().filter(|line| line.contains("throng.socket")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

/// The times of the unit are those of the server's own defaults.
#[test]
fn the_unit_waits_longer_than_a_stop_takes() {
    let config = Config::default();
    let stop = config.drain_delay + config.drain + CLOSE_TIMEOUT;
    let timeout = settings("TimeoutStopSec").next().and_then(|value| parse_duration(value).ok());
    assert!(timeout.is_some_and(|timeout| timeout > stop), "{timeout:?}, {stop:?}");
}

/// Adds the calls of a set like @system-service, and of the sets in it.
fn add_set(set: &str, calls: &mut BTreeSet<String>) -> Option<()> {
    for line in analyze(&["syscall-filter", set])?.lines().skip(1) {
        match line.trim() {
            comment if comment.starts_with('#') || comment.is_empty() => {}
            inner if inner.starts_with('@') => add_set(inner, calls)?,
            call => drop(calls.insert(call.to_owned())),
        }
    }
    Some(())
}

fn permitted() -> Option<BTreeSet<String>> {
    let mut calls = BTreeSet::new();
    // The kernel's own, which no filter sees, or which systemd permits always.
    add_set("@default", &mut calls)?;
    for set in settings("SystemCallFilter").flat_map(str::split_ascii_whitespace) {
        assert!(set.starts_with('@'), "{set}: this test knows sets only");
        add_set(set, &mut calls)?;
    }
    Some(calls)
}

fn the_unit_permits_every_system_call_of_the_server(backend: Backend) {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("no strace here; install with: scripts/install-test-tools.sh");
    }
    let Some(permitted) = permitted() else { return };
    let scratch = Scratch::new();
    let log = scratch.path().join("calls");
    // -D: strace is the grandchild, so that the pid is the server's.
    let strace = ["strace", "-D", "-f", "-q", "-e", "signal=none", "-o"];
    let strace = strace.map(str::to_owned).into_iter().chain([log.display().to_string()]);
    let manager = Manager::at(&scratch.path().join("notify"));
    let unix = scratch.unix("throng.sock");
    let listen = ["--listen", "127.0.0.1:0", "--listen", &unix, "--pin", "0", "--workers", "2"];
    let mut server = launch(backend, &listen)
        .wrapped(strace)
        .env("NOTIFY_SOCKET", &manager.path())
        .env("WATCHDOG_USEC", "200000")
        .env("FDSTORE", "8")
        .start();
    drop(manager.hear_until("WATCHDOG=1", PATIENCE));
    for address in server.addresses() {
        let mut clients = [(); 4].map(|()| Client::open(address, "/room/a"));
        clients[0].write(&text("hello"));
        for client in &mut clients {
            assert_eq!(client.frame().payload, b"hello");
        }
        clients[1].write(&close(1000));
        assert_eq!(clients[1].close_code(), 1000);
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    let read = || fs::read_to_string(&log).expect("strace wrote it");
    // It ends a little after the server.
    let pid = server.pid().to_string();
    let is_end = |line: &str| line.starts_with(&pid) && line.ends_with("+++ exited with 0 +++");
    assert!(comes_to_hold(|| read().lines().any(is_end)), "{}", read());
    let log = read();
    let used: BTreeSet<&str> = log.lines().filter_map(call).collect();
    let moves = if backend == Backend::IoUring { "io_uring_enter" } else { "epoll_wait" };
    let has_worked = ["close_range", "sched_setaffinity", "socket", "listen", moves];
    assert!(has_worked.iter().all(|name| used.contains(name)), "{used:?}");
    let others: Vec<&&str> = used.iter().filter(|call| !permitted.contains(**call)).collect();
    assert!(others.is_empty(), "the unit forbids {others:?}");
    // RestrictNamespaces= and MemoryDenyWriteExecute= look at arguments.
    let is_forbidden =
        |line: &&str| line.contains("CLONE_NEW") || line.contains("PROT_WRITE|PROT_EXEC");
    let forbidden: Vec<&str> = log.lines().filter(is_forbidden).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let families = log.lines().filter(|line| line.contains(" socket("));
    let families = families.filter_map(|line| line.split_once("(")?.1.split_once(','));
    let families: BTreeSet<&str> = families.map(|(family, _)| family).collect();
    let restricted: BTreeSet<&str> =
        settings("RestrictAddressFamilies").flat_map(str::split_ascii_whitespace).collect();
    assert!(families.is_subset(&restricted), "{families:?}");
}

/// The name in a line like `123 epoll_wait(4, ...`.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !name.is_empty()).then_some(name)
}
