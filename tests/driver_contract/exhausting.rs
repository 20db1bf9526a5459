//! Too few of everything: buffers, places in queues, descriptors.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use throng::driver::{Driver as _, Tuning, Wake as _};
use throng::id::ConnId;

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::receiving::Echo;
use crate::rig::Rig;

const TINY: Tuning = Tuning {
    budget: 64,
    connections: 4,
    submissions: 4,
    completions: 8,
    buffers: 2,
    buffer_bytes: 64,
    receive_bytes: 64,
    write_bytes: 1,
};

/// Everybody is readable at once, again and again, and slots change hands in between.
pub(crate) fn tiny_rings_lose_nothing<H: Harness>(harness: H) {
    const MANY: usize = 200;
    let mut rig = Rig::new(harness, TINY);
    for round in 0..2 {
        let connect = |rig: &mut Rig<H>| rig.harness.connect().expect("the driver listens");
        let mut peers: Vec<_> = (0..MANY).map(|_| connect(&mut rig)).collect();
        rig.log.until("all are accepted", |log| log.accepted_count() == MANY);
        let conns = rig.log.take_accepted();
        let mut echoes: Vec<_> = conns.iter().map(|conn| Echo::new(*conn)).collect();
        let bytes: Vec<_> =
            (0..MANY).map(|at| pattern(round << 16 | at as u64, 100 + at % 300)).collect();
        let mut got = vec![Vec::new(); MANY];
        for run in 1..=2 {
            for (peer, bytes) in peers.iter_mut().zip(&bytes) {
                assert_eq!(peer.write(bytes), bytes.len(), "a little finds room");
            }
            let mut turns = 0;
            rig.log.together("everybody has an echo", |log| {
                // There are so many that looking at all of them takes longer than a turn.
                turns += 1;
                if turns % 8 != 0 {
                    return false;
                }
                echoes.iter_mut().for_each(|echo| echo.go_on(log));
                let mut is_done = true;
                for ((peer, bytes), got) in peers.iter_mut().zip(&bytes).zip(&mut got) {
                    if got.len() < run * bytes.len() {
                        got.extend(peer.read(usize::MAX));
                        is_done = false;
                    }
                }
                is_done && conns.iter().all(|conn| !log.is_sending(*conn))
            });
        }
        for (got, bytes) in got.iter().zip(&bytes) {
            assert!(*got == bytes.repeat(2), "everybody has their own");
        }
        // Half of them begin to leave on the other side, all at once.
        peers.iter_mut().step_by(2).for_each(Peer::finish);
        rig.log.until("the ends are told", |log| {
            conns.iter().step_by(2).all(|conn| log.at(*conn).ended.is_some())
        });
        conns.iter().for_each(|conn| rig.log.close(*conn));
        rig.log.until("all are closed", |log| conns.iter().all(|conn| log.is_gone(*conn)));
    }
    let overflows = H::overflows(&rig.log.driver);
    assert_ne!(overflows, Some(0), "the queue of completions was to overflow");
    rig.wind_up();
}

/// A queue that overflows must not make a driver look away: a reset is told at once while paused,
/// also behind a FIN that is not.
pub(crate) fn tiny_rings_tell_of_every_reset<H: Harness>(harness: H) {
    const MANY: usize = 60;
    let mut rig = Rig::new(harness, TINY);
    let mut pairs: Vec<_> = (0..MANY).map(|_| rig.connect_breakable()).collect();
    let (early, late) = pairs.split_at(MANY / 2);
    let early: Vec<_> = early.iter().map(|(conn, _)| *conn).collect();
    let late: Vec<_> = late.iter().map(|(conn, _)| *conn).collect();
    // Before the FIN is known, and when it is, but was not met yet for want of buffers.
    early.iter().for_each(|conn| rig.log.pause(*conn));
    for (_, peer) in &mut pairs {
        peer.write_and_finish(&pattern(1, 1000));
    }
    for _ in 0..15 {
        rig.log.turn(PATIENCE, |_, _| {});
    }
    // The waker's poll overflows with the rest.
    rig.log.driver.waker().wake();
    late.iter().for_each(|conn| rig.log.pause(*conn));
    rig.log.settle();
    pairs.into_iter().for_each(|(_, peer)| peer.reset());
    rig.log.until("every reset is told", |log| {
        // Some of the FINs may have been met before the pause.
        let is_told = |conn: &ConnId| log.at(*conn).ended.is_some();
        early.iter().all(|conn| log.has_failed(*conn)) && late.iter().all(is_told)
    });
    let overflows = H::overflows(&rig.log.driver);
    assert_ne!(overflows, Some(0), "the queue of completions was to overflow");
    rig.wind_up();
}

