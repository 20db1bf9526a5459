//! Listening sockets: one of TCP per worker and address, one of Unix for all.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::StartError;
use crate::config::ListenAddr;
use crate::driver::Listener;

/// Connects that may wait for an accept; the kernel bounds it by net.core.somaxconn.
const BACKLOG: i32 = 65_535;

/// Seconds that the kernel keeps a connection to itself until the first bytes have come. They are
/// then accepted and read in one turn, by one wake; a client that says nothing is accepted when the
/// time is over, and meanwhile costs the server nothing.
const DEFER_ACCEPT_SECONDS: i32 = 1;

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
    /// One for each TCP address, in their order, until a worker takes them.
    tcp: Vec<Socket>,
    unix: Vec<Socket>,
    /// Paths of the Unix listeners, with their inodes.
    paths: Vec<(PathBuf, u64)>,
}

/// What one worker takes to its thread, to listen on there.
#[derive(Debug)]
pub(super) struct Share {
    tcp: Vec<Tcp>,
    /// Duplicates of the Unix listeners.
    unix: Vec<OwnedFd>,
}

/// A TCP address to listen on.
#[derive(Debug)]
struct Tcp {
    address: SocketAddr,
    only_v6: bool,
    /// What holds the address: the first worker takes it, the others bind beside it.
    held: Option<Socket>,
}

impl Bound {
    /// Finds out whether every address is free, resolves port 0, and opens the Unix listeners.
    pub(super) fn bind(addresses: &[ListenAddr]) -> Result<Self, StartError> {
        let mut bound = Self { addresses: vec![], tcp: vec![], unix: vec![], paths: vec![] };
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

    /// What a worker needs; the first to ask gets what holds the addresses.
    pub(super) fn share(&mut self) -> io::Result<Share> {
        let mut held = std::mem::take(&mut self.tcp).into_iter();
        let tcp = self.addresses.iter().filter_map(|address| match address {
            ListenAddr::Tcp(address) => Some(Tcp {
                address: *address,
                only_v6: only_v6(*address, &self.addresses),
                held: held.next(),
            }),
            ListenAddr::Unix(_) => None,
        });
        let unix = self.unix.iter().map(|socket| Ok(socket.try_clone()?.into()));
        Ok(Share { tcp: tcp.collect(), unix: unix.collect::<io::Result<_>>()? })
    }

    /// The workers have their own descriptors of the Unix listeners now.
    pub(super) fn let_go(&mut self) {
        self.unix.clear();
    }

    /// Listens without SO_REUSEPORT, so that an address where another server of this user listens
    /// is found to be in use; sets it afterwards, so that the other workers may bind beside this
    /// socket. Whoever connects meanwhile waits in its queue for the first worker.
    fn hold(&mut self, address: SocketAddr, all: &[ListenAddr]) -> io::Result<()> {
        let socket = tcp_socket(address, only_v6(address, all))?;
        socket.bind(&address.into())?;
        // Of two servers that start at once both may bind, but only one may listen. Addresses of
        // our own with one port would be in each other's way like that: they listen later.
        if !shares_port(address, all) {
            socket.listen(BACKLOG)?;
        }
        socket.set_reuse_port(true)?;
        let resolved = socket.local_addr()?.as_socket().unwrap_or(address);
        self.tcp.push(socket);
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
    /// Those that are open already, in the table that all threads share until they part.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let held = self.tcp.iter().filter_map(|tcp| tcp.held.as_ref());
        self.unix.iter().map(AsRawFd::as_raw_fd).chain(held.map(AsRawFd::as_raw_fd))
    }

    /// Opens this worker's listeners, on its own thread and in its own table.
    pub(super) fn open(self) -> Result<Vec<Listener>, StartError> {
        let unix = self.unix.into_iter().map(|descriptor| Ok(Listener::from(descriptor)));
        let tcp = self.tcp.into_iter().map(|tcp| {
            let address = tcp.address;
            tcp.listen().map_err(|error| StartError::Listen(ListenAddr::Tcp(address), error))
        });
        unix.chain(tcp).collect()
    }
}

impl Tcp {
    fn listen(self) -> io::Result<Listener> {
        let socket = match self.held {
            Some(held) => held,
            None => bind_beside(self.address, self.only_v6)?,
        };
        // What holds an address listens already, unless others of ours share the port.
        socket.listen(BACKLOG)?;
        Ok(Listener::new(socket))
    }
}

fn tcp_socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Accepted sockets inherit it: one call for all of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, DeferAccept, &DEFER_ACCEPT_SECONDS)?;
    Ok(socket)
}

fn bind_beside(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = tcp_socket(address, only_v6)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
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
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_client_that_connects_before_the_workers_listen_waits_for_them() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let mut bound = Bound::bind(&[ListenAddr::Tcp(any.parse().unwrap())]).unwrap();
            let ListenAddr::Tcp(address) = bound.addresses()[0] else { unreachable!() };
            let mut client = TcpStream::connect(address).unwrap();
            let shares = [bound.share().unwrap(), bound.share().unwrap()];
            let [first, second] = shares.map(|share| share.open().unwrap());
            bound.let_go();
            drop(second);
            let descriptor = first[0].as_fd().try_clone_to_owned().unwrap();
            client.write_all(b"ask").expect("it is not reset");
            let listener = TcpListener::from(descriptor);
            listener.set_nonblocking(false).unwrap();
            let (mut worker, _) = listener.accept().unwrap();
            worker.write_all(b"answer").unwrap();
            client.read_exact(&mut [0; 6]).expect("it is not reset");
        }
    }

    #[test]
    fn an_address_that_is_held_is_in_use_for_others_and_not_for_workers() {
        let any = ListenAddr::Tcp("127.0.0.1:0".parse().unwrap());
        let mut bound = Bound::bind(&[any]).unwrap();
        let address = bound.addresses()[0].clone();
        let is_in_use = |result: Result<Bound, StartError>| match result {
            Err(StartError::Listen(_, error)) => error.kind() == io::ErrorKind::AddrInUse,
            _ => false,
        };
        assert!(is_in_use(Bound::bind(std::slice::from_ref(&address))), "before a worker listens");
        let workers = [bound.share().unwrap(), bound.share().unwrap(), bound.share().unwrap()];
        let listeners = workers.map(|share| share.open().unwrap());
        assert!(is_in_use(Bound::bind(std::slice::from_ref(&address))), "and afterwards");
        drop(listeners);
        Bound::bind(&[address]).unwrap();
    }
}
