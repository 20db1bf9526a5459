//! Which hosts are served, and which pages may connect.

use testkit::client::{Address, Client, handshake};
use throng::config::Backend;

use crate::support::server;

on_both!(
    any_host_is_served_unless_the_operator_says_which,
    a_name_that_is_rebound_to_the_server_reaches_nothing,
    a_health_check_without_a_host_is_served,
    origins_of_clients_that_are_no_browser_may_be_named,
);

fn status_of(address: &Address, head: &str) -> u16 {
    let mut client = Client::connect(address).expect("the server listens");
    client.write(head.as_bytes());
    client.response().status
}

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn any_host_is_served_unless_the_operator_says_which(backend: Backend) {
    let any = server(backend, &[]);
    assert_eq!(status_of(any.address(), &get("anything.example:1")), 200);
    let list = "localhost,127.0.0.1,[::1],app.example,*.b.example,c.example:81";
    let listed = server(backend, &["--allowed-hosts", list]);
    for good in ["localhost:8080", "127.0.0.1", "[::1]:80", "App.Example", "x.b.example:1"] {
        assert_eq!(status_of(listed.address(), &get(good)), 200, "{good}");
    }
    for bad in ["evil.example", "b.example", "app.example.evil.example", "c.example", ""] {
        assert_eq!(status_of(listed.address(), &get(bad)), 421, "{bad}");
    }
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status_of(listed.address(), absolute), 421, "the target is what is meant");
    let mut client = Client::connect(listed.address()).expect("the server listens");
    for (host, status) in [("evil.example", 421), ("localhost", 200)] {
        client.write(get(host).as_bytes());
        assert_eq!(client.response().status, status, "a proxy brings several hosts on one");
    }
}

/// DNS rebinding: the page's origin is the host that it asks for.
fn a_name_that_is_rebound_to_the_server_reaches_nothing(backend: Backend) {
    let server = server(backend, &["--allowed-hosts", "localhost,127.0.0.1,[::1]"]);
    for path in ["/echo", "/room/a"] {
        let good = handshake(path, &["Origin: http://localhost:8080"]);
        let good = good.replace("throng.test", "localhost:8080");
        assert_eq!(status_of(server.address(), &good), 101);
        let rebound = good.replace("localhost", "rebound.evil.example");
        assert_eq!(status_of(server.address(), &rebound), 421);
    }
}

fn a_health_check_without_a_host_is_served(backend: Backend) {
    let server = server(backend, &["--allowed-hosts", "app.example"]);
    assert_eq!(status_of(server.address(), "OPTIONS / HTTP/1.0\r\n\r\n"), 204);
}

fn origins_of_clients_that_are_no_browser_may_be_named(backend: Backend) {
    let plain = server(backend, &[]);
    let with = |origin: &str| handshake("/echo", &[&format!("Origin: {origin}")]);
    for same in ["ws://throng.test", "wss://throng.test:80", "WS://throng.test:80"] {
        let expected = if same.starts_with("wss") { 403 } else { 101 };
        assert_eq!(status_of(plain.address(), &with(same)), expected, "{same}");
    }
    let others =
        ["file://", "chrome-extension://abcdef", "moz-extension://0-1", "http://localhost:3000"];
    for other in others {
        assert_eq!(status_of(plain.address(), &with(other)), 403, "{other}");
    }
    let list = "file://,chrome-extension://*,moz-extension://*,http://localhost:*";
    let listed = server(backend, &["--allowed-origins", list]);
    for other in others {
        assert_eq!(status_of(listed.address(), &with(other)), 101, "{other}");
    }
}
