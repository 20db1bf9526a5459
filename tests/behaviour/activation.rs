//! Listeners that outlive a process: this plays the service manager, with a store of descriptors,
//! and clients that connect all the time while one process takes the place of another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use socket2::{Domain, Socket, Type};
use testkit::client::{Address, Client, text};
use testkit::manager::{Manager, Message};
use testkit::process::{Launch, Process, Signal};
use throng::config::Backend;

use crate::support::{PATIENCE, PROGRAM, Scratch, comes_to_hold, free_port, launch, ms, name};

on_both!(
    nobody_who_connects_during_a_restart_is_refused_or_reset,
    who_connects_when_listeners_were_let_go_of_waits_for_the_next,
    what_a_socket_unit_listens_on_is_listened_on,
    none_is_bound_beside_a_listener_of_a_unit_that_would_be_lost_at_a_restart,
    rights_of_a_units_path_are_not_ours,
    a_stored_listener_whose_path_is_gone_is_made_again,
    passed_listeners_that_no_option_names_are_closed,
    listeners_of_another_process_are_left_alone,
    a_stored_listener_that_is_not_wanted_leaves_the_store,
    more_listeners_than_the_store_takes_are_not_kept,
    who_stands_in_the_queue_of_a_listener_that_is_closed_is_answered,
    the_watchdog_is_fed_while_the_workers_live,
    a_reload_is_told,
);

type Stored = Vec<(String, Arc<OwnedFd>)>;

/// What the messages have for the store.
fn stored(messages: Vec<Message>) -> Stored {
    let mut stored = Vec::new();
    for message in messages.into_iter().filter(|message| message.value("FDSTORE").is_some()) {
        let name = message.value("FDNAME").expect("each has a name").to_owned();
        assert!(!name.contains(':'), "{name}");
        stored.extend(message.descriptors.into_iter().map(|it| (name.clone(), Arc::new(it))));
    }
    stored
}

/// With a store, and what is in it. The last words of the server before it may lie there, unless it
/// had ended before it came to them.
fn start(launch: Launch, manager: &Manager, room: usize, store: &mut Stored) -> Process {
    let launch = launch.env("NOTIFY_SOCKET", &manager.path()).env("FDSTORE", &room.to_string());
    let launch = if store.is_empty() { launch } else { launch.passing(store) };
    let process = launch.start();
    store.extend(stored(manager.hear_until("READY=1", PATIENCE)));
    process
}

/// A request on a connection of its own: the status, or why there is none.
fn ask(address: &Address) -> Result<u16, String> {
    let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    let result = match address {
        Address::Tcp(tcp) => TcpStream::connect(tcp).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request)?;
            stream.read_to_end(&mut answer)
        }),
        Address::Unix(path) => {
            std::os::unix::net::UnixStream::connect(path).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(request)?;
                stream.read_to_end(&mut answer)
            })
        }
    };
    result.map_err(|error| error.to_string())?;
    let status = std::str::from_utf8(&answer).ok().and_then(|text| text.get(9..12)?.parse().ok());
    status.ok_or_else(|| format!("{} bytes came", answer.len()))
}

/// Connects all the time until it is told to stop.
fn connect_until(is_over: &AtomicBool, address: &Address) -> Vec<Result<u16, String>> {
    let mut answers = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        answers.push(ask(address));
        thread::sleep(ms(1));
    }
    answers
}

fn nobody_who_connects_during_a_restart_is_refused_or_reset(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let unix = scratch.unix("throng.sock");
    let tcp = format!("127.0.0.1:{}", free_port());
    let server = |workers: &str| {
        let args = ["--listen", &tcp, "--listen", &unix, "--workers", workers, "--drain", "300ms"];
        launch(backend, &args)
    };
    let mut store = Vec::new();
    let mut running = start(server("1"), &manager, 16, &mut store);
    let addresses = running.addresses().to_vec();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = addresses.iter().chain(&addresses);
        let clients: Vec<_> =
            clients.map(|address| scope.spawn(|| connect_until(&is_over, address))).collect();
        for (workers, listeners) in [("2", 3), ("1", 3), ("3", 4), ("2", 4)] {
            thread::sleep(ms(100));
            running.signal(Signal::SIGTERM);
            assert_eq!(running.exit_code(PATIENCE), 0);
            // A moment in which there is nobody but the manager.
            thread::sleep(ms(50));
            running = start(server(workers), &manager, 16, &mut store);
            assert_eq!(
                store.len(),
                listeners,
                "{workers}: those that are there are not sent again"
            );
        }
        thread::sleep(ms(100));
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            let answers = client.join().expect("it does not panic");
            let served = answers.iter().filter(|answer| **answer == Ok(200)).count();
            let is_good = |answer: &&Result<u16, String>| matches!(answer, Ok(200 | 503));
            let bad: Vec<_> = answers.iter().filter(|answer| !is_good(answer)).collect();
            assert!(bad.is_empty() && served > 10, "{bad:?} of {}", answers.len());
        }
    });
}

