//! Which pages of other hosts may connect.

use std::str::FromStr;

use super::authority::{self, Unsaid};

/// Origins (RFC 6454) that may connect beside the server's own host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// `*`: every origin, `null` included.
    Any,
    /// `null` and `file://`, which name no host.
    Word(String),
    /// `https://app.example`, `https://*.example`, `http://localhost:*`, `chrome-extension://*`.
    Hosts { scheme: String, hosts: authority::Pattern },
}

impl AllowedOrigins {
    /// Whether a page of `origin` may connect.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let origin = without_default_port(&origin);
        self.0.iter().any(|pattern| pattern.matches(origin))
    }
}

impl Pattern {
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Word(word) => word == origin,
            Self::Hosts { scheme, hosts } => origin
                .split_once("://")
                .is_some_and(|(theirs, host)| theirs == scheme && hosts.matches(host)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let text = without_default_port(&text);
        match (text, text.split_once("://")) {
            ("*", _) => Ok(Self::Any),
            ("null" | "file://", _) => Ok(Self::Word(text.to_owned())),
            (_, Some((scheme, host))) if is_scheme(scheme) => Self::of_hosts(scheme, host),
            _ => Err(not_an_origin(text)),
        }
    }

    fn of_hosts(scheme: &str, host: &str) -> Result<Self, String> {
        let hosts = authority::Pattern::parse(host, Unsaid::DefaultPort);
        match hosts {
            Some(hosts) => Ok(Self::Hosts { scheme: scheme.to_owned(), hosts }),
            None if host.contains('*') => {
                Err("a * stands alone, for a whole first label or for a port".into())
            }
            None => Err(not_an_origin(&format!("{scheme}://{host}"))),
        }
    }
}

fn not_an_origin(text: &str) -> String {
    format!("`{text}` is no origin: one looks like https://app.example, or *")
}

/// RFC 3986, 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_inner)
}

/// As browsers write it: without a port that goes without saying (RFC 6454, 6.2).
fn without_default_port(origin: &str) -> &str {
    let default_port = match origin.split_once("://") {
        Some(("http" | "ws", _)) => ":80",
        Some(("https" | "wss", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(default_port).unwrap_or(origin)
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = text.split([',', ' ']).filter(|word| !word.is_empty());
        patterns.map(Pattern::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_matched() {
        let list: AllowedOrigins =
            "https://app.example, https://*.b.example:8443".parse().expect("a good list");
        for good in ["https://app.example", "HTTPS://APP.example", "https://x.y.b.example:8443"] {
            assert!(list.allows(good), "{good}");
        }
        for bad in [
            "http://app.example",
            "https://b.example:8443",
            "https://.b.example:8443",
            "https://evil.example/x.b.example:8443",
            "https://x.b.example",
            "null",
        ] {
            assert!(!list.allows(bad), "{bad}");
        }
        assert!("*".parse::<AllowedOrigins>().expect("any").allows("null"));
        assert!(!AllowedOrigins::default().allows("https://app.example"));
    }

    #[test]
    fn a_default_port_goes_without_saying() {
        let list = "https://app.example:443 http://app.example:80 https://*.b.example:443";
        let list: AllowedOrigins = list.parse().expect("a good list");
        for good in ["https://app.example", "http://app.example", "https://x.b.example"] {
            assert!(list.allows(good), "{good}");
        }
        assert!(list.allows("https://app.example:443"), "not as a browser writes it, but the same");
        assert!(!list.allows("http://app.example:443"));
    }

    #[test]
    fn any_port_and_any_host_of_a_scheme_can_be_named() {
        let list = "http://localhost:*,http://[::1]:*,chrome-extension://*,moz-extension://abc";
        let list: AllowedOrigins = list.parse().expect("a good list");
        for good in [
            "http://localhost",
            "http://localhost:80",
            "http://localhost:3000",
            "http://[::1]",
            "http://[::1]:5173",
            "chrome-extension://abcdefghijklmnop",
            "moz-extension://abc",
        ] {
            assert!(list.allows(good), "{good}");
        }
        for bad in [
            "https://localhost:3000",
            "http://localhost.evil.example:3000",
            "http://localhost:3000@evil.example",
            "http://localhost:x",
            "http://localhost:",
            "http://[::2]:1",
            "chrome-extension://",
            "chrome-extension://a/b",
            "moz-extension://abcd",
            "file://",
        ] {
            assert!(!list.allows(bad), "{bad}");
        }
    }

    #[test]
    fn origins_without_a_host_can_be_named() {
        let list: AllowedOrigins = "file://,null".parse().expect("a good list");
        assert!(list.allows("file://") && list.allows("null"));
        assert!(!list.allows("file:///etc") && !list.allows("file://host"));
    }

    #[test]
    fn words_that_are_no_origin_are_refused() {
        for bad in [
            "app.example",
            "https://",
            "https://a.example/path",
            "https://a*.example",
            "https://a.example:x",
            "https://a.example:",
            "http://*.*",
            "://a.example",
            "chrome-extension://",
        ] {
            assert!(bad.parse::<AllowedOrigins>().is_err(), "{bad}");
        }
    }
}
