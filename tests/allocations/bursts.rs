//! What connections took is given back when they have gone, by the worker and by the drivers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use throng::config::Config;
use throng::driver::epoll::Seed;
use throng::driver::uring::{self, UringDriver};
use throng::driver::{Completion, Driver, EventWaker, Outgoing, Tuning};
use throng::id::ConnId;
use throng::limits::BURST_OVER;
use throng::worker::{Shared, Worker, mailboxes};

use crate::counting::held;
use crate::prepared::{NoWaker, Prepared};
use crate::report;
use crate::worker::{conns, frames, request, turn};

const MANY: usize = 50_000;

fn worker() -> Worker<Prepared> {
    let config = Config { ping_interval: Duration::from_secs(5), ..Config::default() };
    let shared = Arc::new(Shared::new(config, 1, MANY));
    let mail = mailboxes(&[NoWaker], 16).remove(0);
    Worker::new(Prepared::new(), shared, Arc::default(), mail, MANY)
}

fn pass(worker: &mut Worker<Prepared>, span: Duration, step: Duration) {
    for _ in 0..span.as_micros() / step.as_micros() {
        worker.driver().pass(step);
        turn(worker);
    }
}

/// So many come at once and say something, each in a room of its own if they are to have some,
/// and all are gone again.
fn come_and_go(worker: &mut Worker<Prepared>, count: usize, rooms: usize) {
    let path = |at: usize| format!("/room/{}", at % rooms);
    worker.driver().accept(conns(count));
    let requests = conns(count).enumerate().map(|(at, conn)| (conn, request(&path(at))));
    worker.driver().receive(requests);
    turn(worker);
    worker.driver().receive_for_replies(conns(count).map(|conn| (conn, frames(1, 20))));
    turn(worker);
    worker.driver().receive(std::iter::empty());
    pass(worker, Duration::from_secs(12), Duration::from_millis(10));
    worker.driver().reset(conns(count));
    turn(worker);
    pass(worker, BURST_OVER * 3, Duration::from_millis(100));
}

#[test]
fn a_worker_holds_nothing_for_connections_that_have_gone() {
    let mut worker = worker();
    come_and_go(&mut worker, 3000, 1);
    let before = held();
    for rooms in [1, 1000, MANY] {
        come_and_go(&mut worker, MANY, rooms);
        let more = held() - before;
        report(&format!("{MANY} in {rooms} rooms have left {more} bytes"));
        assert!(more < 8192, "{MANY} connections in {rooms} rooms have left {more} bytes");
    }
}

/// What a worker holds more after 40 s than after one, by what it does each 20 ms.
fn growth(mut act: impl FnMut(&mut Worker<Prepared>)) -> i64 {
    let mut worker = worker();
    let mut step = || {
        worker.driver().pass(Duration::from_millis(20));
        act(&mut worker);
        held()
    };
    let early = (0..50).map(|_| step()).max();
    let late = (50..2000).map(|_| step()).max();
    late.zip(early).map(|(late, early)| late - early).expect("there were steps")
}

#[test]
fn who_asks_on_and_on_has_one_deadline() {
    const ASKING: usize = 100;
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut has_come = false;
    let growth = growth(|worker| {
        if !std::mem::replace(&mut has_come, true) {
            worker.driver().accept(conns(ASKING));
            worker.driver().receive(conns(ASKING).map(|conn| (conn, bytes.to_vec())));
        }
        turn(worker);
    });
    assert!(growth < 64 * ASKING as i64, "{growth} bytes more for {ASKING} connections");
}

#[test]
fn a_storm_of_reconnects_leaves_no_deadlines() {
    const AT_ONCE: usize = 100;
    let mut generation = 0;
    let growth = growth(|worker| {
        generation += 1;
        let conns = || (0..AT_ONCE as u32).map(move |index| ConnId { index, generation });
        worker.driver().accept(conns());
        turn(worker);
        worker.driver().reset(conns());
        turn(worker);
        turn(worker);
    });
    assert!(growth < 128 << 10, "{growth} bytes more");
}

/// Does something to a driver.
type Doing<'a> = dyn FnMut(Act<'_>) + 'a;

