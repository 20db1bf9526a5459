//! Listening sockets: one of TCP per worker and address, one of Unix for all, or those that were
//! passed to the process.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::StartError;
use super::activation::{Inherited, Keeping, Passed, Store, forget};
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
    /// What listens there already, in the order of the addresses.
    held: Vec<Held>,
    /// Whether accepted sockets find out by themselves that their peer is gone.
    liveness: Liveness,
    store: Store,
    paths: Vec<UnixPath>,
}

/// The listeners of an address.
#[derive(Debug)]
struct Held {
    /// One at least; several if they were passed.
    sockets: Vec<Socket>,
    keeping: HeldKeeping,
    beside: Beside,
}

/// Who has the listeners of an address beside us.
#[derive(Debug)]
enum HeldKeeping {
    /// Who has passed them.
    Manager,
    /// Perhaps the service manager's store.
    Own(Keeping),
}

/// What workers do for which there is no listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// They bind beside those that there are.
    Bind {
        /// Whether not to take IPv4 too.
        only_v6: bool,
    },
    /// They share those that there are.
    Duplicate,
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
pub(super) struct Share(Vec<Piece>);

/// One listener.
#[derive(Debug)]
struct Piece {
    address: ListenAddr,
    source: Source,
    keeping: Keeping,
}

/// Where it comes from.
#[derive(Debug)]
enum Source {
    /// A duplicate of what listens there already.
    Held(Socket),
    /// It binds beside that.
    Beside(SocketAddr, bool, Liveness),
}

impl Bound {
    /// Adopts what was passed, finds out whether every other address is free, resolves port 0, and
    /// opens the first listener of each.
    pub(super) fn bind(
        config: &Config,
        mut inherited: Inherited,
        workers: usize,
    ) -> Result<Self, StartError> {
        let addresses: Vec<ListenAddr> = config.listen.iter().map(settle).collect();
        if let Some(twice) = find_twice(&addresses) {
            return Err(StartError::Twice(twice.clone()));
        }
        let liveness =
            if config.ping_interval.is_zero() { Liveness::Keepalive } else { Liveness::Pings };
        let store = Store::new(inherited.store_room());
        let mut bound = Self { addresses: vec![], held: vec![], liveness, store, paths: vec![] };
        for (wanted, address) in config.listen.iter().zip(&addresses) {
            let passed = inherited.adopt(wanted);
            let result = match address {
                _ if !passed.is_empty() => bound.adopt(passed, config, workers),
                ListenAddr::Tcp(tcp) => bound.hold(*tcp, &addresses),
                ListenAddr::All(_) => unreachable!("it is settled which addresses that are"),
                ListenAddr::Unix(path) => bound.open_unix(path, config),
            };
            result.map_err(|error| StartError::Listen(address.clone(), error))?;
        }
        close_unwanted(inherited);
        Ok(bound)
    }

