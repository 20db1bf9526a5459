//! Pages that may not connect, and what to do about it.

use super::response::Response;
use super::status::Status;
use crate::config::{AllowedOrigins, Config, Relation};
use crate::stats::Refusal;

/// Lets a page of this origin connect to what it asks for as `host`.
///
/// # Errors
///
/// The response that refuses it.
pub(super) fn check(origin: &str, host: &str, config: &Config) -> Result<(), Response> {
    if config.relation(origin, host) != Relation::Stranger {
        return Ok(());
    }
    Err(Response::text(Status::Forbidden, words(origin, host)).refusing(Refusal::Origin).closing())
}

/// The cause and the remedies, for whoever sees it first: in the log it is the operator.
fn words(origin: &str, host: &str) -> String {
    if origin.eq_ignore_ascii_case("null") {
        return "pages without an origin (null) may not connect: open the page by http:// and not \
                from a file. The server's option --allowed-origins null lets them in, and with \
                them whatever any website puts into a sandboxed frame\n"
            .to_owned();
    }
    if !is_nameable(origin) {
        return "this is the origin of no page that can be let in\n".to_owned();
    }
    format!(
        "the page comes from {origin} and asks for the host {host:?}, which is another one: start \
         the server with --allowed-origins {origin}\n\
         behind a proxy have it pass the host on (nginx: proxy_set_header Host $http_host;)\n"
    )
}

/// Whether it can be given to the option as it is; nothing else of a peer's is repeated.
fn is_nameable(origin: &str) -> bool {
    let is_one = !origin.contains(|c: char| "*, ".contains(c) || !c.is_ascii_graphic());
    is_one
        && !origin.is_empty()
        && origin.len() <= ORIGIN_BYTES_MAX
        && origin.parse::<AllowedOrigins>().is_ok()
}

/// Bytes of an origin that is repeated: a scheme, the longest name of a host, a port.
const ORIGIN_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(origin: &str) -> String {
        let listen = vec![":80".parse().expect("it is an address")];
        let config = Config { listen, ..Config::default() };
        check(origin, "127.0.0.1:8080", &config).expect_err(origin).words().to_owned()
    }

    #[test]
    fn the_option_that_would_let_a_page_in_is_told() {
        let words = refused("https://chat.example");
        assert!(words.contains("--allowed-origins https://chat.example\n"), "{words}");
        assert!(words.contains("proxy_set_header Host"), "{words}");
        assert!(refused("null").contains("--allowed-origins null"));
    }

    #[test]
    fn what_is_no_origin_is_not_repeated() {
        for bad in ["<script>", "https://a.example/x", "https://a.example https://b", "*", ""] {
            assert!(refused(bad).contains("no page"), "{bad}");
        }
        assert!(refused(&format!("https://{}", "a".repeat(300))).contains("no page"));
    }
}