/// A close frame says that its worker has let go. There are clients for a second, in which the old
/// process answers nobody who comes.
fn who_connects_when_listeners_were_let_go_of_waits_for_the_next(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let tcp = format!("127.0.0.1:{}", free_port());
    let unix = scratch.unix("throng.sock");
    let args = ["--listen", &tcp, "--listen", &unix, "--workers", "1", "--drain", "1h"];
    let mut store = Vec::new();
    let mut first = start(launch(backend, &args), &manager, 4, &mut store);
    let addresses = first.addresses().to_vec();
    let mut all: [Client; 100] = crate::support::clients(&addresses[0], "/room/a");
    first.signal(Signal::SIGTERM);
    assert_eq!(all[0].close_code(), 1001);
    thread::scope(|scope| {
        let waiting = addresses.iter().cycle().take(40);
        let waiting: Vec<_> = waiting.map(|address| scope.spawn(|| ask(address))).collect();
        for client in &mut all[1..] {
            assert_eq!(client.close_code(), 1001);
        }
        drop(all);
        assert_eq!(first.exit_code(PATIENCE), 0);
        let second = start(launch(backend, &args), &manager, 4, &mut store);
        for client in waiting {
            assert_eq!(client.join().expect("it does not panic"), Ok(200));
        }
        drop(second);
    });
}

/// A listener of a socket unit: no server has made it, and it has no SO_REUSEPORT.
fn of_unit(listener: impl Into<OwnedFd>) -> (String, Arc<OwnedFd>) {
    ("throng.socket".to_owned(), Arc::new(listener.into()))
}

fn without_listen(backend: Backend, workers: &str) -> Launch {
    let args = ["--backend", name(backend), "--workers", workers];
    Launch::new(PROGRAM).args(args).args(["--drain", "0"])
}

fn what_a_socket_unit_listens_on_is_listened_on(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.path().join("unit.sock");
    let unix = UnixListener::bind(&path).expect("the path is ours");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = tcp.local_addr().expect("it is bound");
    let passed = [of_unit(tcp), of_unit(unix)];
    for workers in ["1", "3"] {
        let mut server = without_listen(backend, workers).passing(&passed).start();
        let shown: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, [address.to_string(), format!("unix:{}", path.display())]);
        for at in server.addresses() {
            let mut clients: [Client; 8] = crate::support::clients(at, "/room/a");
            clients[0].write(&text("hello"));
            for client in &mut clients {
                assert_eq!(client.frame().payload, b"hello", "{at}");
            }
        }
        server.signal(Signal::SIGTERM);
        assert_eq!(server.exit_code(PATIENCE), 0);
        assert!(path.exists(), "it is not ours to remove");
        let waits = TcpStream::connect(address).expect("the manager listens");
        drop(waits);
    }
}

/// Listeners of 127.0.0.1 at a port: duplicates are one.
fn listeners_at(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc(5)");
    let wanted = format!("0100007F:{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next(), fields.nth(1)) == (Some(&wanted), Some("0A"))
    };
    table.lines().filter(is_one).count()
}

fn none_is_bound_beside_a_listener_of_a_unit_that_would_be_lost_at_a_restart(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_port(true).expect("it is of this user");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("there is a free port");
    socket.listen(128).expect("it is bound");
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().expect("it is bound").port();
    let passed = [of_unit(listener)];
    for (room, listeners) in [("0", 1), ("1", 2), ("4", 3)] {
        let launch = without_listen(backend, "3").passing(&passed).env("FDSTORE", room);
        let mut server = launch.env("NOTIFY_SOCKET", &manager.path()).start();
        let heard = manager.hear_until("READY=1", PATIENCE);
        assert_eq!(listeners_at(port), listeners, "a store with room for {room}");
        drop(Client::open(server.address(), "/echo"));
        server.signal(Signal::SIGTERM);
        assert_eq!(server.exit_code(PATIENCE), 0);
        drop(heard);
    }
}

fn rights_of_a_units_path_are_not_ours(backend: Backend) {
    let scratch = Scratch::new();
    let unix = UnixListener::bind(scratch.path().join("unit.sock")).expect("the path is ours");
    let launch = without_listen(backend, "1").args(["--unix-mode", "0660"]);
    let server = launch.passing(&[of_unit(unix)]).start();
    assert!(server.log().contains("SocketMode="), "{}", server.log());
}

fn a_stored_listener_whose_path_is_gone_is_made_again(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let args = ["--listen", &scratch.unix("throng.sock"), "--workers", "1", "--drain", "0"];
    let mut store = Vec::new();
    let mut first = start(launch(backend, &args), &manager, 4, &mut store);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.exit_code(PATIENCE), 0);
    let gone = std::fs::remove_file(scratch.path().join("throng.sock"));
    gone.expect("the path of a listener that is kept stays");
    let second = launch(backend, &args).passing(&store).env("FDSTORE", "4");
    let second = second.env("NOTIFY_SOCKET", &manager.path()).start();
    drop(Client::open(second.address(), "/echo"));
    let heard = manager.hear_until("READY=1", PATIENCE);
    let is_removed = |message: &Message| message.value("FDSTOREREMOVE") == Some("1");
    assert!(heard.iter().any(is_removed), "{heard:#?}");
    assert_eq!(stored(heard).len(), 1, "the new one is there instead");
}

