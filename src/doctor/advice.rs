//! What does not bound the number of connections, but hurts on the way there.

use super::forbidden::forbidden;
use super::host::Host;
use super::judge::Setup;
use super::report::Advice;
use super::rules::{Scene, lacks_locked_memory, memlock_remedy};
use super::text::{bytes, grouped};
use crate::config::Backend;

/// Connects that each listener should let wait: a storm of reconnects comes in one burst.
const BACKLOG: u64 = 65_535;

/// Entries of a bucket of the kernel's table that a lookup may walk along.
const CHAIN_MAX: u64 = 4;

/// Advice for a host that is to hold so many connections.
pub(super) fn advise(host: &Host, setup: Setup, connections: u64) -> Vec<Advice> {
    let ends = if setup.local_addresses.is_some() { 2 } else { 1 };
    let all = [
        io_uring(host, setup),
        memlock(host, setup),
        backlog(host.somaxconn, "net.core.somaxconn", setup),
        backlog(host.syn_backlog, "net.ipv4.tcp_max_syn_backlog", setup),
        hash_table(host, connections.saturating_mul(ends)),
        conntrack(host, connections),
    ];
    all.into_iter().flatten().collect()
}

fn io_uring(host: &Host, setup: Setup) -> Option<Advice> {
    if let Some(forbidden) = forbidden(&host.io_uring) {
        // Where the server insists on it, this is a limit.
        let is_advice = setup.backend == Backend::Epoll;
        return is_advice.then(|| Advice {
            name: "io_uring",
            now: forbidden.reason,
            effect: "the server takes epoll".into(),
            remedy: forbidden.remedy,
        });
    }
    (host.io_uring.disabled == Some(1)).then(|| Advice {
        name: "kernel.io_uring_disabled",
        now: "1".into(),
        effect: "it works for this user, but not outside of kernel.io_uring_group".into(),
        remedy: "sysctl -w kernel.io_uring_group=GID of the server's user".into(),
    })
}

fn memlock(host: &Host, setup: Setup) -> Option<Advice> {
    let is_missed = setup.backend == Backend::Epoll && host.io_uring.probed.is_ok();
    (is_missed && lacks_locked_memory(host, setup)).then(|| Advice {
        name: "memlock",
        now: bytes(host.memlock.soft),
        effect: "too little for the rings of all workers, so the server takes epoll".into(),
        remedy: memlock_remedy(&Scene { host, setup }),
    })
}

fn backlog(backlog: Option<u64>, name: &'static str, setup: Setup) -> Option<Advice> {
    let backlog = backlog.filter(|backlog| *backlog < BACKLOG)?;
    Some(Advice {
        name,
        now: grouped(backlog),
        effect: format!(
            "more connects at once than this, at one of {} workers, wait a second and try again",
            setup.workers
        ),
        remedy: format!("sysctl -w {name}={BACKLOG}"),
    })
}

fn hash_table(host: &Host, sockets: u64) -> Option<Advice> {
    let buckets = host.hash_buckets.filter(|buckets| *buckets > 0)?;
    let chain = sockets / buckets;
    (chain >= CHAIN_MAX).then(|| Advice {
        name: "net.ipv4.tcp_ehash_entries",
        now: format!("{} buckets", grouped(buckets)),
        effect: format!("each packet walks along up to {chain} sockets or more to find its own"),
        remedy: format!(
            "boot with thash_entries={} (GRUB_CMDLINE_LINUX)",
            (sockets / 2).checked_next_power_of_two().unwrap_or(1 << 31)
        ),
    })
}

fn conntrack(host: &Host, connections: u64) -> Option<Advice> {
    let tracked = host.conntrack?;
    (tracked.count == 0 && tracked.max < connections).then(|| Advice {
        name: "net.netfilter.nf_conntrack_max",
        now: grouped(tracked.max),
        effect: "a firewall rule that tracks connections would drop those above".into(),
        remedy: format!("sysctl -w net.netfilter.nf_conntrack_max={connections}"),
    })
}
