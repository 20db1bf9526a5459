//! Connections that come from elsewhere or go there.

use std::os::fd::OwnedFd;

use throng::driver::{Driver, End, Outgoing};
use throng::id::ConnId;

use crate::harness::{Harness, Peer, pattern};
use crate::log::{Event, Log};
use crate::moving::Flow;
use crate::pausing::write_behind_its_back;
use crate::rig::Rig;

pub(crate) fn an_adopted_socket_works_like_an_accepted_one<H: Harness>(rig: &mut Rig<H>) {
    let (socket, mut peer) = rig.harness.socket();
    let conn = rig.log.adopt(socket);
    rig.deliver(conn, &mut peer, &pattern(1, 5000));
    rig.give(conn, &mut peer, &pattern(2, H::BULK));
    rig.log.pause(conn);
    assert_eq!(peer.write(b"later"), 5, "a little finds room");
    assert_eq!(rig.log.settle(), [], "it is paused");
    rig.log.resume(conn);
    rig.log.until("it comes after resume", |log| log.received(conn).ends_with(b"later"));
    peer.finish();
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    rig.close(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"");
    // Beside one that is accepted.
    let (accepted, mut accepted_peer) = rig.connect();
    let (socket, mut peer) = rig.harness.socket();
    let adopted = rig.log.adopt(socket);
    rig.deliver(accepted, &mut accepted_peer, b"one");
    rig.deliver(adopted, &mut peer, b"the other");
}

pub(crate) fn what_waits_in_an_adopted_socket_is_received<H: Harness>(rig: &mut Rig<H>) {
    let bytes = pattern(3, 3000);
    let (socket, mut peer) = rig.harness.socket();
    assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
    let conn = rig.log.adopt(socket);
    rig.log.until("it is received", |log| log.received(conn).len() == bytes.len());
    assert!(rig.log.received(conn) == bytes);
    rig.deliver(conn, &mut peer, b"and more");
    // With a FIN behind it.
    let (socket, mut peer) = rig.harness.socket();
    peer.write_and_finish(&bytes);
    let conn = rig.log.adopt(socket);
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert!(rig.log.received(conn) == bytes);
    assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    // And paused in the same turn.
    let (socket, mut peer) = rig.harness.socket();
    assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
    let conn = rig.log.adopt(socket);
    rig.log.pause(conn);
    assert_eq!(rig.log.settle(), [], "it is paused");
    rig.log.resume(conn);
    rig.log.until("it is received", |log| log.received(conn).len() == bytes.len());
}

/// Gives a connection away, and waits until it is gone.
pub(crate) fn take<D: Driver>(log: &mut Log<D>, conn: ConnId) -> (OwnedFd, Option<Outgoing>) {
    log.release(conn);
    log.until("it is released", |log| log.is_gone(conn));
    log.take_released(conn)
}

pub(crate) fn a_released_socket_works<H: Harness>(rig: &mut Rig<H>) {
    for is_paused in [false, true] {
        let (conn, mut peer) = rig.connect();
        rig.deliver(conn, &mut peer, b"to the first");
        if is_paused {
            rig.log.pause(conn);
        }
        let (socket, rest) = take(&mut rig.log, conn);
        assert!(rest.is_none(), "nothing was being sent");
        assert_eq!(peer.write(b"to nobody yet"), 13, "a little finds room");
        assert_eq!(rig.log.settle(), [], "it is no business of the driver any more");
        let mut second = rig.another_log();
        let conn = second.adopt(socket);
        second.until("it is received", |log| log.received(conn).len() == 13);
        assert_eq!(second.received(conn), b"to nobody yet");
        second.send_owned(conn, b"hello");
        let mut got = Vec::new();
        second.together("it is read", |log| {
            got.extend(peer.read(usize::MAX));
            got.len() == 5 && !log.is_sending(conn)
        });
        assert_eq!(got, b"hello");
        second.close(conn);
        second.until("it is closed", |log| log.is_gone(conn));
    }
}

