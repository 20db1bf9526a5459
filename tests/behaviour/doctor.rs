//! `throng doctor` on this host: limits that can be lowered here are lowered for real.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use testkit::client::{Client, text};
use testkit::process::{Finished, Launch};

use crate::forbidden::forbid_io_uring;
use crate::support::{PATIENCE, PROGRAM, clients, has_io_uring, skip};

fn doctor(args: &[&str]) -> Launch {
    Launch::new(PROGRAM).args(["doctor"]).args(args)
}

fn run(launch: &Launch) -> Finished {
    launch.run(PATIENCE)
}

fn json(launch: Launch) -> Value {
    let finished = run(&launch.args(["--json"]));
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn remedy<'a>(report: &'a Value, name: &str) -> &'a str {
    let limits = report["limits"].as_array().expect("it lists them");
    let limit = limits.iter().find(|limit| limit["name"] == name).expect("it is one of them");
    limit["remedy"].as_str().unwrap_or_else(|| panic!("no remedy for {name}: {report:#}"))
}

/// Whether a command that another one is to be run in works here; says so if not.
fn works(wrapper: &[&str]) -> bool {
    let (program, words) = wrapper.split_first().expect("it is not empty");
    let trial = Command::new(program).args(words).arg("true").output();
    let works = trial.is_ok_and(|output| output.status.success());
    if !works {
        skip(&format!("`{} true` fails here", wrapper.join(" ")));
    }
    works
}

#[test]
fn the_exit_code_says_whether_they_fit() {
    for (args, code, says) in [
        (&[][..], 0, "Room for "),
        (&["--connections", "100"], 0, "100 connections fit"),
        (&["--connections", "500"], 1, "500 connections do not fit: room for "),
        (&["--connections", "1"], 0, "1 connection fits"),
        (&["--connections", "100k"], 1, "100,000 connections do not fit: room for "),
        (&["--connections", "0"], 2, ""),
        (&["--connections", "many"], 2, ""),
        (&["--listen", "127.0.0.1:0"], 2, ""),
    ] {
        let finished = run(&doctor(args).args(["--workers", "2"]).nofile(200));
        assert_eq!(finished.code, Some(code), "{args:?}: {finished:?}");
        assert!(finished.stdout.contains(says), "{args:?}: {finished:?}");
        assert_eq!(finished.stderr.is_empty(), code != 2, "{args:?}: {finished:?}");
        let program = run(&doctor(args).args(["--workers", "2", "--json"]).nofile(200));
        assert_eq!(program.code, Some(code), "{args:?}: {program:?}");
    }
}

#[test]
fn with_few_descriptors_nofile_binds_just_where_the_server_says_so() {
    let report = json(doctor(&["--workers", "1", "--connections", "1000"]).nofile(200));
    assert_eq!(report["binding"], "nofile", "{report:#}");
    assert_eq!(report["fits"], false, "{report:#}");
    let args = ["--workers", "1", "--listen", "127.0.0.1:0"];
    let log = Launch::new(PROGRAM).args(args).nofile(200).start().log();
    let says = format!("room for {} connections", report["connections"]);
    assert!(log.contains(&says), "{says} is not in\n{log}");
}

#[test]
fn the_workers_that_it_names_hold_what_was_wanted() {
    let report = json(doctor(&["--workers", "2", "--connections", "1000"]).nofile(200));
    let workers = remedy(&report, "nofile").split_once("--workers ").expect("it names them").1;
    let workers = workers.split(' ').next().expect("a number comes first");
    let args = ["--workers", workers, "--connections", "1000"];
    let report = json(doctor(&args).nofile(200));
    assert_eq!(report["fits"], true, "{report:#}");
}

#[test]
fn with_few_ports_local_clients_find_no_more() {
    let few = "echo '20000 20099' >/proc/sys/net/ipv4/ip_local_port_range && \
               echo 100 >/proc/sys/net/core/somaxconn && exec \"$@\"";
    let wrapper = ["unshare", "--net", "sh", "-c", few, "sh"];
    if !works(&wrapper) {
        return;
    }
    let report = json(doctor(&["--local-clients", "3"]).wrapped(wrapper));
    assert_eq!(report["binding"], "net.ipv4.ip_local_port_range", "{report:#}");
    assert_eq!(report["connections"], 300, "{report:#}");
    let report = json(doctor(&[]).wrapped(wrapper));
    assert_ne!(report["binding"], "net.ipv4.ip_local_port_range", "{report:#}");
    let advice = report["advice"].as_array().expect("it lists it");
    let backlog = advice.iter().find(|advice| advice["name"] == "net.core.somaxconn");
    assert_eq!(backlog.expect("it is low")["now"], "100");
}

