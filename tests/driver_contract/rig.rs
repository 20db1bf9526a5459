//! A driver that listens, under a watch, and the network to reach it by.

use throng::driver::{ListenerId, Tuning};
use throng::id::ConnId;

use crate::harness::{Harness, Peer};
use crate::log::Log;

pub(crate) struct Rig<H: Harness> {
    pub(crate) harness: H,
    pub(crate) log: Log<H::Driver>,
    pub(crate) listener: ListenerId,
    pub(crate) tuning: Tuning,
    /// Peers that do no more, but are not to be missed.
    pub(crate) bystanders: Vec<H::Peer>,
}

impl<H: Harness> Rig<H> {
    pub(crate) fn new(mut harness: H, tuning: Tuning) -> Self {
        let mut log = Log::new(harness.driver(tuning), tuning.budget, H::REST);
        let listener = harness.listen(&mut log.driver);
        log.note_listener(listener);
        Self { harness, log, listener, tuning, bystanders: Vec::new() }
    }

    /// One more driver in the same network, which does not listen.
    pub(crate) fn another_log(&mut self) -> Log<H::Driver> {
        Log::new(self.harness.driver(self.tuning), self.tuning.budget, H::REST)
    }

    /// A connect, and the connection that it leads to.
    pub(crate) fn connect(&mut self) -> (ConnId, H::Peer) {
        assert_eq!(self.log.accepted_count(), 0, "tests take whom they expect");
        let peer = self.harness.connect().expect("the driver listens");
        self.log.until("the connect is accepted", |log| log.accepted_count() > 0);
        let accepted = self.log.take_accepted();
        assert_eq!(accepted.len(), 1, "one connect, one connection");
        (accepted[0], peer)
    }

    /// As `connect`, with a byte that the peer has not read: it can reset over any socket.
    pub(crate) fn connect_breakable(&mut self) -> (ConnId, H::Peer) {
        let (conn, peer) = self.connect();
        self.log.send_owned(conn, b"!");
        self.log.until("a byte is sent", |log| !log.is_sending(conn));
        (conn, peer)
    }

    /// Lets the peer write all of that, and waits until it is received.
    pub(crate) fn deliver(&mut self, conn: ConnId, peer: &mut H::Peer, bytes: &[u8]) {
        let before = self.log.received(conn).len();
        let mut written = 0;
        self.log.together("all is received", |log| {
            written += peer.write(&bytes[written..]);
            log.received(conn).len() >= before + bytes.len()
        });
        assert!(self.log.received(conn)[before..] == *bytes, "what is received was written");
    }

    /// Sends all of that, and waits until the peer has read it.
    pub(crate) fn give(&mut self, conn: ConnId, peer: &mut H::Peer, bytes: &[u8]) {
        self.log.send_owned(conn, bytes);
        self.collect(conn, peer, bytes);
    }

    /// Waits until the peer has read these bytes and the send is done.
    pub(crate) fn collect(&mut self, conn: ConnId, peer: &mut H::Peer, bytes: &[u8]) {
        let mut got = Vec::new();
        self.log.together("all is sent and read", |log| {
            got.extend(peer.read(usize::MAX));
            got.len() >= bytes.len() && !log.is_sending(conn)
        });
        assert!(got == bytes, "what is read was sent");
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.log.close(conn);
        self.log.until("it is closed", |log| log.is_gone(conn));
    }

    /// Waits until the peer sees the end of the connection; what it read before.
    pub(crate) fn read_to_end(&mut self, peer: &mut H::Peer) -> Vec<u8> {
        let mut got = Vec::new();
        self.log.together("the peer sees the end", |_| {
            got.extend(peer.read(usize::MAX));
            peer.is_ended()
        });
        got
    }

    /// Closes what is open, and waits for the last word about everything.
    pub(crate) fn wind_up(&mut self) {
        let open = self.log.open();
        for conn in &open {
            self.log.close(*conn);
        }
        self.log.until("all are closed", |log| open.iter().all(|conn| log.is_gone(*conn)));
        self.log.settle();
    }
}
