//! Each limit made the smallest in turn, on a host that is a directory of files like those of
//! /proc and /sys.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Host, Report, Setup, judge};
use crate::config::Backend;
use crate::server::capacity::Tables;

/// A host where none of the limits is near another, and the memory is the smallest.
const FILES: &[(&str, &str)] = &[
    ("proc/self/limits", LIMITS),
    ("proc/self/status", "Name:\tthrong\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"),
    ("proc/self/cgroup", "4:memory:/a/b\n1:cpu:/\n0::/\n"),
    ("proc/meminfo", "MemTotal:       1000000000 kB\nMemAvailable:   900000000 kB\n"),
    ("proc/net/sockstat", "sockets: used 9\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 79\n"),
    ("proc/sys/fs/nr_open", "1073741816\n"),
    ("proc/sys/fs/file-max", "9223372036854775807\n"),
    ("proc/sys/fs/file-nr", "642\t0\t9223372036854775807\n"),
    ("proc/sys/fs/epoll/max_user_watches", "900000000\n"),
    ("proc/sys/net/core/somaxconn", "65535\n"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "65535\n"),
    ("proc/sys/net/ipv4/tcp_mem", "500000000\t700000000\t900000000\n"),
    ("proc/sys/net/ipv4/tcp_ehash_entries", "524288\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "1024\t65535\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "900000000\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "12\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
];

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 900000000            files
Max locked memory         unlimited            unlimited            bytes
";

const EPOLL: Setup =
    Setup { backend: Backend::Epoll, workers: 8, tables: Tables::Private, local_addresses: None };
const SHARED: Setup = Setup { tables: Tables::Shared, ..EPOLL };
const URING: Setup = Setup { backend: Backend::IoUring, ..EPOLL };
const LOCAL: Setup = Setup { local_addresses: Some(4000), ..EPOLL };

/// A directory with the files of a host, other ones in place of some.
struct Root(PathBuf);

impl Root {
    fn new(changes: &[(&str, &str)]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("throng-doctor-{}-{number}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        for (path, text) in FILES.iter().chain(changes) {
            let path = root.0.join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }
        root
    }

    fn host(&self) -> Host {
        Host::read(&self.0, Ok(())).expect("its files are complete")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Left over files are no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn report(changes: &[(&str, &str)], setup: Setup) -> Report {
    judge(&Root::new(changes).host(), setup, None)
}

fn remedy<'a>(report: &'a Report, name: &str) -> Option<&'a str> {
    report.limits.iter().find(|limit| limit.name == name)?.remedy.as_deref()
}

/// What makes a limit the smallest: its name, the server, the file that says so, and the
/// connections that are left by it.
const SMALLEST: &[(&str, Setup, &str, &str, u64)] = &[
    ("nofile", Setup { workers: 1, ..EPOLL }, "proc/self/limits", FEW_FILES, 4096 - 46),
    ("nofile", SHARED, "proc/self/limits", FEW_FILES, 4096 - 4 - 8 * 43),
    ("fs.nr_open", Setup { workers: 1, ..EPOLL }, "proc/sys/fs/nr_open", "5000\n", 5000 - 46),
    ("fs.file-max", EPOLL, "proc/sys/fs/file-max", "50000\n", 50_000 - 642 - 8 * 53 - 1024),
    ("fs.file-max", LOCAL, "proc/sys/fs/file-max", "50000\n", (50_000 - 642 - 8 * 53 - 1024) / 2),
    ("fs.epoll.max_user_watches", EPOLL, WATCHES, "6000\n", 6000 - 16),
    ("fs.epoll.max_user_watches", LOCAL, WATCHES, "6000\n", (6000 - 16) / 2),
    ("net.ipv4.tcp_mem", EPOLL, "proc/sys/net/ipv4/tcp_mem", "3\t6\t7079\n", 7000),
    ("net.ipv4.tcp_mem", LOCAL, "proc/sys/net/ipv4/tcp_mem", "3\t6\t7079\n", 3500),
    ("net.netfilter.nf_conntrack_max", EPOLL, CONNTRACK, "8000\n", 7988),
    ("net.ipv4.ip_local_port_range", LOCAL, PORT_RANGE, "1024\t1024\n", 4000),
    ("memory", EPOLL, "proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n", 193_613),
    ("memory", EPOLL, CGROUP_LIMIT, "47600000\n", 10_000),
    ("memlock", URING, "proc/self/limits", LITTLE_MEMORY, 0),
];

const FEW_FILES: &str = "Max open files  1024  4096  files\nMax locked memory  0  0  bytes\n";
const LITTLE_MEMORY: &str = "\
Max open files            1024                 900000000            files
Max locked memory         1600000              8388608              bytes
";
const WATCHES: &str = "proc/sys/fs/epoll/max_user_watches";
const CONNTRACK: &str = "proc/sys/net/netfilter/nf_conntrack_max";
const PORT_RANGE: &str = "proc/sys/net/ipv4/ip_local_port_range";
const CGROUP_LIMIT: &str = "sys/fs/cgroup/memory/a/memory.limit_in_bytes";

#[test]
fn each_limit_binds_when_it_is_the_smallest() {
    for (name, setup, path, text, connections) in SMALLEST {
        let report = report(&[(path, text)], *setup);
        assert_eq!((report.binding, report.connections), (*name, *connections), "{report}");
        let remedy = remedy(&report, name).unwrap_or_else(|| panic!("no remedy:\n{report}"));
        assert!(!remedy.is_empty(), "{report}");
        assert!(report.to_string().contains(remedy), "{report}");
    }
}

#[test]
fn where_io_uring_is_insisted_on_it_binds_if_it_does_not_work() {
    for (disabled, status, probed, says) in [
        ("2\n", "Seccomp:\t0\n", "forbidden", "kernel.io_uring_disabled=0"),
        ("1\n", "Seccomp:\t0\n", "forbidden", "kernel.io_uring_group"),
        ("0\n", "Seccomp:\t2\n", "forbidden", "seccomp profile"),
        ("0\n", "Seccomp:\t0\n", "this kernel has no io_uring", "--backend epoll"),
    ] {
        let changes =
            [("proc/sys/kernel/io_uring_disabled", disabled), ("proc/self/status", status)];
        let root = Root::new(&changes);
        let host = Host::read(&root.0, Err(probed.into())).expect("its files are complete");
        let insists = judge(&host, URING, None);
        assert_eq!((insists.binding, insists.connections), ("io_uring", 0), "{insists}");
        let told = remedy(&insists, "io_uring");
        assert!(told.is_some_and(|remedy| remedy.contains(says)), "{insists}");
        let does_without = judge(&host, EPOLL, None);
        assert_eq!(does_without.binding, "memory", "{does_without}");
        let advice = does_without.advice.iter().find(|advice| advice.name == "io_uring");
        assert!(advice.is_some_and(|advice| advice.remedy.contains(says)), "{does_without}");
    }
}

#[test]
fn nothing_binds_where_it_does_not_count() {
    for (setup, path, text) in [
        (URING, WATCHES, "6000\n"),
        (EPOLL, PORT_RANGE, "1024\t1024\n"),
        (EPOLL, "proc/self/limits", LITTLE_MEMORY),
        (EPOLL, "proc/sys/net/netfilter/nf_conntrack_count", "0\n"),
        (EPOLL, "sys/fs/cgroup/memory/a/c/memory.limit_in_bytes", "1000000\n"),
    ] {
        let report = report(&[(CONNTRACK, "900000001\n"), (path, text)], setup);
        assert_eq!(report.binding, "memory", "{path}:\n{report}");
    }
    let may_lock = "CapEff:\t0000000000004000\nCapBnd:\t0\n";
    let changes = [("proc/self/limits", LITTLE_MEMORY), ("proc/self/status", may_lock)];
    let report = report(&changes, URING);
    assert_eq!(report.binding, "memory", "{report}");
}

/// Does what a remedy of the form `sysctl -w key=value` says.
fn obey(root: &Root, remedy: &str) {
    let command = remedy.strip_prefix("sysctl -w ").expect("it is a sysctl");
    let command = command.split(", ").next().expect("there is something");
    let (key, value) = command.split_once('=').expect("it sets something");
    let path = root.0.join("proc/sys").join(key.replace('.', "/"));
    assert!(path.exists(), "{key} is read from there");
    fs::write(path, value.trim_matches('"')).expect("it is ours");
}

#[test]
fn with_the_sysctls_that_it_names_as_many_fit_as_are_wanted() {
    let is_sysctl = |case: &&(&str, Setup, &str, &str, u64)| case.2.starts_with("proc/sys/");
    for (name, setup, path, text, connections) in SMALLEST.iter().filter(is_sysctl) {
        let wanted = 1_000_000;
        let root = Root::new(&[(path, text)]);
        let before = judge(&root.host(), *setup, Some(wanted));
        assert_eq!((before.fits, before.target), (Some(false), wanted), "{before}");
        obey(&root, remedy(&before, name).expect("it does not fit"));
        let after = judge(&root.host(), *setup, Some(wanted));
        assert_eq!(after.fits, Some(true), "{connections} before, now:\n{after}");
    }
}

#[test]
fn the_descriptors_and_the_workers_that_it_names_are_enough() {
    for (wanted, workers) in [(100_000, 2), (1_000_000, 2), (1_000_000, 16)] {
        let setup = Setup { workers, ..EPOLL };
        let limits = |nofile: u64| {
            let limits = format!("Max open files 1024 {nofile} files\nMax locked memory 0 0 bytes");
            Root::new(&[("proc/self/limits", &limits)]).host()
        };
        let before = judge(&limits(20_000), setup, Some(wanted));
        let told = remedy(&before, "nofile").expect("it does not fit");
        let number = |mark: &str| {
            let behind = told.split_once(mark).expect("it names one").1;
            let digits = behind.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<u64>().ok()).expect("it is a number")
        };
        let raised = judge(&limits(number("ulimit -n ")), setup, Some(wanted));
        assert_eq!(raised.fits, Some(true), "{told}:\n{raised}");
        let just_too_low = judge(&limits(number("ulimit -n ") - 1), setup, Some(wanted));
        assert_eq!(just_too_low.fits, Some(false), "{told}:\n{just_too_low}");
        let more = Setup { workers: number("--workers ") as usize, ..setup };
        let parted = judge(&limits(20_000), more, Some(wanted));
        assert_eq!(parted.fits, Some(true), "{told}:\n{parted}");
    }
}

