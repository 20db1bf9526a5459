//! Where the operator's port listens: from the start, or as soon as another program has gone.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use throng::config::ListenAddr;
use tokio::time::sleep;

/// From one attempt to listen to the next.
const RETRY: Duration = Duration::from_secs(1);

/// A place to listen.
#[derive(Debug)]
pub(crate) enum Port {
    /// There is none.
    Off,
    /// It listens there.
    Bound(TcpListener, SocketAddr),
    /// Another program listens there; it is to when that has gone.
    Awaited(ListenAddr),
}

impl Port {
    /// Where it listens, if it does already.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Bound(_, address) => Some(*address),
            Self::Off | Self::Awaited(_) => None,
        }
    }

    /// What it listens with, when it does.
    pub(crate) async fn listener(self) -> TcpListener {
        match self {
            Self::Off => std::future::pending().await,
            Self::Bound(listener, _) => listener,
            Self::Awaited(address) => when_free(&address).await,
        }
    }
}

async fn when_free(address: &ListenAddr) -> TcpListener {
    loop {
        match listen(address) {
            Ok((listener, address)) => {
                tracing::info!("operator port on http://{address}");
                return listener;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(RETRY).await,
            Err(error) => {
                tracing::error!(%error, "no operator's port on {address}, although it is free");
                return std::future::pending().await;
            }
        }
    }
}

pub(crate) fn listen(address: &ListenAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = match address {
        ListenAddr::Tcp(address) => TcpListener::bind(address),
        // The second where the kernel has no IPv6.
        ListenAddr::All(port) => {
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).or_else(|error| {
                let has_ipv6 = error.kind() == io::ErrorKind::AddrInUse;
                if has_ipv6 {
                    Err(error)
                } else {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port))
                }
            })
        }
        ListenAddr::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
