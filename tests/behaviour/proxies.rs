//! The examples of packaging/proxies do what docs/proxies.md says: what is spoken goes through,
//! pages of the proxy's host may connect, and the heartbeat keeps the silent beyond the timeouts.

use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{Client, Got, Shape, binary, close, pong, text};
use throng::config::Backend;

use crate::proxy::{Kind, Proxy};
use crate::support::{PATIENCE, is_full_tier, launch, noise, server};

#[test]
fn all_goes_through_nginx() {
    all_goes_through(Kind::Nginx);
}

#[test]
fn all_goes_through_nginx_under_a_path() {
    all_goes_through(Kind::NginxSubPath);
}

#[test]
fn all_goes_through_haproxy() {
    all_goes_through(Kind::Haproxy);
}

/// What the pages of a browser say beside the handshake of `testkit`.
const ORIGIN: &str = "Origin: http://throng.test";

fn all_goes_through(kind: Kind) {
    let server = server(Backend::Auto, &[]);
    let Some(proxy) = Proxy::before(server.address(), kind) else { return };
    let path = |name: &str| format!("{}{name}", kind.prefix());
    // Another server than the one that upgrades comes to no harm by a request before.
    let mut client = Client::connect(proxy.address()).expect("it listens");
    client.write(format!("GET {} HTTP/1.1\r\nHost: throng.test\r\n\r\n", path("/")).as_bytes());
    let page = client.response();
    assert_eq!(page.status, 200, "{}", page.head);
    let kind_of_page = page.field("Content-Type").unwrap_or_default();
    assert!(kind_of_page.starts_with("text/html"), "{}", page.head);
    let (mut echo, _) = Client::open_with(proxy.address(), &path("/echo"), &[ORIGIN]);
    for length in [1, 126, 65_536, 300_000] {
        let payload = noise(length);
        echo.write(&binary(&payload));
        assert!(echo.frame().payload == payload, "{length} bytes come back");
    }
    let mut room: [Client; 3] =
        std::array::from_fn(|_| Client::open(proxy.address(), &path("/room/a")));
    room[1].write(&text("hello"));
    for client in &mut room {
        assert_eq!(client.frame().payload, b"hello");
    }
    echo.write(&close(4321));
    assert_eq!(echo.close_code(), 4321);
    room[0].write(&Shape::new(1).with(b"\xff"));
    assert_eq!(room[0].close_code(), 1007);
}

/// The timeouts that the examples leave in place.
const OF_NGINX: Duration = Duration::from_secs(60);

mod full {
    use super::*;

    #[test]
    fn all_goes_through_caddy() {
        if is_full_tier() {
            all_goes_through(Kind::Caddy);
        }
    }

    #[test]
    fn heartbeats_keep_the_silent_and_without_them_nginx_ends_them() {
        if is_full_tier() {
            thread::scope(|scope| {
                for kind in [Kind::Nginx, Kind::NginxSubPath, Kind::Haproxy, Kind::Caddy] {
                    scope.spawn(move || is_kept(kind));
                }
                scope.spawn(is_ended_without_pings);
            });
        }
    }
}

/// Says nothing but pongs for longer than all timeouts, and hears what comes then.
fn is_kept(kind: Kind) {
    let server = launch(Backend::Auto, &["--ping-interval", "25s"]).start();
    let proxy = Proxy::before(server.address(), kind).expect("the full tier has it");
    let room = format!("{}/room/a", kind.prefix());
    let mut client = Client::open(proxy.address(), &room);
    let until = Instant::now() + OF_NGINX + Duration::from_secs(20);
    let mut pings = 0;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match client.frame_within(left) {
            Got::Frame(frame) if frame.opcode() == 9 => {
                pings += 1;
                client.write(&pong(&frame.payload));
            }
            Got::Silence => break,
            other => panic!("{kind:?}, behind {pings} pings: {other:?}"),
        }
    }
    assert!(pings >= 2, "{kind:?}: {pings} pings");
    let mut other = Client::open(server.address(), "/room/a");
    other.write(&text("still there?"));
    assert_eq!(client.frame().payload, b"still there?", "{kind:?}");
}

fn is_ended_without_pings() {
    let server = server(Backend::Auto, &["--ping-interval", "0"]);
    let proxy = Proxy::before(server.address(), Kind::Nginx).expect("the full tier has it");
    let mut client = Client::open(proxy.address(), "/room/a");
    let begin = Instant::now();
    let end = client.frame_within(PATIENCE);
    assert!(matches!(end, Got::Fin(0) | Got::Reset), "{end:?}");
    assert!(begin.elapsed() >= OF_NGINX - Duration::from_secs(1), "by its timeout");
}
