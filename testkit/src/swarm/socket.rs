//! Sockets of a swarm: where they come from and how they go.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections from one source address; there are some 28,000 ports for each.
const PER_SOURCE: u32 = 4000;

/// Source addresses in 127.0.0.0/8, one after the other: ports of one would not do.
#[derive(Debug, Default)]
pub(super) struct Sources {
    connects: u32,
}

impl Sources {
    /// Begins to connect, without waiting for the end of it.
    pub(super) fn connect(&mut self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(
            Domain::for_address(to),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        if to.ip().is_loopback() && to.is_ipv4() {
            // The kernel picks the port when it knows both ends, so that ports may be used again
            // for another destination.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(self.next(), 0).into())?;
        }
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    fn next(&mut self) -> IpAddr {
        let source = self.connects / PER_SOURCE % 200;
        self.connects = self.connects.wrapping_add(1);
        Ipv4Addr::new(127, 0, 1 + source as u8, 1).into()
    }
}

/// Makes the close of a socket send a reset.
pub(super) fn make_close_reset(socket: &TcpStream) {
    // It fails only where the connection is broken already.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
