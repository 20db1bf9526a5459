//! Where bytes leave a connection, once a turn unless it is an echo's, and where the driver is told
//! what became of it.

use std::ops::Range;

use crate::driver::Driver;
use crate::id::ConnId;
use crate::limits::CLOSE_COST;
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::Worker;
use crate::worker::connection::{Connection, Link, Ping, flag};
use crate::worker::life::ending;

/// Each touched connection once: everything it has coming leaves in one send.
pub(crate) fn flush<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    while let Some(conn) = worker.core.parts.out.touched.pop_front() {
        flush_one(worker, conn);
    }
}

pub(crate) fn flush_one<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, conn: ConnId) {
    let max_backlog = worker.core.parts.config().max_backlog;
    let Some(connection) = worker.core.table.get_mut(conn) else { return };
    connection.clear(flag::TOUCHED);
    if matches!(connection.link, Link::Closed) {
        return;
    }
    if connection.has(flag::CLOSE) {
        return close(worker, conn);
    }
    if is_too_slow(connection, max_backlog) {
        return close_slow(worker, conn);
    }
    if connection.has(flag::PAUSED) && !connection.has(flag::STALLED) {
        connection.clear(flag::PAUSED);
        if matches!(connection.ping(), Ping::Awaiting(_)) {
            // We did not listen while it was paused.
            connection.set_ping(Ping::None);
        }
        worker.driver.resume(conn);
    }
    if connection.has(flag::SENDING) {
        return;
    }
    if let Some(bytes) = connection.queue.take() {
        connection.set(flag::SENDING);
        if connection.ping() == Ping::Queued {
            connection.set_ping(Ping::InFlight);
        }
        worker.core.parts.counters.sends.add(1);
        worker.core.parts.counters.bytes_sent.add(bytes.len() as u64);
        return worker.driver.send(conn, bytes);
    }
    if connection.has(flag::CLOSE_WHEN_SENT) && !connection.owes_answer() {
        return close(worker, conn);
    }
    if connection.has(flag::FINISH) && !connection.has(flag::FINISHED) {
        connection.set(flag::FINISHED);
        worker.driver.finish(conn);
        ending::linger(&mut worker.core, conn);
    }
}

/// More waits than may.
#[inline(never)]
fn close_slow<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, conn: ConnId) {
    ending::end_slow(&mut worker.core, conn, Ending::SlowConsumer);
    close(worker, conn);
}

/// Sends a part of what was received.
pub(crate) fn reply<D: Driver, L: Protocols>(
    worker: &mut Worker<D, L>,
    conn: ConnId,
    part: Range<usize>,
) {
    worker.core.parts.counters.sends.add(1);
    worker.core.parts.counters.bytes_sent.add(part.len() as u64);
    if worker.driver.send_lent(conn, part)
        && let Some(connection) = worker.core.table.get_mut(conn)
    {
        // Nothing else was under way, nor has it come to be.
        connection.clear(flag::SENDING);
    }
}

fn close<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, conn: ConnId) {
    worker.core.parts.budget.pay(CLOSE_COST);
    ending::detach(&mut worker.core, conn);
    worker.driver.close(conn);
}

/// Deliveries wait behind a send that the peer does not take. Replies do not count: they have
/// stopped us from reading before they come to this.
fn is_too_slow<S>(connection: &Connection<S>, max_backlog: usize) -> bool {
    connection.has(flag::SENDING)
        && connection.is_subscribed()
        && connection.backlog() > max_backlog
}
