//! The verdict: all limits side by side.

use super::advice::advise;
use super::host::Host;
use super::report::{Limit, Report};
use super::rules::{RULES, Scene};
use crate::config::Backend;
use crate::server::capacity::Tables;

/// The server that a host is judged for.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The kernel interface; never `Auto`.
    pub backend: Backend,
    /// Its workers; at least 1.
    pub workers: usize,
    /// Whether each of them has a descriptor table of its own.
    pub tables: Tables,
    /// Addresses that clients on the same machine connect from; `None` if they are elsewhere.
    pub local_addresses: Option<usize>,
}

/// How many connections a host can hold, and what there is to do for those that are wanted. If
/// none are, or they fit, what there is to do for as many as the next limit allows.
#[must_use]
pub fn judge(host: &Host, setup: Setup, wanted: Option<u64>) -> Report {
    let scene = Scene { host, setup };
    let allowed: Vec<Option<u64>> = RULES.iter().map(|rule| (rule.allows)(&scene)).collect();
    let connections = allowed.iter().flatten().copied().min().unwrap_or(0);
    let binding = allowed.iter().position(|allows| *allows == Some(connections));
    let next = allowed.iter().flatten().copied().filter(|allows| *allows > connections).min();
    let target = wanted
        .filter(|wanted| *wanted > connections)
        .or(next)
        .unwrap_or_else(|| connections.saturating_mul(2));
    let limits = RULES.iter().zip(&allowed).map(|(rule, allows)| Limit {
        name: rule.name,
        now: (rule.now)(&scene),
        connections: *allows,
        remedy: allows.filter(|allows| *allows < target).map(|_| (rule.remedy)(&scene, target)),
    });
    Report {
        connections,
        binding: binding.map_or("", |at| RULES[at].name),
        room_in_tables: scene.room_in_tables(),
        wanted,
        fits: wanted.map(|wanted| wanted <= connections),
        target,
        backend: if setup.backend == Backend::Epoll { "epoll" } else { "io_uring" },
        workers: setup.workers,
        local_addresses: setup.local_addresses,
        limits: limits.collect(),
        advice: advise(host, setup, wanted.unwrap_or(connections)),
    }
}
