//! Why there is no operator's port, with the remedy.

use std::fmt;
use std::io;

use throng::config::ListenAddr;

/// What the operator has to mend.
#[derive(Debug)]
pub enum Error {
    /// The address cannot be listened on.
    Listen(ListenAddr, io::Error),
    /// It is a path, and the port is for TCP.
    NotTcp(ListenAddr),
    /// It is reached from elsewhere, and there is no key.
    NoKey(ListenAddr),
    /// Clients' listeners are to serve it, and there is no key.
    NoKeyForClients,
    /// The key cannot stand in a field of a request.
    BadKey,
    /// The thread could not be started.
    Thread(io::Error),
}

impl Error {
    /// Whether another program listens there.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Listen(_, error) if error.kind() == io::ErrorKind::AddrInUse)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(f, "no operator's port on {address}: ")?;
                listen(f, address, error)
            }
            Self::NotTcp(address) => {
                write!(f, "no operator's port on {address}: it takes IP:PORT (--operator)")
            }
            Self::NoKey(address) => write!(
                f,
                "no operator's port on {address}: others than this host can reach it, so it needs \
                 a key (operator.key, --operator-key-file, THRONG_OPERATOR_KEY); or listen on \
                 loopback: --operator 127.0.0.1:8081"
            ),
            Self::NoKeyForClients => f.write_str(
                "the listeners of clients serve the API (api.public), so it needs a key \
                 (operator.key, --operator-key-file, THRONG_OPERATOR_KEY); to close it there \
                 restart with --api-public false",
            ),
            Self::BadKey => f.write_str(
                "the operator's key is empty or has characters other than visible ASCII: \
                 `openssl rand -hex 32` makes a good one",
            ),
            Self::Thread(error) => {
                write!(f, "cannot start the operator's thread: {error}; raise `ulimit -u`")
            }
        }
    }
}

fn listen(f: &mut fmt::Formatter<'_>, address: &ListenAddr, error: &io::Error) -> fmt::Result {
    match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, ListenAddr::Tcp(tcp)) => write!(
            f,
            "the port is in use (`ss -ltnp sport = :{}` shows by whom); choose another with \
             --operator, or --operator off",
            tcp.port()
        ),
        (io::ErrorKind::AddrInUse, _) => {
            f.write_str("the port is in use; choose another with --operator, or --operator off")
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            f.write_str("this machine has no such address (`ip addr` lists them)")
        }
        (io::ErrorKind::PermissionDenied, _) => f.write_str(
            "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port with --operator",
        ),
        _ => write!(f, "{error}"),
    }
}

impl std::error::Error for Error {}
