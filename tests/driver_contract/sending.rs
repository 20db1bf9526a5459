//! Sends: of any shape, and to peers that take their time.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use throng::driver::sim::Rng;
use throng::driver::{Buffer, Driver, Outgoing, Part, Parts, Tuning};
use throng::id::ConnId;
use throng::wire::{Encoded, Form, Kind};

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::Event;
use crate::rig::Rig;

pub(crate) fn a_send_rests_until_the_peer_reads<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let (other, mut other_peer) = rig.connect();
    let bytes = pattern(1, H::BULK);
    rig.log.send_owned(conn, &bytes);
    assert_eq!(rig.log.settle(), [], "nobody has read, so it is not sent");
    rig.give(other, &mut other_peer, b"the others do not wait");
    rig.deliver(conn, &mut peer, b"nor does the other direction");
    rig.collect(conn, &mut peer, &bytes);
    assert_eq!(rig.log.at(conn).sent, 1);
}

/// In steps of which one is five buffers of a Unix socket: what it has not read is the same again
/// then, once the kernel has filled up what was.
pub(crate) fn whether_the_peer_takes_anything_shows<H: Harness>(rig: &mut Rig<H>) {
    for step in [H::BULK / 8, H::BULK * 11 / 64] {
        shows_in_steps(rig, step);
    }
}

fn shows_in_steps<H: Harness>(rig: &mut Rig<H>, step: usize) {
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(1, H::BULK);
    rig.log.send_owned(conn, &bytes);
    rig.log.settle();
    let mut got = Vec::new();
    loop {
        let before = taken_while_nobody_reads(rig, conn);
        let enough = got.len() + step;
        rig.log.together("some is read", |_| {
            got.extend(peer.read(enough - got.len().min(enough)));
            got.len() >= enough.min(H::BULK)
        });
        rig.log.settle();
        if !rig.log.is_sending(conn) {
            break;
        }
        assert_ne!(rig.log.driver.taken(conn), before, "the peer has read");
    }
    assert!(bytes.starts_with(&got));
    rig.collect(conn, &mut peer, &bytes[got.len()..]);
}

/// It stands still in the end. Until then the kernel fills the peer's buffer, which takes a while
/// where it paces what it sends.
fn taken_while_nobody_reads<H: Harness>(rig: &mut Rig<H>, conn: ConnId) -> u32 {
    let began = now();
    let mut taken = rig.log.driver.taken(conn);
    loop {
        rig.log.settle();
        let before = std::mem::replace(&mut taken, rig.log.driver.taken(conn));
        if taken == before {
            return taken;
        }
        assert!(began.elapsed() < PATIENCE, "nobody has read, and it does not stand still");
    }
}

fn shared(seed: u64, length: usize) -> Arc<Encoded> {
    let mut frames = Encoded::default();
    frames.push(Kind::Binary, &pattern(seed, length));
    Arc::new(frames)
}

fn owned(seed: u64, length: usize) -> Box<Buffer> {
    Box::new(Buffer { bytes: pattern(seed, length) })
}

/// Shared and owned runs by turns, more of them than one system call takes, some of them long.
fn mixed_parts(count: usize, longest: usize) -> Outgoing {
    let mut rng = Rng::new(count as u64);
    let mut parts = Parts::default();
    for seed in 0..count as u64 {
        let length = if rng.one_in(10) { longest } else { 1 + rng.below(90) };
        parts.push(if rng.one_in(2) {
            Part::Shared(shared(seed, length), Form::Plain)
        } else {
            Part::Owned(owned(seed, length))
        });
    }
    Outgoing::Parts(Box::new(parts))
}

pub(crate) fn parts_arrive_in_order<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let longest = H::BULK / 16;
    for (count, longest) in [(1, 9), (2, 10), (64, 50), (65, 50), (200, 300), (150, longest)] {
        let parts = mixed_parts(count, longest);
        let bytes = parts.to_vec(0);
        rig.log.send(conn, parts);
        if count % 2 == 0 {
            rig.log.settle();
        }
        rig.collect(conn, &mut peer, &bytes);
    }
    assert_eq!(rig.log.at(conn).sent, 6);
}

pub(crate) fn frames_are_shared_by_many<H: Harness>(rig: &mut Rig<H>) {
    let frames = shared(7, 3000);
    let mut listeners: Vec<_> = (0..20).map(|_| rig.connect()).collect();
    for (conn, _) in &listeners {
        rig.log.send(*conn, Outgoing::Shared(Arc::clone(&frames), Form::Plain));
    }
    for (conn, peer) in &mut listeners {
        rig.collect(*conn, peer, frames.bytes(Form::Plain));
    }
    assert_eq!(Arc::strong_count(&frames), 1, "nobody keeps what was sent");
}

pub(crate) fn sends_follow_each_other<H: Harness>(rig: &mut Rig<H>) {
    const SENDS: usize = 100;
    let (conn, mut peer) = rig.connect();
    let chunks: Vec<Vec<u8>> =
        (0..SENDS).map(|at| pattern(at as u64, 1 + 37 * at % 3000)).collect();
    let (mut next, mut got) = (1, Vec::new());
    rig.log.send_owned(conn, &chunks[0]);
    let began = now();
    while rig.log.at(conn).sent < SENDS {
        assert!(began.elapsed() < PATIENCE, "{next} of {SENDS} were sent");
        // In the very turn that tells of the last one.
        rig.log.turn(Duration::from_millis(1), |log, event| {
            if event == Event::Sent(conn) && next < SENDS {
                log.send_owned(conn, &chunks[next]);
                next += 1;
            }
        });
        got.extend(peer.read(usize::MAX));
    }
    rig.log.together("all is read", |_| {
        got.extend(peer.read(usize::MAX));
        got.len() >= chunks.iter().map(Vec::len).sum()
    });
    assert!(got == chunks.concat(), "in order");
}

/// However often the kernel has to go on with it: io_uring would have a thread block in the end.
pub(crate) fn a_long_send_is_given_to_no_thread<H: Harness>(harness: H) {
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(3, 16 * H::BULK);
    rig.log.send_owned(conn, &bytes);
    let (mut got, mut threads) = (0, HashSet::new());
    let began = now();
    while got < bytes.len() || rig.log.is_sending(conn) {
        let some = peer.read(usize::MAX);
        assert!(bytes[got..].starts_with(&some), "in order, nothing lost");
        got += some.len();
        rig.log.turn(Duration::from_millis(1), |_, _| {});
        threads.extend(names_of_threads());
        assert!(began.elapsed() < PATIENCE, "{got} bytes have come");
    }
    let is_of_kernel = |name: &&String| name.starts_with("iou-");
    assert_eq!(threads.iter().find(is_of_kernel), None);
    rig.wind_up();
}

fn names_of_threads() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").expect("Linux has it").flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok()).collect()
}
