//! How connections end.

use crate::driver::{End, Outgoing, Wake};
use crate::id::ConnId;
use crate::limits::{CLOSE_TIMEOUT, LINGER_BYTES_MAX, LINGER_SILENCE, LINGER_TIMEOUT, TIMER_TICK};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::connection::{Linger, Link, Ping, flag};
use crate::worker::core::Core;
use crate::worker::egress::membership;
use crate::worker::ingress::ingest;
use crate::worker::life::{Life, Question, heartbeat, reasons};
use crate::worker::limits;

/// Who is held or waits for others goes on in its own time.
const STALLED_BY_OTHERS: u32 = flag::HELD | flag::WAITING;

/// The driver has sent what it was given.
#[inline]
pub(crate) fn sent<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    bytes: Option<Outgoing>,
) {
    if let Some(bytes) = bytes {
        core.parts.out.pool.recycle(bytes);
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    if connection.ping() == Ping::InFlight {
        connection.set_ping(Ping::Awaiting(core.parts.life.timers.tick(core.parts.clock.now)));
    }
    if connection.has(flag::WAITS_FOR_SENT) {
        return sent_with_more(core, conn);
    }
    connection.clear(flag::SENDING);
    if connection.queue.is_some() {
        core.parts.out.touch(conn, connection);
    }
}

/// As `sent`, where the connection has waited for that, or has other things to do.
#[inline(never)]
fn sent_with_more<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    connection.clear(flag::SENDING);
    core.parts.life.end_send(conn, connection);
    let has_more = connection.queue.is_some();
    let is_stalled = connection.has(flag::STALLED) && !connection.has(STALLED_BY_OTHERS);
    let room = connection.first_edge().map(|edge| core.parts.hub.room_of(edge));
    let has_deadline = connection.has(flag::FINISH | flag::CLOSE_WHEN_SENT | flag::RESPONDED);
    if has_more || has_deadline {
        core.parts.out.touch(conn, connection);
    }
    if has_deadline {
        arm_behind_send(core, conn);
    }
    if !is_stalled || has_more {
        return;
    }
    if room.is_none() || !core.parts.must_publishers_wait() {
        return ingest::unstall(core, conn);
    }
    if let Some(connection) = core.table.get_mut(conn) {
        core.parts.stalls.wait_for_others(conn, connection, room);
    }
}

/// What is to come next has its time from here on.
#[inline(never)]
fn arm_behind_send<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let is_ending = connection.has(flag::FINISH | flag::CLOSE_WHEN_SENT);
    core.arm(conn, if is_ending { CLOSE_TIMEOUT } else { core.parts.config().keep_alive });
}

/// A direction has ended.
#[inline(never)]
pub(crate) fn ended<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, end: End) {
    reasons::note(core, conn, Ending::Disconnected, reasons::NO_CLOSE_FRAME);
    // What it published comes back to itself too, and decides whether it has more coming.
    let owes_answer = core.table.get_mut(conn).is_some_and(|it| it.owes_answer());
    match end {
        // It is in no topic, and what it has asked is to be answered.
        End::Finished if owes_answer => {}
        End::Finished => membership::leave_topics(core, conn),
        End::Failed(_) => membership::drop_out(core, conn),
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    let has_more = connection.queue.is_some() || connection.has(flag::SENDING) || owes_answer;
    if end == End::Finished && has_more && !matches!(connection.link, Link::Closed) {
        // It may still read: what is queued is sent, then nothing is left to do.
        connection.set(flag::CLOSE_WHEN_SENT);
        // An answer that somebody else owes has its own time.
        if !connection.has(flag::FINISH) && !owes_answer {
            core.arm(conn, CLOSE_TIMEOUT);
        }
    } else {
        close_soon(core, conn);
    }
}

/// Sends what is queued and a FIN, then lingers: closing at once could lose the last bytes,
/// as unread input makes the kernel send a reset.
pub(crate) fn finish<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    leave_cohort(core, conn);
    let Some(connection) = core.table.get_mut(conn) else { return };
    if let Link::WebSocket(session) = &mut connection.link {
        session.release(&mut core.parts.codecs.scratch);
    }
    connection.link = Link::Lingering(Linger::default());
    connection.stash = None;
    // Whatever it waited for to go on: nothing is made of what it sends any more.
    connection.clear(flag::STALLED | flag::RESPONDED);
    connection.set(flag::FINISH);
    core.touch(conn);
    core.arm(conn, CLOSE_TIMEOUT);
}

/// All was said, and the FIN follows it: from here on the peer has its time to finish.
pub(crate) fn linger<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let is_counted = connection.has(flag::COUNTED);
    let Link::Lingering(linger) = &mut connection.link else { return };
    let longest = if is_counted { LINGER_TIMEOUT } else { LINGER_SILENCE };
    linger.until = core.parts.life.timers.tick_after(core.parts.clock.now, longest);
    core.arm(conn, LINGER_SILENCE);
}

