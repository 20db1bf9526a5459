//! What the server says before it ends a connection arrives, however much the client sends
//! meanwhile, and whether a proxy stands between.

use std::thread;

use testkit::client::{Address, Client, PATIENCE, Shape};
use throng::config::Backend;

use crate::proxy::{Kind, Proxy};
use crate::support::server;

on_both!(
    close_codes_arrive_directly,
    close_codes_arrive_behind_nginx,
    close_codes_arrive_behind_haproxy,
    statuses_arrive_directly,
    statuses_arrive_behind_nginx,
    statuses_arrive_behind_haproxy,
);

const TRIES: usize = 50;

/// The option's default, which a message exceeds by a byte.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What it writes at once and whether it reads only when that is done.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Meanwhile,
    Afterwards,
}

const READS: [Reads; 2] = [Reads::Meanwhile, Reads::Afterwards];

/// Writes and reads at the same time, as browsers do, or one after the other.
fn told<T>(mut client: Client, bytes: &[u8], reads: Reads, read: impl Fn(&mut Client) -> T) -> T {
    let mut writer = client.writer();
    thread::scope(|scope| {
        // The server has the last word, and may have said it before it has read all.
        let writing = scope.spawn(move || drop(writer.try_write(bytes)));
        if matches!(reads, Reads::Afterwards) {
            writing.join().expect("a write that fails does not panic");
        }
        read(&mut client)
    })
}

fn expect_close_codes(address: &Address) {
    let over = |length| Shape::new(2).with(&vec![7; length]);
    let bad_text = Shape::new(1).with(b"\xff");
    for (what, bytes, code, tries) in [
        ("a byte over the limit", over(MESSAGE_BYTES_MAX + 1), 1009, TRIES),
        ("2 MB", over(2 << 20), 1009, TRIES),
        ("16 MB", over(16 << 20), 1009, TRIES / 5),
        ("text with 160 KB behind it", [&bad_text[..], &[0; 160 << 10]].concat(), 1007, TRIES),
        ("text with 5 MB behind it", [&bad_text[..], &vec![0; 5 << 20]].concat(), 1007, TRIES),
    ] {
        for (number, reads) in (0..tries).flat_map(|number| READS.map(|reads| (number, reads))) {
            let client = Client::open(address, "/echo");
            let frame = told(client, &bytes, reads, Client::frame);
            let found = frame.close_code();
            assert_eq!(found, Some(code), "{what}, try {number}, {reads:?}: {frame:?}");
        }
    }
}

fn expect_statuses(address: &Address, heads: &[(&str, u16)]) {
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n";
    let upload = [upload.as_bytes(), &vec![b'x'; 5_000_000]].concat();
    let uploads = std::iter::once((upload, 413));
    let heads = heads.iter().map(|(head, status)| (head.as_bytes().to_vec(), *status));
    for (bytes, status) in uploads.chain(heads) {
        for (number, reads) in (0..TRIES).flat_map(|number| READS.map(|reads| (number, reads))) {
            let client = Client::connect(address).expect("it listens");
            let read = |client: &mut Client| client.try_response(false, PATIENCE);
            let response = told(client, &bytes, reads, read);
            let found = response.as_ref().map(|response| response.status);
            assert_eq!(found, Ok(status), "try {number}, {reads:?}: {response:?}");
        }
    }
}

fn close_codes_arrive_directly(backend: Backend) {
    let server = server(backend, &[]);
    expect_close_codes(server.address());
}

fn close_codes_arrive_behind_nginx(backend: Backend) {
    let server = server(backend, &[]);
    if let Some(proxy) = Proxy::before(server.address(), Kind::Nginx) {
        expect_close_codes(proxy.address());
    }
}

fn close_codes_arrive_behind_haproxy(backend: Backend) {
    let server = server(backend, &[]);
    if let Some(proxy) = Proxy::before(server.address(), Kind::Haproxy) {
        expect_close_codes(proxy.address());
    }
}

fn statuses_arrive_directly(backend: Backend) {
    let server = server(backend, &[]);
    let cookie = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "x".repeat(200_000));
    let chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{chunks}{}", "5\r\nabcde\r\n".repeat(300_000));
    expect_statuses(server.address(), &[(&cookie, 431), (&chunked, 400)]);
}

fn statuses_arrive_behind_nginx(backend: Backend) {
    let server = server(backend, &[]);
    if let Some(proxy) = Proxy::before(server.address(), Kind::Nginx) {
        expect_statuses(proxy.address(), &[]);
    }
}

fn statuses_arrive_behind_haproxy(backend: Backend) {
    let server = server(backend, &[]);
    if let Some(proxy) = Proxy::before(server.address(), Kind::Haproxy) {
        expect_statuses(proxy.address(), &[]);
    }
}
