//! Which CPUs workers run on.

use std::fs;
use std::path::{Path, PathBuf};

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
    assert_eq!(of_workers(&start(&["--workers", "1"])), vec![cpus.clone(); 1]);
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

/// A cgroup with one CPU's worth of time; it goes away with the test.
struct Quota {
    folder: PathBuf,
    /// The file that takes those who join.
    members: &'static str,
}

impl Quota {
    fn new() -> Option<Self> {
        let name = format!("throng-quota-{}", std::process::id());
        let forms = [
            ("/sys/fs/cgroup/cpu", "tasks", "cpu.cfs_quota_us", "100000"),
            ("/sys/fs/cgroup", "cgroup.procs", "cpu.max", "100000 100000"),
        ];
        forms.into_iter().find_map(|(mount, members, file, value)| {
            let quota = Self { folder: Path::new(mount).join(&name), members };
            fs::create_dir(&quota.folder).ok()?;
            fs::write(quota.folder.join(file), value).ok()?;
            Some(quota)
        })
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // It is empty when the last member was waited for.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn the_quota_of_a_cgroup_bounds_the_number_of_workers() {
    if permitted().len() < 2 {
        return skip("there is one CPU only");
    }
    let Some(quota) = Quota::new() else { return skip("no cgroup can be made here") };
    let join = format!("echo $$ >{}/{} && exec \"$@\"", quota.folder.display(), quota.members);
    let launch = Launch::new(PROGRAM).args(["--listen", "127.0.0.1:0"]);
    let server = launch.wrapped(["sh", "-c", &join, "sh"]).start();
    assert_eq!(of_workers(&server), vec![permitted(); 1]);
    assert!(server.log().contains("1 worker, room for"), "{}", server.log());
}
