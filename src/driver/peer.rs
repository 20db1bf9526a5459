//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::str::FromStr;

use socket2::SockRef;

/// Where a connection comes from: its other end, or whom that has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP. One of IPv4 that came to an IPv6 socket is shown as what it is.
    Tcp(SocketAddr),
    /// Over a Unix socket, where clients have no names.
    Unix,
    /// Whom a trusted proxy has named, whose port nobody knows.
    Named(IpAddr),
}

/// The address of a host, to find connections by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress(IpAddr);

impl Peer {
    /// That of a connected socket; nothing if it is not connected any more.
    pub(super) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let address = SockRef::from(&socket).peer_addr().ok()?;
        Some(address.as_socket().map_or(Self::Unix, |address| {
            Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
        }))
    }

    /// Its address, where it has one.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Named(ip) => Some(ip),
            Self::Unix => None,
        }
    }

    /// Whether it is of this host.
    #[must_use]
    pub fn is_of(self, host: HostAddress) -> bool {
        self.ip() == Some(host.0)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Named(ip) => ip.fmt(f),
        }
    }
}

impl FromStr for HostAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        let address: Result<IpAddr, _> = text.parse();
        address
            .map(|address| Self(address.to_canonical()))
            .map_err(|_| format!("`{text}` is no IP address"))
    }
}
