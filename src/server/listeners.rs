//! Listening sockets: one of TCP per worker and address, one of Unix for all.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::StartError;
use super::patience::patiently;
use super::unix_path::{self, UnixPath};
use crate::config::{Config, ListenAddr};
use crate::driver::Listener;
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};

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

/// What the server holds of its addresses, until every worker listens.
#[derive(Debug)]
pub(super) struct Bound {
    addresses: Vec<ListenAddr>,
    /// What holds each TCP address, in their order.
    tcp: Vec<Socket>,
    unix: Vec<Socket>,
    /// Whether accepted sockets find out by themselves that their peer is gone.
    liveness: Liveness,
    paths: Vec<UnixPath>,
}

/// What ends connections whose peer has gone without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    /// The server's pings.
    Pings,
    /// TCP's keepalive.
    Keepalive,
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
    liveness: Liveness,
    /// A duplicate of what holds the address, for the first worker; the others bind beside it.
    held: Option<Socket>,
}

impl Bound {
    /// Finds out whether every address is free, resolves port 0, and opens the Unix listeners.
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let addresses: Vec<ListenAddr> = config.listen.iter().map(settle).collect();
        if let Some(twice) = find_twice(&addresses) {
            return Err(StartError::Twice(twice.clone()));
        }
        let liveness =
            if config.ping_interval.is_zero() { Liveness::Keepalive } else { Liveness::Pings };
        let mut bound =
            Self { addresses: vec![], tcp: vec![], unix: vec![], liveness, paths: vec![] };
        for address in &addresses {
            let result = match address {
                ListenAddr::Tcp(tcp) => bound.hold(*tcp, &addresses),
                ListenAddr::All(_) => unreachable!("it is settled which addresses that are"),
                ListenAddr::Unix(path) => {
                    unix_path::open(path, config, BACKLOG).map(|(socket, path)| {
                        bound.unix.push(socket);
                        bound.paths.push(path);
                        bound.addresses.push(address.clone());
                    })
                }
            };
            result.map_err(|error| StartError::Listen(address.clone(), error))?;
        }
        Ok(bound)
    }

    pub(super) fn addresses(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// What each of so many workers needs; the first gets what holds the addresses.
    pub(super) fn shares(&self, workers: usize) -> io::Result<Vec<Share>> {
        (0..workers).map(|worker| self.share(worker == 0)).collect()
    }

    fn share(&self, is_first: bool) -> io::Result<Share> {
        let mut holders = self.tcp.iter();
        let mut tcp = Vec::new();
        for address in &self.addresses {
            let ListenAddr::Tcp(address) = address else { continue };
            let holder = holders.next().expect("each TCP address is held");
            tcp.push(Tcp {
                address: *address,
                only_v6: only_v6(*address, &self.addresses),
                liveness: self.liveness,
                held: is_first.then(|| holder.try_clone()).transpose()?,
            });
        }
        let unix = self.unix.iter().map(|socket| Ok(socket.try_clone()?.into()));
        Ok(Share { tcp, unix: unix.collect::<io::Result<_>>()? })
    }

    /// The workers have their own descriptors of the listeners now.
    pub(super) fn let_go(&mut self) {
        self.tcp.clear();
        self.unix.clear();
    }

    /// Leaves the Unix paths where they are.
    pub(super) fn detach(&mut self) {
        self.paths.drain(..).for_each(std::mem::forget);
    }

    /// Listens without SO_REUSEPORT, so that an address where another server of this user listens
    /// is found to be in use; sets it afterwards, so that the other workers may bind beside this
    /// socket. Whoever connects meanwhile waits in its queue for the first worker.
    fn hold(&mut self, address: SocketAddr, all: &[ListenAddr]) -> io::Result<()> {
        let socket = patiently(|| {
            let socket = tcp_socket(address, only_v6(address, all), self.liveness)?;
            socket.bind(&address.into())?;
            // Of two servers that start at once both may bind, but only one may listen. Addresses
            // of our own with one port would be in each other's way like that: they listen later.
            if !shares_port(address, all) {
                socket.listen(BACKLOG)?;
            }
            Ok(socket)
        })?;
        socket.set_reuse_port(true)?;
        let resolved = socket.local_addr()?.as_socket().unwrap_or(address);
        self.tcp.push(socket);
        self.addresses.push(ListenAddr::Tcp(resolved));
        Ok(())
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
            None => bind_beside(self.address, self.only_v6, self.liveness)?,
        };
        // What holds an address listens already, unless others of ours share the port.
        socket.listen(BACKLOG)?;
        Ok(Listener::new(socket))
    }
}

