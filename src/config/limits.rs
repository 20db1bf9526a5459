//! What clients may take, where the operator bounds it. By default nothing of this is bounded.

use std::time::Duration;

use super::Over;
use crate::limits::SUBSCRIPTIONS_MAX;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one address of IPv4, or one /64 of IPv6, in the whole process.
    pub per_ip: PerIp,
    /// Messages of a connection in a second: data messages, pings, pongs and requests.
    pub messages_per_second: Option<u32>,
    /// Bytes that come of a connection in a second.
    pub bytes_per_second: Option<u32>,
    /// What becomes of a connection that is over one of these two.
    pub over: Over,
    /// Rooms, and other topics, of the whole process.
    pub rooms: Option<usize>,
    /// Those of one connection.
    pub rooms_per_connection: usize,
    /// How old a WebSocket connection may become, give or take a tenth; zero is for ever.
    pub connection_max_age: Duration,
}

/// What one address may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerIp {
    /// Connections that are open.
    pub connections: Option<u32>,
    /// New connections in a second.
    pub connect_rate: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_ip: PerIp::default(),
            messages_per_second: None,
            bytes_per_second: None,
            over: Over::default(),
            rooms: None,
            rooms_per_connection: SUBSCRIPTIONS_MAX,
            connection_max_age: Duration::ZERO,
        }
    }
}

impl Limits {
    /// Whether connections are counted by address.
    #[must_use]
    pub fn counts_addresses(&self) -> bool {
        self.per_ip != PerIp::default()
    }

    /// Whether what a connection sends is measured.
    #[must_use]
    pub fn measures_senders(&self) -> bool {
        self.messages_per_second.is_some() || self.bytes_per_second.is_some()
    }
}
