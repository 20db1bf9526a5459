//! How connections end.

use super::core::Core;
use super::life::Question;
use super::table::{Linger, Link, Ping, flag};
use crate::driver::{End, Outgoing, Wake};
use crate::id::ConnId;
use crate::limits::{CLOSE_TIMEOUT, LINGER_BYTES_MAX, LINGER_SILENCE, LINGER_TIMEOUT, TIMER_TICK};
use crate::protocol::Protocols;

/// Who is held or waits for others goes on in its own time.
const STALLED_BY_OTHERS: u32 = flag::HELD | flag::WAITING;

impl<W: Wake, L: Protocols> Core<W, L> {
    /// The driver has sent what it was given.
    #[inline]
    pub(super) fn sent(&mut self, conn: ConnId, bytes: Option<Outgoing>) {
        if let Some(bytes) = bytes {
            self.parts.out.pool.recycle(bytes);
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        if connection.ping() == Ping::InFlight {
            connection.set_ping(Ping::Awaiting(self.parts.life.timers.tick(self.parts.clock.now)));
        }
        if connection.has(flag::WAITS_FOR_SENT) {
            return self.sent_with_more(conn);
        }
        connection.clear(flag::SENDING);
        if connection.queue.is_some() {
            self.parts.out.touch(conn, connection);
        }
    }

    /// As `sent`, where the connection has waited for that, or has other things to do.
    #[inline(never)]
    fn sent_with_more(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.clear(flag::SENDING);
        self.parts.life.end_send(conn, connection);
        let has_more = connection.queue.is_some();
        let is_stalled = connection.has(flag::STALLED) && !connection.has(STALLED_BY_OTHERS);
        let is_publisher = connection.is_subscribed();
        let has_deadline = connection.has(flag::FINISH | flag::CLOSE_WHEN_SENT | flag::RESPONDED);
        if has_more || has_deadline {
            self.parts.out.touch(conn, connection);
        }
        if has_deadline {
            self.arm_behind_send(conn);
        }
        if !is_stalled || has_more {
            return;
        }
        if !is_publisher || !self.parts.must_publishers_wait() {
            return self.unstall(conn);
        }
        if let Some(connection) = self.table.get_mut(conn) {
            self.parts.stalls.wait_for_others(conn, connection);
        }
    }

    /// What is to come next has its time from here on.
    #[inline(never)]
    fn arm_behind_send(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let is_ending = connection.has(flag::FINISH | flag::CLOSE_WHEN_SENT);
        self.arm(conn, if is_ending { CLOSE_TIMEOUT } else { self.parts.config().keep_alive });
    }

    /// A direction has ended.
    #[inline(never)]
    pub(super) fn ended(&mut self, conn: ConnId, end: End) {
        // What it published comes back to itself too, and decides whether it has more coming.
        match end {
            End::Finished => self.leave_topics(conn),
            End::Failed(_) => self.drop_out(conn),
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        let has_more = connection.queue.is_some() || connection.has(flag::SENDING);
        if end == End::Finished && has_more && !matches!(connection.link, Link::Closed) {
            // It may still read: what is queued is sent, then nothing is left to do.
            connection.set(flag::CLOSE_WHEN_SENT);
            if !connection.has(flag::FINISH) {
                self.arm(conn, CLOSE_TIMEOUT);
            }
        } else {
            self.close_soon(conn);
        }
    }

    /// Sends what is queued and a FIN, then lingers: closing at once could lose the last bytes,
    /// as unread input makes the kernel send a reset.
    pub(super) fn finish(&mut self, conn: ConnId) {
        self.leave_cohort(conn);
        let Some(connection) = self.table.get_mut(conn) else { return };
        if let Link::WebSocket(session) = &mut connection.link {
            session.release(&mut self.parts.codecs.scratch);
        }
        connection.link = Link::Lingering(Linger::default());
        connection.stash = None;
        // Whatever it waited for to go on: nothing is made of what it sends any more.
        connection.clear(flag::STALLED | flag::RESPONDED);
        connection.set(flag::FINISH);
        self.touch(conn);
        self.arm(conn, CLOSE_TIMEOUT);
    }

    /// All was said, and the FIN follows it: from here on the peer has its time to finish.
    pub(super) fn linger(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let is_counted = connection.has(flag::COUNTED);
        let Link::Lingering(linger) = &mut connection.link else { return };
        let longest = if is_counted { LINGER_TIMEOUT } else { LINGER_SILENCE };
        linger.until = self.parts.life.timers.tick_after(self.parts.clock.now, longest);
        self.arm(conn, LINGER_SILENCE);
    }

    /// Throws away what a lingering peer has sent.
    pub(super) fn discard(&mut self, conn: ConnId, bytes: usize) {
        let silence = self.parts.life.timers.tick_after(self.parts.clock.now, LINGER_SILENCE);
        let Some(connection) = self.table.get_mut(conn) else { return };
        let has_said_all = connection.queue.is_none();
        let Link::Lingering(linger) = &mut connection.link else { return };
        linger.discarded = linger.discarded.saturating_add(bytes as u32);
        let Linger { discarded, until } = *linger;
        if discarded > LINGER_BYTES_MAX && has_said_all {
            self.close_soon(conn);
        } else if until != 0 {
            let is_first = self.parts.life.timers.is_before(until, silence);
            let due = if is_first { until } else { silence };
            self.parts.life.arm_at(conn, connection, due);
        }
    }

    /// Closes at the end of the turn, without waiting for anything to be sent.
    pub(super) fn close_soon(&mut self, conn: ConnId) {
        self.drop_out(conn);
        if let Some(connection) = self.table.get_mut(conn) {
            connection.set(flag::CLOSE);
            self.touch(conn);
        }
    }

    /// Takes a connection out of everything but the table: the driver is told to close it.
    pub(super) fn detach(&mut self, conn: ConnId) {
        self.drop_out(conn);
        self.leave_cohort(conn);
        let Some(connection) = self.table.get_mut(conn) else { return };
        connection.stash = None;
        connection.deadline = 0;
        if let Some(bytes) = connection.queue.take() {
            self.parts.out.pool.recycle(bytes);
        }
        let link = std::mem::replace(&mut connection.link, Link::Closed);
        if let Link::WebSocket(mut session) = link {
            session.release(&mut self.parts.codecs.scratch);
        }
    }

    /// The last word about a connection.
    #[inline(never)]
    pub(super) fn closed(&mut self, conn: ConnId) {
        let connection = self.table.remove(conn);
        self.parts.counters.closed.add(1);
        if connection.has(flag::COUNTED) {
            self.parts.shared.discharge();
        } else {
            self.parts.admission.refusals -= 1;
        }
    }

    /// The deadline of a connection has passed: it is suspected, unless the deadline was of
    /// something that has happened since.
    pub(super) fn overdue(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let is_sending = connection.has(flag::SENDING);
        match (&connection.link, connection.ping()) {
            (Link::Http(_) | Link::Lingering(_), _) if is_sending => {
                self.parts.life.ask(Question::Taken, conn)
            }
            _ if is_sending && connection.has(flag::CLOSE_WHEN_SENT | flag::SEND_TIMED) => {
                self.parts.life.ask(Question::Taken, conn);
            }
            _ if connection.has(flag::CLOSE_WHEN_SENT) => self.close_soon(conn),
            (Link::WebSocket(session), ping) if session.is_open() => {
                if matches!(ping, Ping::Awaiting(_)) {
                    self.check_pong(conn);
                }
            }
            (Link::Lingering(linger), _)
                if self.parts.life.timers.is_ahead(linger.until, self.parts.clock.now) =>
            {
                self.parts.life.ask(Question::Silence, conn);
            }
            (Link::Lingering(_) | Link::Closed, _) => self.close_soon(conn),
            // We do not let it go on.
            _ if connection.has(flag::HELD | flag::WAITING) => self.reprieve(conn),
            // What it had to say in time was read, and that was not it; or it is not read because
            // it does not take what it has caused.
            _ if connection.has(flag::HEARD | flag::PAUSED) => self.condemn(conn),
            _ => self.parts.life.ask(Question::Silence, conn),
        }
    }

    /// What came before the deadline may not have been read: judges again when it was.
    pub(super) fn reprieve(&mut self, conn: ConnId) {
        self.arm(conn, TIMER_TICK);
        if let Some(connection) = self.table.get_mut(conn) {
            connection.set(flag::REPRIEVED);
        }
    }

    /// Ends a connection for its silence.
    pub(super) fn condemn(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        match &connection.link {
            Link::WebSocket(session) if session.is_open() => self.end_unresponsive(conn),
            // It was suspected twice in the same turn.
            Link::Lingering(_)
                if self.parts.life.timers.is_ahead(connection.deadline, self.parts.clock.now) => {}
            Link::Closed => {}
            _ => self.close_soon(conn),
        }
    }

    fn leave_cohort(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Some(place) = connection.place() else { return };
        connection.leave_place();
        if let Some(moved) = self.parts.life.cohorts.leave(place) {
            let (_, moved) = self.table.at(moved).expect("members of cohorts are connected");
            moved.set_place(place);
        }
    }
}
