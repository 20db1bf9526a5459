//! Names of hosts with ports, as they stand in `Host` and in origins.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Hosts that a word of a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    name: Name,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// `*`.
    Any,
    /// `app.example`, `[::1]`.
    Exact(String),
    /// `*.example`: what ends with this, which begins with the dot.
    Subdomains(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    /// `:*`.
    Any,
    /// `:8080`.
    Exact(String),
    /// The one that goes without saying.
    Default,
}

/// What a host without a port means in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// The host with every port.
    AnyPort,
    /// The host with the port that goes without saying.
    DefaultPort,
}

impl Pattern {
    /// Parses a word in lower case; `None` if it is none.
    pub(super) fn parse(text: &str, unsaid: Unsaid) -> Option<Self> {
        let (name, port) = split_port(text);
        let port = match (port, unsaid) {
            (Some("*"), _) | (None, Unsaid::AnyPort) => Port::Any,
            (Some(port), _) => Port::Exact(port.parse::<u16>().ok()?.to_string()),
            (None, Unsaid::DefaultPort) => Port::Default,
        };
        let name = match name.strip_prefix('*') {
            Some("") => Name::Any,
            Some(domain) if domain.starts_with('.') && is_name(&domain[1..]) => {
                Name::Subdomains(domain.to_owned())
            }
            None if is_name(name) => Name::Exact(name.to_owned()),
            _ => return None,
        };
        Some(Self { name, port })
    }

    /// Whether a host, in lower case and without a port that goes without saying, is named.
    pub(super) fn matches(&self, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        let is_port = match &self.port {
            Port::Any => port.is_none_or(is_number),
            Port::Exact(exact) => port == Some(exact),
            Port::Default => port.is_none(),
        };
        is_port && is_name(host) && self.name.matches(host)
    }
}

impl Name {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == host,
            Self::Subdomains(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|label| !label.is_empty())
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parts a host from its port; the colons of an IPv6 address stand in brackets.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a host, in lower case and without its port, names the loopback of whoever asks: browsers
/// look `localhost` up nowhere else (RFC 6761, 6.3).
pub(super) fn is_loopback(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback()),
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_name(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_plain = |text: &str| !text.contains(['/', ':', '@', '*', '[', ']', '?', '#']);
    inner.map_or_else(|| !text.is_empty() && is_plain(text), |ip| ip.parse::<Ipv6Addr>().is_ok())
}
