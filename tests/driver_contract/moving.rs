//! A stream in both directions that goes on while its connection moves between drivers.

use std::os::fd::OwnedFd;

use throng::driver::sim::Rng;
use throng::driver::{Driver, Outgoing, Tuning};
use throng::id::ConnId;

use crate::adopting::take;
use crate::harness::{Harness, Peer, pattern};
use crate::kernel::{Interface, Kernel, is_usable};
use crate::log::Log;
use crate::rig::Rig;

/// A connection that is nobody's for the moment.
type Moved = (OwnedFd, Option<Outgoing>);

/// What goes to and fro, and how far it has come.
pub(crate) struct Flow<P> {
    peer: P,
    rng: Rng,
    to_server: Vec<u8>,
    written: usize,
    received: Vec<u8>,
    to_peer: Vec<u8>,
    handed: usize,
    got: Vec<u8>,
}

impl<P: Peer> Flow<P> {
    pub(crate) fn new(peer: P, length: usize, seed: u64) -> Self {
        Self {
            peer,
            rng: Rng::new(seed),
            to_server: pattern(seed + 1, length),
            written: 0,
            received: Vec::new(),
            to_peer: pattern(seed + 2, length),
            handed: 0,
            got: Vec::new(),
        }
    }

    fn progress<D: Driver>(&mut self, log: &mut Log<D>, conn: ConnId) {
        let rng = &mut self.rng;
        let end = self.to_server.len().min(self.written + 1 + rng.below(20_000));
        self.written += self.peer.write(&self.to_server[self.written..end]);
        if rng.one_in(2) {
            self.got.extend(self.peer.read(1 + rng.below(40_000)));
        }
        let left = self.to_peer.len() - self.handed;
        if !log.is_sending(conn) && left > 0 {
            let count = left.min(1 + rng.below(200_000));
            log.send_owned(conn, &self.to_peer[self.handed..self.handed + count]);
            self.handed += count;
        }
    }

    fn begin<D: Driver>(&self, log: &mut Log<D>, (socket, rest): Moved) -> ConnId {
        let conn = log.adopt(socket);
        if let Some(rest) = rest {
            log.send(conn, rest);
        }
        conn
    }

    /// Lets a driver have the connection for a while.
    pub(crate) fn pass<D: Driver>(&mut self, log: &mut Log<D>, moved: Moved) -> Moved {
        let conn = self.begin(log, moved);
        let mut turns = 1 + self.rng.below(12);
        log.together("some turns have gone by", |log| {
            self.progress(log, conn);
            turns -= 1;
            turns == 0
        });
        if self.rng.one_in(2) {
            log.pause(conn);
        }
        let moved = take(log, conn);
        self.received.extend(log.received(conn));
        moved
    }

    /// Lets a driver bring it to its end.
    pub(crate) fn end<D: Driver>(mut self, log: &mut Log<D>, moved: Moved) {
        let conn = self.begin(log, moved);
        log.together("all has arrived on both sides", |log| {
            self.progress(log, conn);
            let received = self.received.len() + log.received(conn).len();
            received >= self.to_server.len() && self.got.len() >= self.to_peer.len()
        });
        self.received.extend(log.received(conn));
        assert!(self.received == self.to_server, "every byte of the peer, once and in order");
        assert!(self.got == self.to_peer, "every byte for the peer, once and in order");
        log.until("the last send is told", |log| !log.is_sending(conn));
    }
}

/// From one interface of the kernel to the other and back, many times.
pub(crate) fn a_stream_moves_between_interfaces<A, B, const UNIX: bool>()
where
    A: Interface,
    B: Interface,
{
    if !is_usable::<A>() || !is_usable::<B>() {
        return;
    }
    for seed in 0..5 {
        let tuning = Tuning::for_connections(4);
        let mut first = Rig::new(Kernel::<A, UNIX>::new(), tuning);
        let mut second = Rig::new(Kernel::<B, UNIX>::new(), tuning);
        let (conn, peer) = first.connect();
        let mut flow = Flow::new(peer, Kernel::<A, UNIX>::BULK, 100 * seed);
        let mut moved = take(&mut first.log, conn);
        for _ in 0..8 {
            moved = flow.pass(&mut second.log, moved);
            moved = flow.pass(&mut first.log, moved);
        }
        flow.end(&mut second.log, moved);
        first.wind_up();
        second.wind_up();
    }
}
