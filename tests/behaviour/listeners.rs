//! Addresses: TCP over IPv4 and IPv6, Unix sockets, several at once.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::thread;

use testkit::client::{Address, Client, text};
use testkit::process::Signal;
use throng::config::Backend;

use crate::support::{PATIENCE, Scratch, comes_to_hold, free_port, launch, ms, server};

on_both!(
    all_kinds_of_addresses_serve_the_same_rooms,
    both_wildcards_share_a_port,
    a_wildcard_and_a_single_address_share_a_port,
    the_wildcard_of_ipv6_takes_ipv4_too,
    port_zero_becomes_a_real_one_and_the_same_for_all_workers,
    a_list_of_addresses_is_one_option_too,
    a_client_that_says_nothing_is_accepted_after_a_second,
    a_stale_unix_path_is_replaced,
    a_unix_path_where_somebody_answers_is_in_use,
    a_file_at_a_unix_path_is_left_alone,
    a_unix_path_is_removed_when_the_server_has_stopped,
);

fn ipv4(port: u16) -> Address {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn ipv6(port: u16) -> Address {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)).into()
}

/// Everybody in the room gets what each of them says.
fn all_meet(clients: &mut [Client]) {
    for sender in 0..clients.len() {
        let message = format!("from {sender}");
        clients[sender].write(&text(&message));
        for client in &mut *clients {
            assert_eq!(client.frame().payload, message.as_bytes());
        }
    }
}

fn port_of(address: &Address) -> u16 {
    let Address::Tcp(tcp) = address else { panic!("{address} has no port") };
    tcp.port()
}

fn all_kinds_of_addresses_serve_the_same_rooms(backend: Backend) {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let listen =
        ["127.0.0.1:0", "[::1]:0", "[::]:0", &unix].map(|address| ["--listen", address]).concat();
    let server = server(backend, &listen);
    let [v4, v6, dual, unix] = server.addresses() else { panic!("{}", server.log()) };
    let dual = port_of(dual);
    let reached = [v4, v6, &ipv4(dual), &ipv6(dual), unix];
    // Several over each, so that every worker has some.
    let mut clients: Vec<Client> =
        reached.iter().flat_map(|to| [(); 4].map(|()| Client::open(to, "/room/a"))).collect();
    all_meet(&mut clients);
}

fn both_wildcards_share_a_port(backend: Backend) {
    let port = free_port();
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let server = server(backend, &["--listen", &v6, "--listen", &v4]);
    let said: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(said, [v6, v4]);
    let mut clients: Vec<Client> = [ipv4(port), ipv6(port)]
        .iter()
        .flat_map(|to| [(); 4].map(|()| Client::open(to, "/room/a")))
        .collect();
    all_meet(&mut clients);
}

fn a_wildcard_and_a_single_address_share_a_port(backend: Backend) {
    let port = free_port();
    let addresses = [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), format!("[::]:{port}")];
    let listen = addresses.each_ref().map(|address| ["--listen", address.as_str()]);
    let server = server(backend, &listen.concat());
    let mut clients: Vec<Client> = [ipv4(port), ipv6(port)]
        .iter()
        .flat_map(|to| [(); 4].map(|()| Client::open(to, "/room/a")))
        .collect();
    all_meet(&mut clients);
    drop(server);
}

fn the_wildcard_of_ipv6_takes_ipv4_too(backend: Backend) {
    let server = server(backend, &["--listen", "[::]:0"]);
    let port = server.port();
    let mut clients = [ipv4(port), ipv6(port)].map(|to| Client::open(&to, "/room/a"));
    all_meet(&mut clients);
}

fn port_zero_becomes_a_real_one_and_the_same_for_all_workers(backend: Backend) {
    let server = server(backend, &["--workers", "4"]);
    assert_ne!(server.port(), 0);
    assert_eq!(server.addresses().len(), 1, "{}", server.log());
    let mut clients: [Client; 16] = crate::support::clients(server.address(), "/room/a");
    all_meet(&mut clients);
}

fn a_list_of_addresses_is_one_option_too(backend: Backend) {
    let server = server(backend, &["--listen", "127.0.0.1:0,[::1]:0"]);
    let mut clients: Vec<Client> =
        server.addresses().iter().map(|to| Client::open(to, "/room/a")).collect();
    assert_eq!(clients.len(), 2);
    all_meet(&mut clients);
}

fn a_client_that_says_nothing_is_accepted_after_a_second(backend: Backend) {
    let server = server(backend, &[]);
    let before = server.sockets();
    let _silent = Client::connect(server.address()).expect("it listens");
    thread::sleep(ms(300));
    assert_eq!(server.sockets(), before, "the kernel keeps it");
    assert!(comes_to_hold(|| server.sockets() == before + 1), "it is accepted at last");
}

fn a_stale_unix_path_is_replaced(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("throng.sock");
    drop(UnixListener::bind(&path).expect("the directory is ours"));
    assert!(path.exists(), "a listener that is dropped leaves its path");
    let mut killed = server(backend, &["--listen", &scratch.unix("throng.sock")]);
    killed.signal(Signal::SIGKILL);
    assert!(killed.wait(PATIENCE).is_some(), "nobody survives that");
    assert!(path.exists(), "a server that is killed leaves its path");
    // The kernel takes down the ring of a killed process in the background, and until then a
    // request of the ring keeps the listener.
    let is_stale = || Client::connect(killed.address()).is_err();
    assert!(comes_to_hold(is_stale), "somebody answers");
    let server = server(backend, &["--listen", &scratch.unix("throng.sock")]);
    let mut clients = [(); 3].map(|()| Client::open(server.address(), "/room/a"));
    all_meet(&mut clients);
}

fn a_unix_path_where_somebody_answers_is_in_use(backend: Backend) {
    let scratch = Scratch::new();
    let listen = ["--listen", &scratch.unix("throng.sock")];
    let first = server(backend, &listen);
    let second = launch(backend, &listen).run(PATIENCE);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let lines: Vec<&str> =
        second.stderr.lines().filter(|line| line.starts_with("throng: ")).collect();
    let [line] = lines[..] else { panic!("{}", second.stderr) };
    assert!(line.contains(listen[1]), "{line}");
    assert!(line.contains("another server answers") && line.contains("--listen"), "{line}");
    let mut clients = [(); 2].map(|()| Client::open(first.address(), "/room/a"));
    all_meet(&mut clients);
}

fn a_file_at_a_unix_path_is_left_alone(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("precious");
    fs::write(&path, "data").expect("the directory is ours");
    let finished = launch(backend, &["--listen", &scratch.unix("precious")]).run(PATIENCE);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(fs::read_to_string(&path).expect("it is still there"), "data");
}

fn a_unix_path_is_removed_when_the_server_has_stopped(backend: Backend) {
    let scratch = Scratch::new();
    let paths = ["a.sock", "b.sock"].map(|name| scratch.path().join(name));
    let mut server = server(
        backend,
        &["--listen", &scratch.unix("a.sock"), "--listen", &scratch.unix("b.sock")],
    );
    assert!(paths.iter().all(|path| path.exists()));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    assert!(!paths.iter().any(|path| path.exists()), "none is left behind");
}
