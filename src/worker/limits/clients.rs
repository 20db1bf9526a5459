//! Who the clients of connections are, where options need to know: the other end of the
//! connection, or whom a trusted proxy names.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::config::Networks;
use crate::driver::Peer;

/// Who a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Client {
    /// Nobody has needed to know, or it had gone when it was asked for.
    #[default]
    Unknown,
    /// Over a Unix socket, where clients have no names.
    Unix,
    /// At this address.
    Host(IpAddr),
}

/// Who the client of a connection is, as it is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientImage {
    /// The client, as far as that is known.
    pub client: Client,
    /// The proxy, where a request that came from one has named the client.
    pub proxy: Option<Client>,
}

/// Clients by slot, 16 bytes each; nothing while no option needs them.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: Vec<Ipv6Addr>,
    /// Of slots whose requests come from whom a proxy names, the proxy: the next request may be
    /// another client's. They stand here until the upgrade, so there are no more of them than
    /// connections that proxies keep for requests.
    proxies: HashMap<u32, Client>,
}

/// Of a slot whose client is not known.
const UNKNOWN: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// Of a slot whose client has come over a Unix socket: no host has this address.
const UNIX: Ipv6Addr = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();

impl Client {
    /// At the other end of a connection.
    pub(crate) fn of(peer: Option<Peer>) -> Self {
        match peer {
            None => Self::Unknown,
            Some(Peer::Unix) => Self::Unix,
            Some(peer) => peer.ip().map_or(Self::Unknown, Self::Host),
        }
    }

    /// Its address, if it has one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Host(ip) => Some(ip),
            Self::Unknown | Self::Unix => None,
        }
    }

    /// Whether it is among these.
    pub(crate) fn is_in(self, networks: &Networks) -> bool {
        match self {
            Self::Unknown => false,
            Self::Unix => networks.contains_unix(),
            Self::Host(ip) => networks.contains(ip),
        }
    }

    /// What is written of it, if it is known.
    pub(crate) fn known(self) -> Option<Self> {
        (self != Self::Unknown).then_some(self)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Unix => f.write_str("unix"),
            Self::Host(ip) => ip.fmt(f),
        }
    }
}

impl Clients {
    /// Notes the client of a slot, and no proxy before it.
    pub(crate) fn set(&mut self, slot: u32, client: Client) {
        self.take_proxy(slot);
        self.put(slot, client);
    }

    /// The client of a slot.
    pub(crate) fn who(&self, slot: u32) -> Client {
        match self.clients.get(slot as usize).copied() {
            None | Some(UNKNOWN) => Client::Unknown,
            Some(UNIX) => Client::Unix,
            Some(ip) => Client::Host(IpAddr::V6(ip).to_canonical()),
        }
    }

    /// The address of a slot's client, if it is known.
    pub(crate) fn get(&self, slot: u32) -> Option<IpAddr> {
        self.who(slot).ip()
    }

    /// Whom a request comes from, be it the client or a proxy before it.
    pub(crate) fn sender(&self, slot: u32) -> Client {
        self.proxies.get(&slot).copied().unwrap_or_else(|| self.who(slot))
    }

    /// Notes whom the present request of a slot names; without a name it is whoever sends it.
    pub(crate) fn name(&mut self, slot: u32, named: Option<IpAddr>) {
        let sender = self.sender(slot);
        match named {
            Some(ip) => {
                self.proxies.insert(slot, sender);
                self.put(slot, Client::Host(ip));
            }
            None => self.set(slot, sender),
        }
    }

    /// No further request comes in this slot: its client stays.
    pub(crate) fn settle(&mut self, slot: u32) {
        self.take_proxy(slot);
    }

    /// The slot is empty: gives who it was.
    pub(crate) fn take(&mut self, slot: u32) -> ClientImage {
        let client = self.who(slot);
        let proxy = self.take_proxy(slot);
        self.put(slot, Client::Unknown);
        ClientImage { client, proxy }
    }

    /// All connections are in slots below.
    pub(crate) fn trim(&mut self, end: u32) {
        self.clients.truncate(end as usize);
        self.clients.shrink_to_fit();
        self.proxies.shrink_to_fit();
    }

    /// Notes again what was taken of a slot.
    pub(crate) fn restore(&mut self, slot: u32, ClientImage { client, proxy }: ClientImage) {
        self.set(slot, client);
        self.proxies.extend(proxy.map(|proxy| (slot, proxy)));
    }

