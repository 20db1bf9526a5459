//! Which pages are the server's own, or those of who develops beside it.

use super::authority::{is_loopback, split_port};
use super::{Config, ListenAddr};

/// How a page stands to the server that it connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Its origin is the host that it asks for.
    SameHost,
    /// The operator has named its origin.
    Allowed,
    /// It comes from this machine, and so does everybody who reaches the server.
    Friend,
    /// None of these.
    Stranger,
}

impl Config {
    /// How a page of `origin` stands to this server, which it asks for as `host`.
    ///
    /// Pages of the loopback are friends of a server that listens there only, whatever their port:
    /// a development server, another tool of the same person. No website can have such an origin.
    /// What its owner can do is to point its own name to 127.0.0.1 (DNS rebinding), and then the
    /// origin is still that name; `allowed_hosts` is for that. Three things are no friends:
    ///
    /// * Any page, where the request is not for a host of the loopback: then a proxy on this
    ///   machine has brought it, and the page may come from the loopback of somebody else.
    /// * `null`, which is the origin of a file's page in some browsers, but also that of each frame
    ///   that any website puts into a sandbox.
    /// * Extensions of browsers, which read and change every page that they are let into.
    ///
    /// `file://` is a friend: no website can have it either, and programs of this machine that are
    /// no browser send it.
    #[must_use]
    pub fn relation(&self, origin: &str, host: &str) -> Relation {
        if is_same_host(origin, host) {
            Relation::SameHost
        } else if self.allowed_origins.allows(origin) {
            Relation::Allowed
        } else if self.listen.iter().all(ListenAddr::is_local) && are_friends(origin, host) {
            Relation::Friend
        } else {
            Relation::Stranger
        }
    }
}

fn are_friends(origin: &str, host: &str) -> bool {
    if !is_loopback(split_port(&host.to_ascii_lowercase()).0) {
        return false;
    }
    let origin = origin.to_ascii_lowercase();
    match origin.split_once("://") {
        Some(("file", "")) => true,
        Some(("http" | "https", authority)) => {
            let (name, port) = split_port(authority);
            let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
            is_port && is_loopback(name)
        }
        _ => false,
    }
}

/// Whether a page comes from the host that it connects to: the default port may be left out on
/// either side, and the names of the loopback are one. No page has an origin of ws or wss, but
/// clients that are no browser make one of the address that they connect to (Starscream).
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        _ => return false,
    };
    let (ours, theirs) = (host.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let [ours, theirs] = [&ours, &theirs].map(|authority| {
        let (name, port) = split_port(authority);
        let name = if is_loopback(name) { "localhost" } else { name };
        (name, port.unwrap_or(default_port))
    });
    !theirs.0.is_empty() && ours == theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &[&str]) -> Config {
        let listen = listen.iter().map(|text| text.parse().expect("an address")).collect();
        let allowed_origins = "https://good.example".parse().expect("a good list");
        Config { listen, allowed_origins, ..Config::default() }
    }

    #[test]
    fn the_same_host_is_the_same_by_any_of_its_names() {
        let config = config(&[":8080"]);
        for (origin, host) in [
            ("http://a.example:8080", "a.example:8080"),
            ("HTTP://A.example", "a.example"),
            ("https://a.example", "a.example:443"),
            ("http://a.example:80", "a.example"),
            ("wss://a.example", "a.example:443"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "localhost:8080"),
            ("http://127.0.0.1", "[::1]:80"),
        ] {
            assert_eq!(config.relation(origin, host), Relation::SameHost, "{origin} {host}");
        }
        for (origin, host) in [
            ("https://a.example", "a.example:80"),
            ("http://a.example", "b.example"),
            ("http://localhost:3000", "127.0.0.1:8080"),
            ("http://localhost:8080", "a.example:8080"),
            ("http://", ""),
            ("null", "a.example"),
        ] {
            assert_eq!(config.relation(origin, host), Relation::Stranger, "{origin} {host}");
        }
        assert_eq!(config.relation("https://good.example", "a.example"), Relation::Allowed);
    }

    #[test]
    fn pages_of_the_loopback_are_friends_of_a_server_that_is_there_only() {
        let local = config(&["127.0.0.1:8080", "[::1]:8080", "unix:/run/throng.sock"]);
        let public = config(&["127.0.0.1:8080", "192.0.2.1:8080"]);
        for origin in ["http://localhost:3000", "https://127.0.0.2", "http://[::1]:5173", "file://"]
        {
            for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
                assert_eq!(local.relation(origin, host), Relation::Friend, "{origin} {host}");
                assert_eq!(public.relation(origin, host), Relation::Stranger, "{origin} {host}");
            }
            let proxied = local.relation(origin, "chat.example");
            assert_eq!(proxied, Relation::Stranger, "{origin} by a proxy");
        }
    }

    #[test]
    fn nothing_that_a_website_can_be_is_a_friend() {
        let local = config(&["127.0.0.1:8080"]);
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost.evil.example:3000",
            "http://localhost@evil.example",
            "http://127.0.0.1.evil.example",
            "http://localhost:x",
            "http://localhost:3000/x",
            "http://evil.example:8080",
            "file:///etc",
            "file://evil.example",
            "chrome-extension://abc",
            "",
        ] {
            assert_eq!(local.relation(origin, "127.0.0.1:8080"), Relation::Stranger, "{origin}");
        }
    }
}
