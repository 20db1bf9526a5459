//! Other options for a server that runs.

use testkit::client::{Address, Client, binary, handshake, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::protocol::echo::Echo;
use throng::server::{OtherList, Server};

use crate::support::comes_to_hold;

on_both!(
    other_options_hold_for_connections_that_are_open,
    other_bounds_hold_for_connections_that_come,
);

throng::protocols! {
    /// Another list than the built-in one.
    Ours, OurSpoken, OurSetups:
    Echo = echo: Echo,
}

fn config(backend: Backend) -> Config {
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    Config { listen, workers: 2, backend, ..Config::default() }
}

fn start(backend: Backend) -> (Server, Address) {
    let server = Server::start(config(backend)).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp.into())
}

/// What an upgrade comes to.
fn status(address: &Address) -> u16 {
    let mut client = Client::connect(address).expect("it listens");
    client.write(handshake("/echo", &[]).as_bytes());
    client.response().status
}

fn other_options_hold_for_connections_that_are_open(backend: Backend) {
    let (server, address) = start(backend);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::open(&address, "/echo")).collect();
    server.reload(Config { max_message_size: 100, ..config(backend) }).expect("it is that list");
    let large = binary(&[7; 101]);
    for client in &mut clients {
        client.write(&text("small"));
        assert_eq!(client.frame().payload, b"small");
        let is_refused = || {
            client.write(&large);
            let frame = client.frame();
            // The mail to its worker may be on its way.
            frame.payload.starts_with(&1009_u16.to_be_bytes())
        };
        assert!(comes_to_hold(is_refused));
    }
}

fn other_bounds_hold_for_connections_that_come(backend: Backend) {
    let (server, address) = start(backend);
    let _first = Client::open(&address, "/echo");
    server.reload(Config { max_connections: Some(1), ..config(backend) }).expect("that list");
    assert_eq!(server.connections_max(), 1);
    assert_eq!(status(&address), 503);
    server.reload(config(backend)).expect("that list");
    assert_eq!(status(&address), 101);
    let hosts = "only.example".parse().expect("a good list");
    server.reload(Config { allowed_hosts: hosts, ..config(backend) }).expect("that list");
    assert!(comes_to_hold(|| status(&address) == 421));
    let others = server.reload_with::<Ours>(config(backend), OurSetups::default());
    assert_eq!(others, Err(OtherList));
}
