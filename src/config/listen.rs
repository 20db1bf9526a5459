//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// TCP over IPv4 or IPv6; `[::]` takes IPv4 too. Port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// TCP at this port of all addresses: `[::]`, or `0.0.0.0` where the kernel has no IPv6. A
    /// server that runs says which.
    All(u16),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
}

impl ListenAddr {
    /// Whether nobody can connect but from this machine: the loopback, and Unix sockets.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::All(_) => false,
            Self::Unix(_) => true,
        }
    }
}

impl Default for ListenAddr {
    fn default() -> Self {
        Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080))
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        // The last colon of an IPv6 address without brackets is no port's.
        let is_bare_v6 = text.parse::<Ipv6Addr>().is_ok();
        if port.is_empty() || is_bare_v6 || text.ends_with(']') {
            return Err(format!("a port is missing; {NOT_AN_ADDRESS}"));
        }
        let port = parse_port(port)?;
        match host {
            "" => Ok(Self::All(port)),
            "localhost" => Ok(Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            _ => format!("{host}:{port}").parse().map(Self::Tcp).map_err(|_| not_a_host(host)),
        }
    }
}

fn unix(path: &str) -> Result<ListenAddr, String> {
    match path.len() {
        0 => Err(NOT_AN_ADDRESS.into()),
        1..=UNIX_PATH_BYTES_MAX if path.contains('\0') => Err("the path has a NUL byte".into()),
        1..=UNIX_PATH_BYTES_MAX => Ok(ListenAddr::Unix(path.into())),
        length => Err(format!(
            "the path has {length} bytes, and that of a Unix socket at most {UNIX_PATH_BYTES_MAX}"
        )),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number => Ok(port),
        _ if is_number => Err(format!("{text} is no port: they end with 65535")),
        _ => Err(NOT_AN_ADDRESS.into()),
    }
}

/// Names are not looked up: what they mean may differ from one start to the next.
fn not_a_host(host: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.chars().all(is_name) && host.contains(|c: char| c.is_ascii_alphabetic()) {
        return format!(
            "names of hosts are not looked up: give the address (`getent ahosts {host}` says it), \
             or :PORT for all"
        );
    }
    NOT_AN_ADDRESS.into()
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::All(port) => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Bytes of `sun_path` of unix(7), without the NUL at its end.
const UNIX_PATH_BYTES_MAX: usize = 107;

const NOT_AN_ADDRESS: &str =
    "an address like 127.0.0.1:8080, [::]:8080, :8080 or unix:/run/throng/throng.sock is needed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["127.0.0.1:8080", "[::]:8080", "unix:/run/throng.sock", "0.0.0.0:0", ":8080"] {
            assert_eq!(text.parse::<ListenAddr>().expect("documented form").to_string(), text);
        }
        assert_eq!("8080".parse(), Ok(ListenAddr::All(8080)));
        assert_eq!("localhost:80".parse::<ListenAddr>(), "127.0.0.1:80".parse());
        let longest = format!("unix:{}", "a".repeat(UNIX_PATH_BYTES_MAX));
        assert_eq!(longest.parse::<ListenAddr>().map(|path| path.to_string()), Ok(longest));
    }

    #[test]
    fn who_can_be_reached_from_elsewhere_is_not_local() {
        for (text, is_local) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("unix:/run/throng.sock", true),
            (":8080", false),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.168.1.2:8080", false),
        ] {
            let address: ListenAddr = text.parse().expect("documented form");
            assert_eq!(address.is_local(), is_local, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        let long = format!("unix:/{}", "a".repeat(UNIX_PATH_BYTES_MAX));
        for (text, says) in [
            ("", "a port is missing"),
            ("unix:", "an address like"),
            ("unix:a\0b", "NUL"),
            (&long, "108 bytes, and that of a Unix socket at most 107"),
            ("example.org:80", "getent ahosts example.org"),
            ("127.0.0.1", "an address like"),
            ("127.0.0.1:", "a port is missing"),
            ("::1", "a port is missing"),
            ("[::1]", "a port is missing"),
            ("::1:80:x", "an address like"),
            ("1.2.3:80", "an address like"),
            ("127.0.0.1:99999", "99999 is no port: they end with 65535"),
            (":65536", "65536 is no port"),
            (":+80", "an address like"),
        ] {
            let told = text.parse::<ListenAddr>().expect_err(text);
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
