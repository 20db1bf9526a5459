//! Connections of one address, as many and as fast as they may be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use testkit::client::{Client, End, Response, close, handshake};
use throng::config::{Backend, Config, Limits, ListenAddr, PerIp};
use throng::server::Server;
use throng::stats::{Counters, Refusal};

use crate::support::{PATIENCE, comes_to_hold, skip};

on_both!(
    one_over_the_limit_of_its_address_reads_why_and_others_come_in,
    a_connection_that_has_ended_however_is_counted_no_more,
    a_thousand_addresses_each_have_their_own,
    networks_of_ipv6_count_as_one_each,
    connections_come_no_faster_than_they_may,
    a_reload_counts_from_then_on_and_forgets_nobody,
    those_of_trusted_proxies_are_not_counted_as_the_proxy,
);

fn config(backend: Backend, per_ip: PerIp) -> Config {
    let limits = Limits { per_ip, ..Limits::default() };
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    // A ping may come as soon as a connection opens.
    let ping_interval = Duration::ZERO;
    Config { listen, workers: 2, backend, limits, ping_interval, ..Config::default() }
}

fn at_most(connections: u32) -> PerIp {
    PerIp { connections: Some(connections), ..PerIp::default() }
}

fn start(config: Config) -> (Server, SocketAddr) {
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp)
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number).into()
}

/// A host in one of the networks of 2001:db8::/48.
fn v6(network: u128, host: u128) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | network << 64 | host).into()
}

/// What an upgrade from an address comes to.
fn try_open(from: IpAddr, to: SocketAddr) -> Result<(Client, Response), End> {
    let mut client = Client::connect_from(from, &to.into()).expect("it listens");
    // Who is one too many may be closed sooner.
    let _ = client.try_write(handshake("/echo", &[]).as_bytes());
    let response = client.try_response(false, PATIENCE)?;
    Ok((client, response))
}

fn comes_in(from: IpAddr, to: SocketAddr) -> Option<Client> {
    try_open(from, to).ok().filter(|(_, response)| response.status == 101).map(|(client, _)| client)
}

fn open(from: IpAddr, to: SocketAddr) -> Client {
    let (client, response) = try_open(from, to).expect("it is answered");
    assert_eq!(response.status, 101, "{from}: {}", response.head);
    client
}

/// Is told that there are too many of it; the server has forgotten it when this returns.
fn is_refused(from: IpAddr, to: SocketAddr) -> Response {
    let (mut client, response) = try_open(from, to).expect("it is told");
    assert_eq!(response.status, 429, "{from}: {}", response.head);
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(client.rest(PATIENCE).end, End::Fin);
    response
}

fn refused(server: &Server, why: Refusal) -> u64 {
    server.monitor().counters().iter().map(|it: &Arc<Counters>| it.refusals.of(why).get()).sum()
}

fn one_over_the_limit_of_its_address_reads_why_and_others_come_in(backend: Backend) {
    let (server, address) = start(config(backend, at_most(3)));
    let mut inside: Vec<Client> = (0..3).map(|_| open(v4(0), address)).collect();
    for _ in 0..5 {
        let response = is_refused(v4(0), address);
        let seconds = response.field("Retry-After").map(str::parse::<u32>);
        assert!(matches!(seconds, Some(Ok(1..=60))), "{}", response.head);
        assert_eq!(response.body, b"your address has as many connections as it may\n");
    }
    let _other = open(v4(1), address);
    assert_eq!(refused(&server, Refusal::IpConnections), 5);
    inside[1].write(&testkit::client::text("here"));
    assert_eq!(inside[1].frame().payload, b"here");
}

fn a_connection_that_has_ended_however_is_counted_no_more(backend: Backend) {
    let (server, address) = start(config(backend, at_most(4)));
    for round in 0..10 {
        let mut ended = vec![open(v4(0), address), open(v4(0), address), open(v4(0), address)];
        let silent = Client::connect_from(v4(0), &address.into()).expect("it listens");
        silent.writer().write(b"GET / HT");
        assert!(comes_to_hold(|| server.counts().connections() == 4), "round {round}");
        assert!(comes_in(v4(0), address).is_none(), "four are in");
        let mut last = ended.pop().expect("there are three");
        last.write(&close(1000));
        assert_eq!(last.close_code(), 1000, "round {round}");
        ended.pop().expect("there are two").reset();
        drop((last, ended, silent));
        // All four places, and not one more.
        let mut again = Vec::new();
        let all_are_free = || {
            again.extend(comes_in(v4(0), address));
            again.len() == 4
        };
        assert!(comes_to_hold(all_are_free), "round {round}");
        is_refused(v4(0), address);
        drop(again);
        assert!(comes_to_hold(|| server.counts().connections() == 0));
    }
}

