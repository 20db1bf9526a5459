//! Whether this host can hold as many connections as somebody wants, what stands in the way first,
//! and the command that mends it.
//!
//! It reads /proc and /sys once, into a [`Host`]; what follows is a function of these facts. It
//! never changes anything.

mod advice;
mod cost;
mod forbidden;
mod host;
mod judge;
mod report;
mod rules;
mod spread;
mod text;

pub use host::{Conntrack, Host, IoUring, Rlimit};
pub use judge::{Setup, judge};
pub use report::{Advice, Limit, Report};

use std::io;
use std::path::Path;

use crate::config::Backend;
use crate::driver::uring;
use crate::server::capacity::default_workers;
use crate::server::try_parting;

/// What somebody wants to know of this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Connections that should fit, if any number is wanted.
    pub connections: Option<usize>,
    /// Addresses that clients on this machine connect from; `None` if they are elsewhere.
    pub local_clients: Option<usize>,
    /// Workers of the server; `None` is as many as it takes by itself.
    pub workers: Option<usize>,
    /// The server's interface to the kernel.
    pub backend: Backend,
}

/// Judges this host for a server like this.
///
/// # Errors
///
/// If /proc cannot be read, in a line.
pub fn examine(wish: &Wish) -> io::Result<Report> {
    let probed = uring::probe();
    let host = Host::read(Path::new("/"), probed)?;
    let mut setup = Setup {
        backend: wish.backend,
        workers: wish.workers.unwrap_or_else(default_workers),
        tables: try_parting()?,
        local_addresses: wish.local_clients,
    };
    if wish.backend == Backend::Auto {
        let is_missed = host.io_uring.probed.is_err() || rules::lacks_locked_memory(&host, setup);
        setup.backend = if is_missed { Backend::Epoll } else { Backend::IoUring };
    }
    Ok(judge(&host, setup, wish.connections.map(|wanted| wanted as u64)))
}

#[cfg(test)]
mod tests;
