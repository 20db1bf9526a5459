//! Sockets: from which address they connect, and how they go.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections from one source address. The default range has 28,232 ports, and the kernel looks
/// for a free one the longer the fewer are left.
pub(super) const PER_SOURCE: u32 = 4000;

/// Source addresses: 127.1.0.1 to 127.249.255.254 at most, more than 2^32 connections need.
pub(super) fn source(id: u32) -> IpAddr {
    let number = id / PER_SOURCE;
    let [_, high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1 + high % 249, middle, 1 + low % 254).into()
}

/// Source addresses beside those of [`source`], for who is not one of a crew: 127.250.0.1 to
/// 127.254.255.254, of which `number` picks one.
pub(crate) fn stranger(number: u32) -> IpAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 250 + high % 5, middle, 1 + low % 254).into()
}

/// Begins to connect as a client of a crew, without waiting for the end of it.
pub(crate) fn connect(to: SocketAddr, id: u32) -> io::Result<TcpStream> {
    connect_from(to, source(id))
}

/// Begins to connect; over loopback from this address.
pub(crate) fn connect_from(to: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    if to.ip().is_loopback() && to.is_ipv4() {
        // The kernel picks the port at connect, when it knows both ends: a port is free as long
        // as its four-tuple is.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Makes the close of a socket send a reset, which leaves nothing behind in the kernel.
pub(crate) fn make_close_reset(socket: &TcpStream) {
    // It fails only where the connection is broken already.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_million_clients_have_enough_sources() {
        let sources: Vec<IpAddr> =
            (0..1_000_000).step_by(PER_SOURCE as usize).map(source).collect();
        assert!(sources.iter().all(IpAddr::is_loopback));
        assert_eq!(sources.iter().collect::<HashSet<_>>().len(), sources.len());
        assert_eq!(source(0), source(PER_SOURCE - 1));
        let strangers: HashSet<IpAddr> = (0..100_000).map(stranger).collect();
        assert!(
            strangers.iter().all(|address| address.is_loopback() && !sources.contains(address))
        );
        assert!(strangers.len() > 50_000, "{}", strangers.len());
    }
}
