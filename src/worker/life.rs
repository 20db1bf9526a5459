//! What time brings: deadlines, pings, and the questions to the driver that come of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::cohorts::{Cohorts, Sweep};
use super::parked::Deadlines;
use super::table::{Connection, flag};
use super::timers::{Tick, Timers};
use super::unfinished::Unfinished;
use super::wakes::Wakes;
use crate::config::Config;
use crate::id::ConnId;
use crate::wire::Encoded;

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) timers: Timers,
    /// Entries of the timers whose tick has come.
    pub(super) due: Vec<(ConnId, Tick)>,
    /// What the driver is to be asked.
    pub(super) questions: Vec<(Question, ConnId)>,
    /// Sessions in the middle of a message.
    pub(super) unfinished: Unfinished,
    /// When protocols want to be called.
    pub(super) wakes: Wakes,
    /// Until when questions may be answered.
    pub(super) asked: Deadlines,
    pub(super) cohorts: Cohorts,
    pub(super) pings: Option<Sweep>,
    pub(super) checks: Option<Sweep>,
    pub(super) ping: Arc<Encoded>,
    /// What `Driver::taken` said last of sends that are timed, by slot.
    taken: HashMap<u32, u32>,
}

/// What only the driver knows of a connection whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether anything has come that would be a sign of life.
    Silence,
    /// Whether anything has come of the rest of a message.
    Progress,
    /// Whether it takes what it is sent.
    Taken,
}

impl Life {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
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
            wakes: Wakes::default(),
            cohorts,
            pings,
            checks,
            ping: Arc::new(Encoded::ping()),
            taken: HashMap::new(),
        }
    }

    /// Lets time pass in which there was no connection.
    pub(super) fn skip_sweeps(&mut self, now: Instant) {
        for sweep in [&mut self.pings, &mut self.checks].into_iter().flatten() {
            sweep.skip(now);
        }
    }

    pub(super) fn ask(&mut self, question: Question, conn: ConnId) {
        self.questions.push((question, conn));
    }

    /// Sets when something must have happened on a connection. An entry of the timers that comes
    /// before it finds the new deadline by itself: whoever asks all the time has one entry and not
    /// one for each request.
    pub(super) fn arm_at<S>(&mut self, conn: ConnId, connection: &mut Connection<S>, due: Tick) {
        connection.clear(flag::REPRIEVED | flag::HEARD);
        self.set_deadline(conn, connection, due);
    }

    /// Sets the deadline alone: what was seen of the last one (REPRIEVED, HEARD) stays.
    pub(super) fn set_deadline<S>(
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
    pub(super) fn is_due<S>(
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
    pub(super) fn note_taken<S>(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<S>,
        taken: u32,
    ) -> bool {
        connection.set(flag::SEND_TIMED);
        self.taken.insert(conn.index, taken) != Some(taken)
    }

    /// The send is over, and so is its time.
    #[inline]
    pub(super) fn end_send<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        if connection.has(flag::SEND_TIMED) {
            connection.clear(flag::SEND_TIMED);
            self.taken.remove(&conn.index);
        }
    }

    /// Gives back what a burst has left.
    pub(super) fn trim(&mut self, kept: usize) {
        self.due.shrink_to(kept);
        self.questions.shrink_to(kept);
        self.taken.shrink_to(kept);
        self.unfinished.trim();
    }
}
