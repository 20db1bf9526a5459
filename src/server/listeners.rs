//! Listening sockets: one of TCP per worker and address, one of Unix for all.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

use super::StartError;
use crate::config::ListenAddr;
use crate::driver::Listener;

/// Connects that may wait for an accept; the kernel bounds it by net.core.somaxconn.
const BACKLOG: i32 = 65_535;

/// Seconds that the kernel keeps a connection to itself until the first bytes have come. They are
/// then accepted and read in one turn, by one wake; a client that says nothing is accepted when the
/// time is over, and meanwhile costs the server nothing.
const DEFER_ACCEPT_SECONDS: i32 = 1;

/// Packets that a socket with this filter never sees (SO_ATTACH_FILTER of socket(7)): a SYN among
/// them is sent again by its client after a second, instead of being answered for a queue that
/// nobody accepts from and that is reset in the end.
const DROP_ALL: [SockFilter; 1] = [SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0)];

sockopt_impl!(
    /// TCP_DEFER_ACCEPT of tcp(7): accept a connection when it has something to read.
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    i32
);

/// What the server holds of its addresses.
#[derive(Debug)]
pub(super) struct Bound {
    addresses: Vec<ListenAddr>,
    /// Hold each TCP address until the workers have it: bound, but deaf.
    holders: Vec<Socket>,
    unix: Vec<Socket>,
    /// Paths of the Unix listeners, with their inodes.
    paths: Vec<(PathBuf, u64)>,
}

/// What one worker takes to its thread, to listen on there.
#[derive(Debug)]
pub(super) struct Share {
    tcp: Vec<(SocketAddr, bool)>,
    /// Duplicates of the Unix listeners.
    pub(super) unix: Vec<OwnedFd>,
}

impl Bound {
    /// Finds out whether every address is free, resolves port 0, and opens the Unix listeners.
    pub(super) fn bind(addresses: &[ListenAddr]) -> Result<Self, StartError> {
        let mut bound = Self { addresses: vec![], holders: vec![], unix: vec![], paths: vec![] };
        for address in addresses {
            let result = match address {
                ListenAddr::Tcp(tcp) => bound.hold(*tcp, addresses),
                ListenAddr::Unix(path) => bound.open_unix(path),
            };
            result.map_err(|error| StartError::Listen(address.clone(), error))?;
        }
        Ok(bound)
    }

    pub(super) fn addresses(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// What a worker needs.
    pub(super) fn share(&self) -> io::Result<Share> {
        let tcp = self.addresses.iter().filter_map(|address| match address {
            ListenAddr::Tcp(tcp) => Some((*tcp, only_v6(*tcp, &self.addresses))),
            ListenAddr::Unix(_) => None,
        });
        let unix = self.unix.iter().map(|socket| Ok(socket.try_clone()?.into()));
        Ok(Share { tcp: tcp.collect(), unix: unix.collect::<io::Result<_>>()? })
    }

    /// The workers listen now: nothing has to be held for them any more.
    pub(super) fn let_go(&mut self) {
        self.holders.clear();
        self.unix.clear();
    }

    /// Binds without SO_REUSEPORT, so that an address where another server of this user listens
    /// is found to be in use; sets it afterwards, so that the workers may bind beside this socket,
    /// which never accepts.
    fn hold(&mut self, address: SocketAddr, all: &[ListenAddr]) -> io::Result<()> {
        let holder = tcp_socket(address, only_v6(address, all))?;
        holder.bind(&address.into())?;
        // Of two servers that start at once both may bind, but only one may listen. Addresses of
        // our own with one port would be in each other's way like that.
        if !shares_port(address, all) {
            holder.attach_filter(&DROP_ALL)?;
            holder.listen(0)?;
        }
        holder.set_reuse_port(true)?;
        let resolved = holder.local_addr()?.as_socket().unwrap_or(address);
        self.holders.push(holder);
        self.addresses.push(ListenAddr::Tcp(resolved));
        Ok(())
    }

    fn open_unix(&mut self, path: &Path) -> io::Result<()> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        self.paths.push((path.to_owned(), fs::symlink_metadata(path)?.ino()));
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        self.unix.push(socket);
        self.addresses.push(ListenAddr::Unix(path.to_owned()));
        Ok(())
    }
}

impl Drop for Bound {
    /// Removes the paths of the Unix listeners, unless a newer server has put its own there.
    fn drop(&mut self) {
        for (path, inode) in &self.paths {
            if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == *inode) {
                // Somebody else may have removed it just now.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Share {
    /// Opens this worker's listeners, on its own thread and in its own table.
    pub(super) fn open(self) -> Result<Vec<Listener>, StartError> {
        let unix = self.unix.into_iter().map(|descriptor| Ok(Listener::from(descriptor)));
        let tcp = self.tcp.into_iter().map(|(address, only_v6)| {
            listen_tcp(address, only_v6)
                .map_err(|error| StartError::Listen(ListenAddr::Tcp(address), error))
        });
        unix.chain(tcp).collect()
    }
}

fn tcp_socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    Ok(socket)
}

fn listen_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Listener> {
    let socket = tcp_socket(address, only_v6)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it: one call for all of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, DeferAccept, &DEFER_ACCEPT_SECONDS)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::new(socket))
}

/// `[::]` takes IPv4 too, unless `0.0.0.0` is listened on at the same port.
fn only_v6(address: SocketAddr, all: &[ListenAddr]) -> bool {
    let is_v4_twin = |other: &ListenAddr| match other {
        ListenAddr::Tcp(other) => {
            other.is_ipv4() && other.ip().is_unspecified() && other.port() == address.port()
        }
        ListenAddr::Unix(_) => false,
    };
    !address.ip().is_unspecified() || all.iter().any(is_v4_twin)
}

/// Whether another of the addresses has the same port.
fn shares_port(address: SocketAddr, all: &[ListenAddr]) -> bool {
    let has_port = |other: &&ListenAddr| match other {
        ListenAddr::Tcp(other) => other.port() == address.port(),
        ListenAddr::Unix(_) => false,
    };
    address.port() != 0 && all.iter().filter(has_port).count() > 1
}

/// A path that a server left behind is replaced; one where somebody answers is not.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    #[test]
    fn a_client_that_connects_before_the_workers_listen_waits_for_them() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let mut bound = Bound::bind(&[ListenAddr::Tcp(any.parse().unwrap())]).unwrap();
            let ListenAddr::Tcp(address) = bound.addresses()[0] else { unreachable!() };
            let mut client = begin_to_connect(address);
            let listeners = bound.share().unwrap().open().unwrap();
            bound.let_go();
            let descriptor = listeners[0].as_fd().try_clone_to_owned().unwrap();
            thread::spawn(move || answer(&descriptor.into()));
            client.write_all(b"ask").expect("it waits and is not reset");
            client.read_exact(&mut [0; 6]).expect("it is not reset");
        }
    }

    /// Its first SYN has arrived when this returns.
    fn begin_to_connect(address: SocketAddr) -> Socket {
        let client = tcp_socket(address, true).unwrap();
        client.set_nonblocking(true).unwrap();
        // It says that the connect is in progress.
        let _ = client.connect(&address.into());
        client.set_nonblocking(false).unwrap();
        client
    }

    fn answer(listener: &TcpListener) {
        listener.set_nonblocking(false).unwrap();
        let (mut worker, _) = listener.accept().unwrap();
        worker.read_exact(&mut [0; 3]).unwrap();
        worker.write_all(b"answer").unwrap();
    }
}
