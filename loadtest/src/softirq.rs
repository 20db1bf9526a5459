//! What the kernel does in its own threads for what runs on some CPUs.
//!
//! The receiving end of a send over loopback, and packets of a network card, are handled in
//! softirqs: as a rule inside of the call that raised them, so that its caller pays. Where one call
//! does much, such as a batch of io_uring, the kernel leaves them to ksoftirqd of the CPU, whose
//! time is nobody's. Who compares servers must add it.

use std::fs;
use std::path::PathBuf;

/// The ksoftirqd threads of some CPUs.
#[derive(Clone, Debug)]
pub struct SoftirqThreads {
    schedstats: Vec<PathBuf>,
}

impl SoftirqThreads {
    /// Finds those of `cpus`; `None` if they are hidden, as they are in most containers.
    #[must_use]
    pub fn of(cpus: &[usize]) -> Option<Self> {
        let names: Vec<String> = cpus.iter().map(|cpu| format!("ksoftirqd/{cpu}")).collect();
        let processes =
            fs::read_dir("/proc").ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let is_one = |path: &PathBuf| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            names.iter().any(|wanted| wanted == name.trim_end())
        };
        let schedstats: Vec<PathBuf> =
            processes.filter(is_one).map(|path| path.join("schedstat")).collect();
        (schedstats.len() == cpus.len()).then_some(Self { schedstats })
    }

    /// Nanoseconds of CPU time that they have used since the machine started.
    #[must_use]
    pub fn ns(&self) -> u64 {
        self.schedstats.iter().filter_map(|path| run_ns(&fs::read_to_string(path).ok()?)).sum()
    }
}

/// The first of three numbers: time on the CPU, time in its queue, times that it ran.
fn run_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_cpu_is_the_first_number() {
        assert_eq!(run_ns("93073699179 501474673179 354060\n"), Some(93_073_699_179));
        assert_eq!(run_ns(""), None);
    }

    #[test]
    fn threads_of_a_cpu_that_is_not_there_are_not_found() {
        assert!(SoftirqThreads::of(&[1_000_000]).is_none());
    }

    #[test]
    fn their_time_only_grows() {
        let Some(threads) = SoftirqThreads::of(&[0]) else { return };
        let before = threads.ns();
        assert!(threads.ns() >= before);
    }
}