#[test]
fn what_the_log_of_a_server_says_is_told_with_the_reason_for_the_other_number() {
    let two = report(&[("proc/self/limits", FEW_FILES)], Setup { workers: 2, ..EPOLL });
    assert_eq!(two.room_in_tables, 2 * (4096 - 47), "{two}");
    assert!(two.connections < two.room_in_tables, "{two}");
    let text = two.to_string();
    assert!(text.contains("The server's log says 8,098") && text.contains("a hash"), "{text}");
    for setup in [Setup { workers: 1, ..EPOLL }, SHARED] {
        let one = report(&[("proc/self/limits", FEW_FILES)], setup);
        assert_eq!(one.connections, one.room_in_tables, "{one}");
        assert!(!one.to_string().contains("log says"), "{one}");
    }
}

#[test]
fn where_workers_share_a_table_more_of_them_are_no_remedy() {
    let report = judge(&Root::new(&[("proc/self/limits", FEW_FILES)]).host(), SHARED, Some(10_000));
    let told = remedy(&report, "nofile").expect("it does not fit");
    assert!(!told.contains("--workers") && told.contains("close_range"), "{told}");
    assert!(told.contains(&format!("ulimit -n {} ", 10_000 + 4 + 8 * 43)), "{told}");
    assert!(report.to_string().contains("for all 8 workers"), "{report}");
}

