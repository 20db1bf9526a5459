//! What one connection sends in a second, where that is bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::client::{Address, Client, End, Got, binary, close, handshake, ping, text};
use throng::config::{Backend, Config, Limits, ListenAddr, Over, PerIp};
use throng::server::Server;
use throng::stats::{Counters, Ending, Refusal};

use crate::support::{PATIENCE, comes_to_hold, ms};

on_both!(
    who_sends_more_messages_is_slowed_down_and_all_come_in_order,
    who_sends_no_more_than_it_may_is_not_paused,
    a_message_of_any_size_comes_and_the_next_one_waits,
    a_connection_that_is_paused_owes_no_pong,
    pings_and_requests_are_slowed_down_too,
    who_breaks_off_while_paused_leaves_nothing_behind,
    a_server_that_stops_does_not_wait_for_who_is_paused,
    a_reload_lets_go_on_who_is_paused,
    a_reload_to_a_higher_rate_lets_go_on_who_is_paused,
    who_sends_more_messages_is_closed_where_that_is_asked_for,
    who_sends_more_bytes_is_closed_where_that_is_asked_for,
    requests_get_a_429_where_that_is_asked_for,
    requests_of_trusted_proxies_are_not_measured_and_what_comes_behind_them_is,
    who_was_trusted_by_a_reload_brings_no_debt_to_its_client,
);

fn config(backend: Backend, limits: Limits) -> Config {
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    // A ping may come as soon as a connection opens.
    let ping_interval = Duration::ZERO;
    Config { listen, workers: 2, backend, limits, ping_interval, ..Config::default() }
}

fn start(config: Config) -> (Server, Address) {
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp.into())
}

fn messages(rate: u32) -> Limits {
    Limits { messages_per_second: Some(rate), ..Limits::default() }
}

fn bytes(rate: u32) -> Limits {
    Limits { bytes_per_second: Some(rate), ..Limits::default() }
}

fn closing(limits: Limits) -> Limits {
    Limits { over: Over::Close, ..limits }
}

fn ended(server: &Server, why: Ending) -> u64 {
    server.monitor().counters().iter().map(|it: &Arc<Counters>| it.endings.of(why).get()).sum()
}

/// Each with its number.
fn numbered(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| text(&format!("message {number}"))).collect()
}

fn read_numbered(client: &mut Client, count: usize) {
    for number in 0..count {
        assert_eq!(client.frame().payload, format!("message {number}").as_bytes());
    }
}

fn who_sends_more_messages_is_slowed_down_and_all_come_in_order(backend: Backend) {
    let (server, address) = start(config(backend, messages(20)));
    for path in ["/echo", "/room/a"] {
        let began = Instant::now();
        let mut client = Client::open(&address, path);
        client.write(&numbered(49));
        client.write(&close(1000));
        read_numbered(&mut client, 49);
        assert_eq!(client.close_code(), 1000);
        // The upgrade is one of them, and the first 20 come at once.
        assert!(began.elapsed() >= ms(1500), "{path}: {:?}", began.elapsed());
    }
    assert!(server.counts().rate_paused >= 2);
    assert_eq!((ended(&server, Ending::RateLimit), ended(&server, Ending::Client)), (0, 2));
}

fn who_sends_no_more_than_it_may_is_not_paused(backend: Backend) {
    let (server, address) = start(config(backend, messages(100)));
    let mut clients: Vec<Client> = (0..10).map(|_| Client::open(&address, "/echo")).collect();
    for client in &mut clients {
        client.write(&numbered(99));
        read_numbered(client, 99);
    }
    assert_eq!(server.counts().rate_paused, 0);
}

fn a_message_of_any_size_comes_and_the_next_one_waits(backend: Backend) {
    let (server, address) = start(config(backend, bytes(100_000)));
    let began = Instant::now();
    let mut client = Client::open(&address, "/echo");
    client.write(&[binary(&[7; 250_000]), text("behind it")].concat());
    assert_eq!(client.frame().payload.len(), 250_000);
    assert_eq!(client.frame().payload, b"behind it");
    assert!(began.elapsed() >= ms(1400), "{:?}", began.elapsed());
    assert!(server.counts().rate_paused > 0);
}

fn a_connection_that_is_paused_owes_no_pong(backend: Backend) {
    let base = config(backend, bytes(1000));
    let config = Config { ping_interval: ms(200), pong_timeout: ms(200), ..base };
    let (server, address) = start(config);
    let mut client = Client::open(&address, "/echo");
    client.write(&[binary(&[7; 4000]), text("behind it")].concat());
    // It answers no ping, and would be closed a moment after it.
    let mut payloads = Vec::new();
    while payloads.len() < 2 {
        let frame = client.frame();
        assert_eq!(frame.close_code(), None, "it is judged while nobody reads what it says");
        if frame.opcode() < 8 {
            payloads.push(frame.payload.len());
        }
    }
    assert_eq!(payloads, [4000, 9]);
    assert!(server.counts().rate_paused > 0);
}