fn tcp_socket(address: SocketAddr, only_v6: bool, liveness: Liveness) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Accepted sockets inherit these: one call for all of them.
    socket.set_tcp_nodelay(true)?;
    if liveness == Liveness::Keepalive {
        socket.set_tcp_keepalive(&keepalive())?;
    }
    socket.set_nonblocking(true)?;
    setsockopt(&socket, DeferAccept, &DEFER_ACCEPT_SECONDS)?;
    Ok(socket)
}

fn keepalive() -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
    keepalive.with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES)
}

fn bind_beside(address: SocketAddr, only_v6: bool, liveness: Liveness) -> io::Result<Socket> {
    let socket = tcp_socket(address, only_v6, liveness)?;
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
        ListenAddr::All(_) | ListenAddr::Unix(_) => false,
    };
    !address.ip().is_unspecified() || all.iter().any(is_v4_twin)
}

/// Whether another of the addresses has the same port.
fn shares_port(address: SocketAddr, all: &[ListenAddr]) -> bool {
    let has_port = |other: &&ListenAddr| match other {
        ListenAddr::Tcp(other) => other.port() == address.port(),
        ListenAddr::All(_) | ListenAddr::Unix(_) => false,
    };
    address.port() != 0 && all.iter().filter(has_port).count() > 1
}

/// Which addresses all are depends on the kernel.
fn settle(address: &ListenAddr) -> ListenAddr {
    match address {
        ListenAddr::All(port) if has_v6() => {
            ListenAddr::Tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)))
        }
        ListenAddr::All(port) => ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port))),
        settled => settled.clone(),
    }
}

fn has_v6() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).is_ok()
}

/// An address that is there twice. With port 0 each is another one.
fn find_twice(addresses: &[ListenAddr]) -> Option<&ListenAddr> {
    let is_fixed =
        |address: &ListenAddr| !matches!(address, ListenAddr::Tcp(tcp) if tcp.port() == 0);
    let mut behind = addresses.iter().enumerate().filter(|(_, address)| is_fixed(address));
    behind.find(|(at, address)| addresses[..*at].contains(address)).map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn bind(address: ListenAddr) -> Result<Bound, StartError> {
        Bound::bind(&Config { listen: vec![address], ..Config::default() })
    }

    #[test]
    fn a_client_that_connects_before_the_workers_listen_waits_for_them() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let mut bound = bind(ListenAddr::Tcp(any.parse().unwrap())).unwrap();
            let ListenAddr::Tcp(address) = bound.addresses()[0] else { unreachable!() };
            let mut client = TcpStream::connect(address).unwrap();
            let mut listeners = bound.shares(2).unwrap().into_iter().map(|share| share.open());
            let (first, second) = (listeners.next().unwrap(), listeners.next().unwrap());
            let (first, second) = (first.unwrap(), second.unwrap());
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
        let bound = bind(any).unwrap();
        let address = bound.addresses()[0].clone();
        let is_in_use = |result: Result<Bound, StartError>| match result {
            Err(StartError::Listen(_, error)) => error.kind() == io::ErrorKind::AddrInUse,
            _ => false,
        };
        assert!(is_in_use(bind(address.clone())), "before a worker listens");
        let open = |share: Share| share.open().unwrap();
        let listeners: Vec<_> = bound.shares(3).unwrap().into_iter().map(open).collect();
        assert!(is_in_use(bind(address.clone())), "and afterwards");
        drop((listeners, bound));
        bind(address).unwrap();
    }

    #[test]
    fn an_address_that_is_there_twice_is_found() {
        let listen = |list: &[&str]| -> Vec<ListenAddr> {
            list.iter().map(|address| settle(&address.parse().unwrap())).collect()
        };
        for list in [&["[::]:1", "0.0.0.0:1"][..], &["127.0.0.1:0"; 2], &["unix:a", "unix:b"]] {
            assert_eq!(find_twice(&listen(list)), None, "{list:?}");
        }
        for list in [["127.0.0.1:1"; 2], ["unix:a"; 2], [":1", "1"]] {
            assert!(find_twice(&listen(&list)).is_some(), "{list:?}");
        }
    }
}