fn a_thousand_addresses_each_have_their_own(backend: Backend) {
    let (server, address) = start(config(backend, at_most(1)));
    let inside: Vec<Client> = (1..=1000).map(|number| open(v4(number), address)).collect();
    (1..=1000).step_by(7).for_each(|number| drop(is_refused(v4(number), address)));
    assert_eq!(server.counts().addresses_untracked, 0);
    assert_eq!(refused(&server, Refusal::IpConnections), 143);
    drop(inside);
    let comes_again = || comes_in(v4(500), address).is_some();
    assert!(comes_to_hold(comes_again));
}

/// Has a thread with a network of its own do something: all of 2001:db8::/48 is this host there.
fn in_a_network(act: impl FnOnce() + Send) {
    let run = || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return skip("no network namespaces for us");
        }
        for command in ["link set lo up", "-6 route add local 2001:db8::/48 dev lo"] {
            let status = Command::new("ip").args(command.split(' ')).status();
            if !status.is_ok_and(|status| status.success()) {
                return skip(&format!("`ip {command}` fails: install iproute2"));
            }
        }
        act();
    };
    thread::scope(|scope| {
        let name = thread::current().name().map(str::to_owned);
        let thread = thread::Builder::new().name(name.unwrap_or_default());
        let thread = thread.spawn_scoped(scope, run).expect("there is room for a thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn networks_of_ipv6_count_as_one_each(backend: Backend) {
    in_a_network(|| {
        let listen = vec!["[::]:0".parse().expect("it is one")];
        let (server, address) = start(Config { listen, ..config(backend, at_most(5)) });
        let address = SocketAddr::new(v6(0, 1), address.port());
        let inside: Vec<Client> = (1..=5).map(|host| open(v6(7, host), address)).collect();
        (6..=1000).for_each(|host| drop(is_refused(v6(7, host), address)));
        assert_eq!(refused(&server, Refusal::IpConnections), 995);
        // Many of the /48 come and go, and those who are there keep their count.
        let others: Vec<Client> = (100..600).map(|network| open(v6(network, 1), address)).collect();
        is_refused(v6(7, 1001), address);
        drop((others, inside));
        assert!(comes_to_hold(|| comes_in(v6(7, 2000), address).is_some()));
        assert_eq!(server.counts().addresses_untracked, 0);
    });
}

fn connections_come_no_faster_than_they_may(backend: Backend) {
    const RATE: u32 = 20;
    let per_ip = PerIp { connect_rate: Some(RATE), ..PerIp::default() };
    let (server, address) = start(config(backend, per_ip));
    let (began, mut inside, mut told) = (Instant::now(), 0, 0);
    // However slow this host is: who is refused at last has come faster.
    let is_over = || {
        let (_, response) = try_open(v4(0), address).expect("it is told");
        match response.status {
            101 => inside += 1,
            429 => {
                assert_eq!(response.field("Retry-After"), Some("1"), "{}", response.head);
                told += 1;
            }
            other => panic!("{other}: {}", response.head),
        }
        told == 30
    };
    assert!(comes_to_hold(is_over));
    let most = f64::from(RATE) * (1.0 + began.elapsed().as_secs_f64()) + 1.0;
    assert!(f64::from(inside) <= most, "{inside} in {:?}", began.elapsed());
    assert_eq!(refused(&server, Refusal::IpConnectRate), 30);
    let _other = open(v4(1), address);
    assert!(comes_to_hold(|| comes_in(v4(0), address).is_some()), "some time later one may");
}

fn a_reload_counts_from_then_on_and_forgets_nobody(backend: Backend) {
    let (server, address) = start(config(backend, PerIp::default()));
    let _before: Vec<Client> = (0..3).map(|_| open(v4(0), address)).collect();
    let reload = |per_ip| server.reload(config(backend, per_ip)).expect("it is that list");
    reload(at_most(2));
    // Who is let in before its worker has the options is not counted.
    let mut counted = Vec::new();
    let holds = || match comes_in(v4(0), address) {
        Some(client) => {
            counted.push(client);
            false
        }
        None => true,
    };
    assert!(comes_to_hold(holds), "those who were there before do not count");
    assert!(counted.len() >= 2);
    reload(PerIp::default());
    assert!(comes_to_hold(|| comes_in(v4(0), address).is_some()));
    reload(at_most(2));
    assert!(comes_to_hold(|| comes_in(v4(0), address).is_none()), "two are still counted");
    drop(counted);
    let mut again = Vec::new();
    let two_come = || {
        again.extend(comes_in(v4(0), address));
        again.len() == 2
    };
    assert!(comes_to_hold(two_come), "who was counted has gone, whatever held meanwhile");
    is_refused(v4(0), address);
}

fn those_of_trusted_proxies_are_not_counted_as_the_proxy(backend: Backend) {
    let trusted_proxies = "127.0.0.1".parse().expect("it is a list");
    let (server, address) = start(Config { trusted_proxies, ..config(backend, at_most(1)) });
    let _through: Vec<Client> = (0..20).map(|_| open(v4(0), address)).collect();
    let _alone = open(v4(1), address);
    is_refused(v4(1), address);
    assert_eq!(refused(&server, Refusal::IpConnections), 1);
}
