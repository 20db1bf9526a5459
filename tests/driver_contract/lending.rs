//! Sends out of the bytes that were just received.

use std::time::Duration;

use throng::driver::Tuning;
use throng::id::ConnId;

use crate::adopting::take;
use crate::ending::await_failed;
use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::{Event, Log, lent_pattern};
use crate::pausing::write_behind_its_back;
use crate::rig::Rig;

pub(crate) fn a_part_of_what_came_goes_back<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    for (round, skip) in [0, 1, 4, 30].into_iter().enumerate() {
        let bytes = pattern(round as u64, 100);
        let before = rig.log.received(conn).len();
        assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
        let (began, mut expected, mut got) = (now(), Vec::<u8>::new(), Vec::<u8>::new());
        while rig.log.received(conn).len() < before + bytes.len() || rig.log.is_sending(conn) {
            // The simulated network may cut it: then each piece is answered that is long enough.
            rig.log.turn(Duration::from_millis(1), |log, event| {
                if let Event::Received(_, length) = event
                    && length > skip
                    && !log.is_sending(conn)
                {
                    let all = log.received(conn);
                    expected.extend(&lent_pattern(&all[all.len() - length..])[skip..]);
                    log.send_lent(conn, skip..length);
                }
            });
            assert!(began.elapsed() < PATIENCE, "it comes and goes");
        }
        rig.log.together("all is read", |_| {
            got.extend(peer.read(usize::MAX));
            got.len() >= expected.len()
        });
        assert!(got == expected, "{skip}: what goes back is that part");
    }
    assert!(rig.log.at(conn).sent > 0);
}

/// Many at once; each gets its own bytes back.
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
    rig.log.turn(Duration::from_millis(1), |log, event| {
        if let Event::Received(conn, length) = event {
            log.send_lent(conn, 0..length);
            if log.is_sending(conn) {
                log.pause(conn);
            }
        }
    });
}

/// A peer that writes and does not read, as long as it can be helped.
#[derive(Default)]
struct Flood {
    seed: u64,
    /// What is to come back of all that was written.
    given: Vec<u8>,
    got: Vec<u8>,
    /// Turns in which nothing went on, although no send was resting.
    stuck: usize,
}

impl Flood {
    /// Writes, and sends back what is received; whether something went on.
    fn turn<H: Harness>(&mut self, rig: &mut Rig<H>, conn: ConnId, peer: &mut H::Peer) -> bool {
        let bytes = pattern(self.seed, 8 * 1024);
        self.seed += 1;
        let count = peer.write(&bytes);
        self.given.extend(lent_pattern(&bytes[..count]));
        let done = |rig: &Rig<H>| (rig.log.at(conn).sent, rig.log.received(conn).len());
        let before = done(rig);
        send_back_in_pieces(rig);
        let has_gone_on = done(rig) != before;
        let is_stuck = !has_gone_on && count == 0 && !rig.log.is_sending(conn);
        self.stuck = if is_stuck { self.stuck + 1 } else { 0 };
        self.read_if_stuck(peer);
        has_gone_on
    }

    /// Linux drops what comes to a receive queue that is full, and the window updates in it too:
    /// then what the peer has written does not go out, although there is room for it.
    fn read_if_stuck(&mut self, peer: &mut impl Peer) {
        const TURNS: usize = 200;
        if self.stuck == TURNS {
            self.got.extend(peer.read(usize::MAX));
            self.stuck = 0;
        }
    }

    /// What is still to come back, of all or of so many bytes.
    fn unread(mut self, all: usize) -> Vec<u8> {
        assert!(self.given.starts_with(&self.got), "in order, nothing lost");
        self.given.truncate(all);
        self.given.split_off(self.got.len())
    }
}

/// In the end a send out of what such a peer writes finds no room. Gives what it has not read.
fn until_one_rests<H: Harness>(rig: &mut Rig<H>, conn: ConnId, peer: &mut H::Peer) -> Vec<u8> {
    const TURNS: usize = 50;
    let (began, mut flood, mut resting) = (now(), Flood::default(), 0);
    while resting < TURNS {
        let is_resting = !flood.turn(rig, conn, peer) && rig.log.is_sending(conn);
        resting = if is_resting { resting + 1 } else { 0 };
        // Half a kilobyte at a time takes long where hardly any room is.
        assert!(began.elapsed() < 4 * PATIENCE, "a send finds no room");
    }
    flood.unread(usize::MAX)
}

/// Goes on to send back what a peer has written, until it has read all of it.
fn read_back<H: Harness>(rig: &mut Rig<H>, peer: &mut H::Peer, written: &[u8]) {
    let (began, mut got) = (now(), Vec::new());
    while got.len() < written.len() {
        send_back_in_pieces(rig);
        got.extend(peer.read(usize::MAX));
        assert!(began.elapsed() < PATIENCE, "all comes back");
    }
    assert!(got == written, "in order, nothing lost");
}

pub(crate) fn a_lent_send_rests_until_the_peer_reads<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let written = until_one_rests(rig, conn, &mut peer);
    read_back(rig, &mut peer, &written);
}

