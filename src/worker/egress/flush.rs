//! Where bytes leave a connection, once a turn unless it is an echo's, and where the driver is told
//! what became of it.

use std::ops::Range;

use crate::driver::Driver;
use crate::id::ConnId;
use crate::limits::CLOSE_COST;
use crate::protocol::Protocols;
use crate::stats::Counters;
use crate::worker::Worker;
use crate::worker::connection::{Connection, Link, Ping, flag};
use crate::worker::egress::slow;
use crate::worker::life::ending;

/// Each touched connection once: everything it has coming leaves in one send.
pub(crate) fn flush<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    while let Some(conn) = worker.core.parts.out.touched.pop_front() {
        flush_one(worker, conn);
    }
    worker.core.parts.out.cuts.forget();
}

pub(crate) fn flush_one<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, conn: ConnId) {
    let Some(connection) = worker.core.table.get_mut(conn) else { return };
    connection.clear(flag::TOUCHED);
    if connection.has(flag::CLOSE | flag::PAUSED | flag::SENDING | flag::WAITED) {
        if !prepare(worker, conn) {
            return;
        }
    } else if let Some(bytes) = connection.queue.take() {
        note_send(connection, &worker.core.parts.counters, bytes.len());
        return worker.driver.send(conn, bytes);
    }
    let Some(connection) = worker.core.table.get_mut(conn) else { return };
    if let Some(bytes) = connection.queue.take() {
        note_send(connection, &worker.core.parts.counters, bytes.len());
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

#[inline]
fn note_send<S>(connection: &mut Connection<S>, counters: &Counters, bytes: usize) {
    connection.set(flag::SENDING);
    if connection.ping() == Ping::Queued {
        connection.set_ping(Ping::InFlight);
    }
    counters.sends.add(1);
    counters.bytes_sent.add(bytes as u64);
}

/// What comes before a send, where there is anything; whether something may be sent.
#[inline(never)]
fn prepare<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, conn: ConnId) -> bool {
    let Some(connection) = worker.core.table.get_mut(conn) else { return false };
    if matches!(connection.link, Link::Closed) {
        return false;
    }
    if connection.has(flag::CLOSE) {
        close(worker, conn);
        return false;
    }
    slow::judge(&mut worker.core, conn);
    let Some(connection) = worker.core.table.get_mut(conn) else { return false };
    if connection.has(flag::PAUSED) && !connection.has(flag::STALLED) {
        connection.clear(flag::PAUSED);
        if matches!(connection.ping(), Ping::Awaiting(_)) {
            // We did not listen while it was paused.
            connection.set_ping(Ping::None);
        }
        worker.driver.resume(conn);
    }
    !connection.has(flag::SENDING)
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
