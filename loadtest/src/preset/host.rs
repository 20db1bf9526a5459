//! Whether this host can do it, and with which command it could.

use std::fs;

use super::sysctl::Need;
use crate::measure::kernel;

/// What a connection over loopback needs, both ends and both programs, in bytes: 7.9 KiB of slabs,
/// what waits during a broadcast, descriptor tables, and some hundred bytes in user space.
const PAIR_BYTES: u64 = 11 * 1024;

/// What must be left for everything else.
const SPARE_BYTES: u64 = 1 << 30;

/// What is missing; each line names the cause and the command that mends it.
pub(crate) fn missing(connections: u64) -> Vec<String> {
    let mut missing = Vec::new();
    let available = kernel::available_bytes();
    let needed = connections * PAIR_BYTES + SPARE_BYTES;
    if available < needed {
        missing.push(format!(
            "memory: {} MiB are to be had and about {} MiB are needed; end other programs, or take \
             fewer: --connections {}",
            available >> 20,
            needed >> 20,
            available.saturating_sub(SPARE_BYTES) / PAIR_BYTES
        ));
    }
    let files = 2 * connections + 10_000;
    if let Some(max) = number("fs.file-max").filter(|max| *max < files) {
        missing.push(format!("fs.file-max is {max}: sudo sysctl -w fs.file-max={files}"));
    }
    let watches = 2 * connections + 10_000;
    let name = "fs.epoll.max_user_watches";
    if let Some(max) = number(name).filter(|max| *max < watches) {
        missing.push(format!("{name} is {max}: sudo sysctl -w {name}={watches}"));
    }
    let tracked = number("net.netfilter.nf_conntrack_count").unwrap_or(0);
    if let Some(max) = number("net.netfilter.nf_conntrack_max")
        && tracked > 0
        && max < connections + 10_000
    {
        missing.push(format!(
            "connections are tracked and nf_conntrack_max is {max}: sudo sysctl -w \
             net.netfilter.nf_conntrack_max={}",
            2 * connections
        ));
    }
    missing
}

/// Settings that a preset sets by itself, if it may.
pub(crate) fn needs(connections: u64) -> Vec<Need> {
    // While a broadcast is on its way, each socket with something in it is charged a page at least,
    // and above the middle number the kernel begins to shrink windows.
    let pages = connections * 3 / 2;
    vec![
        Need {
            name: "net.ipv4.tcp_mem",
            field: 1,
            at_least: pages,
            value: [pages / 2, pages, pages * 2],
            fields: 3,
            why: "a broadcast charges a page to each socket that it waits in",
        },
        Need {
            name: "net.core.somaxconn",
            field: 0,
            at_least: 4096,
            value: [4096, 0, 0],
            fields: 1,
            why: "connects wait in the listeners' queues",
        },
    ]
}

/// The first number of a setting, if this kernel has it.
fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_host_has_is_missing() {
        let missing = missing(1 << 40);
        assert!(missing.iter().any(|line| line.starts_with("memory:")), "{missing:?}");
        assert!(
            missing.iter().all(|line| line.contains("--connections") || line.contains("sysctl -w"))
        );
    }

    #[test]
    fn a_few_connections_miss_nothing() {
        assert_eq!(missing(10), Vec::<String>::new());
    }
}
