//! Pause and resume: what comes meanwhile waits, whenever it came.

use throng::driver::End;
use throng::id::ConnId;

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::Event;
use crate::rig::Rig;

pub(crate) fn nothing_is_received_while_paused<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(1, 6000);
    rig.log.pause(conn);
    for run in bytes.chunks(2000) {
        assert_eq!(peer.write(run), run.len(), "a little finds room");
        assert_eq!(rig.log.settle(), [], "it is paused");
    }
    rig.log.resume(conn);
    rig.log.until("all comes after resume", |log| log.received(conn).len() == bytes.len());
    assert!(rig.log.received(conn) == bytes);
}

/// Pauses at the first bytes of many; the others were there already.
pub(crate) fn what_had_arrived_before_the_pause_waits<H: Harness>(rig: &mut Rig<H>) {
    for round in 0..5 {
        let (conn, mut peer) = rig.connect();
        let bytes = pattern(round, H::BULK);
        let written = peer.write(&bytes);
        let began = now();
        while !rig.log.at(conn).is_paused {
            rig.log.turn(PATIENCE, |log, event| {
                if matches!(event, Event::Received(..)) && !log.at(conn).is_paused {
                    log.pause(conn);
                }
            });
            assert!(began.elapsed() < PATIENCE, "nothing is received");
        }
        assert_eq!(rig.log.settle(), [], "it is paused");
        assert!(rig.log.received(conn).len() < written, "there is more than one receive takes");
        rig.log.resume(conn);
        rig.log.until("all comes after resume", |log| log.received(conn).len() == written);
        assert!(rig.log.received(conn) == &bytes[..written]);
    }
}

/// Some connections have data, and this one is paused in the turn that tells of one of theirs:
/// by then the driver may know of what happened to this one, or may even have received it.
///
/// `Err` if the driver told of this one first.
pub(crate) fn pause_behind_its_back<H: Harness>(
    rig: &mut Rig<H>,
    happen: impl FnOnce(H::Peer) -> Option<H::Peer>,
) -> Result<(ConnId, Option<H::Peer>), ConnId> {
    let mut others: Vec<_> = (0..4).map(|_| rig.connect().1).collect();
    let (conn, peer) = rig.connect_breakable();
    rig.log.settle();
    for other in &mut others {
        assert_eq!(other.write(b"look at me"), 10, "a little finds room");
    }
    rig.bystanders.extend(others);
    let peer = happen(peer);
    let (began, mut is_first) = (now(), true);
    let is_about = |event| match event {
        Event::Received(of, _) | Event::Ended(of, _) => of == conn,
        _ => false,
    };
    while !rig.log.at(conn).is_paused {
        rig.log.turn(PATIENCE, |log, event| {
            is_first &= !is_about(event);
            if matches!(event, Event::Received(..)) && !log.at(conn).is_paused {
                log.pause(conn);
            }
        });
        assert!(began.elapsed() < PATIENCE, "nothing is received");
    }
    let is_untold = rig.log.received(conn).is_empty() && rig.log.at(conn).ended.is_none();
    rig.log.settle();
    let has_failed = rig.log.has_failed(conn);
    if is_first && (is_untold || has_failed) { Ok((conn, peer)) } else { Err(conn) }
}

/// A connection that was written to and paused behind its back: `Err` if it was told of first.
pub(crate) fn write_behind_its_back<H: Harness>(
    rig: &mut Rig<H>,
    bytes: &[u8],
) -> Result<(ConnId, H::Peer), ConnId> {
    let paused = pause_behind_its_back(rig, |mut peer| {
        assert_eq!(peer.write(bytes), bytes.len(), "a little finds room");
        Some(peer)
    });
    paused.map(|(conn, peer)| (conn, peer.expect("it is still there")))
}

pub(crate) fn a_pause_while_another_is_received<H: Harness>(rig: &mut Rig<H>) {
    let bytes = pattern(5, 1500);
    for _ in 0..5 {
        let (conn, mut peer) = match write_behind_its_back(rig, &bytes) {
            Ok(paused) => paused,
            Err(conn) => {
                rig.log.resume(conn);
                continue;
            }
        };
        assert_eq!(rig.log.received(conn), b"", "it is paused");
        assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
        assert_eq!(rig.log.settle(), [], "it is still paused");
        rig.log.resume(conn);
        rig.log.pause(conn);
        assert_eq!(rig.log.settle(), [], "it is paused again");
        rig.log.resume(conn);
        let twice = [&bytes[..], &bytes[..]].concat();
        rig.log.until("all comes after resume", |log| log.received(conn).len() == twice.len());
        assert!(rig.log.received(conn) == twice, "in order");
    }
}

