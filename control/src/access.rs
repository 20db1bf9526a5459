//! Who may call: by key, by the host that a request is for, and by the page that it comes from.
//!
//! The port stands on loopback without a key by default, and there pages in the operator's own
//! browser are what to guard against: those of another origin, and those that rebind their name to
//! 127.0.0.1. It never trusts an address.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use crate::dashboard;
use crate::options::Options;
use crate::respond;
use crate::state::State;

/// What a path is guarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Nothing: it tells nothing that others may not know.
    Open,
    /// As the switch of the metrics says.
    Metrics,
    /// Key, host and origin.
    Guarded,
}

/// Where a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The port for operators.
    Port,
    /// The listeners of clients, which never serve without a key.
    Clients,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// A key that is not ours.
    WrongKey,
    /// No key.
    NoKey,
    /// The host is no literal address, and nobody has allowed it.
    Host,
    /// A page of another origin.
    Origin,
}

/// Lets a request pass, or answers it.
pub(crate) async fn guard(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let options = state.options();
    let door = door(request.method(), request.uri().path());
    let way = request.extensions().get().copied().unwrap_or(Way::Port);
    let response = match judge(door, way, &options, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.response(),
    };
    state.responded(response.status().as_u16());
    response
}

fn door(method: &Method, path: &str) -> Door {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/health" | "/healthz" | "/livez" | "/ready" | "/readyz" => Door::Open,
        "/metrics" => Door::Metrics,
        // The page is the same for everybody; what it shows comes by /events.
        page if reads && dashboard::paths().any(|path| path == page) => Door::Open,
        _ => Door::Guarded,
    }
}

fn judge(door: Door, way: Way, options: &Options, headers: &HeaderMap) -> Result<(), Refusal> {
    if door == Door::Open {
        return Ok(());
    }
    let has_key = match (&options.key, shown_key(headers)) {
        (None, _) | (Some(_), None) => false,
        (Some(key), Some(shown)) if is_same(key, shown) => true,
        (Some(_), Some(_)) => return Err(Refusal::WrongKey),
    };
    let needs_key = door == Door::Guarded || options.metrics_key || way == Way::Clients;
    let may_have_none = options.key.is_none() && way == Way::Port;
    if needs_key && !has_key && !may_have_none {
        return Err(Refusal::NoKey);
    }
    if !has_key && !is_host_allowed(options, headers) {
        return Err(Refusal::Host);
    }
    if is_of_other_page(headers) { Err(Refusal::Origin) } else { Ok(()) }
}

/// `Authorization: Bearer KEY`, `Authorization: apikey KEY`, `X-API-Key: KEY`.
fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let is_ours = ["bearer", "apikey"].iter().any(|word| scheme.eq_ignore_ascii_case(word));
    is_ours.then(|| key.trim().as_bytes())
}

/// In a time that tells nothing but whether the lengths agree.
fn is_same(key: &str, shown: &[u8]) -> bool {
    key.as_bytes().ct_eq(shown).into()
}

fn is_host_allowed(options: &Options, headers: &HeaderMap) -> bool {
    // HTTP/1.0 has none, and no browser speaks it.
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    match &options.allowed_hosts {
        Some(allowed) => allowed.allows(host),
        None => is_literal(host),
    }
}

/// Whether a host is one that no name server has a word in.
fn is_literal(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
    }
}

fn is_of_other_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = origin.to_str().ok().and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    match (authority, host) {
        (Some(authority), Some(host)) => !authority.eq_ignore_ascii_case(host),
        _ => true,
    }
}

