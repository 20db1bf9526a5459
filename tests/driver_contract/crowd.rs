//! What must not cost more for one connection because many others are open.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use throng::driver::{Completion, Driver, Tuning};
use throng::id::ConnId;

use crate::harness::{Harness, PATIENCE, now};

/// Closed at a time to see what it takes.
const CLOSED: usize = 50;

pub(crate) fn a_close_costs_the_same_among_many<H: Harness>(mut harness: H) {
    const MANY: usize = 3000;
    raise_descriptors();
    let mut driver = harness.driver(Tuning::for_connections(MANY));
    let mut peers = Vec::new();
    let mut open = |count: usize, driver: &mut H::Driver| -> Vec<ConnId> {
        let (sockets, others): (Vec<OwnedFd>, Vec<_>) =
            (0..count).map(|_| harness.socket()).unzip();
        peers.extend(others);
        let adopt = |socket| driver.adopt(socket).expect("a connected socket can be adopted");
        sockets.into_iter().map(adopt).collect()
    };
    let few = (0..5).map(|_| cost_of_closes(&mut driver, |driver| open(CLOSED, driver))).min();
    let _crowd = open(MANY, &mut driver);
    let many = (0..5).map(|_| cost_of_closes(&mut driver, |driver| open(CLOSED, driver))).min();
    let (few, many) = (few.expect("five rounds"), many.expect("five rounds"));
    eprintln!("{CLOSED} closes: {few:?} by themselves, {many:?} among {MANY}");
    assert!(many < few * 4, "{CLOSED} closes take {few:?}, and {many:?} among {MANY}");
}

/// CPU time of this thread for closing those that `open` makes.
fn cost_of_closes<D: Driver>(
    driver: &mut D,
    mut open: impl FnMut(&mut D) -> Vec<ConnId>,
) -> Duration {
    let conns = open(driver);
    turn(driver);
    let before = cpu_time();
    for conn in conns {
        driver.close(conn);
    }
    let (mut closed, began) = (0, now());
    while closed < CLOSED {
        closed += turn(driver);
        assert!(began.elapsed() < PATIENCE, "they are closed");
    }
    cpu_time() - before
}

/// How many were closed.
fn turn<D: Driver>(driver: &mut D) -> usize {
    driver.wait(Duration::from_millis(1)).expect("the kernel's interface works");
    let mut closed = 0;
    while let Some(completion) = driver.next() {
        closed += usize::from(matches!(completion, Completion::Closed(_)));
    }
    closed
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it").into()
}

fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("limits may be raised so far");
}