/// More are readable than are received from at once, and one of those behind is paused.
pub(crate) fn a_pause_behind_many_that_are_readable<H: Harness>(rig: &mut Rig<H>) {
    const MANY: usize = 40;
    let mut all: Vec<_> = (0..MANY).map(|_| rig.connect()).collect();
    let bytes = pattern(7, 3000);
    let (mut written, mut paused) = (vec![0; MANY], 0);
    rig.log.pause(all[paused].0);
    rig.log.together("all is received", |log| {
        for ((_, peer), written) in all.iter_mut().zip(&mut written) {
            *written += peer.write(&bytes[*written..]);
        }
        log.resume(all[paused].0);
        paused = (paused + 7) % MANY;
        log.pause(all[paused].0);
        all.iter().all(|(conn, _)| log.received(*conn).len() == bytes.len())
    });
    assert!(all.iter().all(|(conn, _)| rig.log.received(*conn) == bytes));
    rig.log.resume(all[paused].0);
}

pub(crate) fn pausing_twice_is_pausing_twice<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(6, 3000);
    for run in bytes.chunks(1000) {
        let before = rig.log.received(conn).len();
        rig.log.pause(conn);
        assert_eq!(peer.write(run), run.len(), "a little finds room");
        rig.log.settle();
        // Within one turn, none of these counts but the last.
        rig.log.resume(conn);
        rig.log.pause(conn);
        assert_eq!(rig.log.settle(), [], "it is paused again");
        rig.log.resume(conn);
        rig.log.pause(conn);
        rig.log.resume(conn);
        rig.log.until("it comes after resume", |log| log.received(conn).len() == before + 1000);
    }
    assert!(rig.log.received(conn) == bytes);
    rig.log.pause(conn);
    rig.log.pause(conn);
    rig.log.resume(conn);
    rig.deliver(conn, &mut peer, b"pauses are not counted");
    rig.log.resume(conn);
    rig.deliver(conn, &mut peer, b"nor is resume minded without a pause");
}

pub(crate) fn sends_go_on_while_paused<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    rig.log.pause(conn);
    assert_eq!(peer.write(b"later"), 5, "a little finds room");
    rig.give(conn, &mut peer, &pattern(7, H::BULK));
    assert_eq!(rig.log.received(conn), b"", "it is paused");
    rig.log.resume(conn);
    rig.log.until("it comes after resume", |log| log.received(conn) == b"later");
}

/// The bytes stay in the kernel, which has room for so many only.
pub(crate) fn a_writer_has_to_wait<H: Harness>(rig: &mut Rig<H>) {
    const TOO_MUCH: usize = 64 << 20;
    if !H::STOPS_WRITERS {
        return;
    }
    let (conn, mut peer) = rig.connect();
    rig.log.pause(conn);
    let bytes = pattern(8, 100_000);
    let mut written = 0;
    loop {
        let count = peer.write(&bytes[written % bytes.len()..]);
        written += count;
        assert!(written < TOO_MUCH, "the driver receives while it is paused");
        if count == 0 && rig.log.settle().is_empty() {
            break;
        }
    }
    rig.log.resume(conn);
    rig.log.until("all comes after resume", |log| log.received(conn).len() == written);
    let received = rig.log.received(conn);
    let is_right = received.chunks(bytes.len()).all(|run| run == &bytes[..run.len()]);
    assert!(is_right, "in order");
}

pub(crate) fn a_fin_waits_for_resume<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    rig.log.pause(conn);
    peer.finish();
    assert_eq!(rig.log.settle(), [], "it is paused");
    rig.log.resume(conn);
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
}

pub(crate) fn a_fin_waits_behind_the_data<H: Harness>(rig: &mut Rig<H>) {
    for length in [1, 512, 4096, 20_000] {
        let (conn, mut peer) = rig.connect();
        let bytes = pattern(9, length);
        rig.log.pause(conn);
        assert_eq!(peer.write(&bytes), length, "a little finds room");
        rig.log.settle();
        peer.finish();
        assert_eq!(rig.log.settle(), [], "it is paused");
        rig.log.resume(conn);
        rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
        assert!(rig.log.received(conn) == bytes, "after all of the data");
        assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    }
}

pub(crate) fn a_fin_before_a_pause_in_the_same_turn<H: Harness>(rig: &mut Rig<H>) {
    for bytes in [&b""[..], b"last words"] {
        let finished = pause_behind_its_back(rig, |mut peer| {
            peer.write_and_finish(bytes);
            Some(peer)
        });
        let (Ok((conn, _)) | Err(conn)) = finished;
        if finished.is_ok() {
            assert_eq!(rig.log.at(conn).ended, None, "it is paused");
            assert_eq!(rig.log.received(conn), b"", "it is paused");
        }
        rig.log.resume(conn);
        rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
        assert_eq!(rig.log.received(conn), bytes, "after all of the data");
        assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    }
}
