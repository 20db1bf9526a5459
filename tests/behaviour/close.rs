//! The closing handshake, and how the TCP connection ends behind it.

use std::thread;
use std::time::Instant;

use testkit::client::{Client, End, Shape, close, text};
use throng::config::Backend;
use throng::limits::LINGER_BYTES_MAX;

use crate::support::{PATIENCE, comes_to_hold, ms, server};

on_both!(
    a_close_frame_is_answered_in_kind_and_the_server_closes_first,
    nothing_behind_a_close_frame_is_answered,
    unread_bytes_do_not_take_the_close_frame_away,
    who_floods_behind_the_close_frame_is_cut,
    who_never_finishes_is_forgotten_after_two_seconds,
    a_fin_without_a_close_frame_ends_the_connection,
    what_was_asked_before_a_fin_is_answered,
);

fn a_close_frame_is_answered_in_kind_and_the_server_closes_first(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
            let mut client = Client::open(server.address(), path);
            client.write(&close(code));
            assert_eq!(client.close_code(), code);
            let rest = client.rest(PATIENCE);
            assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{path} {code}");
        }
        let mut client = Client::open(server.address(), path);
        client.write(&Shape::new(8).with(&[]));
        assert_eq!(client.close_code(), 1005, "no code is answered with no code");
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
        let mut client = Client::open(server.address(), path);
        client.write(&Shape::new(8).with(b"\x03\xe8auf Wiedersehen"));
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, &rest.bytes[..]), (End::Fin, &b"\x88\x02\x03\xe8"[..]));
    }
}

fn nothing_behind_a_close_frame_is_answered(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        let mut client = Client::open(server.address(), path);
        let ping = Shape::new(9).with(b"?");
        client.write(&[text("before"), close(1000), text("behind"), ping, close(1001)].concat());
        assert_eq!(client.frame().payload, b"before");
        assert_eq!(client.close_code(), 1000);
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{path}");
    }
}

fn unread_bytes_do_not_take_the_close_frame_away(backend: Backend) {
    let server = server(backend, &[]);
    let violation = Shape::new(3).with(b"");
    for (last, code) in [(close(1000), 1000), (violation, 1002)] {
        for path in ["/echo", "/room/a"] {
            let mut client = Client::open(server.address(), path);
            client.write(&[last.clone(), vec![0; 30_000]].concat());
            thread::sleep(ms(100));
            client.write(&[0; 30_000]);
            thread::sleep(ms(200));
            assert_eq!(client.close_code(), code, "{path}");
            assert_eq!(client.rest(PATIENCE).end, End::Fin, "{path}");
        }
    }
}

fn who_floods_behind_the_close_frame_is_cut(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&close(1000));
    let (most, mut written) = (LINGER_BYTES_MAX as usize, 0);
    while client.try_write(&[0; 65_536]).is_ok() {
        written += 65_536;
        // Sockets hold a few megabytes that are never read.
        assert!(written < most + (32 << 20), "bytes are taken for ever");
    }
    assert!(written >= most, "cut too early: {written}");
}

fn who_never_finishes_is_forgotten_after_two_seconds(backend: Backend) {
    let server = server(backend, &[]);
    let before = server.sockets();
    let mut clients: [Client; 20] = crate::support::clients(server.address(), "/room/a");
    assert_eq!(server.sockets(), before + clients.len());
    let begin = Instant::now();
    for client in &mut clients {
        client.write(&close(1000));
    }
    let is_forgotten = || server.sockets() == before;
    assert!(comes_to_hold(is_forgotten), "{} are left", server.sockets() - before);
    assert!(begin.elapsed() > ms(1800), "too early: {:?}", begin.elapsed());
}

fn a_fin_without_a_close_frame_ends_the_connection(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        let mut client = Client::open(server.address(), path);
        client.finish();
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "{path}");
    }
}

fn what_was_asked_before_a_fin_is_answered(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/echo", "/room/a"] {
        for _ in 0..20 {
            let mut client = Client::open(server.address(), path);
            client.write(&[text("one"), text("two")].concat());
            client.finish();
            let rest = client.rest(PATIENCE);
            assert_eq!(rest.end, End::Fin, "{path}");
            assert_eq!(rest.bytes, b"\x81\x03one\x81\x03two", "{path}");
        }
    }
}
