//! More clients than there is room for.

use std::thread;
use std::time::Duration;

use testkit::client::{Client, End, Response, handshake, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::support::{PATIENCE, clients, comes_to_hold, launch, ms, server};

on_both!(
    one_over_the_limit_reads_why_and_when_to_come_back,
    requests_count_as_connections_too,
    many_over_the_limit_at_once_do_no_harm,
    the_limit_of_descriptors_is_borne,
    a_limit_above_that_of_descriptors_is_borne_too,
    without_room_for_anybody_the_server_does_not_start,
);

fn try_upgrade(server: &Process) -> Result<(Client, Response), End> {
    let mut client = Client::connect(server.address()).map_err(|_| End::Reset)?;
    // A server without room may be quicker.
    let _ = client.try_write(handshake("/room/a", &[]).as_bytes());
    let response = client.try_response(false, PATIENCE)?;
    Ok((client, response))
}

fn one_over_the_limit_reads_why_and_when_to_come_back(backend: Backend) {
    let server = server(backend, &["--max-connections", "10"]);
    let mut inside: [Client; 10] = clients(server.address(), "/room/a");
    for _ in 0..3 {
        let (mut client, response) = try_upgrade(&server).expect("it is told");
        assert_eq!(response.status, 503);
        let seconds = response.field("Retry-After").map(str::parse::<u32>);
        assert!(matches!(seconds, Some(Ok(1..=60))), "{}", response.head);
        assert_eq!(response.field("Connection"), Some("close"));
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
    }
    let [first, ..] = &mut inside;
    first.write(&testkit::client::close(1000));
    assert_eq!(first.close_code(), 1000);
    first.finish();
    let comes_in = || try_upgrade(&server).is_ok_and(|(_, response)| response.status == 101);
    assert!(comes_to_hold(comes_in), "a place came free");
    inside[9].write(&text("hello"));
    assert_eq!(inside[8].frame().payload, b"hello");
}

fn requests_count_as_connections_too(backend: Backend) {
    let server = server(backend, &["--max-connections", "2"]);
    let before = server.sockets();
    let silent = [(); 2].map(|()| Client::connect(server.address()).expect("it listens"));
    assert!(comes_to_hold(|| server.sockets() == before + 2), "both are accepted");
    let (_, response) = try_upgrade(&server).expect("it is told");
    assert_eq!(response.status, 503);
    drop(silent);
    let comes_in = || try_upgrade(&server).is_ok_and(|(_, response)| response.status == 101);
    assert!(comes_to_hold(comes_in), "two places came free");
}

fn many_over_the_limit_at_once_do_no_harm(backend: Backend) {
    let server = server(backend, &["--max-connections", "10"]);
    let mut inside: [Client; 10] = clients(server.address(), "/room/a");
    let before = server.sockets();
    let outside: Vec<Client> =
        (0..200).map(|_| Client::connect(server.address()).expect("it listens")).collect();
    let mut told = 0;
    for mut client in outside {
        let _ = client.try_write(handshake("/room/a", &[]).as_bytes());
        match client.try_response(false, PATIENCE) {
            Ok(response) => {
                assert_eq!(response.status, 503, "{}", response.head);
                told += 1;
            }
            Err(end) => assert_ne!(end, End::Open, "nobody is left waiting"),
        }
    }
    assert!(told >= 20, "{told} were told why");
    inside[3].write(&text("undisturbed"));
    for client in &mut inside {
        assert_eq!(client.frame().payload, b"undisturbed");
    }
    assert!(comes_to_hold(|| server.sockets() == before), "none is left behind");
    drop(inside);
    let comes_in = || try_upgrade(&server).is_ok_and(|(_, response)| response.status == 101);
    assert!(comes_to_hold(comes_in), "ten places came free");
}

fn the_limit_of_descriptors_is_borne(backend: Backend) {
    bear_a_thousand(&launch(backend, &[]).nofile(200).start());
}

fn a_limit_above_that_of_descriptors_is_borne_too(backend: Backend) {
    let server = launch(backend, &["--max-connections", "100000"]).nofile(200).start();
    let log = server.log();
    let warnings = log.lines().filter(|line| line.contains("--max-connections 100000"));
    assert_eq!(warnings.count(), 1, "{log}");
    bear_a_thousand(&server);
}

/// A thousand clients come to a server with room for a few hundred, and stay.
fn bear_a_thousand(server: &Process) {
    let connect = |_| Client::connect(server.address()).expect("it listens");
    let mut all: Vec<Client> = (0..1000).map(connect).collect();
    for client in &mut all {
        // A server without room may be quicker.
        let _ = client.try_write(handshake("/room/a", &[]).as_bytes());
    }
    let (mut inside, mut told, mut closed, mut waiting) = (0, 0, 0, 0);
    for client in &mut all {
        match client.try_response(false, PATIENCE) {
            Ok(response) if response.status == 101 => inside += 1,
            Ok(response) => {
                assert_eq!(response.status, 503, "{}", response.head);
                told += 1;
            }
            Err(End::Open) => waiting += 1,
            Err(_) => closed += 1,
        }
    }
    let counts = format!("{inside} inside, {told} told, {closed} closed, {waiting} waiting");
    assert!(inside >= 100, "{counts}");
    assert!(told >= 1, "{counts}");
    assert_eq!(waiting, 0, "{counts}");
    thread::sleep(ms(500));
    let before = server.sleeps();
    thread::sleep(Duration::from_secs(3));
    // Accepting is tried again twice a second by each worker.
    let woken = server.sleeps() - before;
    assert!(woken <= 100, "woken {woken} times in 3 s: {counts}");
    drop(all);
    let comes_in = || try_upgrade(server).is_ok_and(|(_, response)| response.status == 101);
    assert!(comes_to_hold(comes_in), "it recovers: {counts}");
    let log = server.log();
    let noisy = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    // One at the start, one of each worker, and of those who are told one in ten seconds.
    let refused = log.matches("refused with 503").count();
    assert!((1..=13).contains(&refused), "{log}");
    assert!(noisy.count() <= 1 + 2 + refused, "each worker says things once:\n{log}");
}

fn without_room_for_anybody_the_server_does_not_start(backend: Backend) {
    let finished = launch(backend, &[]).nofile(40).run(PATIENCE);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let lines: Vec<&str> =
        finished.stderr.lines().filter(|line| line.starts_with("throng: ")).collect();
    assert!(matches!(lines[..], [line] if line.contains("ulimit -n")), "{}", finished.stderr);
}
