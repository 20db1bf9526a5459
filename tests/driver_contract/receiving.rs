//! Accept, receive, send and close, where nothing goes wrong.

use throng::driver::Driver;
use throng::driver::sim::Rng;
use throng::id::ConnId;

use crate::harness::{Harness, Peer, pattern};
use crate::log::{Event, Log};
use crate::rig::Rig;

/// A receive stops before urgent data, short although more is there. Whoever asks finds it.
pub(crate) fn what_is_behind_urgent_data_is_received<H: Harness>(rig: &mut Rig<H>) {
    for is_paused in [false, true] {
        let (conn, mut peer) = rig.connect();
        rig.log.pause(conn);
        rig.log.settle();
        assert_eq!(peer.write(b"before"), 6, "a little finds room");
        if !peer.write_urgent() {
            return;
        }
        assert_eq!(peer.write(b"behind"), 6, "a little finds room");
        rig.log.resume(conn);
        rig.log.until("some is received", |log| !log.received(conn).is_empty());
        rig.log.settle();
        let is_all = |log: &Log<H::Driver>| log.received(conn) == b"beforebehind";
        if is_paused {
            rig.log.pause(conn);
            rig.log.settle();
        }
        let is_unread = rig.log.driver.has_unread(conn);
        assert_ne!(is_unread, is_all(&rig.log), "it is received, or there");
        if is_paused {
            rig.log.settle();
            rig.log.resume(conn);
            rig.log.settle();
            assert_eq!(rig.log.driver.has_unread(conn), !is_all(&rig.log));
        }
        rig.log.until("all is received", |log| is_all(log));
    }
}

pub(crate) fn what_is_written_is_received<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    rig.deliver(conn, &mut peer, b"over");
    rig.deliver(conn, &mut peer, &pattern(1, 5000));
    rig.give(conn, &mut peer, b"and out");
    assert_eq!(rig.log.settle(), [], "nothing else has happened");
    rig.close(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"", "nothing but the end comes");
}

pub(crate) fn what_is_not_handed_out_is_unread<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    assert!(!rig.log.driver.has_unread(conn), "nothing was sent");
    rig.log.pause(conn);
    assert_eq!(peer.write(b"late"), 4);
    rig.log.until("bytes have come", |log| log.driver.has_unread(conn));
    rig.log.settle();
    assert!(rig.log.driver.has_unread(conn), "looking takes nothing");
    rig.log.resume(conn);
    rig.log.until("they are received", |log| log.received(conn) == b"late");
    rig.log.settle();
    assert!(!rig.log.driver.has_unread(conn), "all was handed out");
    peer.finish();
    rig.log.settle();
    assert!(!rig.log.driver.has_unread(conn), "a FIN is no byte");
}

/// Sends what it receives, one send at a time.
pub(crate) struct Echo {
    conn: ConnId,
    taken: usize,
}

impl Echo {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self { conn, taken: 0 }
    }

    pub(crate) fn go_on<D: Driver>(&mut self, log: &mut Log<D>) {
        let length = log.received(self.conn).len();
        if length > self.taken && !log.is_sending(self.conn) {
            let bytes = log.received(self.conn)[self.taken..].to_vec();
            self.taken = length;
            log.send_owned(self.conn, &bytes);
        }
    }
}

pub(crate) fn a_bulk_is_echoed_in_arbitrary_cuts<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(2, H::BULK);
    let mut rng = Rng::new(3);
    let (mut written, mut got, mut echo) = (0, Vec::new(), Echo::new(conn));
    rig.log.together("all comes back", |log| {
        for _ in 0..8 {
            let end = bytes.len().min(written + 1 + rng.below(50_000));
            written += peer.write(&bytes[written..end]);
        }
        echo.go_on(log);
        for _ in 0..8 {
            got.extend(peer.read(1 + rng.below(50_000)));
        }
        got.len() >= bytes.len() && !log.is_sending(conn)
    });
    assert!(got == bytes, "the echo is what was written");
    assert!(rig.log.received(conn) == bytes, "as was what the server received");
}

pub(crate) fn many_connections_do_not_mix<H: Harness>(rig: &mut Rig<H>) {
    const MANY: usize = 40;
    let mut everyone: Vec<_> = (0..MANY)
        .map(|number| {
            let (conn, peer) = rig.connect();
            (conn, peer, pattern(number as u64, 700 + 13 * number), Echo::new(conn), Vec::new())
        })
        .collect();
    for (_, peer, bytes, ..) in &mut everyone {
        assert_eq!(peer.write(bytes), bytes.len(), "a little finds room");
    }
    rig.log.together("everybody has an echo", |log| {
        let mut is_done = true;
        for (conn, peer, bytes, echo, got) in &mut everyone {
            echo.go_on(log);
            got.extend(peer.read(usize::MAX));
            is_done &= got.len() >= bytes.len() && !log.is_sending(*conn);
        }
        is_done
    });
    for (conn, _, bytes, _, got) in &everyone {
        assert!(got == bytes && rig.log.received(*conn) == bytes, "everybody has their own");
    }
    close_all_in_one_turn(rig, everyone.iter().map(|(conn, ..)| *conn));
}

fn close_all_in_one_turn<H: Harness>(rig: &mut Rig<H>, conns: impl Iterator<Item = ConnId>) {
    let conns: Vec<ConnId> = conns.collect();
    conns.iter().for_each(|conn| rig.log.close(*conn));
    let events = rig.log.settle();
    let closed = events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
    assert_eq!((closed, events.len()), (conns.len(), conns.len()), "each is told of once");
}
