//! Pings to everybody, and the end of those who show no life.

use super::core::{Core, Parts};
use super::life::Question;
use super::table::{Connection, Ping, flag};
use super::timers::Tick;
use crate::config::Config;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{CLOSE_COST, FRAME_COST, PINGS_PER_TURN, QUESTION_COST, SEND_COST, TIMER_COST};
use crate::protocol::{Flow, Protocols};
use crate::wire::{CloseCode, Form};

/// Timers' entries that are not worth weeding.
const ENTRIES_KEPT: usize = 1024;

impl<W: Wake, L: Protocols> Core<W, L> {
    /// What time has brought: pings, checks for pongs, deadlines.
    pub(super) fn expire(&mut self) {
        self.send_pings();
        self.check_pongs();
        if self.parts.life.due.is_empty() {
            self.parts.life.timers.expire(self.parts.clock.now, &mut self.parts.life.due);
        }
        while let Some((conn, tick)) = self.parts.life.due.pop() {
            self.parts.budget.pay(TIMER_COST);
            if self.is_due(conn, tick) {
                // What it may come to is paid here, where it can stop.
                self.parts.budget.pay(QUESTION_COST + CLOSE_COST);
                self.overdue(conn);
            }
            if self.parts.is_spent() {
                break;
            }
        }
        self.look_at_unfinished();
        self.look_at_questions();
        self.wake_protocols();
    }

    fn is_due(&mut self, conn: ConnId, tick: Tick) -> bool {
        let Some(connection) = self.table.get_mut(conn) else { return false };
        let Parts { life, clock, .. } = &mut self.parts;
        life.is_due(conn, connection, tick, clock.now)
    }

    /// Calls the protocols that want to be called now.
    fn wake_protocols(&mut self) {
        while let Some(conn) = self.parts.life.wakes.next(self.parts.clock.now) {
            self.parts.budget.pay(TIMER_COST);
            let flow = self.visit(conn).map_or(Flow::Next, |mut visit| visit.due());
            self.carry_out_call(conn, flow);
            if self.parts.is_spent() {
                return;
            }
        }
    }

    /// Of each connection one entry of the timers counts. Others are of those that have gone since,
    /// and are dropped where there are too many of them.
    pub(super) fn weed(&mut self) {
        let Self { table, parts } = self;
        let kept = 2 * table.len() + ENTRIES_KEPT;
        while parts.life.timers.len() > kept && !parts.budget.is_spent() {
            let looked = parts.life.timers.weed(|conn, tick| {
                table.get_mut(conn).is_some_and(|connection| connection.timer == tick)
            });
            parts.budget.pay(TIMER_COST + looked * FRAME_COST);
        }
    }

    fn send_pings(&mut self) {
        let Some(mut sweep) = self.parts.life.pings.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.parts.life.cohorts.next(&mut sweep, self.parts.clock.now) else {
                break;
            };
            self.parts.budget.pay(TIMER_COST);
            self.send_ping(index);
            if self.parts.is_spent() {
                break;
            }
        }
        self.parts.life.pings = Some(sweep);
    }

    fn send_ping(&mut self, index: u32) {
        let Some((conn, connection)) = self.table.at(index) else { return };
        if !connection.is_open() {
            return;
        }
        if must_time_send(connection, &self.parts.shared.config) {
            self.parts.budget.pay(QUESTION_COST);
            self.parts.life.ask(Question::Taken, conn);
        }
        // Who is paused by us cannot answer; who has not answered yet is asked no further.
        if connection.has(flag::PAUSED) || connection.ping() != Ping::None {
            return;
        }
        connection.set_ping(Ping::Queued);
        self.parts.out.pool.append_shared(
            &mut connection.queue,
            &self.parts.life.ping,
            Form::Plain,
        );
        self.parts.out.touch(conn, connection);
        self.parts.budget.pay(SEND_COST);
        self.parts.counters.pings.add(1);
    }

    fn check_pongs(&mut self) {
        let Some(mut sweep) = self.parts.life.checks.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.parts.life.cohorts.next(&mut sweep, self.parts.clock.now) else {
                break;
            };
            self.parts.budget.pay(TIMER_COST);
            if let Some((conn, _)) = self.table.at(index) {
                self.check_pong(conn);
            }
            if self.parts.is_spent() {
                break;
            }
        }
        self.parts.life.checks = Some(sweep);
    }

    /// The deadline counts from when the ping has gone, which may be later than its sweep.
    pub(super) fn check_pong(&mut self, conn: ConnId) {
        let timeout = self.parts.config().pong_timeout;
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Ping::Awaiting(since) = connection.ping() else { return };
        // Who was told to go, or has finished, has another deadline, and may still be getting the
        // last bytes.
        if !connection.is_open() || connection.has(flag::PAUSED) {
            connection.set_ping(Ping::None);
            return;
        }
        let due = self.parts.life.timers.tick_behind(since, timeout);
        if self.parts.life.timers.is_ahead(due, self.parts.clock.now) {
            // A send that is timed has the deadline: then the next sweep looks again.
            if !connection.has(flag::SEND_TIMED) {
                self.parts.life.set_deadline(conn, connection, due);
            }
            return;
        }
        self.parts.budget.pay(QUESTION_COST + CLOSE_COST);
        self.parts.life.ask(Question::Silence, conn);
    }

    pub(super) fn end_unresponsive(&mut self, conn: ConnId) {
        self.parts.counters.closed_unresponsive.add(1);
        self.close_and_finish(conn, CloseCode::POLICY, "no pong");
    }
}

/// Whether the send that is under way is to have a deadline. It has the connection's only one: a
/// pong that is owed too is asked for by the sweeps.
fn must_time_send<S>(connection: &Connection<S>, config: &Config) -> bool {
    connection.has(flag::SENDING)
        && !connection.has(flag::SEND_TIMED)
        && !config.send_timeout.is_zero()
}
