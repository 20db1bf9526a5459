//! Which pages of other hosts may connect.

use std::str::FromStr;

/// Origins (RFC 6454) that may connect beside the server's own host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// `*`: every origin, `null` included.
    Any,
    /// `https://app.example`: this one.
    Exact(String),
    /// `https://*.example`: every subdomain, with this scheme and port.
    Subdomains { before: String, after: String },
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
            Self::Exact(exact) => exact == origin,
            Self::Subdomains { before, after } => origin
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|label| !label.is_empty() && !label.contains(['/', ':', '@'])),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let text = without_default_port(&text);
        let host = text.split_once("://").map(|(_, host)| host);
        if text != "null" && host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            return Err(format!("`{text}` is no origin: one looks like https://app.example, or *"));
        }
        match text.split_once("://*.") {
            Some((scheme, domain)) if !domain.contains('*') => {
                Ok(Self::Subdomains { before: format!("{scheme}://"), after: format!(".{domain}") })
            }
            _ if text.contains('*') => Err("a * stands alone or for a whole first label".into()),
            _ => Ok(Self::Exact(text.to_owned())),
        }
    }
}

/// As browsers write it: without a port that goes without saying (RFC 6454, 6.2).
fn without_default_port(origin: &str) -> &str {
    let default_port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
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
    fn words_that_are_no_origin_are_refused() {
        for bad in ["app.example", "https://", "https://a.example/path", "https://a*.example"] {
            assert!(bad.parse::<AllowedOrigins>().is_err(), "{bad}");
        }
    }
}