/// Tries both interfaces of the kernel, as far as they are to be had here.
fn on_both(case: fn(&str, &mut Doing<'_>)) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.max(soft), hard).expect("limits may be raised so far");
    let tuning = Tuning::for_connections(10_000);
    let mut epoll = Seed::new().expect("there are descriptors").build(tuning);
    case("epoll", &mut |act| act.on(&mut epoll));
    if uring::probe().is_ok() {
        let waker = EventWaker::new().expect("there are descriptors");
        let mut uring = UringDriver::new(waker, tuning).expect("the probe has found no obstacle");
        case("io_uring", &mut |act| act.on(&mut uring));
    }
}

/// What is done to a driver.
enum Act<'a> {
    /// So many come, are sent something and go, and the driver is trimmed.
    ComeAndGo(usize),
    /// One has something that was received while it was paused, and is resumed and paused again.
    Waver(&'a mut i64),
}

impl Act<'_> {
    fn on(self, driver: &mut impl Driver) {
        match self {
            Self::ComeAndGo(count) => come_and_go_on(driver, count),
            Self::Waver(growth) => *growth = waver_on(driver),
        }
    }
}

fn adopt(driver: &mut impl Driver) -> (ConnId, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("there are descriptors");
    (driver.adopt(ours.into()).expect("a connected socket can be adopted"), peer)
}

fn come_and_go_on(driver: &mut impl Driver, count: usize) {
    let mut pairs: Vec<_> = (0..count).map(|_| adopt(driver)).collect();
    for (conn, _) in &pairs {
        driver.send(*conn, Outgoing::copied(b"something"));
    }
    until(driver, count, |completion| matches!(completion, Completion::Sent(..)));
    for (_, peer) in &mut pairs {
        peer.read_exact(&mut [0; 9]).expect("it was sent");
        peer.write_all(b"something else").expect("a little finds room");
    }
    until(driver, count, |completion| matches!(completion, Completion::Received(..)));
    pairs.iter().for_each(|(conn, _)| driver.close(*conn));
    until(driver, count, |completion| matches!(completion, Completion::Closed(_)));
    driver.trim();
}

/// Turns until so many completions of a kind were told.
fn until(driver: &mut impl Driver, count: usize, is_it: impl Fn(&Completion<'_>) -> bool) {
    let mut told = 0;
    while told < count {
        driver.wait(Duration::from_secs(10)).expect("the kernel's interface works");
        while let Some(completion) = driver.next() {
            told += usize::from(is_it(&completion));
        }
    }
}

fn waver_on(driver: &mut impl Driver) -> i64 {
    let mut pairs: Vec<_> = (0..8).map(|_| adopt(driver)).collect();
    for (_, peer) in &mut pairs {
        peer.write_all(b"something").expect("a little finds room");
    }
    // All are received at once, and the others are paused when the first is told of.
    let mut first = None;
    while first.is_none() {
        driver.wait(Duration::from_secs(10)).expect("the kernel's interface works");
        if let Some(Completion::Received(conn, _)) = driver.next() {
            first = Some(conn);
        }
    }
    let others = || pairs.iter().map(|(conn, _)| *conn).filter(|conn| Some(*conn) != first);
    others().for_each(|conn| driver.pause(conn));
    for _ in 0..3 {
        while driver.next().is_some() {}
        driver.wait(Duration::ZERO).expect("the kernel's interface works");
    }
    let before = held();
    for _ in 0..10_000 {
        others().for_each(|conn| driver.resume(conn));
        others().for_each(|conn| driver.pause(conn));
    }
    let growth = held() - before;
    others().for_each(|conn| driver.resume(conn));
    until(driver, 7, |completion| matches!(completion, Completion::Received(..)));
    pairs.iter().for_each(|(conn, _)| driver.close(*conn));
    until(driver, 8, |completion| matches!(completion, Completion::Closed(_)));
    growth
}

#[test]
fn a_driver_holds_nothing_for_connections_that_have_gone() {
    on_both(|name, driver| {
        driver(Act::ComeAndGo(1500));
        let before = held();
        driver(Act::ComeAndGo(6000));
        assert_eq!(held() - before, 0, "{name}: bytes of 6,000 connections are left");
    });
}

#[test]
fn who_is_paused_and_resumed_again_and_again_stands_in_line_once() {
    on_both(|name, driver| {
        let mut growth = 0;
        driver(Act::Waver(&mut growth));
        assert!(growth < 4096, "{name}: {growth} bytes more");
    });
}
