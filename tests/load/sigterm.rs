//! SIGTERM with thousands of clients: each is told, and none holds the exit up.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, End, Link, Spawned, Swarm, Target, Visitor};
use throng::config::Backend;

use crate::support::{report, seconds, spawn};

on_both!(
    everybody_is_told_and_the_server_ends_well_within_the_drain,
    silent_clients_hold_the_exit_up_no_longer_than_the_drain,
);

const CLIENTS: usize = 5000;
const DRAIN: Duration = Duration::from_secs(3);

/// What a slow machine may add to the drain.
const MARGIN: Duration = Duration::from_millis(1500);

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
    spawn(backend, &["--workers", "4", "--drain", "3s", "--ping-interval", "0"])
}

fn busy_crowd(server: &Spawned) -> (Swarm, Told) {
    let (mut swarm, mut told) = (Swarm::new(), Told::default());
    swarm.open(CLIENTS, &[Target::new(server.address(), "/echo")], &mut told);
    told.is_busy = true;
    (0..CLIENTS).for_each(|key| told.send(swarm.link(key)));
    let is_busy = swarm.run(seconds(20), &mut told, |_, told| told.echoes > 3 * CLIENTS);
    assert!(is_busy, "{} echoes", told.echoes);
    (swarm, told)
}

fn everybody_is_told_and_the_server_ends_well_within_the_drain(backend: Backend) {
    let mut server = server(backend);
    let (mut swarm, mut told) = busy_crowd(&server);
    server.terminate();
    let began = Instant::now();
    let are_gone = swarm.run(DRAIN, &mut told, |swarm, _| swarm.is_empty());
    assert!(are_gone, "{} of {CLIENTS} are gone, {} told", told.ends, told.codes);
    assert_eq!((told.codes, &told.others), (CLIENTS, &Vec::new()));
    let status = server.wait(DRAIN).expect("it ends when the last has gone");
    let took = began.elapsed();
    report(&format!("{CLIENTS} were told 1001 and the server has ended within {took:.1?}"));
    assert!(status.success(), "{status}");
    assert!(took < DRAIN * 2 / 3, "{took:?}");
}

fn silent_clients_hold_the_exit_up_no_longer_than_the_drain(backend: Backend) {
    let mut server = server(backend);
    let (mut swarm, mut told) = busy_crowd(&server);
    for key in 0..SILENT {
        let link = swarm.link(key);
        link.answers = false;
        link.reads = key < SILENT / 2;
    }
    server.terminate();
    let began = Instant::now();
    // Looked at from the side, while the old connections are served.
    let refused = std::thread::spawn({
        let address = server.address();
        move || refused_since(address, began)
    });
    let are_told = swarm.run(DRAIN - seconds(1), &mut told, |swarm, told| {
        told.codes == CLIENTS - SILENT / 2 && swarm.len() <= SILENT
    });
    let (left, codes) = (swarm.len(), told.codes);
    assert!(are_told, "{left} are left, {codes} told");
    assert!(server.wait(Duration::ZERO).is_none(), "{left} have not answered and are waited for");
    let mut status = None;
    swarm.run(DRAIN + MARGIN, &mut told, |_, _| {
        status = server.wait(Duration::ZERO);
        status.is_some()
    });
    let took = began.elapsed();
    let status = status.expect("it does not wait for ever");
    let refused = refused.join().expect("all are refused").expect("connects are refused");
    assert!(refused <= Duration::from_millis(100), "connects are refused after {refused:?}");
    report(&format!("refused after {refused:.1?}, ended after {took:.1?} with {left} silent"));
    assert!(status.success(), "{status}");
    assert!(took <= DRAIN + MARGIN, "{took:?}");
    let are_bad = told.others.iter().any(|(tag, _)| *tag >= SILENT);
    assert!(!are_bad, "clients that read were told: {:?}", told.others);
}

/// How long connects were taken still. From the first refusal on, to the end of the drain, each
/// must be refused.
fn refused_since(address: SocketAddr, began: Instant) -> Option<Duration> {
    let mut since = None;
    while began.elapsed() < DRAIN {
        match TcpStream::connect(address).map_err(|error| error.kind()) {
            // The kernel can connect a socket to itself where nobody listens any more.
            Ok(stream) if stream.local_addr().is_ok_and(|own| own == address) => {}
            Ok(_) => assert_eq!(since, None, "taken again after {:?}", began.elapsed()),
            Err(ErrorKind::ConnectionRefused) => {
                since.get_or_insert_with(|| began.elapsed());
            }
            Err(kind) => panic!("neither taken nor refused: {kind}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    since
}
