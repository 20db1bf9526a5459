//! The limits of a host, each by itself: how many connections it allows, and what raises it.

use super::cost::{PERCENT_KEPT_FREE, connection_bytes};
use super::forbidden::forbidden;
use super::host::Host;
use super::judge::Setup;
use super::spread::{largest_share, within_share};
use super::text::{UNKNOWN, bytes, grouped, or_unlimited};
use crate::config::Backend;
use crate::driver::{Tuning, uring};
use crate::server::capacity::{Tables, descriptors_beside, room};

/// A host, and the server that it is judged for.
pub(super) struct Scene<'a> {
    pub(super) host: &'a Host,
    pub(super) setup: Setup,
}

/// One limit.
pub(super) struct Rule {
    /// As the kernel calls it.
    pub(super) name: &'static str,
    /// What it is now, with its unit.
    pub(super) now: fn(&Scene<'_>) -> String,
    /// Connections that it allows; `None` if it is no limit for this server, or cannot be seen.
    pub(super) allows: fn(&Scene<'_>) -> Option<u64>,
    /// What makes it allow that many, which are more than it allows now.
    pub(super) remedy: fn(&Scene<'_>, u64) -> String,
}

/// All of them. Of several that allow the same, the first is the one that binds.
pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "io_uring",
        now: |scene| match forbidden(&scene.host.io_uring) {
            Some(forbidden) => forbidden.reason,
            None => "works".into(),
        },
        allows: |scene| {
            let is_missed = scene.is_on_uring() && scene.host.io_uring.probed.is_err();
            is_missed.then_some(0)
        },
        remedy: |scene, _| match forbidden(&scene.host.io_uring) {
            Some(forbidden) => forbidden.remedy,
            None => String::new(),
        },
    },
    Rule {
        name: "memlock",
        now: |scene| {
            let limit = or_unlimited(scene.host.memlock.soft, bytes);
            if !scene.is_on_uring() {
                format!("{limit} (epoll locks none)")
            } else if scene.host.can_lock_memory {
                format!("{limit} (not for this user: CAP_IPC_LOCK)")
            } else {
                format!("{limit}, {} needed", bytes(scene.locked_bytes()))
            }
        },
        allows: |scene| {
            (scene.is_on_uring() && lacks_locked_memory(scene.host, scene.setup)).then_some(0)
        },
        remedy: |scene, _| format!("{}, or --backend epoll", memlock_remedy(scene)),
    },
    Rule {
        name: "nofile",
        now: |scene| {
            let limit = or_unlimited(scene.host.nofile.hard, grouped);
            match (scene.setup.tables, scene.setup.workers) {
                (_, 1) => format!("{limit} descriptors for 1 worker"),
                (Tables::Private, workers) => {
                    format!("{limit} descriptors for each of {workers} workers")
                }
                (Tables::Shared, workers) => {
                    format!("{limit} descriptors for all {workers} workers (a filter: one table)")
                }
            }
        },
        allows: |scene| Some(scene.in_tables_of(scene.host.nofile.hard)),
        remedy: nofile_remedy,
    },
    Rule {
        name: "fs.nr_open",
        now: |scene| shown(scene.host.nr_open, "descriptors of one table"),
        allows: |scene| Some(scene.in_tables_of(scene.host.nr_open?)),
        remedy: |scene, target| format!("sysctl -w fs.nr_open={}", scene.table_for(target)),
    },
    Rule {
        name: "fs.file-max",
        now: |scene| {
            let max = shown(scene.host.file_max, "open files");
            format!("{max}, {} in use", grouped(scene.host.files_open))
        },
        allows: |scene| {
            Some(scene.host.file_max?.saturating_sub(scene.other_files()) / scene.ends())
        },
        remedy: |scene, target| {
            let needed = target.saturating_mul(scene.ends()).saturating_add(scene.other_files());
            format!("sysctl -w fs.file-max={needed}")
        },
    },
    Rule {
        name: "fs.epoll.max_user_watches",
        now: |scene| {
            let max = shown(scene.host.user_watches, "watches");
            if scene.watched_ends() == 0 { format!("{max} (io_uring takes none)") } else { max }
        },
        allows: |scene| {
            let left = scene.host.user_watches?.saturating_sub(scene.other_watches());
            left.checked_div(scene.watched_ends())
        },
        remedy: |scene, target| {
            let needed = target.saturating_mul(scene.watched_ends());
            let needed = needed.saturating_add(scene.other_watches());
            format!("sysctl -w fs.epoll.max_user_watches={needed}")
        },
    },
    Rule {
        name: "net.ipv4.tcp_mem",
        now: |scene| {
            let max = shown(scene.host.tcp_mem.map(|[_, _, max]| max), "pages");
            format!("{max}: one for a message to each connection")
        },
        allows: |scene| {
            let [_, _, max] = scene.host.tcp_mem?;
            Some(max.saturating_sub(scene.host.tcp_pages) / scene.ends())
        },
        remedy: |scene, target| {
            let needed = target.saturating_mul(scene.ends()).saturating_add(scene.host.tcp_pages);
            let [low, pressure, _] = scene.host.tcp_mem.unwrap_or_default();
            let (low, pressure) = (low.max(needed / 2), pressure.max(needed / 4 * 3));
            format!("sysctl -w net.ipv4.tcp_mem=\"{low} {pressure} {needed}\"")
        },
    },
    Rule {
        name: "net.netfilter.nf_conntrack_max",
        now: |scene| match scene.host.conntrack {
            Some(tracked) if tracked.count == 0 => {
                format!("{} (no rule tracks connections)", grouped(tracked.max))
            }
            Some(tracked) => format!("{}, {} in use", grouped(tracked.max), grouped(tracked.count)),
            None => "not loaded".into(),
        },
        allows: |scene| {
            let tracked = scene.host.conntrack.filter(|tracked| tracked.count > 0)?;
            Some(tracked.max.saturating_sub(tracked.count))
        },
        remedy: |scene, target| {
            let count = scene.host.conntrack.map_or(0, |tracked| tracked.count);
            let needed = target.saturating_add(count);
            format!("sysctl -w net.netfilter.nf_conntrack_max={needed}, or notrack for the port")
        },
    },
    Rule {
        name: "net.ipv4.ip_local_port_range",
        now: |scene| {
            let ports = shown(scene.ports(), "ports");
            match scene.setup.local_addresses {
                Some(addresses) => format!("{ports} for each of {addresses} addresses"),
                None => format!("{ports} (only for clients on this machine)"),
            }
        },
        allows: |scene| {
            let addresses = scene.setup.local_addresses?;
            Some(scene.ports()?.saturating_mul(addresses as u64))
        },
        remedy: |_, target| {
            let addresses = target.div_ceil(PORTS_MAX);
            format!(
                "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", and clients at {} \
                 addresses of 127.0.0.0/8",
                grouped(addresses)
            )
        },
    },
    Rule {
        name: "memory",
        now: |scene| {
            let each = grouped(scene.connection_bytes());
            format!("{} to use, {each} B a connection", bytes(scene.memory()))
        },
        allows: |scene| Some(scene.memory() / scene.connection_bytes()),
        remedy: |scene, target| {
            let needed = target.saturating_mul(scene.connection_bytes());
            let lacking = bytes(needed.saturating_sub(scene.memory()));
            if scene.is_bound_by_cgroup() {
                format!("{lacking} more for its cgroup: MemoryMax= in a unit, docker run --memory")
            } else {
                format!("{lacking} more memory (ps -e --sort -rss shows who has it)")
            }
        },
    },
];

/// Whether the rings of all workers are more than this user may lock.
pub(super) fn lacks_locked_memory(host: &Host, setup: Setup) -> bool {
    !host.can_lock_memory && host.memlock.soft < Scene { host, setup }.locked_bytes()
}

/// What makes it enough.
pub(super) fn memlock_remedy(scene: &Scene<'_>) -> String {
    let kib = scene.locked_bytes().div_ceil(1024);
    format!("ulimit -l {kib} as root, LimitMEMLOCK={kib}K in a unit")
}

/// From 1024 to 65535: what ip_local_port_range can be at most without the privileged ones.
const PORTS_MAX: u64 = 64_512;

/// Listeners of the server.
const LISTENERS: usize = 1;

/// Open files that everybody else may need.
const FILES_FOR_OTHERS: u64 = 1024;

fn shown(limit: Option<u64>, unit: &str) -> String {
    match limit {
        None => UNKNOWN.into(),
        // What the kernel takes for no limit.
        Some(limit) if limit >= i64::MAX as u64 => format!("unlimited {unit}"),
        Some(limit) => format!("{} {unit}", grouped(limit)),
    }
}

fn nofile_remedy(scene: &Scene<'_>, target: u64) -> String {
    const WORKERS_MAX: usize = 1024;
    let holds = |workers: &usize| {
        let setup = Setup { workers: *workers, ..scene.setup };
        Scene { host: scene.host, setup }.in_tables_of(scene.host.nofile.hard) >= target
    };
    let workers = (scene.setup.workers..=WORKERS_MAX).find(holds);
    let workers = workers.map(|workers| format!("--workers {workers}"));
    let needed = scene.table_for(target);
    let raise = format!("ulimit -n {needed} as root, LimitNOFILE={needed} in a unit");
    if scene.setup.tables == Tables::Shared {
        return format!("{raise}, or permit close_range(2): then each worker has a table");
    }
    match (scene.host.can_raise_limits, workers) {
        (true, Some(workers)) => format!("{raise}, or {workers}"),
        (true, None) => raise,
        (false, Some(workers)) => format!("{workers} (no CAP_SYS_RESOURCE to raise the limit)"),
        (false, None) => format!("{raise}, where CAP_SYS_RESOURCE is: it is not here"),
    }
}

impl Scene<'_> {
    fn is_on_uring(&self) -> bool {
        self.setup.backend == Backend::IoUring
    }

