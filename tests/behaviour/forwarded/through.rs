//! Clients behind the proxies of packaging/proxies are known by their own addresses.

use testkit::client::Client;
use throng::config::Backend;

use super::{STRANGER, address_in, client_of, connect, refused_headers, trusting};
use crate::operator::Operated;
use crate::proxy::{Kind, Proxy};
use crate::support::is_full_tier;

#[test]
fn nginx_names_the_client() {
    names_the_client(Kind::Nginx);
}

#[test]
fn nginx_under_a_path_names_the_client() {
    names_the_client(Kind::NginxSubPath);
}

#[test]
fn haproxy_names_the_client() {
    names_the_client(Kind::Haproxy);
}

#[test]
fn haproxy_names_the_client_by_version_1_of_the_proxy_protocol() {
    names_the_client(Kind::HaproxyV1);
}

#[test]
fn haproxy_names_the_client_by_version_2_of_the_proxy_protocol() {
    names_the_client(Kind::HaproxyV2);
}

#[test]
fn caddy_names_the_client() {
    if is_full_tier() {
        names_the_client(Kind::Caddy);
    }
}

/// A field that a client writes to be somebody else.
const LIE: &str = "X-Forwarded-For: 203.0.113.9";

fn names_the_client(kind: Kind) {
    let writes_headers = matches!(kind, Kind::HaproxyV1 | Kind::HaproxyV2);
    let server = trusting(Backend::Auto, "127.0.0.1", writes_headers, &[]);
    let Some(proxy) = Proxy::before(server.process.address(), kind) else { return };
    let path = |name: &str| format!("{}{name}", kind.prefix());
    let mut client = connect(STRANGER, proxy.address());
    client.upgrade(&path("/room/a"), &[LIE, "Forwarded: for=203.0.113.9"]);
    assert_eq!(address_in(&server, "a"), STRANGER);
    assert_eq!(client_of(&server, "/room/a"), STRANGER);
    for (number, from) in [STRANGER, "127.0.0.78", "127.0.0.79"].into_iter().enumerate() {
        get(&mut connect(from, proxy.address()), &path(&format!("/b{number}")));
        assert_eq!(client_of(&server, &format!("/b{number}")), from);
    }
    if kind == Kind::Nginx {
        assert_eq!(accepted(&server), 2, "the requests came on one connection");
    }
    if writes_headers {
        // HAProxy looks whether the server lives, and speaks for itself then.
        assert_eq!(client_of(&server, "/check"), "127.0.0.1");
    }
    assert_eq!(refused_headers(&server), 0);
}

fn get(client: &mut Client, path: &str) {
    client.write(format!("GET {path} HTTP/1.1\r\nHost: throng.test\r\n{LIE}\r\n\r\n").as_bytes());
    assert_eq!(client.response().status, 404);
}

/// Connections that the server has accepted.
fn accepted(server: &Operated) -> u64 {
    let scrape = String::from_utf8(server.get("/metrics").body).expect("it is text");
    let lines = scrape.lines().filter(|it| it.starts_with("throng_connections_accepted_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
