//! What containers forbid: each worker has its own descriptor table where that is permitted in any
//! way, and all share one where it is not.

use std::process::Command;

use serde_json::Value;
use testkit::client::{Client, close, handshake, text};
use testkit::process::{Launch, Process, Signal};
use throng::config::Backend;

use crate::forbidden::{Rule, forbid};
use crate::support::{PROGRAM, clients, comes_to_hold, launch, ms, skip};

on_both!(
    under_the_default_profile_of_docker_each_worker_has_its_own_table,
    where_only_unshare_is_permitted_each_worker_has_its_own_table,
    where_nothing_parts_the_tables_one_is_shared_and_the_log_says_so,
    a_shared_table_that_is_full_is_borne,
    it_serves_without_proc,
);

/// What Docker's default profile forbids to a container without capabilities, on x86-64: see
/// "Seccomp security profiles for Docker" in its manual. clone3(2) is said to be missing.
#[rustfmt::skip]
const BY_DOCKER: &[libc::c_long] = &[
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root,
    libc::SYS_acct, libc::SYS_add_key, libc::SYS_bpf, libc::SYS_clock_settime,
    libc::SYS_delete_module, libc::SYS_finit_module, libc::SYS_init_module,
    libc::SYS_get_mempolicy, libc::SYS_set_mempolicy, libc::SYS_mbind, libc::SYS_move_pages,
    libc::SYS_kcmp, libc::SYS_kexec_load, libc::SYS_keyctl, libc::SYS_request_key,
    libc::SYS_open_by_handle_at, libc::SYS_perf_event_open, libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev, libc::SYS_quotactl, libc::SYS_reboot, libc::SYS_settimeofday,
    libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_syslog, libc::SYS_userfaultfd,
    libc::SYS_pidfd_getfd, libc::SYS_process_madvise, libc::SYS_fsopen, libc::SYS_open_tree,
];

fn by_docker() -> Vec<Rule> {
    let forbidden = BY_DOCKER.iter().map(|call| Rule(*call, libc::EPERM, None));
    forbidden.chain([Rule(libc::SYS_clone3, libc::ENOSYS, None)]).collect()
}

/// Both ways to part the tables fail.
fn no_parting(close_range: i32) -> Vec<Rule> {
    let mut rules = by_docker();
    rules.push(Rule(libc::SYS_close_range, close_range, None));
    rules
}

fn start(backend: Backend, rules: &[Rule], args: &[&str]) -> Option<Process> {
    Some(launch(backend, args).wrapped(forbid(rules)?).start())
}

/// Everybody hears everybody, those who leave are gone, and the server stops as it should.
fn serves(mut server: Process) {
    let before = server.sockets();
    let mut room: [Client; 24] = clients(server.address(), "/room/a");
    for sender in [0, 11, 23] {
        let message = format!("from {sender}");
        room[sender].write(&text(&message));
        for client in &mut room {
            assert_eq!(client.frame().payload, message.as_bytes());
        }
    }
    assert_eq!(server.sockets(), before + 24);
    let [mut staying, leaving @ ..] = room;
    drop(leaving);
    assert!(comes_to_hold(|| server.sockets() == before + 1), "{}", server.log());
    staying.write(&text("alone"));
    assert_eq!(staying.frame().payload, b"alone");
    server.signal(Signal::SIGTERM);
    assert_eq!(staying.close_code(), 1001);
    let refused = || Client::connect(server.address()).is_err();
    assert!(comes_to_hold(refused), "no listener is left open");
    staying.write(&close(1001));
    assert_eq!(server.exit_code(ms(10_000)), 0);
}

/// No socket is open in the tables of two threads.
fn has_private_tables(server: &Process) -> bool {
    let tasks = server.tasks().into_iter().map(|task| task.descriptors);
    let mut sockets: Vec<String> = tasks.flatten().filter(|to| to.starts_with("socket:")).collect();
    sockets.sort();
    let count = sockets.len();
    sockets.dedup();
    count == sockets.len()
}

