//! Sends out of the bytes that were just received.

use throng::id::ConnId;

use crate::adopting::take;
use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::{Event, lent_pattern};
use crate::rig::Rig;

/// Sends all but the first `skip` bytes of whatever is received back to whoever sent it.
fn send_back<H: Harness>(rig: &mut Rig<H>, skip: usize) {
    rig.log.turn(std::time::Duration::from_millis(1), |log, event| {
        if let Event::Received(conn, length) = event
            && length > skip
            && !log.is_sending(conn)
        {
            log.send_lent(conn, skip..length);
        }
    });
}

pub(crate) fn a_part_of_what_came_goes_back<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    for (round, skip) in [0, 1, 4, 90].into_iter().enumerate() {
        let bytes = pattern(round as u64, 100);
        let expected: Vec<u8> = lent_pattern(&bytes)[skip..].to_vec();
        // The simulated network may cut it: then each piece is answered by itself, or not at all.
        let before = rig.log.received(conn).len();
        assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
        let (began, mut got) = (now(), Vec::new());
        while rig.log.received(conn).len() < before + bytes.len() || rig.log.is_sending(conn) {
            send_back(rig, skip);
            got.extend(peer.read(usize::MAX));
            assert!(began.elapsed() < PATIENCE, "it comes and goes");
        }
        rig.log.settle();
        got.extend(peer.read(usize::MAX));
        let is_whole = rig.log.at(conn).lent == bytes.len();
        assert!(!is_whole || got == expected, "{skip}: what goes back is that part");
    }
    assert!(rig.log.at(conn).sent > 0);
}

/// Many at once, more than there are buffers; each gets its own bytes back.
pub(crate) fn many_lent_sends_do_not_mix<H: Harness>(rig: &mut Rig<H>) {
    const PEERS: usize = 80;
    let mut peers: Vec<_> = (0..PEERS).map(|_| rig.connect()).collect();
    let (mut expected, mut got) = (vec![Vec::new(); PEERS], vec![Vec::new(); PEERS]);
    for round in 0..20 {
        for (at, (_, peer)) in peers.iter_mut().enumerate() {
            let bytes = pattern((round * PEERS + at) as u64, 1 + at * 7);
            assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
            expected[at].extend(lent_pattern(&bytes));
        }
        let began = now();
        while (0..PEERS).any(|at| got[at].len() < expected[at].len()) {
            send_back_in_pieces(rig);
            for (at, (_, peer)) in peers.iter_mut().enumerate() {
                got[at].extend(peer.read(usize::MAX));
            }
            assert!(began.elapsed() < PATIENCE, "all come back");
        }
    }
    assert!(got == expected, "each has its own, in order");
}

/// Sends back whatever is received; who is sending is paused until that is done.
fn send_back_in_pieces<H: Harness>(rig: &mut Rig<H>) {
    for conn in rig.log.open() {
        if rig.log.at(conn).is_paused && !rig.log.is_sending(conn) {
            rig.log.resume(conn);
        }
    }
    rig.log.turn(std::time::Duration::from_millis(1), |log, event| {
        if let Event::Received(conn, length) = event {
            log.send_lent(conn, 0..length);
            if log.is_sending(conn) {
                log.pause(conn);
            }
        }
    });
}

/// A peer that writes and does not read: in the end a send out of its bytes finds no room.
fn until_one_rests<H: Harness>(rig: &mut Rig<H>, conn: ConnId, peer: &mut H::Peer) -> Vec<u8> {
    const TURNS: usize = 50;
    let (began, mut seed, mut written, mut resting) = (now(), 0, Vec::new(), 0);
    while resting < TURNS {
        let bytes = pattern(seed, 8 * 1024);
        let count = peer.write(&bytes);
        written.extend(lent_pattern(&bytes[..count]));
        seed += 1;
        let before = rig.log.at(conn).sent;
        send_back_in_pieces(rig);
        let is_resting = rig.log.is_sending(conn) && rig.log.at(conn).sent == before;
        resting = if is_resting { resting + 1 } else { 0 };
        assert!(began.elapsed() < PATIENCE, "the peer reads nothing");
    }
    written
}

pub(crate) fn a_lent_send_rests_until_the_peer_reads<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let (other, mut other_peer) = rig.connect();
    let written = until_one_rests(rig, conn, &mut peer);
    for round in 0..10 {
        rig.give(other, &mut other_peer, &pattern(round, 300));
        rig.deliver(other, &mut other_peer, &pattern(round, 300));
    }
    let (began, mut got) = (now(), Vec::new());
    while got.len() < written.len() {
        send_back_in_pieces(rig);
        got.extend(peer.read(usize::MAX));
        assert!(began.elapsed() < PATIENCE, "all comes back: {} of {}", got.len(), written.len());
    }
    assert!(got == written, "in order, nothing lost");
}

pub(crate) fn a_lent_send_that_rests_is_closed<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let written = until_one_rests(rig, conn, &mut peer);
    rig.close(conn);
    let got = rig.read_to_end(&mut peer);
    assert!(written.starts_with(&got) && got.len() < written.len());
}

pub(crate) fn a_close_at_once_after_a_lent_send<H: Harness>(rig: &mut Rig<H>) {
    for is_released in [false, true] {
        let (conn, mut peer) = rig.connect();
        assert_eq!(peer.write(b"hello"), 5, "a little finds room");
        let (began, mut is_done) = (now(), false);
        while !is_done {
            rig.log.turn(std::time::Duration::from_millis(1), |log, event| {
                if let Event::Received(of, length) = event
                    && !is_done
                {
                    log.send_lent(of, 0..length);
                    is_done = true;
                    if is_released { log.release(of) } else { log.close(of) }
                }
            });
            assert!(began.elapsed() < PATIENCE, "it is received");
        }
        rig.log.until("it is gone", |log| log.is_gone(conn));
        if is_released {
            let (socket, _) = rig.log.take_released(conn);
            let mut second = rig.another_log();
            let conn = second.adopt(socket);
            second.close(conn);
            second.until("it is closed", |log| log.is_gone(conn));
        }
        let got = rig.read_to_end(&mut peer);
        assert!(lent_pattern(b"hello").starts_with(&got), "nothing else was sent");
    }
}

pub(crate) fn the_rest_of_a_lent_send_is_given_back<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let written = until_one_rests(rig, conn, &mut peer);
    let (socket, rest) = take(&mut rig.log, conn);
    let rest = rest.expect("it was resting").to_vec(0);
    let mut second = rig.another_log();
    let conn = second.adopt(socket);
    second.send_owned(conn, &rest);
    let mut got = Vec::new();
    second.together("all is sent and read", |log| {
        got.extend(peer.read(usize::MAX));
        got.ends_with(&rest) && !log.is_sending(conn)
    });
    assert!(written.starts_with(&got), "in order, nothing lost between the two");
    second.close(conn);
    second.until("it is closed", |log| log.is_gone(conn));
}
