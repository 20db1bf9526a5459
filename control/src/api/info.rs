//! `POST /api/info`: what this node is.

use serde::Serialize;

use crate::state::Server;

/// All nodes: this one.
#[derive(Debug, Serialize)]
pub(super) struct Info {
    nodes: [Node; 1],
}

#[derive(Debug, Serialize)]
struct Node {
    uid: String,
    name: String,
    version: &'static str,
    num_clients: u64,
    num_users: u64,
    num_channels: usize,
    uptime: u64,
    backend: &'static str,
    workers: usize,
}

/// See the module.
pub(super) fn info(server: &Server) -> Info {
    let monitor = &server.monitor;
    let facts = monitor.facts();
    let name = facts.addresses.first().map(ToString::to_string).unwrap_or_default();
    let node = Node {
        uid: std::process::id().to_string(),
        name,
        version: env!("CARGO_PKG_VERSION"),
        num_clients: monitor.counts().connections(),
        num_users: 0,
        num_channels: monitor.topics().len(),
        uptime: server.began.elapsed().as_secs(),
        backend: facts.backend.name(),
        workers: facts.workers,
    };
    Info { nodes: [node] }
}
