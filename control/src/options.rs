//! What the operator's port is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use throng::config::{AllowedHosts, ListenAddr};

/// Options of the operator's port.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Where it listens; over TCP.
    pub listen: ListenAddr,
    /// What callers must show; needed beyond loopback.
    pub key: Option<String>,
    /// Hosts that requests without a key may be for; by default literal addresses and localhost.
    pub allowed_hosts: Option<AllowedHosts>,
    /// Whether there is `/metrics`.
    pub metrics: bool,
    /// Whether `/metrics` wants the key, where there is one.
    pub metrics_key: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
            key: None,
            allowed_hosts: None,
            metrics: true,
            metrics_key: true,
        }
    }
}

impl Options {
    /// Whether only programs of this host reach it.
    pub(crate) fn is_local(&self) -> bool {
        matches!(&self.listen, ListenAddr::Tcp(address) if address.ip().is_loopback())
    }
}

/// Without the key.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("key", &self.key.as_ref().map(|_| "***"))
            .field("allowed_hosts", &self.allowed_hosts)
            .field("metrics", &self.metrics)
            .field("metrics_key", &self.metrics_key)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_shown() {
        let options = Options { key: Some("secret".into()), ..Options::default() };
        let shown = format!("{options:?}");
        assert!(shown.contains("***") && !shown.contains("secret"), "{shown}");
    }
}
