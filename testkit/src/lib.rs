//! What the tests share: one client, swarms of clients, and servers as processes.

pub mod client;
pub mod manager;
pub mod process;
pub mod swarm;
