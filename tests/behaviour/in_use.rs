//! Addresses that cannot be listened on: each with its cause and what to do about it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use testkit::client::{Client, text};
use testkit::process::{Finished, Launch};
use throng::config::Backend;

use crate::support::{PATIENCE, PROGRAM, Scratch, free_port, launch, name, server, skip};

on_both!(
    a_second_server_finds_the_port_in_use,
    a_second_server_on_a_wildcard_finds_the_port_in_use,
    of_servers_that_start_at_once_one_gets_the_port,
    a_port_of_another_program_is_in_use,
    a_later_server_gets_the_port_of_one_that_has_stopped,
    an_address_of_another_machine_is_refused,
    a_privileged_port_needs_the_right_to_it,
    one_bad_address_among_good_ones_stops_the_start,
);

/// The one line that says why a server did not start.
fn cause(finished: &Finished) -> &str {
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let mut lines = finished.stderr.lines().filter(|line| line.starts_with("throng: "));
    let line = lines.next().unwrap_or_else(|| panic!("no cause:\n{}", finished.stderr));
    assert!(finished.stderr.ends_with(&format!("{line}\n")), "{}", finished.stderr);
    assert!(!finished.stderr.contains("listening on"), "{}", finished.stderr);
    line
}

fn says_in_use(line: &str, port: u16) {
    assert!(line.contains(&port.to_string()), "{line}");
    assert!(line.contains("in use"), "{line}");
    assert!(line.contains("--listen") && line.contains("ss -ltnp"), "no remedy: {line}");
}

/// Each tries for two seconds, so they do it at the same time.
fn all_find_it_in_use(seconds: &[Launch], port: u16) {
    thread::scope(|scope| {
        for second in seconds {
            scope.spawn(move || says_in_use(cause(&second.run(PATIENCE)), port));
        }
    });
}

fn a_second_server_finds_the_port_in_use(backend: Backend) {
    for workers in [None, Some("1"), Some("3")] {
        let options = workers.map_or(vec![], |workers| vec!["--workers", workers]);
        let first = server(backend, &options);
        let listen = ["--listen", &first.address().to_string()];
        let seconds = [vec![], vec!["--workers", "1"], vec!["--workers", "3"]];
        let seconds = seconds.map(|options| launch(backend, &[&listen[..], &options].concat()));
        all_find_it_in_use(&seconds, first.port());
        let mut clients: [Client; 6] = crate::support::clients(first.address(), "/room/a");
        clients[0].write(&text("all of us are at the first"));
        for client in &mut clients {
            assert_eq!(client.frame().payload, b"all of us are at the first");
        }
    }
}

fn a_second_server_on_a_wildcard_finds_the_port_in_use(backend: Backend) {
    for (first, seconds) in [
        ("127.0.0.1", &["0.0.0.0", "[::]"][..]),
        ("0.0.0.0", &["127.0.0.1", "[::]"]),
        ("[::]", &["0.0.0.0", "127.0.0.1", "[::1]"]),
    ] {
        let first = server(backend, &["--listen", &format!("{first}:0")]);
        let at = |second| launch(backend, &["--listen", &format!("{second}:{}", first.port())]);
        let seconds: Vec<Launch> = seconds.iter().map(at).collect();
        all_find_it_in_use(&seconds, first.port());
    }
}

fn of_servers_that_start_at_once_one_gets_the_port(backend: Backend) {
    for _ in 0..3 {
        let listen = format!("127.0.0.1:{}", free_port());
        let start = || launch(backend, &["--listen", &listen, "--workers", "2"]).try_start();
        let started = thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(start));
            threads.map(|thread| thread.join().expect("starting does not panic"))
        });
        let running = started.iter().filter(|result| result.is_ok()).count();
        assert_eq!(running, 1, "{started:?}");
        for log in started.iter().filter_map(|result| result.as_ref().err()) {
            assert!(log.contains("in use"), "{log}");
        }
    }
}

fn a_port_of_another_program_is_in_use(backend: Backend) {
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = other.local_addr().expect("it is bound");
    let finished = launch(backend, &["--listen", &address.to_string()]).run(PATIENCE);
    says_in_use(cause(&finished), address.port());
}

fn a_later_server_gets_the_port_of_one_that_has_stopped(backend: Backend) {
    let mut first = server(backend, &[]);
    let listen = first.address().to_string();
    // The server closes first, so that the connection is left in TIME-WAIT.
    let mut client = Client::open(first.address(), "/echo");
    first.signal(testkit::process::Signal::SIGTERM);
    assert_eq!(client.close_code(), 1001);
    client.write(&testkit::client::close(1001));
    assert_eq!(first.exit_code(PATIENCE), 0);
    let second = server(backend, &["--listen", &listen]);
    assert_eq!(second.address().to_string(), listen);
    assert!(Client::connect(second.address()).is_ok());
}

fn an_address_of_another_machine_is_refused(backend: Backend) {
    // TEST-NET-1 and the documentation prefix: no machine has these.
    for address in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        let finished = launch(backend, &["--listen", address]).run(PATIENCE);
        let line = cause(&finished);
        assert!(line.contains(address) && line.contains("no such address"), "{line}");
    }
}

fn a_privileged_port_needs_the_right_to_it(backend: Backend) {
    let scratch = Scratch::new();
    // Where the program stands may be closed to others.
    let program = scratch.path().join("throng");
    fs::copy(PROGRAM, &program).expect("there is room for a copy");
    for path in [scratch.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("they are ours");
    }
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let start: u16 = start.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if start <= 81 {
        return skip("every port is open to everybody here");
    }
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let nobody: &[&str] = if is_root {
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    } else {
        &[]
    };
    let works = nobody.split_first().is_none_or(|(program, words)| {
        Command::new(program).args(words).arg("true").status().is_ok_and(|status| status.success())
    });
    if !works {
        return skip("root cannot become nobody here: setpriv does not work");
    }
    let args = ["--backend", name(backend), "--listen", "127.0.0.1:81"];
    let finished = Launch::new(&program).args(args).wrapped(nobody).run(PATIENCE);
    let line = cause(&finished);
    assert!(line.contains("127.0.0.1:81") && line.contains("CAP_NET_BIND_SERVICE"), "{line}");
    assert!(line.contains("--listen"), "no remedy: {line}");
}

fn one_bad_address_among_good_ones_stops_the_start(backend: Backend) {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let args = ["--listen", &unix, "--listen", "127.0.0.1:0", "--listen", "192.0.2.1:1"];
    let finished = launch(backend, &args).run(PATIENCE);
    assert!(cause(&finished).contains("192.0.2.1:1"), "{}", finished.stderr);
    assert!(!scratch.path().join("throng.sock").exists(), "its path is removed again");
}