pub(crate) fn the_rest_of_a_send_is_given_back<H: Harness>(rig: &mut Rig<H>) {
    for (is_paused, is_at_once) in [(false, false), (true, false), (false, true)] {
        let (conn, mut peer) = rig.connect();
        let bytes = pattern(4, H::BULK);
        rig.log.send_owned(conn, &bytes);
        if is_paused {
            rig.log.pause(conn);
        }
        if !is_at_once {
            rig.log.settle();
        }
        let (socket, rest) = take(&mut rig.log, conn);
        let rest = rest.expect("a bulk is more than the socket takes").to_vec(0);
        let sent = bytes.len() - rest.len();
        assert!(is_at_once || sent > 0, "some of it has gone");
        let mut second = rig.another_log();
        let conn = second.adopt(socket);
        let mut got = Vec::new();
        second.together("what had gone is read", |_| {
            got.extend(peer.read(usize::MAX));
            got.len() >= sent
        });
        assert!(got == bytes[..sent], "the peer has what is not in the rest");
        second.send_owned(conn, &rest);
        second.together("the rest is read", |log| {
            got.extend(peer.read(usize::MAX));
            got.len() >= bytes.len() && !log.is_sending(conn)
        });
        assert!(got == bytes, "all of it, once");
        second.close(conn);
        second.until("it is closed", |log| log.is_gone(conn));
    }
}

/// The driver may have received it or not: nothing is lost, and nothing comes twice.
pub(crate) fn what_was_received_comes_before_released<H: Harness>(rig: &mut Rig<H>) {
    let bytes = pattern(5, 1500);
    for _ in 0..5 {
        let (conn, mut peer) = match write_behind_its_back(rig, &bytes) {
            Ok(paused) => paused,
            Err(conn) => {
                rig.close(conn);
                continue;
            }
        };
        assert_eq!(rig.log.received(conn), b"", "it is paused");
        let (socket, _) = take(&mut rig.log, conn);
        let early = rig.log.received(conn).to_vec();
        let mut second = rig.another_log();
        let conn = second.adopt(socket);
        assert_eq!(peer.write(b"more"), 4, "a little finds room");
        let late = bytes.len() + 4 - early.len();
        second.until("the rest is received", |log| log.received(conn).len() >= late);
        let all = [&early, second.received(conn)].concat();
        assert!(all == [&bytes[..], b"more"].concat(), "all of it, once");
        second.close(conn);
        second.until("it is closed", |log| log.is_gone(conn));
    }
}

pub(crate) fn what_was_sent_comes_before_released<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    rig.log.send_owned(conn, b"little");
    let (socket, rest) = take(&mut rig.log, conn);
    // Either the send was done or it was not: `Log` sees to it that exactly one is told.
    let rest = rest.map_or_else(Vec::new, |rest| rest.to_vec(0));
    let mut second = rig.another_log();
    let conn = second.adopt(socket);
    if !rest.is_empty() {
        second.send_owned(conn, &rest);
    }
    let mut got = Vec::new();
    second.together("it is read", |log| {
        got.extend(peer.read(usize::MAX));
        got.len() >= 6 && !log.is_sending(conn)
    });
    let events = second.settle();
    assert_eq!(got, b"little");
    assert!(!events.iter().any(|event| matches!(event, Event::Sent(_))), "{events:?}");
    second.close(conn);
    second.until("it is closed", |log| log.is_gone(conn));
}

/// Between two drivers of one kind, many times, under traffic in both directions.
pub(crate) fn a_stream_moves_between_drivers<H: Harness>(rig: &mut Rig<H>) {
    let (socket, peer) = rig.harness.socket();
    let mut flow = Flow::new(peer, H::BULK, 6);
    let mut second = rig.another_log();
    let mut moved = (socket, None);
    for _ in 0..5 {
        moved = flow.pass(&mut rig.log, moved);
        moved = flow.pass(&mut second, moved);
    }
    flow.end(&mut rig.log, moved);
}
