//! A driver that only hands out what was prepared and takes every send for done by the next turn:
//! what a turn costs on it is the worker's own cost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use throng::driver::{Completion, Driver, End, Listener, ListenerId, Outgoing, Peer, Wake};
use throng::id::ConnId;

/// See the module.
#[derive(Debug)]
pub(crate) struct Prepared {
    now: Instant,
    accepted: VecDeque<ConnId>,
    sent: VecDeque<(ConnId, Option<Outgoing>)>,
    reset: VecDeque<ConnId>,
    closed: VecDeque<ConnId>,
    /// What comes in every turn, and a copy of it where replies are made in its place.
    received: Vec<(ConnId, Vec<u8>, Option<Vec<u8>>)>,
    /// How much of it has come in this one.
    at: usize,
}

impl Prepared {
    #[expect(clippy::disallowed_methods, reason = "there is no other way to come by an instant")]
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::now(),
            accepted: VecDeque::new(),
            sent: VecDeque::new(),
            reset: VecDeque::new(),
            closed: VecDeque::new(),
            received: Vec::new(),
            at: 0,
        }
    }

    /// Tells of new connections in the next turn.
    pub(crate) fn accept(&mut self, conns: impl Iterator<Item = ConnId>) {
        self.accepted.extend(conns);
    }

    /// Sets what comes in every turn from here on, in this order.
    pub(crate) fn receive(&mut self, bytes: impl Iterator<Item = (ConnId, Vec<u8>)>) {
        self.received.clear();
        self.received.extend(bytes.map(|(conn, bytes)| (conn, bytes, None)));
    }

    /// As `receive`, where replies are made in place of what comes.
    pub(crate) fn receive_for_replies(&mut self, bytes: impl Iterator<Item = (ConnId, Vec<u8>)>) {
        self.received.clear();
        self.received.extend(bytes.map(|(conn, bytes)| (conn, bytes.clone(), Some(bytes))));
    }

    /// Whether the last turn took all that came in it.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at == 0
    }

    /// Lets time pass; it stands still otherwise.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now += span;
    }

    /// Tells of broken connections in the next turn.
    pub(crate) fn reset(&mut self, conns: impl Iterator<Item = ConnId>) {
        self.reset.extend(conns);
    }
}

impl Driver for Prepared {
    type Waker = NoWaker;

    fn listen(&mut self, _listener: Listener) -> io::Result<ListenerId> {
        Err(ErrorKind::Unsupported.into())
    }

    fn unlisten(&mut self, _id: ListenerId) {}

    fn is_accepting(&self) -> bool {
        false
    }

    fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        self.sent.push_back((conn, Some(bytes)));
    }

    /// What comes in the next turn is as it was.
    fn send_lent(&mut self, conn: ConnId, _part: Range<usize>) -> bool {
        let (_, bytes, original) = &mut self.received[self.at - 1];
        bytes.copy_from_slice(original.as_ref().expect("receive_for_replies was called"));
        self.sent.push_back((conn, None));
        false
    }

    fn pause(&mut self, _conn: ConnId) {}

    fn resume(&mut self, _conn: ConnId) {}

    fn finish(&mut self, _conn: ConnId) {}

    fn close(&mut self, conn: ConnId) {
        self.closed.push_back(conn);
    }

    fn adopt(&mut self, _socket: OwnedFd) -> io::Result<ConnId> {
        Err(ErrorKind::Unsupported.into())
    }

    fn release(&mut self, _conn: ConnId) {}

    fn has_unread(&mut self, _conn: ConnId) -> bool {
        false
    }

    fn peer(&mut self, _: ConnId) -> Option<Peer> {
        None
    }

    fn taken(&mut self, _conn: ConnId) -> u32 {
        0
    }

    fn sending(&mut self, _conn: ConnId) -> usize {
        0
    }

    fn trim(&mut self) {
        self.accepted.shrink_to_fit();
        self.sent.shrink_to_fit();
        self.reset.shrink_to_fit();
        self.closed.shrink_to_fit();
        self.received.shrink_to_fit();
    }

    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }

    fn next(&mut self) -> Option<Completion<'_>> {
        if let Some(conn) = self.accepted.pop_front() {
            return Some(Completion::Accepted(conn, ListenerId(0)));
        }
        if let Some((conn, bytes)) = self.sent.pop_front() {
            return Some(Completion::Sent(conn, bytes));
        }
        if let Some(conn) = self.reset.pop_front() {
            return Some(Completion::Ended(conn, End::Failed(ErrorKind::ConnectionReset)));
        }
        if let Some(conn) = self.closed.pop_front() {
            return Some(Completion::Closed(conn));
        }
        let Some((conn, bytes, _)) = self.received.get_mut(self.at) else {
            self.at = 0;
            return None;
        };
        self.at += 1;
        Some(Completion::Received(*conn, bytes))
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn waker(&self) -> NoWaker {
        NoWaker
    }
}

/// Wakes nobody: who drives a prepared worker takes its turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoWaker;

impl Wake for NoWaker {
    fn wake(&self) {}
}