fn open_descriptors() -> Vec<usize> {
    let entries = fs::read_dir("/proc/self/fd").expect("Linux has it");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
    // The last one is that of the listing, which is closed by now.
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Lowers the limit of the process until so many descriptors are left.
fn leave_descriptors(count: usize) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has a limit");
    let open = open_descriptors();
    // The listing itself took the lowest that was free.
    let listing = (0..).find(|number| !open.contains(number)).unwrap_or(0);
    let mut free = 0;
    let is_free = |number: &usize| {
        fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() || *number == listing
    };
    let mut limit = 0;
    while free < count {
        free += usize::from(is_free(&limit));
        limit += 1;
    }
    setrlimit(Resource::RLIMIT_NOFILE, limit as u64, hard).expect("limits may be lowered");
}

pub(crate) fn accepting_rests_without_descriptors<H: Harness>(harness: H) {
    const ROOM: usize = 3;
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let connect = |rig: &mut Rig<H>| rig.harness.connect().expect("the driver listens");
    let mut peers: Vec<_> = (0..ROOM + 3).map(|_| connect(&mut rig)).collect();
    leave_descriptors(ROOM);
    rig.log.until("there is no room for more", |log| log.accepted_count() == ROOM);
    rig.log.settle();
    let (began, mut waits) = (now(), 0);
    while began.elapsed() < Duration::from_millis(1200) {
        rig.log.turn(Duration::from_millis(1200), |_, event| panic!("{event:?}"));
        waits += 1;
    }
    assert!(waits <= 15, "it does not spin: {waits} waits in {:?}", began.elapsed());
    let first = rig.log.take_accepted();
    rig.deliver(first[1], &mut peers[1], b"the others go on");
    rig.give(first[1], &mut peers[1], b"as before");
    // A place comes free in the driver.
    rig.close(first[0]);
    for _ in 0..20 {
        rig.log.turn(Duration::ZERO, |_, _| {});
    }
    assert_eq!(rig.log.accepted_count(), 1, "the next is accepted without waiting");
    let next = rig.log.take_accepted()[0];
    rig.deliver(next, &mut peers[ROOM], b"in the place of another");
    rig.log.settle();
    // A place comes free behind its back.
    drop(peers.remove(0));
    rig.log.until("the next is accepted", |log| log.accepted_count() == 1);
    drop(peers.remove(0));
    rig.log.until("the last is accepted", |log| log.accepted_count() == 2);
    rig.wind_up();
}

pub(crate) fn no_descriptor_is_left_behind<H: Harness>(harness: H) {
    const MANY: usize = 1000;
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let (_, _peer) = rig.connect();
    let before = open_descriptors();
    for round in 0..MANY {
        let (conn, mut peer) = rig.connect();
        match round % 4 {
            0 => assert_eq!(peer.write(b"unread"), 6, "a little finds room"),
            1 => peer.finish(),
            2 => rig.log.send_owned(conn, &pattern(1, 100_000)),
            _ => {}
        }
        rig.log.close(conn);
        let began = now();
        rig.log.until("it is closed", |log| log.is_gone(conn));
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(open_descriptors(), before, "none is left");
    // Neither of those that go elsewhere, nor of listeners.
    for _ in 0..100 {
        let (conn, _peer) = rig.connect();
        drop(crate::adopting::take(&mut rig.log, conn));
    }
    assert_eq!(open_descriptors(), before, "none is left");
    rig.wind_up();
    drop(rig);
    assert!(open_descriptors().len() < before.len() - 1, "the driver's own go with it");
}