    /// Sockets of one connection that are on this machine.
    fn ends(&self) -> u64 {
        if self.setup.local_addresses.is_some() { 2 } else { 1 }
    }

    /// Those of them that are watched with epoll; local clients are taken to use it.
    fn watched_ends(&self) -> u64 {
        if self.is_on_uring() { self.ends() - 1 } else { self.ends() }
    }

    /// Connections that fit if each worker's table may have that many descriptors.
    fn in_tables_of(&self, limit: u64) -> u64 {
        let workers = self.setup.workers;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(i32::MAX as usize);
        let room = room(limit, workers, LISTENERS, self.setup.tables);
        match self.setup.tables {
            Tables::Private => within_share(room.each as u64, workers),
            Tables::Shared => room.all as u64,
        }
    }

    /// Descriptors that a worker's table must have for that many connections of all.
    fn table_for(&self, target: u64) -> u64 {
        let workers = self.setup.workers;
        let connections = match self.setup.tables {
            Tables::Private => largest_share(target, workers),
            Tables::Shared => target,
        };
        connections + descriptors_beside(workers, LISTENERS, self.setup.tables) as u64
    }

    /// Open files that are no connections.
    fn other_files(&self) -> u64 {
        let workers = self.setup.workers;
        let tables = match self.setup.tables {
            Tables::Private => workers,
            Tables::Shared => 1,
        };
        let own = tables * descriptors_beside(workers, LISTENERS, self.setup.tables);
        self.host.files_open + own as u64 + FILES_FOR_OTHERS
    }

