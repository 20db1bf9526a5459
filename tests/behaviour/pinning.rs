//! Which CPUs workers run on.

use std::fs;

use testkit::process::{Launch, Process, parse_cpus};

use crate::support::{PROGRAM, ms, skip};

/// The CPUs that this test, and so its children, may use.
fn permitted() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse_cpus(list.expect("proc(5) has the field"))
}

fn start(args: &[&str]) -> Process {
    Launch::new(PROGRAM).args(["--listen", "127.0.0.1:0"]).args(args).start()
}

/// The CPUs of each worker.
fn of_workers(server: &Process) -> Vec<Vec<usize>> {
    let tasks = server.tasks().into_iter().filter(|task| task.name.starts_with("worker-"));
    let mut workers: Vec<_> = tasks.map(|task| (task.name, task.cpus)).collect();
    workers.sort();
    workers.into_iter().map(|(_, cpus)| cpus).collect()
}

#[test]
fn fewer_workers_than_cpus_run_where_the_kernel_puts_them() {
    let cpus = permitted();
    if cpus.len() < 2 {
        return skip("there is one CPU only");
    }
    assert_eq!(of_workers(&start(&["--workers", "1"])), [cpus.clone()]);
    assert_eq!(of_workers(&start(&["--pin", "off"])), vec![cpus.clone(); cpus.len()]);
    let each: Vec<Vec<usize>> = cpus.iter().map(|cpu| vec![*cpu]).collect();
    assert_eq!(of_workers(&start(&["--workers", &cpus.len().to_string()])), each);
}

#[test]
fn a_list_says_where_and_how_many() {
    let last = *permitted().last().expect("this test runs somewhere");
    let list = last.to_string();
    assert_eq!(of_workers(&start(&["--pin", &list])), [[last]]);
    assert_eq!(of_workers(&start(&["--pin", &list, "--workers", "3"])), [[last]; 3]);
}

#[test]
fn a_cpu_that_is_not_there_is_told() {
    let args = ["--listen", "127.0.0.1:0", "--pin", "1023"];
    let finished = Launch::new(PROGRAM).args(args).run(ms(10_000));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let says = "throng: no worker can be pinned to CPU 1023";
    assert!(finished.stderr.contains(says), "{}", finished.stderr);
    assert!(!finished.stderr.contains("listening on"), "{}", finished.stderr);
}
