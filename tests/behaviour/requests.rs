//! Requests that are refused: each with its status, and where doubt remains, the connection ends.

use testkit::client::{Client, End, Response, handshake};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::{PATIENCE, noise, server};

on_both!(
    handshakes_are_refused_with_the_right_status,
    requests_are_refused_with_the_right_status,
    heads_over_the_bounds_get_431,
    requests_that_two_readers_could_cut_differently_are_refused,
    a_refusal_arrives_although_more_was_sent,
    garbage_gets_400,
);

/// Sends bytes and gives the response; the connection must end behind it.
fn last_response(server: &Process, bytes: &[u8]) -> Response {
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(bytes);
    let response = client.response();
    let expected = if response.status == 426 { "upgrade, close" } else { "close" };
    assert_eq!(response.field("Connection"), Some(expected), "{}", response.head);
    let rest = client.rest(PATIENCE);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{shown}");
    response
}

fn with(lines: &str) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

fn handshakes_are_refused_with_the_right_status(backend: Backend) {
    let server = server(backend, &[]);
    for (from, to, status) in [
        ("Upgrade: websocket\r\n", "", 426),
        ("Connection: Upgrade", "Connection: keep-alive", 426),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", 426),
        ("HTTP/1.1", "HTTP/1.0", 426),
        ("GET ", "POST ", 405),
        ("GET ", "get ", 501),
        ("GET ", "BREW ", 501),
        ("b25jZQ==", "", 400),
        ("dGhl", "d Ghl", 400),
        ("Host: throng.test\r\n", "", 400),
        ("Host: throng.test", "Host: throng.test\r\nHost: throng.test", 400),
        ("Host: throng.test", "Host: throng.test\r\nOrigin: https://evil.test", 403),
        ("HTTP/1.1", "HTTP/1.2", 505),
        ("HTTP/1.1", "HTTP/2.0", 505),
    ] {
        for path in ["/echo", "/room/a"] {
            let good = handshake(path, &[]);
            let bytes = good.replacen(from, to, 1);
            assert_ne!(good, bytes, "{from} is there");
            let response = last_response(&server, bytes.as_bytes());
            assert_eq!(response.status, status, "{bytes}{}", response.head);
            if status == 426 {
                assert_eq!(response.field("Sec-WebSocket-Version"), Some("13"));
                assert_eq!(response.field("Upgrade"), Some("websocket"));
            }
        }
    }
}

fn requests_are_refused_with_the_right_status(backend: Backend) {
    let server = server(backend, &[]);
    for (lines, status) in [
        ("POST / HTTP/1.1\nHost: a", 405),
        ("DELETE / HTTP/1.1\nHost: a", 405),
        ("PROPFIND / HTTP/1.1\nHost: a", 501),
        ("HEAD * HTTP/1.1\nHost: a", 400),
        ("CONNECT a:80 HTTP/1.1\nHost: a:80", 405),
        ("GET / HTTP/1.1\nHost: a\nContent-Length: 5", 413),
        ("GET / HTTP/1.1\nHost: a/b", 400),
        ("GET * HTTP/1.1\nHost: a", 400),
        ("GET ftp://a/ HTTP/1.1\nHost: a", 400),
        ("GET http://u@a/ HTTP/1.1\nHost: a", 400),
        ("GET  / HTTP/1.1\nHost: a", 400),
        ("GET /\nHost: a", 400),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/3.0\nHost: a", 505),
    ] {
        let response = last_response(&server, &with(lines));
        assert_eq!(response.status, status, "{lines}\n{}", response.head);
        if status == 405 {
            assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    for path in ["/nothing", "/room", "/room/", "/room/a/b", "/echo/", "/room/%ff", "/room/%zz"] {
        let mut client = Client::connect(server.address()).expect("the server listens");
        client.write(handshake(path, &[]).as_bytes());
        assert_eq!(client.response().status, 404, "{path}");
        client.write(&with("GET / HTTP/1.1\nHost: a"));
        assert_eq!(client.response().status, 200, "a wrong path is no reason to end: {path}");
    }
    let long = format!("/room/{}", "x".repeat(256));
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(handshake(&long, &[]).as_bytes());
    assert_eq!(client.response().status, 404, "names have at most 255 bytes");
}

fn heads_over_the_bounds_get_431(backend: Backend) {
    let server = server(backend, &[]);
    let large = format!("GET / HTTP/1.1\nHost: a\nCookie: {}", "x".repeat(16 * 1024));
    assert_eq!(last_response(&server, &with(&large)).status, 431);
    let endless = [b"GET /".as_slice(), &[b'x'; 40_000]].concat();
    assert_eq!(last_response(&server, &endless).status, 431);
    let many = format!("GET / HTTP/1.1\nHost: a{}", "\nA: b".repeat(128));
    assert_eq!(last_response(&server, &with(&many)).status, 431);
    let most = format!("GET / HTTP/1.1\nHost: a\nConnection: close{}", "\nA: b".repeat(126));
    assert_eq!(last_response(&server, &with(&most)).status, 200);
    let fill = 16 * 1024 - with("GET / HTTP/1.1\nHost: a\nConnection: close\nA: ").len();
    let largest = format!("GET / HTTP/1.1\nHost: a\nConnection: close\nA: {}", "x".repeat(fill));
    assert_eq!(last_response(&server, &with(&largest)).status, 200);
}

fn requests_that_two_readers_could_cut_differently_are_refused(backend: Backend) {
    let server = server(backend, &[]);
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 33\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 33\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    ] {
        let bytes = format!("{head}GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = last_response(&server, bytes.as_bytes());
        assert_eq!(response.status, 400, "{head}{}", response.head);
    }
}

fn a_refusal_arrives_although_more_was_sent(backend: Backend) {
    let server = server(backend, &[]);
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";
    let response = last_response(&server, &[head.as_bytes(), &[0; 50_000]].concat());
    assert_eq!(response.status, 413, "{}", response.head);
}

fn garbage_gets_400(backend: Backend) {
    let server = server(backend, &[]);
    let noise = noise(4096);
    assert!(noise.contains(&b'\n'), "lines are what a head is made of");
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08";
    for bytes in [&noise[..], b"\0\0\0\0\r\n\r\n", b"\x81\x85\0\0\0\0hello\r\n\r\n", b"x\n", hello]
    {
        let response = last_response(&server, bytes);
        assert_eq!(response.status, 400, "{:02x?}", &bytes[..bytes.len().min(16)]);
    }
}
