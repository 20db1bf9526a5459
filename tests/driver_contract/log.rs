//! A driver whose every word is held against the contract.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Duration;

use throng::driver::{Completion, Driver, End, ListenerId, Outgoing};
use throng::id::ConnId;

use crate::harness::{PATIENCE, now};

/// How many waits in a row have to bring nothing, and how long each of them is. A wait may end
/// early and have nothing to tell, so the whole time has to pass as well.
#[derive(Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) waits: usize,
    pub(crate) timeout: Duration,
}

/// A completion, without what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Accepted(ConnId),
    Received(ConnId, usize),
    Sent(ConnId),
    Ended(ConnId, End),
    Closed(ConnId),
    Released(ConnId),
    Woken,
}

/// What is known of a connection.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    pub(crate) received: Vec<u8>,
    /// What the last send was given, until it is told to have gone.
    pub(crate) sending: Option<Vec<u8>>,
    /// It is what was received.
    sends_lent: bool,
    /// Sends that have gone.
    pub(crate) sent: usize,
    pub(crate) is_paused: bool,
    pub(crate) ended: Option<End>,
    pub(crate) stage: Stage,
    released: Option<(OwnedFd, Option<Outgoing>)>,
}

/// How far a connection is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Open,
    Closing,
    Releasing,
    Gone,
}

/// What a test makes of bytes that it is lent.
pub(crate) fn lent_pattern(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0xee).collect()
}

/// See the module.
pub(crate) struct Log<D: Driver> {
    pub(crate) driver: D,
    budget: usize,
    rest: Rest,
    conns: HashMap<ConnId, Conn>,
    /// Accepted and not yet asked for.
    accepted: Vec<ConnId>,
    listeners: Vec<ListenerId>,
    pub(crate) woken: usize,
    told_in_turn: usize,
    /// What the last completion lent, as we have changed it.
    lent: Option<(ConnId, Vec<u8>)>,
}

impl<D: Driver> Log<D> {
    pub(crate) fn new(driver: D, budget: usize, rest: Rest) -> Self {
        Self {
            driver,
            budget,
            rest,
            conns: HashMap::new(),
            accepted: Vec::new(),
            listeners: Vec::new(),
            woken: 0,
            told_in_turn: 0,
            lent: None,
        }
    }

    pub(crate) fn at(&self, conn: ConnId) -> &Conn {
        &self.conns[&conn]
    }

    pub(crate) fn received(&self, conn: ConnId) -> &[u8] {
        &self.at(conn).received
    }

    pub(crate) fn is_sending(&self, conn: ConnId) -> bool {
        self.at(conn).sending.is_some()
    }

    pub(crate) fn is_gone(&self, conn: ConnId) -> bool {
        self.at(conn).stage == Stage::Gone
    }

    pub(crate) fn has_failed(&self, conn: ConnId) -> bool {
        matches!(self.at(conn).ended, Some(End::Failed(_)))
    }

    /// The connections that nobody has called `close` or `release` for.
    pub(crate) fn open(&self) -> Vec<ConnId> {
        let open = self.conns.iter().filter(|(_, conn)| conn.stage == Stage::Open);
        open.map(|(conn, _)| *conn).collect()
    }

    pub(crate) fn accepted_count(&self) -> usize {
        self.accepted.len()
    }