fn pings_and_requests_are_slowed_down_too(backend: Backend) {
    let (_server, address) = start(config(backend, messages(20)));
    let began = Instant::now();
    let mut client = Client::open(&address, "/echo");
    client.write(&ping(b"again").repeat(39));
    (0..39).for_each(|_| assert_eq!(client.frame().payload, b"again"));
    assert!(began.elapsed() >= ms(1000), "{:?}", began.elapsed());
    let began = Instant::now();
    let mut client = Client::connect(&address).expect("it listens");
    client.write(b"GET /rooms/a HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40).as_slice());
    (0..40).for_each(|_| assert_eq!(client.response().status, 200));
    assert!(began.elapsed() >= ms(1000), "{:?}", began.elapsed());
}

fn who_breaks_off_while_paused_leaves_nothing_behind(backend: Backend) {
    let (server, address) = start(config(backend, bytes(1000)));
    for round in 0..4 {
        let mut clients: Vec<Client> = (0..8).map(|_| Client::open(&address, "/room/a")).collect();
        for client in &mut clients {
            client.write(&[binary(&[7; 200_000]), numbered(10)].concat());
        }
        let paused = |least| server.counts().rate_paused >= least;
        assert!(comes_to_hold(|| paused(8 * (round + 1))), "{:?}", server.counts());
        clients.drain(..).for_each(Client::reset);
        assert!(comes_to_hold(|| server.counts().connections() == 0), "{:?}", server.counts());
    }
    let mut client = Client::open(&address, "/echo");
    client.write(&text("a slot of one of them"));
    assert_eq!(client.frame().payload, b"a slot of one of them");
    drop(client);
    server.stop();
    server.join().expect("no worker fails");
}

fn a_server_that_stops_does_not_wait_for_who_is_paused(backend: Backend) {
    let drain = Duration::from_secs(3600);
    let (server, address) = start(Config { drain, ..config(backend, bytes(100)) });
    let mut client = Client::open(&address, "/echo");
    client.write(&[binary(&[7; 100_000]), text("behind it")].concat());
    assert!(comes_to_hold(|| server.counts().rate_paused > 0));
    server.stop();
    let code = loop {
        let frame = client.frame();
        if let Some(code) = frame.close_code() {
            break code;
        }
    };
    client.write(&close(1001));
    assert_eq!((code, client.rest(PATIENCE).end), (1001, End::Fin));
    drop(client);
    server.join().expect("it does not last an hour");
}

fn a_reload_lets_go_on_who_is_paused(backend: Backend) {
    let (server, address) = start(config(backend, bytes(100)));
    let mut client = Client::open(&address, "/echo");
    client.write(&[binary(&[7; 1_000_000]), text("behind it")].concat());
    assert!(comes_to_hold(|| server.counts().rate_paused > 0));
    server.reload(config(backend, Limits::default())).expect("it is that list");
    assert_eq!(client.frame().payload.len(), 1_000_000);
    assert_eq!(client.frame().payload, b"behind it");
}

fn a_reload_to_a_higher_rate_lets_go_on_who_is_paused(backend: Backend) {
    let (server, address) = start(config(backend, bytes(100)));
    let mut client = Client::open(&address, "/echo");
    client.write(&[binary(&[7; 1_000_000]), text("behind it")].concat());
    assert!(comes_to_hold(|| server.counts().rate_paused > 0));
    // What has come is three hours of the old rate.
    server.reload(config(backend, bytes(10_000_000))).expect("it is that list");
    assert_eq!(client.frame().payload.len(), 1_000_000);
    assert_eq!(client.frame().payload, b"behind it");
}

fn who_sends_more_messages_is_closed_where_that_is_asked_for(backend: Backend) {
    let (server, address) = start(config(backend, closing(messages(5))));
    for path in ["/echo", "/room/a"] {
        let mut client = Client::open(&address, path);
        // However slowly this host runs, these come faster.
        client.write(&numbered(500));
        let mut echoes = 0;
        let last = loop {
            let frame = client.frame();
            if frame.opcode() == 8 {
                break frame;
            }
            assert_eq!(frame.payload, format!("message {echoes}").as_bytes());
            echoes += 1;
        };
        assert!((4..500).contains(&echoes), "the upgrade is the first of five: {echoes}");
        assert_eq!(last.close_code(), Some(1008));
        assert_eq!(&last.payload[2..], b"more than 5 messages a second");
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
    }
    let mut polite = Client::open(&address, "/echo");
    polite.write(&[numbered(4), close(1000)].concat());
    read_numbered(&mut polite, 4);
    assert_eq!(polite.close_code(), 1000, "a close frame is no message too many");
    assert_eq!((ended(&server, Ending::RateLimit), server.counts().rate_paused), (2, 0));
}

fn who_sends_more_bytes_is_closed_where_that_is_asked_for(backend: Backend) {
    let (server, address) = start(config(backend, closing(bytes(1000))));
    let mut client = Client::open(&address, "/echo");
    client.write(&binary(&[7; 300_000]));
    assert_eq!(client.frame().payload.len(), 300_000, "a message of any size may come");
    client.write(&text("too soon"));
    let last = client.frame();
    assert_eq!(last.close_code(), Some(1008));
    assert_eq!(&last.payload[2..], b"more than 1000 bytes a second");
    assert_eq!(ended(&server, Ending::RateLimit), 1);
}

fn requests_get_a_429_where_that_is_asked_for(backend: Backend) {
    let (server, address) = start(config(backend, closing(messages(5))));
    let mut client = Client::connect(&address).expect("it listens");
    client.write(b"GET /rooms/a HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200).as_slice());
    let mut answered = 0;
    let last = loop {
        let response = client.response();
        if response.status != 200 {
            break response;
        }
        answered += 1;
    };
    assert!((5..200).contains(&answered), "{answered}");
    assert_eq!((last.status, last.field("Retry-After")), (429, Some("1")), "{}", last.head);
    assert_eq!(last.body, b"more than 5 messages a second\n");
    let counters = server.monitor().counters().to_vec();
    let refused: u64 = counters.iter().map(|it| it.refusals.of(Refusal::RateLimit).get()).sum();
    assert_eq!(refused, 1);
    // The body of a request is no second one.
    let mut client = Client::connect(&address).expect("it listens");
    client.write(handshake("/echo", &[]).as_bytes());
    assert_eq!(client.response().status, 101);
    assert_eq!(client.frame_within(ms(0)), Got::Silence);
}

/// Requests of clients that a proxy names, each with some hundred bytes.
fn requests_of_many(count: usize) -> Vec<u8> {
    let padding = "a".repeat(300);
    let request = |number| {
        format!(
            "GET /rooms/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.{number}\r\n\
             Padding: {padding}\r\n\r\n"
        )
    };
    (0..count).flat_map(|number| request(number % 100).into_bytes()).collect()
}

fn upgrade_of_a_client() -> String {
    handshake("/echo", &["X-Forwarded-For: 192.0.2.200", &format!("Padding: {}", "a".repeat(300))])
}

fn requests_of_trusted_proxies_are_not_measured_and_what_comes_behind_them_is(backend: Backend) {
    let trusted_proxies = "127.0.0.1".parse().expect("it is a list");
    let limits = Limits { bytes_per_second: Some(200), ..messages(5) };
    let (server, address) = start(Config { trusted_proxies, ..config(backend, closing(limits)) });
    let mut proxy = Client::connect(&address).expect("it listens");
    proxy.write(&requests_of_many(100));
    (0..100).for_each(|_| assert_eq!(proxy.response().status, 200));
    proxy.write(upgrade_of_a_client().as_bytes());
    assert_eq!(proxy.response().status, 101);
    // Its client owes nothing, not even its upgrade.
    proxy.write(&numbered(5));
    read_numbered(&mut proxy, 5);
    proxy.write(&numbered(500));
    let last = loop {
        let frame = proxy.frame();
        if frame.opcode() == 8 {
            break frame;
        }
    };
    assert_eq!(last.close_code(), Some(1008));
    assert_eq!(ended(&server, Ending::RateLimit), 1);
}

fn who_was_trusted_by_a_reload_brings_no_debt_to_its_client(backend: Backend) {
    // Addresses are known because they are counted.
    let per_ip = PerIp { connections: Some(100), ..PerIp::default() };
    let limits = Limits { per_ip, ..bytes(10) };
    let config = || Config { workers: 1, ..config(backend, limits.clone()) };
    let (server, address) = start(config());
    let mut proxy = Client::connect(&address).expect("it listens");
    // That is more than half a minute.
    proxy.write(&requests_of_many(1));
    assert_eq!(proxy.response().status, 200);
    let trusted_proxies = "127.0.0.1".parse().expect("it is a list");
    let allowed_hosts = "localhost,throng.test".parse().expect("it is a list");
    let config = Config { trusted_proxies, allowed_hosts, ..config() };
    server.reload(config).expect("it is that list");
    let is_reloaded = || {
        let mut other = Client::connect(&address).expect("it listens");
        other.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        other.response().status == 421
    };
    assert!(comes_to_hold(is_reloaded));
    proxy.write(upgrade_of_a_client().as_bytes());
    assert_eq!(proxy.response().status, 101);
    proxy.write(&text("a"));
    assert_eq!(proxy.frame().payload, b"a");
    assert_eq!(server.counts().rate_paused, 0);
}
