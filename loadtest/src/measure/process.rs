//! What one process uses: CPU time and memory, from the kernel's clock of it and from /proc.

use std::fs;
use std::io;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// CPU time of a process since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    /// All of it, exactly.
    total_ns: u64,
    /// In ticks of 10 ms, as the kernel splits it.
    user_ticks: u64,
    system_ticks: u64,
}

/// CPU time between two moments, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSpent {
    pub(crate) user_ns: f64,
    pub(crate) system_ns: f64,
}

impl CpuSpent {
    pub(crate) fn total_ns(self) -> f64 {
        self.user_ns + self.system_ns
    }
}

impl CpuTime {
    /// All threads of a process together, those that have ended too.
    pub(crate) fn of(pid: Pid) -> io::Result<Self> {
        let total = Duration::from(clock_getcpuclockid(pid)?.now()?);
        let (user_ticks, system_ticks) = ticks(&read(pid, "stat")?)
            .ok_or_else(|| io::Error::other("/proc/PID/stat is not as proc(5) says"))?;
        Ok(Self { total_ns: total.as_nanos() as u64, user_ticks, system_ticks })
    }

    /// The exact total, split as the coarse ticks are.
    pub(crate) fn since(self, before: Self) -> CpuSpent {
        let total = self.total_ns.saturating_sub(before.total_ns) as f64;
        let user = self.user_ticks.saturating_sub(before.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(before.system_ticks) as f64;
        let all = user + system;
        let user_share = if all > 0.0 { user / all } else { 0.0 };
        CpuSpent { user_ns: total * user_share, system_ns: total * (1.0 - user_share) }
    }
}

/// CPU time of each thread of this process, in nanoseconds, by its id.
pub(crate) fn own_threads() -> Vec<(u32, u64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let tasks = tasks.filter_map(|task| {
        let task = task.ok()?;
        let id = task.file_name().to_str()?.parse().ok()?;
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((id, schedstat.split_ascii_whitespace().next()?.parse().ok()?))
    });
    tasks.collect()
}

/// Resident memory of a process, in bytes, exactly: the kernel walks its page tables for it.
pub(crate) fn resident_bytes(pid: Pid) -> io::Result<u64> {
    let text = read(pid, "smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("smaps_rollup has no Rss"))
}

/// Resident memory of a process, in bytes, from the kernel's counters: cheap, and off by some
/// pages per CPU.
pub(crate) fn resident_bytes_about(pid: Pid) -> io::Result<u64> {
    let text = read(pid, "statm")?;
    let pages = text.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * 4096).ok_or_else(|| io::Error::other("statm has no second field"))
}

fn read(pid: Pid, file: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
}

fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The name is in brackets and may hold anything.
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0";
        assert_eq!(ticks(stat), Some((12, 34)));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn the_split_adds_up_to_the_exact_total() {
        let before = CpuTime { total_ns: 5, user_ticks: 1, system_ticks: 1 };
        let after = CpuTime { total_ns: 1_000_005, user_ticks: 2, system_ticks: 4 };
        let spent = after.since(before);
        assert!((spent.user_ns - 250_000.0).abs() < 1e-6);
        assert!((spent.total_ns() - 1_000_000.0).abs() < 1e-6);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = Pid::this();
        let before = CpuTime::of(pid).expect("it runs");
        let mut sum = 0_u64;
        while CpuTime::of(pid).expect("it runs").since(before).total_ns() < 2e6 {
            sum = (0..10_000).fold(sum, |sum, i| std::hint::black_box(sum ^ i));
        }
        let (exact, about) = (resident_bytes(pid), resident_bytes_about(pid));
        let (exact, about) = (exact.expect("it runs"), about.expect("it runs"));
        assert!(exact > 100_000 && about > 100_000, "{exact} {about}");
        assert!(own_threads().iter().any(|(_, ns)| *ns > 0));
    }
}