    /// Who was accepted since the last time, in order.
    pub(crate) fn take_accepted(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.accepted)
    }

    pub(crate) fn note_listener(&mut self, id: ListenerId) {
        assert!(!self.listeners.contains(&id), "a listener has a name of its own");
        self.listeners.push(id);
    }

    fn open_conn(&mut self, conn: ConnId) -> &mut Conn {
        let known = self.conns.get_mut(&conn).expect("tests use connections that they know");
        assert_eq!(known.stage, Stage::Open, "tests do nothing with what they have left");
        known
    }

    pub(crate) fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        let known = self.open_conn(conn);
        assert!(known.sending.is_none(), "tests send one at a time");
        known.sending = Some(bytes.to_vec(0));
        self.driver.send(conn, bytes);
    }

    pub(crate) fn send_owned(&mut self, conn: ConnId, bytes: &[u8]) {
        self.send(conn, Outgoing::owned(bytes.to_vec()));
    }

    /// Sends a part of what was received last.
    pub(crate) fn send_lent(&mut self, conn: ConnId, part: Range<usize>) {
        let (of, bytes) = self.lent.take().expect("tests send what is lent");
        assert_eq!(of, conn, "tests send back to whom it came from");
        let known = self.open_conn(conn);
        assert!(known.sending.is_none(), "tests send one at a time");
        known.sending = Some(bytes[part.clone()].to_vec());
        known.sends_lent = true;
        if self.driver.send_lent(conn, part) {
            self.open_conn(conn).complete_send(None);
        }
    }

    pub(crate) fn pause(&mut self, conn: ConnId) {
        self.open_conn(conn).is_paused = true;
        self.driver.pause(conn);
    }

    pub(crate) fn resume(&mut self, conn: ConnId) {
        self.open_conn(conn).is_paused = false;
        self.driver.resume(conn);
    }

    pub(crate) fn finish(&mut self, conn: ConnId) {
        self.open_conn(conn);
        self.driver.finish(conn);
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.open_conn(conn).stage = Stage::Closing;
        self.driver.close(conn);
    }

    pub(crate) fn release(&mut self, conn: ConnId) {
        self.open_conn(conn).stage = Stage::Releasing;
        self.driver.release(conn);
    }

    pub(crate) fn adopt(&mut self, socket: OwnedFd) -> ConnId {
        let conn = self.driver.adopt(socket).expect("a connected socket can be adopted");
        self.begin(conn);
        conn
    }

    /// What `Released` brought.
    pub(crate) fn take_released(&mut self, conn: ConnId) -> (OwnedFd, Option<Outgoing>) {
        let known = self.conns.get_mut(&conn).expect("it was released");
        known.released.take().expect("it was released and not taken")
    }

    fn begin(&mut self, conn: ConnId) {
        let is_taken =
            |(of, known): (&ConnId, &Conn)| of.index == conn.index && known.stage != Stage::Gone;
        assert!(!self.conns.iter().any(is_taken), "{conn:?} takes a slot that is not free");
        let before = self.conns.insert(conn, Conn::default());
        assert!(before.is_none(), "{conn:?} began twice");
    }

    /// Begins a turn.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        self.told_in_turn = 0;
        if self.budget == 1 {
            self.driver.trim();
        }
        self.driver.wait(timeout).expect("the kernel's interface works");
    }

    /// The next completion of the turn, after holding it against the contract.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.lent = None;
        let completion = self.driver.next()?;
        self.told_in_turn += 1;
        assert!(self.told_in_turn <= self.budget, "a turn ends when its budget is spent");
        let (conn, event) = match completion {
            Completion::Woken => {
                self.woken += 1;
                return Some(Event::Woken);
            }
            Completion::Accepted(conn, listener) => {
                assert!(self.listeners.contains(&listener), "{listener:?} is unknown");
                self.accepted.push(conn);
                self.begin(conn);
                return Some(Event::Accepted(conn));
            }
            Completion::Received(conn, bytes) => {
                let length = bytes.len();
                let copy = bytes.to_vec();
                // They are ours to change; nothing else may be seen to change with them.
                bytes.copy_from_slice(&lent_pattern(&copy));
                self.told(conn).receive(&copy);
                self.lent = Some((conn, lent_pattern(&copy)));
                (conn, Event::Received(conn, length))
            }
            Completion::Sent(conn, bytes) => {
                self.told(conn).complete_send(bytes.as_ref());
                (conn, Event::Sent(conn))
            }
            Completion::Ended(conn, end) => {
                self.told(conn).end(end);
                (conn, Event::Ended(conn, end))
            }
            Completion::Closed(conn) => {
                self.told(conn).leave(Stage::Closing);
                (conn, Event::Closed(conn))
            }
            Completion::Released(conn, socket, rest) => {
                self.told(conn).hand_over(socket, rest);
                (conn, Event::Released(conn))
            }
        };
        assert!(self.conns.contains_key(&conn));
        Some(event)
    }

    fn told(&mut self, conn: ConnId) -> &mut Conn {
        let known = self.conns.get_mut(&conn);
        let known = known.unwrap_or_else(|| panic!("{conn:?} is told of before its beginning"));
        assert_ne!(known.stage, Stage::Gone, "{conn:?} is told of after its last word");
        known
    }

    /// One turn; `react` may call back at every completion.
    pub(crate) fn turn(&mut self, timeout: Duration, mut react: impl FnMut(&mut Self, Event)) {
        self.wait(timeout);
        while let Some(event) = self.next() {
            react(self, event);
        }
    }

    /// Turns until what the driver has to tell by itself is told.
    pub(crate) fn until(&mut self, what: &str, mut is_done: impl FnMut(&mut Self) -> bool) {
        let began = now();
        while !is_done(self) {
            self.turn(PATIENCE, |_, _| {});
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        }
    }

    /// Turns between which a peer does its part in `is_done`.
    pub(crate) fn together(&mut self, what: &str, mut is_done: impl FnMut(&mut Self) -> bool) {
        let began = now();
        while !is_done(self) {
            self.turn(Duration::from_millis(1), |_, _| {});
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        }
    }

    /// Turns until nothing more is told and the driver sleeps its whole time; says what was told.
    pub(crate) fn settle(&mut self) -> Vec<Event> {
        let began = now();
        let (mut events, mut idle) = (Vec::new(), 0);
        while idle < self.rest.waits {
            let (before, asleep_since) = (events.len(), self.driver.now());
            self.turn(self.rest.timeout, |_, event| events.push(event));
            let has_slept = self.driver.now() - asleep_since >= self.rest.timeout;
            if events.len() > before {
                idle = 0;
            } else if has_slept {
                idle += 1;
            }
            assert!(began.elapsed() < PATIENCE, "it never comes to rest");
        }
        events
    }
}

