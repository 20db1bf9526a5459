//! `Forwarded` and `X-Forwarded-For`.

use serde_json::json;
use testkit::client::{Client, handshake, text};
use throng::config::Backend;

use super::{PROXY, STRANGER, address_in, client_of, connect, trusting};
use crate::support::{PATIENCE, Scratch};

on_both!(
    each_request_of_a_proxy_has_its_own_client,
    the_client_is_the_last_that_no_trusted_proxy_has_added,
    what_strangers_write_is_not_believed,
    proxies_on_a_unix_socket_are_believed_where_they_are_trusted,
    a_client_is_closed_by_its_own_address,
    refusals_and_ends_name_the_client,
);

fn get(path: &str, fields: &[&str]) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: throng.test\r\n{fields}\r\n").into_bytes()
}

fn each_request_of_a_proxy_has_its_own_client(backend: Backend) {
    let server = trusting(backend, PROXY, false, &[]);
    let mut client = connect(PROXY, server.process.address());
    let requests: [(&[&str], &str); 5] = [
        (&["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
        (&[], "127.0.0.2"),
        (&["Forwarded: for=\"[2001:db8::2]:80\""], "2001:db8::2"),
        (&["X-Forwarded-For: nobody"], "127.0.0.2"),
        (&["X-Forwarded-For: 192.0.2.3", "Forwarded: for=192.0.2.4"], "192.0.2.3"),
    ];
    for (number, (fields, source)) in requests.into_iter().enumerate() {
        let path = format!("/a{number}");
        client.write(&get(&path, fields));
        assert_eq!(client.response().status, 404);
        assert_eq!(client_of(&server, &path), source);
    }
    // Some of them in one piece, and the upgrade keeps the last.
    let fields = |last| format!("X-Forwarded-For: 192.0.2.{last}");
    let mut bytes = Vec::new();
    for last in 5..9 {
        bytes.extend(get(&format!("/b{last}"), &[&fields(last)]));
    }
    bytes.extend(handshake("/room/a", &[&fields(9)]).into_bytes());
    client.write(&bytes);
    for last in 5..9 {
        assert_eq!(client.response().status, 404);
        assert_eq!(client_of(&server, &format!("/b{last}")), format!("192.0.2.{last}"));
    }
    assert_eq!(client.response().status, 101);
    assert_eq!(address_in(&server, "a"), "192.0.2.9");
    client.write(&text("hello"));
    assert_eq!(client.frame().payload, b"hello");
}

fn the_client_is_the_last_that_no_trusted_proxy_has_added(backend: Backend) {
    let server = trusting(backend, "127.0.0.2,10.0.0.0/8,fd00::/8", false, &[]);
    for (number, (field, source)) in [
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.0.0.3", "192.0.2.7"),
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.7:80,10.0.0.4, fd00::1", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.3", "10.0.0.3"),
        ("X-Forwarded-For: 10.0.0.4, 10.0.0.3", "10.0.0.4"),
        ("Forwarded: for=203.0.113.9, for=\"192.0.2.7:1\";by=_x, For=\"[fd00::1]\"", "192.0.2.7"),
        ("Forwarded: for=\"203.0.113.9, for=192.0.2.7;host=a", "192.0.2.7"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = connect(PROXY, server.process.address());
        client.upgrade(&format!("/room/b{number}"), &[field]);
        assert_eq!(address_in(&server, &format!("b{number}")), source, "{field}");
    }
}

fn what_strangers_write_is_not_believed(backend: Backend) {
    let server = trusting(backend, PROXY, false, &[]);
    let mut client = connect(STRANGER, server.process.address());
    client.write(&get("/c", &["X-Forwarded-For: 192.0.2.7"]));
    assert_eq!(client.response().status, 404);
    assert_eq!(client_of(&server, "/c"), STRANGER);
    client.upgrade("/room/c", &["Forwarded: for=192.0.2.7", "X-Forwarded-For: 127.0.0.2"]);
    assert!(address_in(&server, "c").starts_with("127.0.0.77:"), "with its port");
}

fn proxies_on_a_unix_socket_are_believed_where_they_are_trusted(backend: Backend) {
    for (trusted, source) in [("unix", "192.0.2.7"), (PROXY, "unix")] {
        let files = Scratch::new();
        let socket = files.unix("throng.sock");
        let server = trusting(backend, trusted, false, &["--listen", &socket]);
        let address = server.process.address();
        let (_client, _) = Client::open_with(address, "/room/d", &["X-Forwarded-For: 192.0.2.7"]);
        assert_eq!(address_in(&server, "d"), source);
        assert_eq!(client_of(&server, "/room/d"), source);
    }
}

fn a_client_is_closed_by_its_own_address(backend: Backend) {
    let server = trusting(backend, PROXY, false, &[]);
    let mut clients = [7, 8].map(|last| {
        let mut client = connect(PROXY, server.process.address());
        client.upgrade("/room/e", &[&format!("X-Forwarded-For: 192.0.2.{last}")]);
        client
    });
    let count = |address: &str| {
        let list = server.value(&format!("/api/connections?address={address}"));
        list["connections"].as_array().map(Vec::len)
    };
    assert_eq!([count("192.0.2.7"), count("192.0.2.9"), count(PROXY)], [Some(1), Some(0), Some(0)]);
    let close = |address: &str| {
        let order = json!({ "address": address, "code": 4000 });
        server.call("/api/disconnect", order.to_string())["result"]["disconnected"].as_u64()
    };
    assert_eq!([close(PROXY), close("192.0.2.8")], [Some(0), Some(1)]);
    assert_eq!(clients[1].close_code(), 4000);
    clients[0].write(&text("still here"));
    assert_eq!(clients[0].frame().payload, b"still here");
}

fn refusals_and_ends_name_the_client(backend: Backend) {
    let server = trusting(backend, PROXY, false, &["--max-message-size", "100"]);
    let mut client = connect(PROXY, server.process.address());
    let fields = ["Origin: http://evil.example", "X-Forwarded-For: 192.0.2.7"];
    client.write(handshake("/echo", &fields).as_bytes());
    assert_eq!(client.response().status, 403);
    let line = "refused with 403 GET \"/echo\" of 192.0.2.7: ";
    assert!(server.process.wait_for_log(line, PATIENCE), "{}", server.process.log());
    let mut client = connect(PROXY, server.process.address());
    client.upgrade("/echo", &["X-Forwarded-For: 192.0.2.8"]);
    client.write(&text(&"x".repeat(200)));
    assert_eq!(client.close_code(), 1009);
    let line = " of 192.0.2.8 is closed (message_too_big): ";
    assert!(server.process.wait_for_log(line, PATIENCE), "{}", server.process.log());
}
