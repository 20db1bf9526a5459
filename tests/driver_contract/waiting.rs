//! When a wait ends: work, a wake, or the time.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use throng::driver::{Driver, Tuning, Wake};

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::Event;
use crate::rig::Rig;

/// Longer than anything here takes, shorter than what a wait is given.
const SOON: Duration = Duration::from_secs(5);

/// With a wait for every completion, none of them may sleep while there is another.
pub(crate) fn a_wait_does_not_sleep_over_work<H: Harness>(rig: &mut Rig<H>) {
    let mut pairs: Vec<_> = (0..10).map(|_| rig.connect()).collect();
    rig.log.settle();
    for (conn, peer) in &mut pairs {
        assert_eq!(peer.write(&pattern(1, 2000)), 2000, "a little finds room");
        rig.log.send_owned(*conn, b"out");
    }
    let began = now();
    rig.log.until("all is told", |log| {
        pairs.iter().all(|(conn, _)| log.received(*conn).len() == 2000 && !log.is_sending(*conn))
    });
    pairs.iter().for_each(|(conn, _)| rig.log.close(*conn));
    rig.log.until("all are closed", |log| pairs.iter().all(|(conn, _)| log.is_gone(*conn)));
    assert!(began.elapsed() < SOON, "a wait has slept although there was something to tell");
}

/// Whoever is sent to again and again takes no more than a share of what is handed out.
pub(crate) fn sends_that_go_on_keep_nobody_waiting<H: Harness>(rig: &mut Rig<H>) {
    const TURNS: usize = 300;
    let mut busy: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    let (quiet, mut quiet_peer) = rig.connect();
    for (conn, _) in &busy {
        rig.log.send_owned(*conn, b"again");
    }
    let mut late = None;
    for turn in 0..TURNS {
        rig.log.turn(Duration::ZERO, |log, event| {
            if let Event::Sent(conn) = event {
                log.send_owned(conn, b"and again");
            }
        });
        busy.iter_mut().for_each(|(_, peer)| drop(peer.read(usize::MAX)));
        if turn == 20 {
            assert_eq!(quiet_peer.write(b"hello"), 5, "a little finds room");
            late = rig.harness.connect();
        }
    }
    assert_eq!(rig.log.received(quiet), b"hello");
    assert_eq!(rig.log.take_accepted().len(), 1, "the connect is accepted");
    drop(late);
}

pub(crate) fn a_wake_is_told<H: Harness>(rig: &mut Rig<H>) {
    for round in 1..=20 {
        rig.log.driver.waker().wake();
        rig.log.until("the wake is told", |log| log.woken >= round);
        rig.log.settle();
        rig.log.woken = round;
    }
}

pub(crate) fn many_wakes_are_told<H: Harness>(rig: &mut Rig<H>) {
    let wakers = [rig.log.driver.waker(), rig.log.driver.waker().clone()];
    for _ in 0..100 {
        wakers.iter().for_each(Wake::wake);
    }
    rig.log.until("a wake is told", |log| log.woken > 0);
    rig.log.settle();
    assert!(rig.log.woken <= 200, "nobody wakes a driver but us");
    let (conn, mut peer) = rig.connect();
    rig.log.woken = 0;
    wakers[0].wake();
    rig.deliver(conn, &mut peer, b"among others");
    rig.log.until("the wake is told", |log| log.woken > 0);
}

pub(crate) fn a_wait_ends_in_time<H: Harness>(harness: H) {
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let (_, _peer) = rig.connect();
    rig.log.settle();
    for timeout in [0, 1, 20, 100].map(Duration::from_millis) {
        let began = now();
        rig.log.turn(timeout, |_, event| panic!("{event:?} out of nothing"));
        assert!(began.elapsed() >= timeout, "it waits as long as it was told to");
        assert!(began.elapsed() < SOON, "and no longer");
    }
    rig.wind_up();
}

pub(crate) fn a_wake_ends_the_wait_of_another_thread<H: Harness>(harness: H) {
    const ROUNDS: usize = 300;
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let (_, _peer) = rig.connect();
    rig.log.settle();
    let waker = rig.log.driver.waker();
    let barrier = Barrier::new(2);
    let began = now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                barrier.wait();
                // Sometimes the wait is asleep by now, sometimes it has not begun.
                (0..round % 7 * 50).for_each(|_| thread::yield_now());
                waker.wake();
            }
        });
        for _ in 0..ROUNDS {
            barrier.wait();
            let before = rig.log.woken;
            rig.log.until("the wake is told", |log| log.woken > before);
        }
    });
    assert!(began.elapsed() < PATIENCE, "no wait sleeps over a wake");
    rig.wind_up();
}
