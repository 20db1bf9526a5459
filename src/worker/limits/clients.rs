//! Who the clients of connections are, where options need to know: the other end of the
//! connection, or whom a trusted proxy names.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses by slot, 16 bytes each; nothing while no option needs them.
#[derive(Debug, Default)]
pub(crate) struct Clients(Vec<Ipv6Addr>);

/// Of a slot whose client has no address, or whose address nobody has needed.
const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

impl Clients {
    /// Notes the client of a slot; nothing for one without an address.
    pub(crate) fn set(&mut self, slot: u32, client: Option<IpAddr>) {
        let slot = slot as usize;
        if client.is_none() && slot >= self.0.len() {
            return;
        }
        if slot >= self.0.len() {
            self.0.resize(slot + 1, NONE);
        }
        self.0[slot] = match client {
            None => NONE,
            Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
            Some(IpAddr::V6(v6)) => v6,
        };
    }

    /// The client of a slot, if it is known.
    pub(crate) fn get(&self, slot: u32) -> Option<IpAddr> {
        let client = self.0.get(slot as usize).copied().filter(|client| *client != NONE)?;
        Some(IpAddr::V6(client).to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_the_client_that_was_noted_last() {
        let mut clients = Clients::default();
        clients.set(1000, None);
        assert!(clients.0.is_empty() && clients.get(7).is_none(), "nobody has needed any");
        let (v4, v6) = ("192.0.2.7".parse().ok(), "2001:db8::1".parse().ok());
        clients.set(3, v4);
        clients.set(1, v6);
        assert_eq!((clients.get(3), clients.get(1), clients.get(2)), (v4, v6, None));
        clients.set(3, None);
        assert_eq!(clients.get(3), None);
    }
}