#[test]
fn one_is_no_plural() {
    let one = Setup { workers: 1, ..EPOLL };
    let text = judge(&Root::new(&[]).host(), one, Some(1)).to_string();
    assert!(text.contains("\n1 connection fits: room for "), "{text}");
    assert!(text.contains("1 worker,") && !text.contains(" 1 workers"), "{text}");
}

#[test]
fn what_a_server_on_epoll_lacks_for_io_uring_is_told() {
    let report = report(&[("proc/self/limits", LITTLE_MEMORY)], EPOLL);
    let memlock = report.advice.iter().find(|advice| advice.name == "memlock");
    assert!(memlock.is_some_and(|advice| advice.remedy.contains("ulimit -l")), "{report}");
}

#[test]
fn a_limit_that_cannot_be_raised_is_not_said_to_be() {
    let status = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n";
    let changes = [("proc/self/status", status), ("proc/self/limits", FEW_FILES)];
    let setup = Setup { workers: 2, ..EPOLL };
    let report = judge(&Root::new(&changes).host(), setup, Some(100_000));
    let told = remedy(&report, "nofile").expect("it binds");
    assert!(told.starts_with("--workers ") && !told.contains("ulimit"), "{told}");
}

#[test]
fn what_hurts_without_being_a_limit_is_told() {
    let changes = [
        ("proc/sys/net/core/somaxconn", "4096\n"),
        ("proc/sys/net/ipv4/tcp_max_syn_backlog", "2048\n"),
        ("proc/sys/net/ipv4/tcp_ehash_entries", "-131072\n"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "0\n"),
        (CONNTRACK, "262144\n"),
    ];
    let host = Root::new(&changes).host();
    let names = |wanted| {
        let report = judge(&host, EPOLL, Some(wanted));
        report.advice.iter().map(|advice| advice.name).collect::<Vec<_>>()
    };
    let backlogs = ["net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"];
    assert_eq!(names(1000), backlogs);
    let tables = ["net.ipv4.tcp_ehash_entries", "net.netfilter.nf_conntrack_max"];
    assert_eq!(names(1_000_000), [backlogs, tables].concat());
}

