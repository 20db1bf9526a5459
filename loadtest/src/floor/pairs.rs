//! Loopback connections: one end here, to be measured; the other with the peers.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use super::Options;
use super::cpu::{Meter, Placement};
use super::peers::{Order, Peers};

/// Connections in the accept queue at most, which every host's `somaxconn` allows.
const CHUNK: u32 = 64;

/// Nothing here takes nearly that long unless it stands still.
pub(super) const STALL: Duration = Duration::from_secs(10);

/// All connections.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Accepted, in the order of their descriptors; `TCP_NODELAY` is on.
    pub(super) sockets: Vec<OwnedFd>,
    pub(super) peers: Peers,
    /// Of the thread that is measured, which opens them.
    pub(super) meter: Meter,
}

impl Pairs {
    /// Opens them, some at a time so that no SYN finds the accept queue full.
    pub(super) fn open(options: &Options, placement: Placement) -> Result<Self> {
        let connections = options.connections;
        let listener = listen().context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr()?.as_socket().context("an address of IPv4")?;
        let peers = Peers::start(address, options, placement.clients)?;
        let mut sockets = Vec::with_capacity(connections as usize);
        while sockets.len() < connections as usize {
            let chunk = CHUNK.min(connections - sockets.len() as u32);
            peers.order(Order::Connect(chunk));
            for _ in 0..chunk {
                match listener.accept() {
                    Ok((socket, _)) => sockets.push(socket.into()),
                    // What stopped the peers says more than that none of them came.
                    Err(error) => return Err(peers.explain(error.into())),
                }
            }
        }
        peers.wait()?;
        Ok(Self { sockets, peers, meter: Meter::on(placement.server) })
    }
}

/// What is accepted inherits `TCP_NODELAY`.
fn listen() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(STALL))?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(CHUNK as i32)?;
    Ok(socket)
}
