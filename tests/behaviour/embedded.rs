//! A server within a program of somebody else.

use std::thread;
use std::time::Duration;

use testkit::client::{Address, Client, close, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::server::Server;

use crate::support::{Scratch, comes_to_hold};

on_both!(a_server_that_is_dropped_stops, a_server_that_is_detached_runs_on);

fn start(backend: Backend, scratch: &Scratch) -> (Server, [Address; 2]) {
    let unix = scratch.unix("throng.sock");
    let listen = ["127.0.0.1:0", &unix].map(|address| address.parse().expect("it is one"));
    let config = Config {
        listen: listen.into(),
        workers: 2,
        backend,
        drain: Duration::from_secs(60),
        ..Config::default()
    };
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, [tcp.into(), unix.parse().expect("it is one")])
}

fn a_server_that_is_dropped_stops(backend: Backend) {
    let scratch = Scratch::new();
    let (server, addresses) = start(backend, &scratch);
    let mut clients = addresses.each_ref().map(|address| Client::open(address, "/room/a"));
    let dropping = thread::spawn(move || drop(server));
    for client in &mut clients {
        assert_eq!(client.close_code(), 1001);
    }
    assert!(!dropping.is_finished(), "it waits for what clients answer");
    clients.iter_mut().for_each(|client| client.write(&close(1001)));
    dropping.join().expect("no worker fails");
    for address in &addresses {
        assert!(Client::connect(address).is_err(), "{address}");
    }
    assert!(!scratch.path().join("throng.sock").exists(), "its path is removed");
}

fn a_server_that_is_detached_runs_on(backend: Backend) {
    let scratch = Scratch::new();
    let (server, addresses) = start(backend, &scratch);
    let stopper = server.stopper();
    server.detach();
    let mut clients = addresses.each_ref().map(|address| Client::open(address, "/room/a"));
    clients[0].write(&text("hello"));
    for client in &mut clients {
        assert_eq!(client.frame().payload, b"hello");
    }
    stopper.stop();
    for client in &mut clients {
        assert_eq!(client.close_code(), 1001);
        client.write(&close(1001));
    }
    let is_closed = || addresses.iter().all(|address| Client::connect(address).is_err());
    assert!(comes_to_hold(is_closed));
}
