//! Where bytes leave a connection, once a turn unless it is an echo's, and where the driver is told
//! what became of it.

use std::ops::Range;

use super::Worker;
use super::table::{Connection, Link, Ping, flag};
use crate::driver::Driver;
use crate::id::ConnId;
use crate::limits::CLOSE_COST;
use crate::protocol::Protocols;

impl<D: Driver, L: Protocols> Worker<D, L> {
    /// Each touched connection once: everything it has coming leaves in one send.
    pub(super) fn flush(&mut self) {
        while let Some(conn) = self.core.parts.out.touched.pop_front() {
            self.flush_one(conn);
        }
    }

    pub(super) fn flush_one(&mut self, conn: ConnId) {
        let max_backlog = self.core.parts.config().max_backlog;
        let Some(connection) = self.core.table.get_mut(conn) else { return };
        connection.clear(flag::TOUCHED);
        if matches!(connection.link, Link::Closed) {
            return;
        }
        if connection.has(flag::CLOSE) {
            return self.close(conn);
        }
        if is_too_slow(connection, max_backlog) {
            self.core.parts.counters.closed_slow.add(1);
            tracing::debug!(?conn, backlog = connection.backlog(), "closing: too slow");
            return self.close(conn);
        }
        if connection.has(flag::PAUSED) && !connection.has(flag::STALLED) {
            connection.clear(flag::PAUSED);
            if matches!(connection.ping(), Ping::Awaiting(_)) {
                // We did not listen while it was paused.
                connection.set_ping(Ping::None);
            }
            self.driver.resume(conn);
        }
        if connection.has(flag::SENDING) {
            return;
        }
        if let Some(bytes) = connection.queue.take() {
            connection.set(flag::SENDING);
            if connection.ping() == Ping::Queued {
                connection.set_ping(Ping::InFlight);
            }
            self.core.parts.counters.sends.add(1);
            self.core.parts.counters.bytes_sent.add(bytes.len() as u64);
            return self.driver.send(conn, bytes);
        }
        if connection.has(flag::CLOSE_WHEN_SENT) {
            return self.close(conn);
        }
        if connection.has(flag::FINISH) && !connection.has(flag::FINISHED) {
            connection.set(flag::FINISHED);
            self.driver.finish(conn);
            self.core.linger(conn);
        }
    }

    /// Sends a part of what was received.
    pub(super) fn reply(&mut self, conn: ConnId, part: Range<usize>) {
        self.core.parts.counters.sends.add(1);
        self.core.parts.counters.bytes_sent.add(part.len() as u64);
        if self.driver.send_lent(conn, part)
            && let Some(connection) = self.core.table.get_mut(conn)
        {
            // Nothing else was under way, nor has it come to be.
            connection.clear(flag::SENDING);
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.core.parts.budget.pay(CLOSE_COST);
        self.core.detach(conn);
        self.driver.close(conn);
    }
}

/// Deliveries wait behind a send that the peer does not take. Replies do not count: they have
/// stopped us from reading before they come to this.
fn is_too_slow<S>(connection: &Connection<S>, max_backlog: usize) -> bool {
    connection.has(flag::SENDING)
        && connection.is_subscribed()
        && connection.backlog() > max_backlog
}
