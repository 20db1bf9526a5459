//! What /proc says of this process and its threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// What /proc counts CPU time in: USER_HZ, the same on every machine of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a worker's thread is called, before its number.
const WORKER: &str = "worker-";

/// The threads of the workers, by their numbers.
#[derive(Debug)]
pub(crate) struct Tasks {
    workers: Vec<Option<PathBuf>>,
    /// Seconds since 1970 at which the process started.
    started: Option<f64>,
}

/// The process as a whole. What /proc does not tell is not there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// Descriptors of the table that has the most of them.
    pub(crate) open_fds: Option<u64>,
    /// What each table may have.
    pub(crate) max_fds: Option<u64>,
    pub(crate) started: Option<f64>,
}

impl Tasks {
    /// Finds the threads of so many workers, which run.
    pub(crate) fn find(workers: usize) -> Self {
        let mut found = vec![None; workers];
        for task in tasks() {
            let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
            let number = name.trim_end().strip_prefix(WORKER).and_then(|n| n.parse::<usize>().ok());
            if let Some(place) = number.and_then(|number| found.get_mut(number)) {
                *place = Some(task);
            }
        }
        Self { workers: found, started: started() }
    }

    /// The CPU time of a worker, to the nanosecond where the kernel keeps it so.
    pub(crate) fn cpu(&self, worker: usize) -> Option<Duration> {
        let task = self.workers.get(worker)?.as_ref()?;
        let text = fs::read_to_string(task.join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }

    /// The process of this moment.
    pub(crate) fn process(&self) -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name| field(&status, name).map(|kib| kib * 1024);
        Process {
            cpu_seconds: cpu_seconds(),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: field(&status, "Threads:"),
            open_fds: tasks().iter().filter_map(|task| descriptors(task)).max(),
            max_fds: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
            started: self.started,
        }
    }
}

/// Bytes of a page.
pub(super) fn page_bytes() -> u64 {
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

fn tasks() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Descriptors of a thread's table. Before Linux 6.2 the folder has no size, and they are counted.
fn descriptors(task: &Path) -> Option<u64> {
    let folder = task.join("fd");
    match fs::metadata(&folder).ok()?.len() {
        0 => fs::read_dir(folder).ok().map(|entries| entries.count() as u64),
        size => Some(size),
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The fields of /proc/self/stat from the third on: the name before may have blanks.
fn stat() -> Option<Vec<f64>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect())
}

fn cpu_seconds() -> Option<f64> {
    let stat = stat()?;
    Some((stat.get(11)? + stat.get(12)?) / TICKS_PER_SECOND)
}

fn started() -> Option<f64> {
    let boot = field(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(boot as f64 + stat()?.get(19)? / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let process = Tasks::find(1).process();
        assert!(process.resident_bytes > Some(1 << 16));
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.threads >= Some(1));
        assert!(process.open_fds >= Some(3) && process.open_fds < process.max_fds);
        assert!(process.started > Some(1.6e9), "it has not run since 2020");
        assert!(process.cpu_seconds.is_some());
    }
}