/// Throws away what a lingering peer has sent.
pub(crate) fn discard<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, bytes: usize) {
    let silence = core.parts.life.timers.tick_after(core.parts.clock.now, LINGER_SILENCE);
    let Some(connection) = core.table.get_mut(conn) else { return };
    let has_said_all = connection.queue.is_none();
    let Link::Lingering(linger) = &mut connection.link else { return };
    linger.discarded = linger.discarded.saturating_add(bytes as u32);
    let Linger { discarded, until } = *linger;
    if discarded > LINGER_BYTES_MAX && has_said_all {
        close_soon(core, conn);
    } else if until != 0 {
        let is_first = core.parts.life.timers.is_before(until, silence);
        let due = if is_first { until } else { silence };
        core.parts.life.arm_at(conn, connection, due);
    }
}

/// A peer that does not take what it is sent gets nothing more.
#[inline(never)]
pub(crate) fn end_slow<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, why: Ending) {
    core.parts.counters.closed_slow.add(1);
    reasons::note(core, conn, why, reasons::NO_CLOSE_FRAME);
    close_soon(core, conn);
}

/// Closes at the end of the turn, without waiting for anything to be sent.
pub(crate) fn close_soon<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    membership::drop_out(core, conn);
    if let Some(connection) = core.table.get_mut(conn) {
        connection.set(flag::CLOSE);
        core.touch(conn);
    }
}

/// Takes a connection out of everything but the table: the driver is told to close it.
pub(crate) fn detach<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    membership::drop_out(core, conn);
    leave_cohort(core, conn);
    let Some(connection) = core.table.get_mut(conn) else { return };
    connection.stash = None;
    connection.deadline = 0;
    core.parts.life.end_send(conn, connection);
    if let Some(bytes) = connection.queue.take() {
        core.parts.out.pool.recycle(bytes);
    }
    let link = std::mem::replace(&mut connection.link, Link::Closed);
    if let Link::WebSocket(mut session) = link {
        session.release(&mut core.parts.codecs.scratch);
    }
}

/// The last word about a connection.
#[inline(never)]
pub(crate) fn closed<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let connection = core.table.remove(conn);
    limits::forget(&mut core.parts, conn);
    core.parts.counters.closed.add(1);
    if !core.parts.out.dropped.is_empty() {
        core.parts.out.dropped.remove(&conn.index);
    }
    if connection.has(flag::COUNTED) {
        core.parts.shared.discharge();
    } else {
        core.parts.admission.refusals -= 1;
    }
    core.parts.admission.clients.take(conn.index);
}

/// The deadline of a connection has passed: it is suspected, unless the deadline was of
/// something that has happened since.
pub(crate) fn overdue<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let is_sending = connection.has(flag::SENDING);
    match (&connection.link, connection.ping()) {
        (Link::Http(_) | Link::Lingering(_), _) if is_sending => {
            core.parts.life.ask(Question::Taken, conn)
        }
        _ if is_sending && connection.has(flag::CLOSE_WHEN_SENT | flag::SEND_TIMED) => {
            core.parts.life.ask(Question::Taken, conn);
        }
        _ if connection.has(flag::CLOSE_WHEN_SENT) => close_soon(core, conn),
        (Link::WebSocket(session), ping) if session.is_open() => {
            if matches!(ping, Ping::Awaiting(_)) {
                heartbeat::check_pong(core, conn);
            }
        }
        (Link::Lingering(linger), _)
            if core.parts.life.timers.is_ahead(linger.until, core.parts.clock.now) =>
        {
            core.parts.life.ask(Question::Silence, conn);
        }
        (Link::Lingering(_) | Link::Closed, _) => close_soon(core, conn),
        // We do not let it go on.
        _ if connection.has(flag::HELD | flag::WAITING) => reprieve(core, conn),
        _ if core.parts.admission.limits.has_paused(conn) => {
            core.arm(conn, core.parts.config().handshake_timeout);
        }
        // What it had to say in time was read, and that was not it; or it is not read because
        // it does not take what it has caused.
        _ if connection.has(flag::HEARD | flag::PAUSED) => condemn(core, conn),
        _ => core.parts.life.ask(Question::Silence, conn),
    }
}

/// What came before the deadline may not have been read: judges again when it was.
pub(crate) fn reprieve<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    core.arm(conn, TIMER_TICK);
    if let Some(connection) = core.table.get_mut(conn) {
        connection.set(flag::REPRIEVED);
    }
}

/// Ends a connection for its silence.
pub(crate) fn condemn<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    match &connection.link {
        Link::WebSocket(session) if session.is_open() => heartbeat::end_unresponsive(core, conn),
        // It was suspected twice in the same turn.
        Link::Lingering(_)
            if core.parts.life.timers.is_ahead(connection.deadline, core.parts.clock.now) => {}
        Link::Closed => {}
        _ => close_soon(core, conn),
    }
}

pub(crate) fn leave_cohort<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Some(place) = connection.place() else { return };
    connection.leave_place();
    let Life { cohorts, pings, checks, .. } = &mut core.parts.life;
    cohorts.leave(place, [pings.as_mut(), checks.as_mut()], |moved, place| {
        let (_, moved) = core.table.at(moved).expect("members of cohorts are connected");
        moved.set_place(place);
    });
}