    pub(super) fn addresses(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// The most listeners that a worker has.
    pub(super) fn listeners_of_worker(&self, workers: usize) -> usize {
        self.held.iter().map(|held| held.sockets.len().div_ceil(workers)).sum()
    }

    /// What each of so many workers needs: listeners that there are are dealt out in turn, and who
    /// gets none of an address makes one.
    pub(super) fn shares(&self, workers: usize) -> io::Result<Vec<Share>> {
        let mut store = self.store;
        (0..workers).map(|worker| self.share(worker, workers, &mut store)).collect()
    }

    fn share(&self, worker: usize, workers: usize, store: &mut Store) -> io::Result<Share> {
        let mut pieces = Vec::new();
        for (address, held) in self.addresses.iter().zip(&self.held) {
            let piece = |source, keeping| Piece { address: address.clone(), source, keeping };
            for socket in held.sockets.iter().skip(worker).step_by(workers) {
                let keeping = match &held.keeping {
                    HeldKeeping::Manager => Keeping::by_manager(),
                    HeldKeeping::Own(keeping) => keeping.clone(),
                };
                pieces.push(piece(Source::Held(socket.try_clone()?), keeping));
            }
            if worker < held.sockets.len() {
                continue;
            }
            let other = &held.sockets[worker % held.sockets.len()];
            pieces.push(match (address, held.beside, &held.keeping) {
                // One that nobody keeps beside those of the manager would lose at each restart
                // whom the kernel has given to it.
                (ListenAddr::Tcp(tcp), Beside::Bind { only_v6 }, keeping)
                    if store.has_room() || matches!(keeping, HeldKeeping::Own(_)) =>
                {
                    let source = Source::Beside(*tcp, only_v6, self.liveness);
                    piece(source, store.keeping(address))
                }
                (_, _, HeldKeeping::Manager) => {
                    piece(Source::Held(other.try_clone()?), Keeping::by_manager())
                }
                (_, _, HeldKeeping::Own(keeping)) => {
                    piece(Source::Held(other.try_clone()?), keeping.of_duplicate())
                }
            });
        }
        Ok(Share(pieces))
    }

    /// The workers have their own descriptors of the listeners now.
    pub(super) fn let_go(&mut self) {
        self.held.clear();
    }

    /// Leaves the Unix paths where they are.
    pub(super) fn detach(&mut self) {
        self.paths.drain(..).for_each(std::mem::forget);
    }

    /// Takes listeners of one address that were passed.
    fn adopt(&mut self, passed: Vec<Passed>, config: &Config, workers: usize) -> io::Result<()> {
        let address = passed[0].address.clone();
        if let ListenAddr::Unix(path) = &address {
            set_rights(path, config, passed[0].stored.is_some())?;
        }
        let sockets: Vec<Socket> = passed.into_iter().map(|passed| passed.socket).collect();
        for socket in &sockets {
            socket.set_cloexec(true)?;
            socket.set_nonblocking(true)?;
            if matches!(address, ListenAddr::Tcp(_)) {
                set_inherited(socket, self.liveness)?;
            }
        }
        let beside = match &address {
            ListenAddr::Tcp(tcp) if sockets.len() < workers => find_beside(&sockets[0], *tcp),
            _ => Beside::Duplicate,
        };
        tracing::info!("{address}: {} listeners were passed to this process", sockets.len());
        self.held.push(Held { sockets, keeping: HeldKeeping::Manager, beside });
        self.addresses.push(address);
        Ok(())
    }

    fn open_unix(&mut self, path: &Path, config: &Config) -> io::Result<()> {
        let address = ListenAddr::Unix(path.to_owned());
        let keeping = self.store.keeping(&address);
        let (socket, path) = unix_path::open(path, config, BACKLOG, keeping.flag())?;
        let keeping = HeldKeeping::Own(keeping);
        self.held.push(Held { sockets: vec![socket], keeping, beside: Beside::Duplicate });
        self.paths.push(path);
        self.addresses.push(address);
        Ok(())
    }

    /// Listens without SO_REUSEPORT, so that an address where another server of this user listens
    /// is found to be in use; sets it afterwards, so that the other workers may bind beside this
    /// socket. Whoever connects meanwhile waits in its queue for the first worker.
    fn hold(&mut self, address: SocketAddr, all: &[ListenAddr]) -> io::Result<()> {
        let only_v6 = only_v6(address, all);
        let socket = patiently(|| {
            let socket = tcp_socket(address, only_v6, self.liveness)?;
            socket.bind(&address.into())?;
            // Of two servers that start at once both may bind, but only one may listen. Addresses
            // of our own with one port would be in each other's way like that: they listen later.
            if !shares_port(address, all) {
                socket.listen(BACKLOG)?;
            }
            Ok(socket)
        })?;
        socket.set_reuse_port(true)?;
        let address = ListenAddr::Tcp(socket.local_addr()?.as_socket().unwrap_or(address));
        let keeping = HeldKeeping::Own(self.store.keeping(&address));
        let beside = Beside::Bind { only_v6 };
        self.held.push(Held { sockets: vec![socket], keeping, beside });
        self.addresses.push(address);
        Ok(())
    }
}

impl Share {
    /// Those that are open already, in the table that all threads share until they part.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().filter_map(|piece| match &piece.source {
            Source::Held(socket) => Some(socket.as_raw_fd()),
            Source::Beside(..) => None,
        })
    }

    /// Opens this worker's listeners, on its own thread and in its own table.
    pub(super) fn open(self) -> Result<Vec<Listener>, StartError> {
        let open = |Piece { address, source, keeping }| {
            let socket = source.listen().map_err(|error| StartError::Listen(address, error))?;
            keeping.store(&socket);
            Ok(Listener::new(socket).kept(keeping.flag()))
        };
        self.0.into_iter().map(open).collect()
    }
}

