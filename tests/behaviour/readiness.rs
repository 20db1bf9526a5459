//! What a service manager hears of the server.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use testkit::client::{Client, close};
use testkit::process::Signal;
use throng::config::Backend;

use crate::support::{PATIENCE, Scratch, launch, ms};

on_both!(
    it_hears_when_the_server_listens_and_when_it_stops,
    it_hears_nothing_of_a_server_that_does_not_start,
    a_manager_that_does_not_listen_is_no_reason_to_fail,
);

/// The lines of one message; none if there is none in time.
fn hear(manager: &UnixDatagram, millis: u64) -> Vec<String> {
    manager.set_read_timeout(Some(ms(millis))).expect("it is a socket");
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).unwrap_or(0);
    let text = std::str::from_utf8(&bytes[..length]).expect("sd_notify(3): it is text");
    text.lines().map(str::to_owned).collect()
}

fn it_hears_when_the_server_listens_and_when_it_stops(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("notify");
    let name = format!("throng-notify-{}", path.display());
    let abstract_name = SocketAddr::from_abstract_name(&name).expect("it is short enough");
    let managers = [
        (UnixDatagram::bind(&path), path.display().to_string()),
        (UnixDatagram::bind_addr(&abstract_name), format!("@{name}")),
    ];
    for (manager, name) in managers {
        let manager = manager.expect("the name is ours alone");
        let mut server = launch(backend, &["--workers", "3"]).env("NOTIFY_SOCKET", &name).start();
        let ready = hear(&manager, 5000);
        assert!(ready.iter().any(|line| line == "READY=1"), "{ready:?}");
        let status = ready.iter().find_map(|line| line.strip_prefix("STATUS="));
        assert!(status.is_some_and(|status| status.starts_with("3 workers, room")), "{ready:?}");
        let mut client = Client::open(server.address(), "/echo");
        assert_eq!(hear(&manager, 200), [""; 0], "nothing has happened");
        server.signal(Signal::SIGTERM);
        let stopping = hear(&manager, 5000);
        assert!(stopping.iter().any(|line| line == "STOPPING=1"), "{stopping:?}");
        assert!(server.is_running(), "it waits for its client");
        assert_eq!(client.close_code(), 1001);
        client.write(&close(1001));
        assert_eq!(server.exit_code(PATIENCE), 0);
        let rest = hear(&manager, 50);
        assert!(rest.iter().all(|line| line.starts_with("STATUS=")), "that is all: {rest:?}");
    }
}

fn it_hears_nothing_of_a_server_that_does_not_start(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the name is ours alone");
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let launch = launch(backend, &["--listen", &address]);
    let finished = launch.env("NOTIFY_SOCKET", &path.display().to_string()).run(PATIENCE);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(hear(&manager, 50), [""; 0]);
}

fn a_manager_that_does_not_listen_is_no_reason_to_fail(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("nobody").display().to_string();
    let mut server = launch(backend, &[]).env("NOTIFY_SOCKET", &path).start();
    assert!(server.wait_for_log("cannot tell the service manager", PATIENCE), "{}", server.log());
    drop(Client::open(server.address(), "/echo"));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
}
