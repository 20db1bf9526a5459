//! What the process was started with.

use std::{env, fs};

use listenfd::ListenFd;
use nix::unistd::close;
use socket2::Socket;

use super::keeping::is_name_of_ours;
use crate::config::ListenAddr;

/// Listeners that the service manager has passed, and its store of them.
#[derive(Debug, Default)]
pub struct Inherited {
    listeners: Vec<Passed>,
    /// What else was passed: there is no log yet when that is found out.
    strays: Vec<String>,
    /// Those that LISTEN_FDS counts and that are not there.
    missing: usize,
    /// Descriptors that the store takes; nothing if there is none.
    store_room: usize,
}

/// Descriptors that are looked at: a listener of each worker for each address is a few thousand.
const PASSED_MAX: usize = 65_536;

/// Strays of which there is a line in the log.
const STRAYS_TOLD: usize = 16;

/// Why a descriptor is not listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotTaken {
    /// It is no listener of a stream, and was closed.
    Stray,
    /// There is none.
    Missing,
}

/// A listener that was passed.
#[derive(Debug)]
pub(in crate::server) struct Passed {
    pub(in crate::server) socket: Socket,
    pub(in crate::server) address: ListenAddr,
    /// Its name in the store, where it is of an earlier process of ours.
    pub(in crate::server) stored: Option<String>,
}

impl Inherited {
    /// Takes what the environment tells of (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), and takes
    /// LISTEN_FDS and LISTEN_PID out of it: those of another process are left where they are. Call
    /// it once, before there are other threads.
    #[must_use]
    pub fn take() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut inherited = Self { store_room: store_room(), ..Self::default() };
        let (told, all) = (STRAYS_TOLD, descriptors.len());
        for index in 0..all.min(PASSED_MAX) {
            let name = names.next().unwrap_or_default();
            match take_one(&mut descriptors, index, name) {
                Ok(passed) => inherited.listeners.push(passed),
                Err(NotTaken::Missing) => inherited.missing += 1,
                Err(NotTaken::Stray) if inherited.strays.len() == told => {}
                Err(NotTaken::Stray) => inherited.strays.push(format!("{name:?}")),
            }
        }
        inherited.missing += all.saturating_sub(PASSED_MAX);
        inherited
    }

    /// Descriptors that LISTEN_FDS counts and that are not there, or too many.
    pub(in crate::server) fn missing(&self) -> usize {
        self.missing
    }

    /// Where the listeners of a socket unit listen, each address once: what is listened on where no
    /// option says another address.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddr> {
        let mut addresses: Vec<ListenAddr> = Vec::new();
        for passed in self.listeners.iter().filter(|passed| passed.stored.is_none()) {
            if !addresses.contains(&passed.address) {
                addresses.push(passed.address.clone());
            }
        }
        addresses
    }

    /// Those that listen on an address.
    pub(in crate::server) fn adopt(&mut self, wanted: &ListenAddr) -> Vec<Passed> {
        let is_wanted =
            |passed: &mut Passed| is_at(&passed.address, wanted) && is_reachable(passed);
        self.listeners.extract_if(.., is_wanted).collect()
    }

    /// What nobody has wanted, and strays: closed by who drops it.
    pub(in crate::server) fn into_rest(self) -> (Vec<Passed>, Vec<String>) {
        (self.listeners, self.strays)
    }

    /// Descriptors that the store still takes.
    pub(in crate::server) fn store_room(&self) -> usize {
        let stored = self.listeners.iter().filter(|passed| passed.stored.is_some()).count();
        self.store_room.saturating_sub(stored)
    }
}

/// `:8080` is whatever all addresses are for who has made the listener.
fn is_at(address: &ListenAddr, wanted: &ListenAddr) -> bool {
    match (address, wanted) {
        (ListenAddr::Tcp(tcp), ListenAddr::All(port)) => {
            tcp.ip().is_unspecified() && tcp.port() == *port
        }
        (ListenAddr::Unix(path), ListenAddr::Unix(wanted)) => {
            std::path::absolute(wanted).is_ok_and(|wanted| *path == wanted) || path == wanted
        }
        _ => address == wanted,
    }
}

/// Whether anybody can connect: the path of a Unix socket may have gone with the RuntimeDirectory=
/// of the process before, and its listener in the store is not worth anything then.
fn is_reachable(passed: &Passed) -> bool {
    match &passed.address {
        ListenAddr::Unix(path) => passed.stored.is_none() || fs::symlink_metadata(path).is_ok(),
        ListenAddr::Tcp(_) | ListenAddr::All(_) => true,
    }
}

/// systemd sets FDSTORE from version 254 on where there is a store for this service.
fn store_room() -> usize {
    let room = env::var("FDSTORE").ok().and_then(|room| room.parse().ok()).unwrap_or(0);
    if env::var_os("NOTIFY_SOCKET").is_some() { room } else { 0 }
}

fn take_one(descriptors: &mut ListenFd, index: usize, name: &str) -> Result<Passed, NotTaken> {
    let tcp = descriptors.take_tcp_listener(index).ok().flatten().map(Socket::from);
    let unix = || descriptors.take_unix_listener(index).ok().flatten().map(Socket::from);
    let Some(socket) = tcp.or_else(unix) else {
        // It is neither: nobody else closes it.
        let descriptor = descriptors.take_raw_fd(index).ok().flatten();
        let is_there = descriptor.is_some_and(|descriptor| close(descriptor).is_ok());
        return Err(if is_there { NotTaken::Stray } else { NotTaken::Missing });
    };
    let address = socket.is_listener().ok().filter(|listens| *listens);
    let address = address.and_then(|_| address_of(&socket)).ok_or(NotTaken::Stray)?;
    let stored = is_name_of_ours(name).then(|| name.to_owned());
    Ok(Passed { socket, address, stored })
}

fn address_of(socket: &Socket) -> Option<ListenAddr> {
    let address = socket.local_addr().ok()?;
    let tcp = address.as_socket().map(ListenAddr::Tcp);
    tcp.or_else(|| Some(ListenAddr::Unix(address.as_pathname()?.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(address: &str, stored: Option<&str>) -> Passed {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
        let address = address.parse().unwrap();
        Passed { socket, address, stored: stored.map(str::to_owned) }
    }

    #[test]
    fn listeners_are_adopted_by_their_addresses() {
        let listeners = vec![
            passed("[::]:80", None),
            passed("127.0.0.1:81", Some("throng-tcp-127.0.0.1-81")),
            passed("unix:/run/a.sock", None),
            passed("[::]:80", None),
        ];
        let mut inherited = Inherited { listeners, store_room: 3, ..Inherited::default() };
        assert_eq!(inherited.store_room(), 2, "one is taken");
        let shown: Vec<String> = inherited.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::]:80", "unix:/run/a.sock"], "the store is no wish");
        assert_eq!(inherited.adopt(&"127.0.0.1:80".parse().unwrap()).len(), 0);
        assert_eq!(inherited.adopt(&":80".parse().unwrap()).len(), 2);
        assert_eq!(inherited.adopt(&"unix:/run/a.sock".parse().unwrap()).len(), 1);
        let (rest, _) = inherited.into_rest();
        assert_eq!(rest[0].stored.as_deref(), Some("throng-tcp-127.0.0.1-81"));
    }
}