#[test]
fn what_a_kernel_does_not_show_is_no_limit() {
    let root = Root::new(&[]);
    fs::remove_dir_all(root.0.join("proc/sys")).expect("it is ours");
    fs::remove_dir_all(root.0.join("sys")).expect("it is ours");
    let report = judge(&root.host(), LOCAL, Some(1000));
    assert_eq!((report.binding, report.fits), ("memory", Some(true)), "{report}");
    assert!(report.to_string().contains("not to be seen here"), "{report}");
}

#[test]
fn without_proc_it_says_so() {
    let root = Root::new(&[]);
    fs::remove_file(root.0.join("proc/meminfo")).expect("it is ours");
    let error = Host::read(&root.0, Ok(())).expect_err("meminfo is needed").to_string();
    assert!(error.contains("/proc/meminfo") && error.contains("mounted"), "{error}");
}

#[test]
fn both_versions_of_cgroups_are_seen_with_what_they_could_take_back() {
    let left = |files: &[(&str, &str)]| Root::new(files).host().cgroup_available;
    assert_eq!(left(&[]), None);
    let v2 = [
        ("proc/self/cgroup", "0::/a.slice/b.service\n"),
        ("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"),
        ("sys/fs/cgroup/a.slice/memory.max", "1000000\n"),
        ("sys/fs/cgroup/a.slice/memory.current", "900000\n"),
        ("sys/fs/cgroup/a.slice/memory.stat", "anon 1\ninactive_file 300000\nslab 7\n"),
    ];
    assert_eq!(left(&v2), Some(400_000));
    let v1 = [
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n"),
        ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1500\n"),
    ];
    assert_eq!(left(&v1), Some(500));
}

#[test]
fn a_program_reads_what_a_person_does() {
    let report = report(&[("proc/self/limits", FEW_FILES)], Setup { workers: 1, ..EPOLL });
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("it is JSON");
    assert_eq!(json["binding"], "nofile");
    assert_eq!(json["connections"], 4050);
    assert_eq!(json["limits"].as_array().map(Vec::len), Some(report.limits.len()));
    assert!(report.to_string().contains("4,050"), "{report}");
}
