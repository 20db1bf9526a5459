//! The threads of a server.

use std::fs;

use testkit::client::{Client, text};
use testkit::process::{Task, parse_cpus};
use throng::config::Backend;

use crate::support::{clients, launch, ms, server};

on_both!(
    there_may_be_more_workers_than_cpus,
    there_is_a_worker_for_each_cpu_unless_told_otherwise,
    workers_share_no_descriptors_but_wakers,
    an_idle_server_sleeps,
);

/// The CPUs that this test, and so its children, may use.
fn cpus() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse_cpus(list.expect("proc(5) has the field"))
}

fn workers(tasks: Vec<Task>) -> Vec<Task> {
    let mut workers: Vec<Task> =
        tasks.into_iter().filter(|task| task.name.starts_with("worker-")).collect();
    workers.sort_by(|one, other| one.name.cmp(&other.name));
    workers
}

fn there_may_be_more_workers_than_cpus(backend: Backend) {
    let server = server(backend, &["--workers", "5"]);
    let (workers, cpus) = (workers(server.tasks()), cpus());
    assert_eq!(workers.len(), 5);
    for (number, worker) in workers.iter().enumerate() {
        assert_eq!(worker.name, format!("worker-{number}"));
        assert_eq!(worker.cpus, [cpus[number % cpus.len()]], "{}", worker.name);
    }
    // So many that every worker has some.
    let mut room: [Client; 60] = clients(server.address(), "/room/a");
    for sender in [0, 31, 59] {
        let message = format!("from {sender}");
        room[sender].write(&text(&message));
        for client in &mut room {
            assert_eq!(client.frame().payload, message.as_bytes());
        }
    }
}

fn there_is_a_worker_for_each_cpu_unless_told_otherwise(backend: Backend) {
    let server = server(backend, &[]);
    assert_eq!(workers(server.tasks()).len(), cpus().len());
    let log = server.log();
    assert!(log.contains(&format!("{} workers", cpus().len())), "{log}");
}

fn workers_share_no_descriptors_but_wakers(backend: Backend) {
    let server = server(backend, &["--workers", "3"]);
    let _clients: [Client; 30] = clients(server.address(), "/room/a");
    let is_socket = |target: &&String| target.starts_with("socket:");
    let sockets: Vec<Vec<String>> = server
        .tasks()
        .into_iter()
        .map(|task| task.descriptors.iter().filter(is_socket).cloned().collect())
        .collect();
    let mut all: Vec<&String> = sockets.iter().flatten().collect();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a socket is open in two tables: {sockets:?}");
    assert_eq!(count, 3 + 30, "a listener for each worker, and the clients: {sockets:?}");
}

fn an_idle_server_sleeps(backend: Backend) {
    let server = server(backend, &["--workers", "4"]);
    let _clients: [Client; 50] = clients(server.address(), "/room/a");
    std::thread::sleep(ms(200));
    let before = server.sleeps();
    std::thread::sleep(ms(3000));
    // Whoever wakes up goes to sleep again.
    let woken = server.sleeps() - before;
    assert!(woken <= 12, "its threads were woken {woken} times in 3 s");
}

/// All wakers and polls are made in one table, before it parts.
#[test]
fn more_workers_than_one_table_can_start_are_told_what_to_raise() {
    let finished = launch(Backend::Epoll, &["--workers", "90"]).nofile(150).run(ms(10_000));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let says = "raise `ulimit -n`, or take fewer --workers";
    assert!(finished.stderr.contains(says), "{}", finished.stderr);
}
