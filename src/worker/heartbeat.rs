//! Pings to everybody, and the end of those who show no life.

use super::core::{Core, touch};
use super::table::{Connection, Ping, flag};
use crate::config::Config;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::PINGS_PER_TURN;
use crate::wire::{CloseCode, Form};

impl<W: Wake> Core<W> {
    /// What time has brought: pings, checks for pongs, deadlines.
    pub(super) fn expire(&mut self) {
        self.send_pings();
        self.check_pongs();
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(self.now, &mut due);
        for (conn, tick) in due.drain(..) {
            if self.is_due(conn, tick) {
                self.overdue(conn);
            }
        }
        self.due = due;
    }

    fn send_pings(&mut self) {
        let Some(mut sweep) = self.pings.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.cohorts.next(&mut sweep, self.now) else { break };
            self.send_ping(index);
        }
        self.pings = Some(sweep);
    }

    fn send_ping(&mut self, index: u32) {
        let Some((conn, connection)) = self.table.at(index) else { return };
        if !connection.is_open() {
            return;
        }
        if must_time_send(connection, &self.shared.config) {
            self.slow.push(conn);
        }
        // Who is paused by us cannot answer; who has not answered yet is asked no further.
        if connection.has(flag::PAUSED) || connection.ping != Ping::None {
            return;
        }
        connection.ping = Ping::Queued;
        self.pool.append_shared(&mut connection.queue, &self.ping, Form::Plain);
        touch(&mut self.touched, conn, connection);
        self.counters.pings.add(1);
    }

    fn check_pongs(&mut self) {
        let Some(mut sweep) = self.checks.take() else { return };
        for _ in 0..PINGS_PER_TURN {
            let Some(index) = self.cohorts.next(&mut sweep, self.now) else { break };
            if let Some((conn, _)) = self.table.at(index) {
                self.check_pong(conn);
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
        let due = since + self.timers.ticks(timeout);
        if due > self.timers.tick(self.now) {
            return self.arm_at(conn, due);
        }
        self.suspects.push(conn);
    }

    pub(super) fn end_unresponsive(&mut self, conn: ConnId) {
        self.counters.closed_unresponsive.add(1);
        self.begin_close(conn, CloseCode::POLICY, "no pong");
        self.finish(conn);
    }
}

/// Whether the deadline is to be one of the send that is under way: a pong may have its own.
fn must_time_send(connection: &Connection, config: &Config) -> bool {
    let owes_pong = matches!(connection.ping, Ping::Awaiting(_)) && !config.pong_timeout.is_zero();
    connection.has(flag::SENDING)
        && !connection.has(flag::SEND_TIMED)
        && !owes_pong
        && !config.send_timeout.is_zero()
}
