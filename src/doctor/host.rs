//! The facts about a host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What /proc and /sys say of a host and of this process. `None` where they say nothing: an older
/// kernel, a module that is not loaded, a container that hides it.
#[derive(Clone, Debug)]
pub struct Host {
    /// RLIMIT_NOFILE: descriptors of one table.
    pub nofile: Rlimit,
    /// RLIMIT_MEMLOCK: bytes.
    pub memlock: Rlimit,
    /// Whether the hard limits can be raised (CAP_SYS_RESOURCE in the bounding set).
    pub can_raise_limits: bool,
    /// Whether RLIMIT_MEMLOCK does not count for this process (CAP_IPC_LOCK).
    pub can_lock_memory: bool,
    /// fs.nr_open: descriptors of one table, whatever RLIMIT_NOFILE says.
    pub nr_open: Option<u64>,
    /// fs.file-max: open files of the whole system.
    pub file_max: Option<u64>,
    /// Open files of the whole system now.
    pub files_open: u64,
    /// fs.epoll.max_user_watches: descriptors that one user may watch with epoll.
    pub user_watches: Option<u64>,
    /// net.core.somaxconn: connects that wait for an accept, of one listener.
    pub somaxconn: Option<u64>,
    /// net.ipv4.tcp_max_syn_backlog: handshakes under way, of one listener.
    pub syn_backlog: Option<u64>,
    /// net.ipv4.tcp_mem: pages; all of TCP takes no more than the third.
    pub tcp_mem: Option<[u64; 3]>,
    /// Pages that TCP takes now.
    pub tcp_pages: u64,
    /// net.ipv4.ip_local_port_range, first and last.
    pub ports: Option<[u64; 2]>,
    /// Connection tracking, if its module is loaded.
    pub conntrack: Option<Conntrack>,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Bytes of memory that can be had without swapping.
    pub memory_available: u64,
    /// Bytes that the memory cgroup leaves to us, if it is limited.
    pub cgroup_available: Option<u64>,
    /// Buckets of the kernel's table of established TCP connections.
    pub hash_buckets: Option<u64>,
    /// Whether io_uring works, and what may forbid it.
    pub io_uring: IoUring,
}

/// A resource limit, `u64::MAX` where it is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What holds now.
    pub soft: u64,
    /// What the process may raise it to.
    pub hard: u64,
}

/// net.netfilter.nf_conntrack_max and nf_conntrack_count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections that may be tracked.
    pub max: u64,
    /// Connections that are; none means that no firewall rule asks for it.
    pub count: u64,
}

/// io_uring on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoUring {
    /// What the server's own trial says.
    pub probed: Result<(), String>,
    /// kernel.io_uring_disabled: 0 for nobody, 1 for those outside of a group, 2 for all.
    pub disabled: Option<u64>,
    /// Whether a seccomp filter is upon this process, as in most containers.
    pub is_filtered: bool,
}

impl Host {
    /// Reads the facts below `root`, which is `/` or looks like it. Whether io_uring works is no
    /// file, so it is an argument.
    ///
    /// # Errors
    ///
    /// If there is no /proc, or one that is not Linux's.
    pub fn read(root: &Path, io_uring: Result<(), String>) -> io::Result<Self> {
        let files = Files { root };
        let limits = files.text("proc/self/limits")?;
        let status = files.text("proc/self/status")?;
        let meminfo = files.text("proc/meminfo")?;
        let field = |text, name| field(text, name).ok_or_else(|| strange(name));
        Ok(Self {
            nofile: rlimit(&limits, "Max open files").ok_or_else(|| strange("Max open files"))?,
            memlock: rlimit(&limits, "Max locked memory")
                .ok_or_else(|| strange("Max locked memory"))?,
            can_raise_limits: has_capability(&status, "CapBnd:", CAP_SYS_RESOURCE),
            can_lock_memory: has_capability(&status, "CapEff:", CAP_IPC_LOCK),
            nr_open: files.number("fs/nr_open"),
            file_max: files.number("fs/file-max"),
            files_open: files.numbers("fs/file-nr").map_or(0, |[open, _, _]: [u64; 3]| open),
            user_watches: files.number("fs/epoll/max_user_watches"),
            somaxconn: files.number("net/core/somaxconn"),
            syn_backlog: files.number("net/ipv4/tcp_max_syn_backlog"),
            tcp_mem: files.numbers("net/ipv4/tcp_mem"),
            tcp_pages: files.tcp_pages(),
            ports: files.numbers("net/ipv4/ip_local_port_range"),
            conntrack: files.conntrack(),
            memory_total: field(&meminfo, "MemTotal:")? * 1024,
            memory_available: field(&meminfo, "MemAvailable:")? * 1024,
            cgroup_available: crate::server::cgroup::available(root),
            hash_buckets: files.hash_buckets(),
            io_uring: IoUring {
                probed: io_uring,
                disabled: files.number("kernel/io_uring_disabled"),
                is_filtered: self::field(&status, "Seccomp:").is_some_and(|mode| mode > 0),
            },
        })
    }
}

/// Bits of the capability sets in /proc/self/status.
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RESOURCE: u32 = 24;

struct Files<'a> {
    root: &'a Path,
}

impl Files<'_> {
    fn text(&self, path: &str) -> io::Result<String> {
        fs::read_to_string(self.root.join(path)).map_err(|error| {
            let message = format!("cannot read /{path}: {error}; is /proc mounted?");
            io::Error::new(error.kind(), message)
        })
    }

    /// A file below /proc/sys.
    fn sysctl(&self, key: &str) -> Option<String> {
        let path: PathBuf = self.root.join("proc/sys").join(key);
        fs::read_to_string(path).ok()
    }

    fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.sysctl(key)?.trim().parse().ok()
    }

    fn numbers<const N: usize>(&self, key: &str) -> Option<[u64; N]> {
        let numbers = self.sysctl(key)?;
        let numbers = numbers.split_ascii_whitespace().map(|word| word.parse().ok());
        numbers.collect::<Option<Vec<u64>>>()?.try_into().ok()
    }

    fn tcp_pages(&self) -> u64 {
        let sockstat = self.text("proc/net/sockstat").unwrap_or_default();
        let tcp = sockstat.lines().find(|line| line.starts_with("TCP:"));
        let pages = tcp.and_then(|line| line.split_once(" mem ")).map(|(_, pages)| pages);
        pages.and_then(|pages| pages.trim().parse().ok()).unwrap_or(0)
    }

    fn conntrack(&self) -> Option<Conntrack> {
        Some(Conntrack {
            max: self.number("net/netfilter/nf_conntrack_max")?,
            count: self.number("net/netfilter/nf_conntrack_count")?,
        })
    }

    /// A network namespace that uses the table of the first one says so by a minus.
    fn hash_buckets(&self) -> Option<u64> {
        self.number::<i64>("net/ipv4/tcp_ehash_entries").map(i64::unsigned_abs)
    }
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc has no \"{what}\": is this Linux?"))
}

fn rlimit(limits: &str, name: &str) -> Option<Rlimit> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_ascii_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some(Rlimit { soft: words.next()??, hard: words.next()?? })
}

/// The number behind a name, in a file of `Name: number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn has_capability(status: &str, set: &str, bit: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix(set));
    let bits = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> bit & 1 == 1)
}