#[test]
fn where_io_uring_is_forbidden_it_says_by_whom() {
    let Some(wrapper) = forbid_io_uring(libc::EPERM) else { return };
    let report = json(doctor(&["--backend", "io_uring"]).wrapped(&wrapper));
    assert_eq!((&report["binding"], &report["connections"]), (&"io_uring".into(), &0.into()));
    assert!(remedy(&report, "io_uring").contains("seccomp"), "{report:#}");
    let report = json(doctor(&[]).wrapped(wrapper));
    assert_eq!(report["backend"], "epoll");
    assert_eq!(report["advice"][0]["name"], "io_uring", "{report:#}");
}

/// Becomes a user without privileges who has nothing locked: a new one each time, since the kernel
/// takes a ring apart only after its process has ended.
fn unprivileged(kib: u64) -> [String; 7] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let user = 1_000_000 + std::process::id() * 100 + number;
    let limit = format!("ulimit -l {kib} && exec \"$@\"");
    let ids = [format!("--reuid={user}"), format!("--regid={user}")];
    let [user, group] = ids;
    let words = ["setpriv", &user, &group, "--clear-groups", "sh", "-c", &limit];
    words.map(str::to_owned)
}

#[test]
fn with_little_locked_memory_io_uring_has_as_many_workers_as_it_says() {
    if !has_io_uring() || !works(&["setpriv", "--reuid=1000000", "--clear-groups"]) {
        return;
    }
    // Just enough for three and the trial's, and just not for three, since the trial's may be gone
    // by then: the formula is the kernel's accounting.
    for (kib, workers, fits) in [(596, "3", true), (587, "3", false)] {
        let wrap = |launch: Launch| launch.wrapped(unprivileged(kib)).wrapped(["sh"]);
        let args = ["--workers", workers, "--backend", "io_uring"];
        let report = json(wrap(doctor(&args).args(["--connections", "1000"])));
        assert_eq!(report["fits"], fits, "{report:#}");
        let server = Launch::new(PROGRAM).args(["--listen", "127.0.0.1:0"]).args(args);
        let started = wrap(server).try_start();
        assert_eq!(started.is_ok(), fits, "{started:?}");
        if let Err(log) = started {
            assert_eq!(report["binding"], "memlock", "{report:#}");
            assert!(log.contains("ulimit -l"), "{log}");
            let told = remedy(&report, "memlock");
            assert!(told.starts_with("ulimit -l 596 "), "{told}");
        }
    }
}

#[test]
fn with_too_little_locked_memory_auto_takes_epoll_and_says_what_to_raise() {
    if !has_io_uring() || !works(&["setpriv", "--reuid=1000000", "--clear-groups"]) {
        return;
    }
    // Enough for the trial, for one ring, and for two.
    for kib in [64, 390, 587] {
        let wrap = |launch: Launch| launch.wrapped(unprivileged(kib)).wrapped(["sh"]);
        let report = json(wrap(doctor(&["--workers", "3"])));
        assert_eq!(report["backend"], "epoll", "{report:#}");
        let advice = report["advice"].as_array().expect("it lists it");
        let memlock = advice.iter().find(|advice| advice["name"] == "memlock").expect("it lacks");
        assert!(memlock["remedy"].as_str().expect("it has one").starts_with("ulimit -l 596 "));
        let args = ["--listen", "127.0.0.1:0", "--workers", "3"];
        let server = wrap(Launch::new(PROGRAM).args(args)).start();
        let log = server.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("backend")).collect();
        let [line] = told[..] else { panic!("one line was expected:\n{log}") };
        assert!(line.contains("backend epoll, because"), "{log}");
        let says = "raise `ulimit -l` to 596";
        assert!(line.contains(says) && line.contains("WARN"), "{kib}: {log}");
        let mut room: [Client; 6] = clients(server.address(), "/room/a");
        room[0].write(&text("on epoll"));
        for client in &mut room {
            assert_eq!(client.frame().payload, b"on epoll");
        }
    }
}
