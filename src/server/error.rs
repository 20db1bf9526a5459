//! Why a server does not start, with the remedy.

use std::fmt;
use std::io;

use crate::config::ListenAddr;
use crate::driver::{Tuning, uring};

/// What the operator has to mend.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(ListenAddr, io::Error),
    /// An address is there twice.
    Twice(ListenAddr),
    /// io_uring was asked for and does not work.
    NoIoUring(String),
    /// The descriptor limit leaves no room for connections.
    TooFewDescriptors(usize),
    /// A worker cannot have a ring.
    Ring {
        /// How many of them need one.
        workers: usize,
        /// Why one gets none.
        error: io::Error,
    },
    /// A worker cannot be pinned to this CPU.
    Pin(usize, io::Error),
    /// A worker could not be started.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", cause_and_remedy(address, error))
            }
            Self::NoIoUring(reason) => {
                write!(f, "io_uring does not work here: {reason}; try --backend epoll")
            }
            Self::TooFewDescriptors(limit) => write!(
                f,
                "the descriptor limit of {limit} leaves no room for connections: raise `ulimit -n`"
            ),
            Self::Twice(address) => write!(f, "{address} is there twice: leave one --listen out"),
            Self::Ring { workers, error } if error.kind() == io::ErrorKind::OutOfMemory => write!(
                f,
                "there is too little memory that may be locked for the rings of {workers} workers: \
                 raise `ulimit -l` to {} (LimitMEMLOCK= in a unit), or take --backend epoll",
                ring_kib(*workers)
            ),
            Self::Ring { workers, error } => write!(
                f,
                "io_uring has no ring for each of {workers} workers: {error}; take --backend epoll"
            ),
            Self::Pin(cpu, error) => write!(
                f,
                "no worker can be pinned to CPU {cpu}: {error}; `taskset -cp $$` lists those that \
                 may be used, for --pin"
            ),
            Self::Worker(error) => write!(f, "cannot start a worker: {}", of_worker(error)),
        }
    }
}

/// KiB of locked memory that the rings of so many workers need.
fn ring_kib(workers: usize) -> u64 {
    // What they have room for does not matter.
    let ring = uring::locked_bytes(&Tuning::for_connections(0));
    (workers as u64 * ring + uring::probe_locked_bytes()).div_ceil(1024)
}

fn of_worker(error: &io::Error) -> String {
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => "raise `ulimit -n`, or take fewer --workers",
        Some(libc::EAGAIN) => {
            "raise `ulimit -u` or pids.max of the cgroup (TasksMax= in a unit), or take fewer \
             --workers"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {remedy}")
}

impl std::error::Error for StartError {}

fn cause_and_remedy(address: &ListenAddr, error: &io::Error) -> String {
    match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, ListenAddr::Tcp(tcp)) => format!(
            "the port is in use; stop the other server (`ss -ltnp sport = :{}` shows it) or \
             choose another with --listen",
            tcp.port()
        ),
        (io::ErrorKind::AddrInUse, ListenAddr::Unix(_)) => {
            "another server answers on that path; stop it or choose another with --listen".into()
        }
        (io::ErrorKind::PermissionDenied, ListenAddr::Tcp(_)) => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: \
             `setcap cap_net_bind_service=+ep throng`, or choose a higher port with --listen"
                .into()
        }
        (io::ErrorKind::PermissionDenied, ListenAddr::Unix(_)) => {
            "this user may not write there; choose another path with --listen".into()
        }
        (io::ErrorKind::WouldBlock, ListenAddr::Unix(_)) => {
            "another server has that path and does not answer; stop it or choose another with \
             --listen"
                .into()
        }
        (io::ErrorKind::NotFound, ListenAddr::Unix(path)) if error.raw_os_error().is_some() => {
            let folder = path.parent().unwrap_or(path).display();
            format!("there is no folder {folder}; make it or choose another path with --listen")
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            "this machine has no such address (`ip addr` lists them)".into()
        }
        (_, ListenAddr::Tcp(tcp)) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            let v4 = if tcp.ip().is_loopback() { "127.0.0.1" } else { "0.0.0.0" };
            format!("this kernel has no IPv6; --listen {v4}:{} is for IPv4", tcp.port())
        }
        _ => error.to_string(),
    }
}
