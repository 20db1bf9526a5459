//! What time brings, and how connections end: deadlines (`timers`), pings (`heartbeat`, `cohorts`),
//! what only the driver knows of somebody whose time is over ([`Question`]), and the ways out:
//! `closing` (the handshake), `ending` (TCP), `goodbye` (the server stops), and out of this worker
//! altogether (`persist`, as an `image`). A deadline never ends
//! anybody whose bytes are still to be read.

pub(crate) mod closing;
pub(crate) mod cohorts;
pub(crate) mod ending;
pub(crate) mod goodbye;
pub(crate) mod heartbeat;
pub(crate) mod image;
pub(crate) mod persist;
pub(crate) mod progress;
pub(crate) mod reasons;
pub(crate) mod timers;
pub(crate) mod unfinished;
pub(crate) mod wakes;

#[cfg(test)]
mod persist_tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, flag};
use crate::config::Config;
use crate::id::ConnId;
use crate::wire::Encoded;
use crate::worker::ingress::parked::Deadlines;
use crate::worker::life::cohorts::{Cohorts, Sweep};
use crate::worker::life::timers::{Tick, Timers};
use crate::worker::life::unfinished::Unfinished;
use crate::worker::life::wakes::Wakes;

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) timers: Timers,
    /// Entries of the timers whose tick has come.
    pub(crate) due: Vec<(ConnId, Tick)>,
    /// What the driver is to be asked.
    pub(crate) questions: Vec<(Question, ConnId)>,
    /// Sessions in the middle of a message.
    pub(crate) unfinished: Unfinished,
    /// When protocols want to be called.
    pub(crate) wakes: Wakes,
    /// Until when questions may be answered.
    pub(crate) asked: Deadlines,
    pub(crate) cohorts: Cohorts,
    pub(crate) pings: Option<Sweep>,
    pub(crate) checks: Option<Sweep>,
    pub(crate) ping: Arc<Encoded>,
    /// What `Driver::taken` said last of sends that are timed, by slot.
    taken: HashMap<u32, u32>,
}

/// What only the driver knows of a connection whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether anything has come that would be a sign of life.
    Silence,
    /// Whether anything has come of the rest of a message.
    Progress,
    /// Whether it takes what it is sent.
    Taken,
}

impl Life {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let Config { ping_interval, pong_timeout, .. } = *config;
        let cohorts = Cohorts::new(ping_interval);
        let sweep = |first| (!ping_interval.is_zero()).then(|| cohorts.sweep(ping_interval, first));
        let pings = sweep(now);
        let checks = sweep(now + pong_timeout).filter(|_| !pong_timeout.is_zero());
        Self {
            timers: Timers::new(now),
            due: Vec::new(),
            questions: Vec::new(),
            unfinished: Unfinished::default(),
            asked: Deadlines::default(),
            wakes: Wakes::new(now),
            cohorts,
            pings,
            checks,
            ping: Arc::new(Encoded::ping()),
            taken: HashMap::new(),
        }
    }

    /// Lets time pass in which there was no connection.
    pub(crate) fn skip_sweeps(&mut self, now: Instant) {
        for sweep in [&mut self.pings, &mut self.checks].into_iter().flatten() {
            sweep.skip(now);
        }
    }

    pub(crate) fn ask(&mut self, question: Question, conn: ConnId) {
        self.questions.push((question, conn));
    }

    /// Sets when something must have happened on a connection. An entry of the timers that comes
    /// before it finds the new deadline by itself: whoever asks all the time has one entry and not
    /// one for each request.
    pub(crate) fn arm_at<S>(&mut self, conn: ConnId, connection: &mut Connection<S>, due: Tick) {
        connection.clear(flag::REPRIEVED | flag::HEARD);
        self.set_deadline(conn, connection, due);
    }

    /// Sets the deadline alone: what was seen of the last one (REPRIEVED, HEARD) stays.
    pub(crate) fn set_deadline<S>(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<S>,
        due: Tick,
    ) {
        connection.deadline = due;
        // The entry that there is comes first, and is entered again then.
        if connection.timer == 0 || self.timers.is_before(due, connection.timer) {
            connection.timer = due;
            self.timers.enter(conn, due);
        }
    }

    /// Whether a deadline has come, when the timers say so. One that was moved is entered again.
    pub(crate) fn is_due<S>(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<S>,
        tick: Tick,
        now: Instant,
    ) -> bool {
        if connection.timer != tick {
            return false;
        }
        connection.timer = 0;
        let deadline = connection.deadline;
        let is_ahead = self.timers.is_ahead(deadline, now);
        if is_ahead {
            self.set_deadline(conn, connection, deadline);
        }
        deadline != 0 && !is_ahead
    }

    /// Notes what the driver says of a send that is timed from here on; whether it is another word
    /// than the last one.
    pub(crate) fn note_taken<S>(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<S>,
        taken: u32,
    ) -> bool {
        connection.set(flag::SEND_TIMED);
        self.taken.insert(conn.index, taken) != Some(taken)
    }

    /// What the driver has said last of a send that is timed, if this one is.
    pub(crate) fn taken<S>(&self, conn: ConnId, connection: &Connection<S>) -> Option<u32> {
        let is_timed = connection.has(flag::SEND_TIMED);
        self.taken.get(&conn.index).copied().filter(|_| is_timed)
    }

    /// Whether any send of a slot is timed: for tests.
    pub(crate) fn times_send(&self, slot: u32) -> bool {
        self.taken.contains_key(&slot)
    }

    /// The send is over, and so is its time.
    #[inline]
    pub(crate) fn end_send<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        if connection.has(flag::SEND_TIMED) {
            connection.clear(flag::SEND_TIMED);
            self.taken.remove(&conn.index);
        }
    }

    /// Gives back what a burst has left.
    pub(crate) fn trim(&mut self, kept: usize) {
        self.due.shrink_to(kept);
        self.questions.shrink_to(kept);
        self.taken.shrink_to(kept);
        self.unfinished.trim();
    }
}
