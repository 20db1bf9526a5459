//! Which hosts a server answers for.

use std::str::FromStr;

use super::authority::{Pattern, Unsaid};

/// Values of `Host` that are answered; without any, all are.
///
/// A page that rebinds its own name to another address (DNS rebinding) passes every check of
/// origins, since its origin and its `Host` agree: both are the attacker's name. A server that only
/// answers for names it knows is not reached like that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Pattern>);

impl AllowedHosts {
    /// Whether a request for this host, with or without a port, is answered.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(&host))
    }
}

impl FromStr for AllowedHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let patterns = words.map(|word| {
            Pattern::parse(&word.to_ascii_lowercase(), Unsaid::AnyPort).ok_or_else(|| {
                format!("`{word}` is no host: one looks like app.example, *.example or [::1]:8080")
            })
        });
        match patterns.collect::<Result<Vec<_>, _>>()? {
            // An unset variable in a script must not let everybody in.
            none if none.is_empty() => Err("a host is needed; without the option all are".into()),
            some => Ok(Self(some)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_matched() {
        let list = "localhost,127.0.0.1 [::1]:8080, *.b.example,c.example:81,*.d.example:82";
        let list: AllowedHosts = list.parse().expect("a good list");
        for good in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "x.y.b.example",
            "x.b.example:9",
            "c.example:81",
            "x.d.example:82",
        ] {
            assert!(list.allows(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost:80:80",
            "localhost:x",
            "[::1]",
            "[::1]:80",
            "[::1]:8080:1",
            "b.example",
            ".b.example",
            "xb.example",
            "evil.example/x.b.example",
            "evil:80@x.b.example",
            "c.example",
            "x.d.example:83",
        ] {
            assert!(!list.allows(bad), "{bad}");
        }
    }

    #[test]
    fn all_hosts_are_allowed_where_none_is_asked_for_and_an_empty_list_is_refused() {
        assert!(AllowedHosts::default().allows("any.example:1"));
        for list in ["", " , "] {
            assert!(list.parse::<AllowedHosts>().is_err(), "{list}");
        }
        assert!("*".parse::<AllowedHosts>().expect("a good list").allows("any.example:1"));
    }

    #[test]
    fn words_that_are_no_host_are_refused() {
        for bad in ["http://a", "a/b", "a*.example", "a:b", "a:65536", "::1", "[x]", "*.", "**"] {
            assert!(bad.parse::<AllowedHosts>().is_err(), "{bad}");
        }
    }
}
