//! Why a server does not start, with the remedy.

use std::fmt;
use std::io;

use crate::config::ListenAddr;

/// What the operator has to mend.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(ListenAddr, io::Error),
    /// io_uring was asked for and does not work.
    NoIoUring(String),
    /// The descriptor limit leaves no room for connections.
    TooFewDescriptors(usize),
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
            Self::Worker(error) if error.kind() == io::ErrorKind::OutOfMemory => write!(
                f,
                "cannot start a worker: no memory, or too little that may be locked for its ring: \
                 raise `ulimit -l` (`throng doctor` says how far), or take --backend epoll"
            ),
            Self::Worker(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
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
        (io::ErrorKind::AddrNotAvailable, _) => {
            "this machine has no such address (`ip addr` lists them)".into()
        }
        _ => error.to_string(),
    }
}