    /// Where a connection comes from, for people: its client, with a port if that is its own.
    pub(crate) fn shown(&self, slot: u32, peer: Peer) -> Peer {
        match self.get(slot) {
            Some(ip) if peer.ip() != Some(ip) => Peer::Named(ip),
            _ => peer,
        }
    }

    /// Nearly always there is none, and then nothing is hashed.
    #[inline]
    fn take_proxy(&mut self, slot: u32) -> Option<Client> {
        if self.proxies.is_empty() { None } else { self.proxies.remove(&slot) }
    }

    fn put(&mut self, slot: u32, client: Client) {
        let slot = slot as usize;
        if slot >= self.clients.len() {
            if client == Client::Unknown {
                return;
            }
            self.clients.resize(slot + 1, UNKNOWN);
        }
        self.clients[slot] = match client {
            Client::Unknown => UNKNOWN,
            Client::Unix => UNIX,
            Client::Host(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
            Client::Host(IpAddr::V6(v6)) => v6,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Client {
        Client::Host(text.parse().expect("it is an address"))
    }

    #[test]
    fn each_slot_has_the_client_that_was_noted_last() {
        let mut clients = Clients::default();
        clients.set(1000, Client::Unknown);
        assert!(clients.clients.is_empty(), "nobody has needed any");
        let (v4, v6) = (host("192.0.2.7"), host("2001:db8::1"));
        clients.set(3, v4);
        clients.set(1, v6);
        clients.set(4, Client::Unix);
        let found = [3, 1, 2, 4, 1000].map(|slot| clients.who(slot));
        assert_eq!(found, [v4, v6, Client::Unknown, Client::Unix, Client::Unknown]);
        assert_eq!(clients.get(3), v4.ip());
        assert_eq!((clients.get(4), clients.get(2)), (None, None));
        clients.set(3, Client::Unknown);
        assert_eq!(clients.who(3), Client::Unknown);
    }

    #[test]
    fn each_request_has_its_own_client_and_the_upgrade_keeps_the_last() {
        let (proxy, first, second) = (Client::Unix, host("192.0.2.7"), host("192.0.2.8"));
        let mut clients = Clients::default();
        clients.set(3, proxy);
        for named in [first, second, Client::Unknown, first] {
            clients.name(3, named.ip());
            let expected = named.known().unwrap_or(proxy);
            assert_eq!((clients.who(3), clients.sender(3)), (expected, proxy));
        }
        clients.settle(3);
        assert_eq!((clients.who(3), clients.sender(3)), (first, first));
        assert!(clients.proxies.is_empty());
    }

    #[test]
    fn what_was_taken_of_a_slot_is_in_another_one_again() {
        let (proxy, client) = (host("10.0.0.1"), host("192.0.2.7"));
        let mut clients = Clients::default();
        clients.set(3, proxy);
        clients.name(3, client.ip());
        let taken = clients.take(3);
        assert_eq!((clients.who(3), clients.proxies.len()), (Client::Unknown, 0));
        clients.restore(5, taken);
        assert_eq!((clients.who(5), clients.sender(5)), (client, proxy));
        clients.set(5, Client::Unix);
        assert_eq!(clients.sender(5), Client::Unix, "the next in this slot is another");
    }

    #[test]
    fn many_that_have_gone_leave_no_memory_behind() {
        let (proxy, client) = (Client::Unix, host("192.0.2.7"));
        let mut clients = Clients::default();
        for slot in 0..10_000 {
            clients.set(slot, proxy);
            clients.name(slot, client.ip());
        }
        for slot in 3..10_000 {
            clients.take(slot);
        }
        clients.trim(3);
        assert!(clients.clients.capacity() < 100 && clients.proxies.capacity() < 100);
        assert_eq!(
            (clients.who(2), clients.sender(2), clients.who(3)),
            (client, proxy, Client::Unknown)
        );
    }

    #[test]
    fn a_port_is_shown_where_it_is_the_clients_own() {
        let mut clients = Clients::default();
        let peer = Peer::Tcp("10.0.0.1:4711".parse().expect("it is one"));
        assert_eq!(clients.shown(0, peer).to_string(), "10.0.0.1:4711");
        clients.set(0, Client::of(Some(peer)));
        assert_eq!(clients.shown(0, peer).to_string(), "10.0.0.1:4711");
        clients.name(0, host("192.0.2.7").ip());
        assert_eq!(clients.shown(0, peer).to_string(), "192.0.2.7");
        clients.set(1, Client::Unix);
        assert_eq!(clients.shown(1, Peer::Unix).to_string(), "unix");
    }
}
