//! What the kernel holds for the sockets of our network namespace.

use std::fs;

use super::process::page_bytes;

/// Memory and sockets of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpMemory {
    /// Bytes of buffers.
    pub(crate) bytes: u64,
    /// Where the kernel begins to drop; nothing where it does not say.
    pub(crate) limit_bytes: Option<u64>,
    /// Sockets that are connected or listen.
    pub(crate) in_use: u64,
    /// Sockets that belong to no process any more.
    pub(crate) orphans: u64,
    /// Sockets in TIME_WAIT.
    pub(crate) time_wait: u64,
}

impl TcpMemory {
    /// As proc(5) has it.
    pub(crate) fn read() -> Option<Self> {
        let sockets = fs::read_to_string("/proc/self/net/sockstat").ok()?;
        let limits = fs::read_to_string("/proc/sys/net/ipv4/tcp_mem").ok();
        Self::parse(&sockets, limits.as_deref(), page_bytes())
    }

    fn parse(sockets: &str, limits: Option<&str>, page_bytes: u64) -> Option<Self> {
        let line = sockets.lines().find_map(|line| line.strip_prefix("TCP:"))?;
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let of = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        let pages = limits.and_then(|limits| limits.split_ascii_whitespace().nth(2)?.parse().ok());
        Some(Self {
            bytes: of("mem")? * page_bytes,
            limit_bytes: pages.map(|pages: u64| pages.saturating_mul(page_bytes)),
            in_use: of("inuse")?,
            orphans: of("orphan")?,
            time_wait: of("tw")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_tcp_is_read() {
        let sockets =
            "sockets: used 19\nTCP: inuse 1 orphan 2 tw 1593 alloc 7 mem 112\nUDP: inuse 0";
        let tcp = TcpMemory {
            bytes: 112 * 4096,
            limit_bytes: Some(30 * 4096),
            in_use: 1,
            orphans: 2,
            time_wait: 1593,
        };
        assert_eq!(TcpMemory::parse(sockets, Some("10\t20\t30\n"), 4096), Some(tcp));
        assert_eq!(TcpMemory::parse("UDP: inuse 0", None, 4096), None);
        assert!(TcpMemory::read().is_some(), "this host has it");
    }
}
