//! Connections that are as old as they may become.

use std::time::{Duration, Instant};

use testkit::client::{Address, Client, End, text};
use throng::config::{Backend, Config, Limits, ListenAddr};
use throng::server::Server;
use throng::stats::Ending;

use crate::support::{PATIENCE, ms};

on_both!(who_is_old_is_closed_with_1001_and_not_before, a_reload_holds_for_those_who_come,);

fn config(backend: Backend, millis: u64) -> Config {
    let limits = Limits { connection_max_age: ms(millis), ..Limits::default() };
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

fn ended(server: &Server) -> u64 {
    let counters = server.monitor().counters().to_vec();
    counters.iter().map(|it| it.endings.of(Ending::MaxAge).get()).sum()
}

fn who_is_old_is_closed_with_1001_and_not_before(backend: Backend) {
    let (server, address) = start(config(backend, 1000));
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::open(&address, "/room/a")).collect();
    clients[0].write(&text("to all"));
    for client in &mut clients {
        assert_eq!(client.frame().payload, b"to all");
        let last = client.frame();
        assert!(began.elapsed() >= ms(900), "{:?}", began.elapsed());
        assert_eq!(last.close_code(), Some(1001));
        assert_eq!(&last.payload[2..], b"connection_max_age");
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
    }
    assert_eq!(ended(&server), 20);
}

fn a_reload_holds_for_those_who_come(backend: Backend) {
    let (server, address) = start(config(backend, 0));
    let mut stays = Client::open(&address, "/echo");
    server.reload(config(backend, 100)).expect("it is that list");
    // Who came before its worker had the options stays.
    let goes = || {
        let mut client = Client::open(&address, "/echo");
        client.frame_within(ms(1000)) != testkit::client::Got::Silence
    };
    assert!(crate::support::comes_to_hold(goes));
    stays.write(&text("still here"));
    assert_eq!(stays.frame().payload, b"still here");
}
