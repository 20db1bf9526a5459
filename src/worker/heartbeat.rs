//! Pings to everybody, and the end of those who show no life.

use super::core::{Core, touch};
use super::table::{Connection, Ping, flag};
use crate::config::Config;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{CLOSE_COST, PINGS_PER_TURN, QUESTION_COST, SEND_COST, TIMER_COST};
use crate::wire::{CloseCode, Form};

impl<W: Wake> Core<W> {
    /// What time has brought: pings, checks for pongs, deadlines.
    pub(super) fn expire(&mut self) {
        self.send_pings();
        self.check_pongs();
        if self.due.is_empty() {
            self.timers.expire(self.now, &mut self.due);
        }
        while let Some((conn, tick)) = self.due.pop() {
            self.budget.pay(TIMER_COST);
            if self.is_due(conn, tick) {
                // What it may come to is paid here, where it can stop.
                self.budget.pay(QUESTION_COST + CLOSE_COST);
                self.overdue(conn);
            }
            if self.is_spent() {
                break;
            }
        }
        self.look_at_unfinished();
    }

    fn send_pings(&mut self) {
        let Some(mut sweep) = self.pings.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.cohorts.next(&mut sweep, self.now) else { break };
            self.budget.pay(TIMER_COST);
            self.send_ping(index);
            if self.is_spent() {
                break;
            }
        }
        self.pings = Some(sweep);
    }

    fn send_ping(&mut self, index: u32) {
        let Some((conn, connection)) = self.table.at(index) else { return };
        if !connection.is_open() {
            return;
        }
        if must_time_send(connection, &self.shared.config) {
            self.budget.pay(QUESTION_COST);
            self.slow.push(conn);
        }
        // Who is paused by us cannot answer; who has not answered yet is asked no further.
        if connection.has(flag::PAUSED) || connection.ping != Ping::None {
            return;
        }
        connection.ping = Ping::Queued;
        self.pool.append_shared(&mut connection.queue, &self.ping, Form::Plain);
        touch(&mut self.touched, conn, connection);
        self.budget.pay(SEND_COST);
        self.counters.pings.add(1);
    }

    fn check_pongs(&mut self) {
        let Some(mut sweep) = self.checks.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.cohorts.next(&mut sweep, self.now) else { break };
            self.budget.pay(TIMER_COST);
            if let Some((conn, _)) = self.table.at(index) {
                self.check_pong(conn);
            }
            if self.is_spent() {
                break;
            }
        }
        self.checks = Some(sweep);
    }

    /// The deadline counts from when the ping has gone, which may be later than its sweep.
    pub(super) fn check_pong(&mut self, conn: ConnId) {
        let timeout = self.config().pong_timeout;
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Ping::Awaiting(since) = connection.ping else { return };
        // Who was told to go, or has finished, has another deadline, and may still be getting the
        // last bytes.
        if !connection.is_open() || connection.has(flag::PAUSED) {
            connection.ping = Ping::None;
            return;
        }
        let due = self.timers.tick_behind(since, timeout);
        if self.timers.is_ahead(due, self.now) {
            // A send that is timed has the deadline: then the next sweep looks again.
            if !connection.has(flag::SEND_TIMED) {
                self.set_deadline(conn, due);
            }
            return;
        }
        self.budget.pay(QUESTION_COST + CLOSE_COST);
        self.suspects.push(conn);
    }

    pub(super) fn end_unresponsive(&mut self, conn: ConnId) {
        self.counters.closed_unresponsive.add(1);
        self.begin_close(conn, CloseCode::POLICY, "no pong");
        self.finish(conn);
    }
}

/// Whether the send that is under way is to have a deadline. It has the connection's only one: a
/// pong that is owed too is asked for by the sweeps.
fn must_time_send(connection: &Connection, config: &Config) -> bool {
    connection.has(flag::SENDING)
        && !connection.has(flag::SEND_TIMED)
        && !config.send_timeout.is_zero()
}
