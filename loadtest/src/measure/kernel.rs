//! Memory that the kernel uses, and what the CPUs did: the parts of /proc about the whole machine.

use std::fs;

/// Bytes of a page, as slabs and sockets are counted on every machine of today.
const PAGE_BYTES: u64 = 4096;

/// What the kernel has allocated, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KernelMemory {
    /// All slabs; 0 where /proc/slabinfo may not be read.
    pub(crate) slab_bytes: u64,
    /// Slabs that only the connecting end needs: the ports that it is bound to.
    pub(crate) port_bytes: u64,
    /// What waits in TCP sockets.
    pub(crate) tcp_bytes: u64,
    /// Page tables of all processes.
    pub(crate) page_table_bytes: u64,
    /// Free, or to be had without swapping.
    pub(crate) available_bytes: u64,
}

impl KernelMemory {
    pub(crate) fn read() -> Self {
        let slabs = read("/proc/slabinfo");
        let slabs = Self {
            slab_bytes: slab_bytes(&slabs, |_| true),
            port_bytes: slab_bytes(&slabs, |name| name.starts_with("tcp_bind")),
            ..Self::default()
        };
        slabs.but_read_the_rest()
    }

    /// The slabs stay those of another time: to count them takes the kernel up to a millisecond,
    /// which shows in the latencies of the CPU that does it.
    pub(crate) fn but_read_the_rest(self) -> Self {
        let meminfo = read("/proc/meminfo");
        Self {
            tcp_bytes: tcp_pages(&read("/proc/net/sockstat")) * PAGE_BYTES,
            page_table_bytes: meminfo_bytes(&meminfo, "PageTables:"),
            available_bytes: meminfo_bytes(&meminfo, "MemAvailable:"),
            ..self
        }
    }
}

/// Segments with data that all TCP connections of this machine have sent since it started, without
/// those that were sent again. On loopback a message that leaves in one send is one segment.
pub(crate) fn tcp_data_segments() -> u64 {
    netstat_count(&read("/proc/net/netstat"), "TCPOrigDataSent")
}

/// Bytes that can be had without swapping.
pub(crate) fn available_bytes() -> u64 {
    meminfo_bytes(&read("/proc/meminfo"), "MemAvailable:")
}

/// Bytes of the machine.
pub(crate) fn total_bytes() -> u64 {
    meminfo_bytes(&read("/proc/meminfo"), "MemTotal:")
}

/// What some CPUs did since the machine started, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTicks {
    pub(crate) idle: u64,
    pub(crate) all: u64,
}

impl CpuTicks {
    /// Of the CPUs with these numbers.
    pub(crate) fn read(cpus: &[usize]) -> Self {
        cpu_ticks(&read("/proc/stat"), cpus)
    }

    /// The share of the time since `before` in which they had nothing to do.
    pub(crate) fn idle_share_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let idle = self.idle.saturating_sub(before.idle);
        if all == 0 { 1.0 } else { idle as f64 / all as f64 }
    }
}

/// A file of /proc; empty where it may not be read, so that its figures are 0.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn slab_bytes(slabinfo: &str, is_wanted: impl Fn(&str) -> bool) -> u64 {
    let lines = slabinfo.lines().filter(|line| !line.starts_with('#') && line.contains(':'));
    let slabs = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (name, pages) = (fields.first()?, fields.get(5)?.parse::<u64>().ok()?);
        let data = fields.iter().position(|field| *field == "slabdata")?;
        let slabs = fields.get(data + 2)?.parse::<u64>().ok()?;
        is_wanted(name).then_some(pages * slabs * PAGE_BYTES)
    });
    slabs.sum()
}

fn tcp_pages(sockstat: &str) -> u64 {
    let tcp = sockstat.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or_default();
    let mut words = tcp.split_ascii_whitespace().skip_while(|word| *word != "mem");
    words.nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// A count of /proc/net/netstat, where names and values stand in two lines.
fn netstat_count(netstat: &str, name: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let at = names.split_ascii_whitespace().position(|other| other == name);
    let value = at.and_then(|at| values.split_ascii_whitespace().nth(at));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn meminfo_bytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>();
    kib.unwrap_or(0) * 1024
}

fn cpu_ticks(stat: &str, cpus: &[usize]) -> CpuTicks {
    let mut ticks = CpuTicks::default();
    for line in stat.lines() {
        let mut fields = line.split_ascii_whitespace();
        let number = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
        if !number.is_some_and(|number| cpus.contains(&number)) {
            continue;
        }
        // user nice system idle iowait irq softirq steal; guests are counted as users already.
        let fields: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
        ticks.idle += fields.iter().skip(3).take(2).sum::<u64>();
        ticks.all += fields.iter().sum::<u64>();
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLABS: &str = "slabinfo - version: 2.1\n\
        # name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : ...\n\
        TCP 79 130 2368 13 8 : tunables 0 0 0 : slabdata 10 10 0\n\
        tcp_bind_bucket 1 64 64 64 1 : tunables 0 0 0 : slabdata 2 2 0\n";

    #[test]
    fn slabs_are_counted_in_pages() {
        assert_eq!(slab_bytes(SLABS, |_| true), (80 + 2) * 4096);
        assert_eq!(slab_bytes(SLABS, |name| name == "TCP"), 80 * 4096);
        assert_eq!(slab_bytes("", |_| true), 0);
    }

    #[test]
    fn sockets_and_memory() {
        let sockstat = "sockets: used 20\nTCP: inuse 1 orphan 0 tw 16 alloc 1 mem 7\nUDP: inuse 0";
        assert_eq!(tcp_pages(sockstat), 7);
        assert_eq!(meminfo_bytes("MemTotal:  100 kB\nMemFree:  7 kB\n", "MemFree:"), 7 * 1024);
    }

    #[test]
    fn counts_stand_below_their_names() {
        let netstat = "TcpExt: A TCPOrigDataSent B\nTcpExt: 1 22 3\nIpExt: C\nIpExt: 4\n";
        assert_eq!(netstat_count(netstat, "TCPOrigDataSent"), 22);
        assert_eq!(netstat_count(netstat, "C"), 0);
        assert_eq!(netstat_count("", "A"), 0);
    }

    #[test]
    fn idle_share_of_chosen_cpus() {
        let before = cpu_ticks("cpu 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0\ncpu1 9 9 9 9\n", &[0]);
        let after = cpu_ticks("cpu0 15 0 15 120 50 0 0 0 7 7\n", &[0]);
        assert!((after.idle_share_since(before) - 0.9).abs() < 1e-9);
    }
}