fn room(log: &str) -> u64 {
    let behind = log.split_once(", room for ").expect("the log says it").1;
    behind.split(' ').next().and_then(|number| number.parse().ok()).expect("it is a number")
}

fn under_the_default_profile_of_docker_each_worker_has_its_own_table(backend: Backend) {
    let Some(server) = start(backend, &by_docker(), &["--workers", "3"]) else { return };
    assert!(has_private_tables(&server), "{:?}", server.tasks());
    assert!(!server.log().contains("share one descriptor table"), "{}", server.log());
    serves(server);
}

fn where_only_unshare_is_permitted_each_worker_has_its_own_table(backend: Backend) {
    // As before Linux 5.9.
    let rules = [Rule(libc::SYS_close_range, libc::ENOSYS, None)];
    let Some(server) = start(backend, &rules, &["--workers", "3"]) else { return };
    assert!(has_private_tables(&server), "{:?}", server.tasks());
    serves(server);
}

fn where_nothing_parts_the_tables_one_is_shared_and_the_log_says_so(backend: Backend) {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let args = ["--workers", "3"];
        let Some(server) = start(backend, &no_parting(errno), &args) else { return };
        let log = server.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("share one")).collect();
        assert!(matches!(told[..], [line] if line.contains("WARN")), "{log}");
        let doctor = Launch::new(PROGRAM).args(["doctor", "--json", "--workers", "3"]);
        let Some(wrapper) = forbid(&no_parting(errno)) else { return };
        let report = doctor.wrapped(wrapper).run(ms(10_000)).stdout;
        let report: Value = serde_json::from_str(&report).expect("it is JSON");
        assert_eq!(report["room_in_tables"], room(&log), "{report:#}");
        let all_have_one = |limit: &Value| {
            limit["name"] == "nofile"
                && limit["now"].as_str().is_some_and(|now| now.contains("for all 3 workers"))
        };
        let limits = report["limits"].as_array().expect("it lists them");
        assert!(limits.iter().any(all_have_one), "{report:#}");
        serves(server);
    }
}

/// What one more client is answered.
fn status(server: &Process) -> Option<u16> {
    let mut client = Client::connect(server.address()).expect("it listens");
    // A server without room may be quicker.
    let _ = client.try_write(handshake("/room/a", &[]).as_bytes());
    client.try_response(false, ms(5000)).ok().map(|response| response.status)
}

fn a_shared_table_that_is_full_is_borne(backend: Backend) {
    let Some(wrapper) = forbid(&no_parting(libc::EPERM)) else { return };
    let server = launch(backend, &["--workers", "2"]).wrapped(wrapper).nofile(150).start();
    let room = usize::try_from(room(&server.log())).expect("it is small");
    assert!((30..100).contains(&room), "{}", server.log());
    let mut inside: Vec<Client> =
        (0..room).map(|_| Client::open(server.address(), "/room/a")).collect();
    for _ in 0..50 {
        assert_eq!(status(&server), Some(503));
    }
    inside[0].write(&text("all are here"));
    for client in &mut inside {
        assert_eq!(client.frame().payload, b"all are here");
    }
    drop(inside);
    assert!(comes_to_hold(|| status(&server) == Some(101)), "places came free");
}

fn it_serves_without_proc(backend: Backend) {
    let hide = ["unshare", "--mount", "sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    let mut trial = Command::new(hide[0]);
    let trial = trial.args(&hide[1..]).args(["test", "!", "-e", "/proc/self"]).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        return skip("/proc cannot be unmounted here");
    }
    serves(launch(backend, &["--workers", "3"]).wrapped(hide).start());
    // Nor with the number of workers left to it.
    let server = Launch::new(PROGRAM).args(["--listen", "127.0.0.1:0"]).wrapped(hide).start();
    drop(Client::open(server.address(), "/echo"));
}
