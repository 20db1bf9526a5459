//! SIGTERM with thousands of clients: each is told, and none holds the exit up.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor};
use throng::config::Backend;
use throng::limits::CLOSE_TIMEOUT;

use crate::support::{PATIENCE, report, spawn};

on_both!(
    everybody_is_told_and_the_server_ends_with_the_last,
    silent_clients_hold_the_exit_up_for_the_time_of_the_last_answers,
);

const CLIENTS: usize = 5000;

/// Goodbyes are spread over it.
const DRAIN: Duration = Duration::from_secs(1);

/// The first of these never answer a close frame, the others never read again.
const SILENT: usize = 10;

#[derive(Default)]
struct Told {
    is_busy: bool,
    echoes: usize,
    codes: usize,
    ends: usize,
    others: Vec<(usize, End)>,
}

impl Told {
    /// Half of the clients send all the time.
    fn send(&mut self, link: &mut Link) {
        if self.is_busy && link.tag.is_multiple_of(2) && link.code().is_none() {
            link.frame(BINARY, &[b"again and again"]);
        }
    }
}

impl Visitor for Told {
    fn frame(&mut self, link: &mut Link, _first: u8, _payload: &[u8]) {
        self.echoes += 1;
        self.send(link);
    }

    fn closing(&mut self, link: &mut Link, code: u16) {
        assert_eq!(code, 1001, "client {}", link.tag);
        self.codes += 1;
    }

    fn ended(&mut self, link: &Link, end: &End) {
        self.ends += 1;
        if end.code != Some(1001) {
            self.others.push((link.tag, end.clone()));
        }
    }
}

fn server(backend: Backend) -> Spawned {
    let drain = &format!("{}s", DRAIN.as_secs());
    spawn(backend, &["--workers", "4", "--drain", drain, "--ping-interval", "0"])
}

fn busy_crowd(server: &Spawned) -> (Swarm, Told) {
    let (mut swarm, mut told) = (Swarm::new(), Told::default());
    swarm.open(CLIENTS, &[Target::new(server.address(), "/echo")], &mut told);
    told.is_busy = true;
    (0..CLIENTS).for_each(|key| told.send(swarm.link(key)));
    let is_busy = swarm.run(PATIENCE, &mut told, |_, told| told.echoes > 3 * CLIENTS);
    assert!(is_busy, "{} echoes", told.echoes);
    (swarm, told)
}

fn everybody_is_told_and_the_server_ends_with_the_last(backend: Backend) {
    let mut server = server(backend);
    let (mut swarm, mut told) = busy_crowd(&server);
    server.terminate();
    let are_gone = swarm.run(PATIENCE, &mut told, |swarm, _| swarm.is_empty());
    assert!(are_gone, "{} of {CLIENTS} are gone, {} told", told.ends, told.codes);
    assert_eq!((told.codes, &told.others), (CLIENTS, &Vec::new()));
    let status = server.wait(PATIENCE).expect("it ends when the last has gone");
    assert!(status.success(), "{status}");
}

fn silent_clients_hold_the_exit_up_for_the_time_of_the_last_answers(backend: Backend) {
    let mut server = server(backend);
    let (mut swarm, mut told) = busy_crowd(&server);
    for key in 0..SILENT {
        let link = swarm.link(key);
        link.answers = false;
        link.reads = key < SILENT / 2;
    }
    let began = Instant::now();
    server.terminate();
    let are_told = swarm.run(PATIENCE, &mut told, |swarm, told| {
        told.codes == CLIENTS - SILENT / 2 && swarm.len() <= SILENT
    });
    let (left, codes) = (swarm.len(), told.codes);
    assert!(are_told, "{left} are left, {codes} told");
    // Every worker has said goodbye to somebody, so none listens any more.
    let mut refusals = 0;
    let mut status = None;
    swarm.run(PATIENCE, &mut told, |_, _| {
        refusals += usize::from(is_refused(server.address()));
        status = server.wait(Duration::ZERO);
        status.is_some()
    });
    let took = began.elapsed();
    let status = status.expect("it does not wait for ever");
    report(&format!("ended after {took:.1?} with {left} silent, {refusals} connects refused"));
    assert!(status.success(), "{status}");
    assert!(took >= CLOSE_TIMEOUT, "{left} had not answered and were not waited for: {took:?}");
    let are_bad = told.others.iter().any(|(tag, _)| *tag >= SILENT);
    assert!(!are_bad, "clients that read were told: {:?}", told.others);
}

/// Tries to connect; whoever listens for that has not begun to stop.
fn is_refused(address: SocketAddr) -> bool {
    match TcpStream::connect(address).map_err(|error| error.kind()) {
        Err(ErrorKind::ConnectionRefused) => true,
        // The kernel can connect a socket to itself where nobody listens any more.
        Ok(stream) => {
            let is_itself = stream.local_addr().is_ok_and(|own| own == address);
            assert!(is_itself, "a server that stops takes a connection");
            false
        }
        Err(kind) => panic!("neither taken nor refused: {kind}"),
    }
}