impl Conn {
    fn receive(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "nothing was received");
        assert_ne!(self.stage, Stage::Closing, "received after close");
        let is_given_away = self.stage == Stage::Releasing;
        assert!(!self.is_paused || is_given_away, "received while paused");
        assert_eq!(self.ended, None, "received after the end");
        self.received.extend(bytes);
    }

    fn complete_send(&mut self, bytes: Option<&Outgoing>) {
        let given = self.sending.take().expect("one Sent for each send");
        let is_lent = std::mem::take(&mut self.sends_lent);
        let bytes = bytes.map(|bytes| bytes.to_vec(0));
        assert!(bytes == (!is_lent).then_some(given), "Sent gives back what was sent");
        self.sent += 1;
    }

    fn end(&mut self, end: End) {
        assert_eq!(self.ended, None, "the end is told once");
        let is_told_too_early = self.is_paused && end == End::Finished;
        assert!(!is_told_too_early, "a FIN waits behind the data while paused");
        self.ended = Some(end);
    }

    fn leave(&mut self, stage: Stage) {
        assert_eq!(self.stage, stage, "nobody asked for this");
        self.stage = Stage::Gone;
    }

    fn hand_over(&mut self, socket: OwnedFd, rest: Option<Outgoing>) {
        self.leave(Stage::Releasing);
        match (&self.sending, &rest) {
            (None, None) => {}
            (None, Some(_)) => panic!("nothing was being sent, so there is no rest"),
            (Some(_), None) => assert!(self.has_broken(), "a send was neither Sent nor given back"),
            (Some(given), Some(rest)) => {
                assert!(!rest.is_empty(), "if all was sent, Sent says so");
                assert!(given.ends_with(&rest.to_vec(0)), "the rest is the end of what was sent");
            }
        }
        self.released = Some((socket, rest));
    }

    fn has_broken(&self) -> bool {
        matches!(self.ended, Some(End::Failed(_)))
    }
}
