//! Close: whatever is under way, the last word comes and the peer sees the end.

use std::sync::Arc;

use throng::driver::sim::Rng;
use throng::driver::{Outgoing, Tuning};
use throng::wire::{Encoded, Form, Kind};

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::{Event, Stage};
use crate::rig::Rig;

pub(crate) fn a_close_ends_the_connection<H: Harness>(rig: &mut Rig<H>) {
    for is_paused in [false, true] {
        let (conn, mut peer) = rig.connect();
        if is_paused {
            rig.log.pause(conn);
        }
        rig.close(conn);
        assert_eq!(rig.read_to_end(&mut peer), b"");
    }
    let (conn, mut peer) = rig.connect();
    peer.finish();
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    rig.close(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"");
}

pub(crate) fn a_close_drops_what_is_being_sent<H: Harness>(rig: &mut Rig<H>) {
    for (is_paused, is_finishing) in [(false, false), (true, false), (false, true)] {
        let (conn, mut peer) = rig.connect();
        let bytes = pattern(1, H::BULK);
        rig.log.send_owned(conn, &bytes);
        if is_paused {
            rig.log.pause(conn);
        }
        if is_finishing {
            rig.log.finish(conn);
        }
        rig.log.settle();
        rig.close(conn);
        let got = rig.read_to_end(&mut peer);
        assert!(got.len() < bytes.len(), "nothing was sent after close");
        assert!(bytes.starts_with(&got));
    }
    // In the turn of the send.
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(2, H::BULK);
    rig.log.send_owned(conn, &bytes);
    rig.close(conn);
    assert!(bytes.starts_with(&rig.read_to_end(&mut peer)));
}

pub(crate) fn closed_means_that_memory_is_free<H: Harness>(rig: &mut Rig<H>) {
    let (conn, peer) = rig.connect();
    let mut frames = Encoded::default();
    frames.push(Kind::Binary, &pattern(3, H::BULK));
    let frames = Arc::new(frames);
    rig.log.send(conn, Outgoing::Shared(Arc::clone(&frames), Form::Plain));
    rig.log.settle();
    assert_eq!(Arc::strong_count(&frames), 2, "the send rests");
    rig.log.close(conn);
    let began = now();
    while !rig.log.is_gone(conn) {
        rig.log.turn(PATIENCE, |_, event| {
            if event == Event::Closed(conn) {
                assert_eq!(Arc::strong_count(&frames), 1, "the driver has let go of it");
            }
        });
        assert!(began.elapsed() < PATIENCE, "it is never closed");
    }
    drop(peer);
}

pub(crate) fn a_close_with_bytes_unread<H: Harness>(rig: &mut Rig<H>) {
    for is_paused in [false, true] {
        let (conn, mut peer) = rig.connect();
        if is_paused {
            rig.log.pause(conn);
        }
        peer.write(&pattern(4, H::BULK));
        if is_paused {
            rig.log.settle();
        }
        rig.close(conn);
        assert_eq!(rig.read_to_end(&mut peer), b"");
    }
}

/// Nothing of ours stays behind in the kernel.
pub(crate) fn a_dropped_driver_ends_its_connections<H: Harness>(harness: H) {
    let mut rig = Rig::new(harness, Tuning::for_connections(4));
    let (_, mut idle_peer) = rig.connect();
    let (busy, mut busy_peer) = rig.connect();
    let bytes = pattern(8, H::BULK);
    rig.log.send_owned(busy, &bytes);
    rig.log.settle();
    drop(rig.log);
    let mut got = Vec::new();
    let began = now();
    while !idle_peer.is_ended() || !busy_peer.is_ended() {
        assert_eq!(idle_peer.read(usize::MAX), b"");
        got.extend(busy_peer.read(usize::MAX));
        assert!(began.elapsed() < PATIENCE, "the peers see no end");
    }
    assert!(got.len() < bytes.len() && bytes.starts_with(&got));
}

/// Whatever is told first, the connection is closed at it, with all else under way.
pub(crate) fn a_close_at_every_word<H: Harness>(rig: &mut Rig<H>) {
    let mut rng = Rng::new(5);
    for _ in 0..30 {
        let (conn, mut peer) = rig.connect_breakable();
        peer.write(&pattern(6, 1 + rng.below(20_000)));
        rig.log.send_owned(conn, &pattern(7, 1 + rng.below(H::BULK)));
        match rng.below(4) {
            0 => peer.reset(),
            1 => peer.finish(),
            _ => {}
        }
        let (mut words, began) = (rng.below(4), now());
        let mut is_quiet = false;
        while words > 0 && !is_quiet {
            is_quiet = true;
            rig.log.turn(H::REST.timeout, |log, _| {
                is_quiet = false;
                words = words.saturating_sub(1);
                if words == 0 && log.at(conn).stage == Stage::Open {
                    log.close(conn);
                }
            });
            assert!(began.elapsed() < PATIENCE, "it never comes to rest");
        }
        if rig.log.at(conn).stage == Stage::Open {
            rig.log.close(conn);
        }
        rig.log.until("it is closed", |log| log.is_gone(conn));
    }
}
