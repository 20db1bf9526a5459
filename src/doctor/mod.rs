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

use crate::config::{Backend, DoctorArgs};
use crate::driver::uring;
use crate::server::capacity::default_workers;
use crate::server::try_parting;

/// Judges this host for a server with these options.
///
/// # Errors
///
/// If /proc cannot be read, in a line.
pub fn examine(args: &DoctorArgs) -> io::Result<Report> {
    let probed = uring::probe();
    let host = Host::read(Path::new("/"), probed)?;
    let mut setup = Setup {
        backend: args.backend,
        workers: args.workers.unwrap_or_else(default_workers),
        tables: try_parting()?,
        local_addresses: args.local_clients,
    };
    if args.backend == Backend::Auto {
        let is_missed = host.io_uring.probed.is_err() || rules::lacks_locked_memory(&host, setup);
        setup.backend = if is_missed { Backend::Epoll } else { Backend::IoUring };
    }
    Ok(judge(&host, setup, args.connections.map(|wanted| wanted as u64)))
}

#[cfg(test)]
mod tests;
