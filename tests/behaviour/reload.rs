//! Other options for a server that runs.

use std::fs;

use nix::sys::signal::Signal;
use testkit::client::{Address, Client, binary, handshake, text};
use testkit::process::Process;
use throng::config::{Backend, Config, ListenAddr, RoomRule, RoomRules};
use throng::protocol::echo::Echo;
use throng::server::{OtherList, Server};

use crate::support::{PATIENCE, Scratch, comes_to_hold, launch};

on_both!(
    other_options_hold_for_connections_that_are_open,
    other_bounds_hold_for_connections_that_come,
    other_rules_hold_for_those_who_are_in_a_room,
    sighup_takes_what_can_change_and_names_what_cannot,
    a_file_that_is_wrong_changes_nothing_and_says_so,
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
    status_of(address, "/echo")
}

fn status_of(address: &Address, path: &str) -> u16 {
    let mut client = Client::connect(address).expect("it listens");
    client.write(handshake(path, &[]).as_bytes());
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

fn other_rules_hold_for_those_who_are_in_a_room(backend: Backend) {
    let (server, address) = start(backend);
    let rule = |rule: RoomRule| {
        let rooms = RoomRules::new(vec![RoomRule { matches: "a".into(), ..rule }]);
        let rooms = rooms.expect("it is good");
        server.reload(Config { rooms, ..config(backend) }).expect("that list");
    };
    let closes = |client: &mut Client| {
        comes_to_hold(|| {
            client.write(&text("mine"));
            client.frame().payload.starts_with(&1008_u16.to_be_bytes())
        })
    };
    let mut speaks = Client::open(&address, "/room/a");
    speaks.write(&text("hello"));
    assert_eq!(speaks.frame().payload, b"hello");
    rule(RoomRule { client_publish: false, ..RoomRule::default() });
    assert!(closes(&mut speaks), "who is there already does not publish any more");
    rule(RoomRule::default());
    let mut stays = Client::open(&address, "/room/a");
    rule(RoomRule { enabled: false, ..RoomRule::default() });
    assert!(closes(&mut stays), "there is no such room any more");
    assert!(comes_to_hold(|| status_of(&address, "/room/a") == 403));
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
    let others = server.reloader().reload_with::<Ours>(config(backend), OurSetups::default());
    assert_eq!(others, Err(OtherList));
}

/// A server with a file, and where that is.
fn with_file(backend: Backend, scratch: &Scratch, text: &str) -> (Process, std::path::PathBuf) {
    let path = scratch.path().join("throng.toml");
    fs::write(&path, text).expect("the folder is there");
    let name = path.display().to_string();
    (launch(backend, &["--workers", "2", "--config", &name]).start(), path)
}

fn sighup_takes_what_can_change_and_names_what_cannot(backend: Backend) {
    let scratch = Scratch::new();
    let (server, file) = with_file(backend, &scratch, "max_message_size = \"1MiB\"\n");
    let mut client = Client::open(server.address(), "/echo");
    let changed = "max_message_size = \"100B\"\nkeep_alive = \"1h\"\n[unix]\nmode = \"0600\"\n\
                   [routes]\n\"/chat\" = \"lobby\"\n[log]\nlevel = \"debug\"\n";
    fs::write(&file, changed).expect("it is ours");
    server.signal(Signal::SIGHUP);
    assert!(server.wait_for_log("need a restart: unix.mode", PATIENCE), "{}", server.log());
    assert!(server.log().contains("SIGHUP: the options are read again"), "{}", server.log());
    let is_refused = || {
        client.write(&binary(&[7; 101]));
        client.frame().payload.starts_with(&1009_u16.to_be_bytes())
    };
    assert!(comes_to_hold(is_refused), "for connections that are open too");
    let _there = Client::open(server.address(), "/chat");
    assert!(server.wait_for_log("DEBUG", PATIENCE), "the level holds too: {}", server.log());
}

fn a_file_that_is_wrong_changes_nothing_and_says_so(backend: Backend) {
    let scratch = Scratch::new();
    let (server, file) = with_file(backend, &scratch, "");
    let wrong = "max_message_size = \"100B\"\nmax_backlgo = \"1MiB\"\n";
    fs::write(&file, wrong).expect("it is ours");
    server.signal(Signal::SIGHUP);
    assert!(server.wait_for_log("SIGHUP: nothing has changed", PATIENCE), "{}", server.log());
    assert!(server.log().contains("max_backlog"), "it names the nearest: {}", server.log());
    let mut client = Client::open(server.address(), "/echo");
    client.write(&binary(&[7; 101]));
    assert_eq!(client.frame().payload, [7; 101]);
    fs::remove_file(&file).expect("it is ours");
    server.signal(Signal::SIGHUP);
    assert!(comes_to_hold(|| server.log().matches("SIGHUP: nothing has changed").count() == 2));
    client.write(&text("still here"));
    assert_eq!(client.frame().payload, b"still here");
}