impl Refusal {
    fn response(self) -> Response {
        match self {
            Self::WrongKey => respond::unauthorized("that is not the operator's key"),
            Self::NoKey => respond::unauthorized(
                "the operator's key is needed: Authorization: Bearer KEY, or X-API-Key: KEY",
            ),
            Self::Host => respond::text(
                StatusCode::MISDIRECTED_REQUEST,
                "this host is not served here: call it by its address or as localhost, show the \
                 operator's key, or allow the host with operator.allowed_hosts",
            ),
            Self::Origin => respond::text(
                StatusCode::FORBIDDEN,
                "pages of other origins may not call the operator's port",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, axum::http::HeaderValue::from_static(value))
            })
            .collect()
    }

    fn with_key() -> Options {
        Options { key: Some("secret".into()), ..Options::default() }
    }

    #[test]
    fn the_page_and_probes_are_open_and_nothing_else_is() {
        let get = |path| door(&Method::GET, path);
        for path in ["/", "/plot.js", "/health", "/healthz", "/livez", "/ready", "/readyz"] {
            assert_eq!(get(path), Door::Open, "{path}");
        }
        for path in ["/events", "/api/rooms", "/api/batch", "/nothing", "//", "/health/"] {
            assert_eq!(get(path), Door::Guarded, "{path}");
        }
        assert_eq!(door(&Method::POST, "/"), Door::Guarded);
    }

    #[test]
    fn a_key_opens_in_each_of_its_forms() {
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("authorization", "bearer  secret"),
            ("authorization", "apikey secret"),
            ("x-api-key", "secret"),
        ] {
            let shown = headers(&[(name, value), ("host", "any.example")]);
            assert_eq!(
                judge(Door::Guarded, Way::Port, &with_key(), &shown),
                Ok(()),
                "{name}: {value}"
            );
        }
        for value in ["Bearer secre", "Bearer secret1", "Bearer Secret"] {
            let shown = headers(&[("authorization", value)]);
            let judged = judge(Door::Guarded, Way::Port, &with_key(), &shown);
            assert_eq!(judged, Err(Refusal::WrongKey), "{value}");
        }
        for shown in [headers(&[]), headers(&[("authorization", "Basic secret")])] {
            assert_eq!(judge(Door::Guarded, Way::Port, &with_key(), &shown), Err(Refusal::NoKey));
        }
    }

    #[test]
    fn on_the_listeners_of_clients_nothing_but_probes_goes_without_a_key() {
        let local = headers(&[("host", "127.0.0.1:8080")]);
        let without = Options { metrics_key: false, ..Options::default() };
        for options in [Options::default(), without, with_key()] {
            for door in [Door::Guarded, Door::Metrics] {
                let judged = judge(door, Way::Clients, &options, &local);
                assert_eq!(judged, Err(Refusal::NoKey), "{door:?} {options:?}");
            }
            assert_eq!(judge(Door::Open, Way::Clients, &options, &local), Ok(()));
        }
        let shown = headers(&[("x-api-key", "secret")]);
        assert_eq!(judge(Door::Guarded, Way::Clients, &with_key(), &shown), Ok(()));
    }

    #[test]
    fn metrics_have_their_own_switch() {
        let free = Options { metrics_key: false, ..with_key() };
        let local = headers(&[("host", "127.0.0.1:8081")]);
        assert_eq!(judge(Door::Metrics, Way::Port, &free, &local), Ok(()));
        assert_eq!(judge(Door::Metrics, Way::Port, &with_key(), &local), Err(Refusal::NoKey));
        assert_eq!(judge(Door::Guarded, Way::Port, &free, &local), Err(Refusal::NoKey));
    }

    #[test]
    fn a_name_that_somebody_may_rebind_is_refused_without_a_key() {
        let judge = |host, options: &Options| {
            judge(Door::Guarded, Way::Port, options, &headers(&[("host", host)]))
        };
        let open = Options::default();
        for host in ["127.0.0.1", "127.0.0.1:8081", "[::1]:8081", "localhost", "LOCALHOST:1"] {
            assert_eq!(judge(host, &open), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""] {
            assert_eq!(judge(host, &open), Err(Refusal::Host), "{host}");
        }
        let allowed = "ops.example".parse().expect("a good list");
        let named = Options { allowed_hosts: Some(allowed), ..open };
        assert_eq!(judge("ops.example:8081", &named), Ok(()));
        assert_eq!(judge("evil.example", &named), Err(Refusal::Host));
    }

    #[test]
    fn pages_of_other_origins_may_not_call() {
        let judge = |fields: &[(&'static str, &'static str)]| {
            let fields: Vec<_> =
                fields.iter().copied().chain([("host", "localhost:8081")]).collect();
            judge(Door::Guarded, Way::Port, &Options::default(), &headers(&fields))
        };
        for good in [
            &[][..],
            &[("origin", "http://localhost:8081")],
            &[("origin", "https://localhost:8081"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(judge(good), Ok(()), "{good:?}");
        }
        for bad in [
            &[("origin", "http://localhost:8080")][..],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(judge(bad), Err(Refusal::Origin), "{bad:?}");
        }
    }
}