impl Source {
    fn listen(self) -> io::Result<Socket> {
        let socket = match self {
            Self::Held(held) => held,
            Self::Beside(address, only_v6, liveness) => bind_beside(address, only_v6, liveness)?,
        };
        // What holds an address listens already, unless others of ours share the port.
        socket.listen(BACKLOG)?;
        Ok(socket)
    }
}

/// Those that nobody wants to listen on any more are closed, and leave the store.
fn close_unwanted(inherited: Inherited) {
    let missing = inherited.missing();
    if missing > 0 {
        tracing::warn!("LISTEN_FDS counts {missing} descriptors that this process does not have");
    }
    let (unwanted, strays) = inherited.into_rest();
    for Passed { address, stored, .. } in unwanted {
        if let Some(name) = stored {
            tracing::info!(
                "a listener of {address} from the store is given up: no --listen names that \
                 address, or its path is gone"
            );
            forget(&name);
        } else {
            tracing::warn!(
                "a listener of {address} was passed to this process, and is closed, as no --listen \
                 names that address"
            );
        }
    }
    for stray in strays {
        tracing::warn!(
            "a descriptor of the name {stray} was passed to this process that is no listener of a \
             stream, and is closed"
        );
    }
}

/// A path of ours may have other rights than those that it was made with; one of a socket unit has
/// those that the unit says.
fn set_rights(path: &Path, config: &Config, is_ours: bool) -> io::Result<()> {
    if is_ours {
        return unix_path::set_rights(path, config);
    }
    if config.unix_mode.is_some() || config.unix_group.is_some() {
        tracing::warn!(
            "unix:{} was passed to this process, and --unix-mode and --unix-group change nothing \
             there: the socket unit says who may connect (SocketMode=, SocketGroup=)",
            path.display()
        );
    }
    Ok(())
}

/// Whether this user may bind beside a listener: whoever has made it must have said so.
fn find_beside(passed: &Socket, address: SocketAddr) -> Beside {
    let only_v6 = address.is_ipv6() && passed.only_v6().unwrap_or(false);
    let is_shared = passed.reuse_port().unwrap_or(false);
    if is_shared && bind_beside(address, only_v6, Liveness::Pings).is_ok() {
        return Beside::Bind { only_v6 };
    }
    Beside::Duplicate
}

/// Accepted sockets inherit these: one call for all of them.
fn set_inherited(socket: &Socket, liveness: Liveness) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match liveness {
        Liveness::Keepalive => socket.set_tcp_keepalive(&keepalive())?,
        Liveness::Pings => socket.set_keepalive(false)?,
    }
    setsockopt(socket, DeferAccept, &DEFER_ACCEPT_SECONDS)?;
    Ok(())
}

fn tcp_socket(address: SocketAddr, only_v6: bool, liveness: Liveness) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    set_inherited(&socket, liveness)?;
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
        let config = Config { listen: vec![address], ..Config::default() };
        Bound::bind(&config, Inherited::default(), 3)
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