/// As many sends rest as there are buffers to receive into, and more.
pub(crate) fn no_peer_holds_a_buffer<H: Harness>(harness: H) {
    let tuning = Tuning { buffers: 2, ..Tuning::for_connections(8) };
    let mut rig = Rig::new(harness, tuning);
    let (other, mut other_peer) = rig.connect();
    let mut resting: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    let written: Vec<_> =
        resting.iter_mut().map(|(conn, peer)| until_one_rests(&mut rig, *conn, peer)).collect();
    for round in 0..10 {
        rig.give(other, &mut other_peer, &pattern(round, 300));
        rig.deliver(other, &mut other_peer, &pattern(round, 300));
    }
    for ((_, peer), written) in resting.iter_mut().zip(written) {
        read_back(&mut rig, peer, &written);
    }
    rig.wind_up();
}

pub(crate) fn a_lent_send_that_rests_is_closed<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let written = until_one_rests(rig, conn, &mut peer);
    rig.close(conn);
    let got = rig.read_to_end(&mut peer);
    assert!(written.starts_with(&got) && got.len() < written.len());
}

/// Waits for bytes, and does something in the very turn that they are sent back in; what was sent.
fn send_back_and<H: Harness>(
    rig: &mut Rig<H>,
    conn: ConnId,
    mut act: impl FnMut(&mut Log<H::Driver>),
) -> Vec<u8> {
    let (began, mut sent) = (now(), Vec::new());
    while sent.is_empty() {
        rig.log.turn(Duration::from_millis(1), |log, event| {
            if let Event::Received(of, length) = event
                && of == conn
                && sent.is_empty()
            {
                let all = log.received(conn);
                sent = lent_pattern(&all[all.len() - length..]);
                log.send_lent(conn, 0..length);
                act(log);
            }
        });
        assert!(began.elapsed() < PATIENCE, "it is received");
    }
    sent
}

pub(crate) fn a_close_at_once_after_a_lent_send<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    assert_eq!(peer.write(b"hello"), 5, "a little finds room");
    let sent = send_back_and(rig, conn, |log| log.close(conn));
    rig.log.until("it is closed", |log| log.is_gone(conn));
    let got = rig.read_to_end(&mut peer);
    assert!(sent.starts_with(&got), "nothing else was sent");
}

pub(crate) fn a_fin_follows_a_lent_send<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    assert_eq!(peer.write(b"hello"), 5, "a little finds room");
    let sent = send_back_and(rig, conn, |log| log.finish(conn));
    assert!(rig.read_to_end(&mut peer) == sent, "all of it, and then the end");
}

/// The first send that does not find room is given back at once, as is one that does.
pub(crate) fn a_release_at_once_after_a_lent_send<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    until_one_rests(rig, conn, &mut peer);
    let until_rest = rig.log.at(conn).sent;
    for before in [0, 1, until_rest.saturating_sub(1), until_rest] {
        let (conn, mut peer) = rig.connect();
        let (began, mut flood) = (now(), Flood::default());
        while rig.log.at(conn).sent < before && !rig.log.is_sending(conn) {
            flood.turn(rig, conn, &mut peer);
            assert!(began.elapsed() < PATIENCE, "what is written comes back");
        }
        if rig.log.is_sending(conn) {
            continue;
        }
        if rig.log.at(conn).is_paused {
            rig.log.resume(conn);
        }
        let mut given = flood.unread(rig.log.received(conn).len());
        peer.write(b"hello");
        given.extend(send_back_and(rig, conn, |log| log.release(conn)));
        rig.log.until("it is released", |log| log.is_gone(conn));
        let (socket, rest) = rig.log.take_released(conn);
        let rest = rest.map_or_else(Vec::new, |rest| rest.to_vec(0));
        let mut second = rig.another_log();
        let adopted = second.adopt(socket);
        let mut got = Vec::new();
        second.together("what had gone is read", |_| {
            got.extend(peer.read(usize::MAX));
            got.len() + rest.len() >= given.len()
        });
        got.extend(rest);
        assert!(got == given, "what did not go is in the rest");
        second.close(adopted);
        second.until("it is closed", |log| log.is_gone(adopted));
    }
}

pub(crate) fn a_reset_while_a_lent_send_rests<H: Harness>(rig: &mut Rig<H>) {
    for is_resumed in [false, true] {
        let (conn, mut peer) = rig.connect();
        until_one_rests(rig, conn, &mut peer);
        if is_resumed && rig.log.at(conn).is_paused {
            rig.log.resume(conn);
        }
        peer.reset();
        await_failed(rig, conn);
        let is_told = |event: &Event| *event != Event::Sent(conn);
        assert!(!rig.log.settle().iter().any(is_told), "nothing comes behind the end");
    }
}

/// What had been received when a pause came is lent after it like anything else.
pub(crate) fn what_waited_for_resume_goes_back<H: Harness>(rig: &mut Rig<H>) {
    let bytes = pattern(5, 1500);
    // A byte was sent before, so that the peer can break the connection.
    let expected = [&b"!"[..], &lent_pattern(&bytes)].concat();
    for _ in 0..5 {
        let (conn, mut peer) = match write_behind_its_back(rig, &bytes) {
            Ok(paused) => paused,
            Err(conn) => {
                rig.log.resume(conn);
                continue;
            }
        };
        rig.log.settle();
        rig.log.resume(conn);
        let (began, mut got) = (now(), Vec::new());
        while got.len() < expected.len() {
            send_back_in_pieces(rig);
            got.extend(peer.read(usize::MAX));
            assert!(began.elapsed() < PATIENCE, "it comes back");
        }
        assert!(got == expected);
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
