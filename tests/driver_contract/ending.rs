//! The end that the peer makes: a FIN behind its data, or a reset.

use throng::driver::End;
use throng::id::ConnId;

use crate::harness::{Harness, Peer, pattern};
use crate::log::Event;
use crate::pausing::pause_behind_its_back;
use crate::rig::Rig;

fn await_finished<H: Harness>(rig: &mut Rig<H>, conn: ConnId, bytes: &[u8]) {
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert!(rig.log.received(conn) == bytes, "all of the data comes before the end");
    assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    assert_eq!(rig.log.settle(), [], "nothing comes behind the end");
}

pub(crate) fn await_failed<H: Harness>(rig: &mut Rig<H>, conn: ConnId) {
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert!(rig.log.has_failed(conn), "{:?}", rig.log.at(conn).ended);
    let events = rig.log.settle();
    let is_told = |event: &Event| *event != Event::Sent(conn);
    assert!(!events.iter().any(is_told), "nothing comes behind the end: {events:?}");
}

pub(crate) fn data_and_fin_together<H: Harness>(rig: &mut Rig<H>) {
    for length in [1, 100, 511, 512, 513, 1024, 4096] {
        let bytes = pattern(length as u64, length);
        let (conn, mut peer) = rig.connect();
        peer.write_and_finish(&bytes);
        await_finished(rig, conn, &bytes);
        rig.close(conn);
        // Once more, before the connection is accepted.
        let mut peer = rig.harness.connect().expect("the driver listens");
        peer.write_and_finish(&bytes);
        rig.log.until("it is accepted", |log| log.accepted_count() > 0);
        let conn = rig.log.take_accepted()[0];
        await_finished(rig, conn, &bytes);
    }
}

pub(crate) fn data_beyond_the_buffer_and_fin<H: Harness>(rig: &mut Rig<H>) {
    let lengths = [rig.tuning.buffer_bytes, rig.tuning.receive_bytes];
    for length in lengths.map(|length| [length, 2 * length, 2 * length + 1]).concat() {
        let bytes = pattern(length as u64, length);
        let (conn, mut peer) = rig.connect();
        let mut written = 0;
        rig.log.together("all is written", |_| {
            written += peer.write(&bytes[written..]);
            written == bytes.len()
        });
        peer.finish();
        await_finished(rig, conn, &bytes);
    }
}

pub(crate) fn a_reset_is_told<H: Harness>(rig: &mut Rig<H>) {
    let (conn, peer) = rig.connect_breakable();
    peer.reset();
    await_failed(rig, conn);
    rig.close(conn);
    // And where there is something to receive, which the reset may destroy.
    let (conn, mut peer) = rig.connect_breakable();
    let bytes = pattern(2, 5000);
    assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
    peer.reset();
    await_failed(rig, conn);
    assert!(bytes.starts_with(rig.log.received(conn)));
}

pub(crate) fn a_reset_is_told_while_paused<H: Harness>(rig: &mut Rig<H>) {
    for has_data in [false, true] {
        let (conn, mut peer) = rig.connect_breakable();
        rig.log.pause(conn);
        if has_data {
            assert_eq!(peer.write(b"never seen"), 10, "a little finds room");
            assert_eq!(rig.log.settle(), [], "it is paused");
        }
        peer.reset();
        await_failed(rig, conn);
        rig.log.resume(conn);
        assert_eq!(rig.log.settle(), [], "nothing comes behind the end");
    }
}

pub(crate) fn a_reset_before_a_pause_in_the_same_turn<H: Harness>(rig: &mut Rig<H>) {
    for has_data in [false, true, false, true] {
        let broken = pause_behind_its_back(rig, |mut peer| {
            if has_data {
                assert_eq!(peer.write(b"never seen"), 10, "a little finds room");
            }
            peer.reset();
            None
        });
        // If there was something to tell first, the pause came late and this is another case.
        let (Ok((conn, _)) | Err(conn)) = broken;
        if broken.is_err() && rig.log.at(conn).ended.is_none() {
            rig.log.resume(conn);
        }
        await_failed(rig, conn);
    }
}

/// What was received by the time of the pause is not told after the failure.
pub(crate) fn a_reset_after_data_while_paused<H: Harness>(rig: &mut Rig<H>) {
    for _ in 0..3 {
        let written = pause_behind_its_back(rig, |mut peer| {
            assert_eq!(peer.write(b"seen too late"), 13, "a little finds room");
            Some(peer)
        });
        let Ok((conn, Some(peer))) = written else { continue };
        peer.reset();
        await_failed(rig, conn);
        rig.log.resume(conn);
        assert_eq!(rig.log.settle(), [], "nothing comes behind the end");
    }
}

pub(crate) fn a_reset_while_a_send_rests<H: Harness>(rig: &mut Rig<H>) {
    let (conn, peer) = rig.connect();
    rig.log.send_owned(conn, &pattern(3, H::BULK));
    rig.log.settle();
    peer.reset();
    await_failed(rig, conn);
}

pub(crate) fn a_reset_while_a_send_rests_and_paused<H: Harness>(rig: &mut Rig<H>) {
    let (conn, peer) = rig.connect();
    rig.log.pause(conn);
    rig.log.send_owned(conn, &pattern(4, H::BULK));
    rig.log.settle();
    peer.reset();
    await_failed(rig, conn);
    rig.log.resume(conn);
    assert_eq!(rig.log.settle(), [], "nothing comes behind the end");
}