    /// Wakers and listeners.
    fn other_watches(&self) -> u64 {
        if self.is_on_uring() { 0 } else { (self.setup.workers * (1 + LISTENERS)) as u64 }
    }

    fn ports(&self) -> Option<u64> {
        self.host.ports.map(|[first, last]| (last + 1).saturating_sub(first))
    }

    /// Connections for which the tables of all workers have descriptors, however they are spread.
    pub(super) fn room_in_tables(&self) -> u64 {
        let limit = self.host.nofile.hard.min(self.host.nr_open.unwrap_or(u64::MAX));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(i32::MAX as usize);
        room(limit, self.setup.workers, LISTENERS, self.setup.tables).all as u64
    }

    fn locked_bytes(&self) -> u64 {
        // What they have room for does not matter.
        let ring = uring::locked_bytes(&Tuning::for_connections(0));
        self.setup.workers as u64 * ring + uring::probe_locked_bytes()
    }

    fn connection_bytes(&self) -> u64 {
        connection_bytes(self.setup.backend, self.setup.local_addresses.is_some())
    }

    /// Bytes that connections may take.
    fn memory(&self) -> u64 {
        let kept_free = self.host.memory_total / 100 * PERCENT_KEPT_FREE;
        let available = self.host.memory_available.saturating_sub(kept_free);
        available.min(self.host.cgroup_available.unwrap_or(u64::MAX))
    }

    fn is_bound_by_cgroup(&self) -> bool {
        self.host.cgroup_available == Some(self.memory())
    }
}