fn passed_listeners_that_no_option_names_are_closed(backend: Backend) {
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = other.local_addr().expect("it is bound");
    let passed = [of_unit(other)];
    let server = launch(backend, &["--workers", "2"]).passing(&passed).start();
    assert!(server.log().contains(&format!("a listener of {address} was passed")));
    drop(passed);
    assert!(comes_to_hold(|| TcpStream::connect(address).is_err()), "nobody has it any more");
    drop(Client::open(server.address(), "/echo"));
}

fn listeners_of_another_process_are_left_alone(backend: Backend) {
    let server = launch(backend, &[]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1").start();
    assert!(!server.log().contains("was passed"), "{}", server.log());
    drop(Client::open(server.address(), "/echo"));
}

fn a_stored_listener_that_is_not_wanted_leaves_the_store(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let mut store = Vec::new();
    let mut server = start(launch(backend, &["--workers", "1"]), &manager, 4, &mut store);
    let old = server.address().clone();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    let passed = std::mem::take(&mut store);
    let launch = launch(backend, &["--workers", "1"]).passing(&passed);
    let launch = launch.env("NOTIFY_SOCKET", &manager.path()).env("FDSTORE", "4");
    let second = launch.start();
    let heard = manager.hear_until("READY=1", PATIENCE);
    let removed = heard.iter().find(|message| message.value("FDSTOREREMOVE") == Some("1"));
    let removed = removed.and_then(|message| message.value("FDNAME"));
    assert_eq!(removed, Some(passed[0].0.as_str()));
    assert_ne!(second.address(), &old);
    assert_eq!(stored(heard).len(), 1, "the new one is there instead");
}

fn more_listeners_than_the_store_takes_are_not_kept(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let unix = scratch.unix("throng.sock");
    let args = ["--listen", "127.0.0.1:0", "--listen", &unix, "--workers", "1"];
    let mut store = Vec::new();
    let mut server = start(launch(backend, &args), &manager, 1, &mut store);
    assert_eq!(store.len(), 1);
    assert!(server.log().contains("raise FileDescriptorStoreMax="), "{}", server.log());
    let addresses = server.addresses().to_vec();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 0);
    assert!(Client::connect(&addresses[0]).is_ok(), "it is kept");
    assert!(Client::connect(&addresses[1]).is_err(), "it is gone, and so is its path");
    assert!(!scratch.path().join("throng.sock").exists());
}

/// The worker stands still meanwhile, as all of the process does.
fn who_stands_in_the_queue_of_a_listener_that_is_closed_is_answered(backend: Backend) {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let args = ["--listen", "127.0.0.1:0", "--listen", &unix, "--workers", "2", "--drain", "0"];
    let mut server = launch(backend, &args).start();
    server.signal(Signal::SIGSTOP);
    let addresses = server.addresses().to_vec();
    let clients: Vec<_> = (0..200)
        .map(|number| {
            let mut client = Client::connect(&addresses[number % 2]).expect("the kernel listens");
            client.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            client
        })
        .collect();
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGCONT);
    // Some may be served before the signal is seen.
    for mut client in clients {
        let status = client.response().status;
        assert!(status == 503 || status == 200, "{status}");
    }
    assert_eq!(server.exit_code(PATIENCE), 0);
}

fn the_watchdog_is_fed_while_the_workers_live(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let launch = launch(backend, &["--workers", "2", "--drain-delay", "1h"]);
    let launch = launch.env("NOTIFY_SOCKET", &manager.path()).env("WATCHDOG_USEC", "200000");
    let mut server = launch.start();
    let _ = manager.hear_until("READY=1", PATIENCE);
    (0..3).for_each(|_| drop(manager.hear_until("WATCHDOG=1", PATIENCE)));
    server.signal(Signal::SIGTERM);
    let _ = manager.hear_until("STOPPING=1", PATIENCE);
    let heard = manager.hear_until("STATUS=saying goodbye", PATIENCE);
    assert!(heard.iter().any(|message| message.value("WATCHDOG") == Some("1")), "{heard:#?}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(PATIENCE), 1);
}

fn a_reload_is_told(backend: Backend) {
    let scratch = Scratch::new();
    let manager = Manager::at(&scratch.path().join("notify"));
    let server = launch(backend, &[]).env("NOTIFY_SOCKET", &manager.path()).start();
    let _ = manager.hear_until("READY=1", PATIENCE);
    server.signal(Signal::SIGHUP);
    let heard = manager.hear_until("RELOADING=1", PATIENCE);
    let micros = heard.last().and_then(|message| message.value("MONOTONIC_USEC"));
    assert!(micros.is_some_and(|micros| micros.parse::<u64>().is_ok()), "{heard:#?}");
    let _ = manager.hear_until("READY=1", PATIENCE);
}
