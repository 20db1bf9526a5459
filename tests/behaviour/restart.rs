//! Starts behind a server that has just been killed, and beside one that hangs.

use socket2::{Domain, SockAddr, Socket, Type};
use testkit::client::{Client, text};
use testkit::process::Signal;
use throng::config::Backend;

use crate::support::{Scratch, free_port, launch, ms};

on_both!(
    a_server_starts_at_once_where_another_was_killed,
    the_path_of_a_server_that_hangs_does_not_hang_the_start,
);

/// The kernel takes the rings of a killed process apart in the background, and until then they hold
/// its listeners: the longer the more connections there are.
fn a_server_starts_at_once_where_another_was_killed(backend: Backend) {
    let scratch = Scratch::new();
    for address in [format!("127.0.0.1:{}", free_port()), scratch.unix("throng.sock")] {
        let mut clients: Vec<Client> = Vec::new();
        for round in 0..4 {
            let mut server = launch(backend, &["--listen", &address]).start();
            let mut client = Client::open(server.address(), "/echo");
            client.write(&text("hello"));
            assert_eq!(client.frame().payload, b"hello", "{address}, round {round}");
            clients.extend((0..300).map(|_| Client::open(server.address(), "/room/a")));
            server.signal(Signal::SIGKILL);
            assert!(server.wait(ms(20_000)).is_some(), "nobody survives that");
        }
    }
}

fn the_path_of_a_server_that_hangs_does_not_hang_the_start(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("throng.sock");
    let hung = Socket::new(Domain::UNIX, Type::STREAM, None).expect("there are descriptors");
    let address = SockAddr::unix(&path).expect("it is short enough");
    hung.bind(&address).expect("the path is ours");
    hung.listen(1).expect("it is bound");
    // It never accepts, and its queue is full.
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("there are descriptors");
        client.set_nonblocking(true).expect("it is a socket");
        let result = client.connect(&address);
        waiting.push(client);
        if result.is_err() {
            break;
        }
    }
    let finished = launch(backend, &["--listen", &scratch.unix("throng.sock")]).run(ms(20_000));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("does not answer; stop it"), "{}", finished.stderr);
    assert!(path.exists(), "it is not ours to remove");
    drop((hung, waiting));
    let server = launch(backend, &["--listen", &scratch.unix("throng.sock")]).start();
    drop(Client::open(server.address(), "/echo"));
    drop(server);
}
