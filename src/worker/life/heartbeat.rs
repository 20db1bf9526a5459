//! Pings to everybody, and the end of those who show no life.

use crate::config::Config;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{CLOSE_COST, FRAME_COST, PINGS_PER_TURN, QUESTION_COST, SEND_COST, TIMER_COST};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::wire::{CloseCode, Form};
use crate::worker::connection::{Connection, Ping, flag};
use crate::worker::core::{Core, Parts};
use crate::worker::ingress::parked;
use crate::worker::life::timers::Tick;
use crate::worker::life::{Question, closing, ending, unfinished, wakes};
use crate::worker::limits;

/// Timers' entries that are not worth weeding.
const ENTRIES_KEPT: usize = 1024;

/// What time has brought: pings, checks for pongs, deadlines.
pub(crate) fn expire<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    send_pings(core);
    check_pongs(core);
    if core.parts.life.due.is_empty() {
        core.parts.life.timers.expire(core.parts.clock.now, &mut core.parts.life.due);
    }
    while let Some((conn, tick)) = core.parts.life.due.pop() {
        core.parts.budget.pay(TIMER_COST);
        if is_due(core, conn, tick) {
            // What it may come to is paid here, where it can stop.
            core.parts.budget.pay(QUESTION_COST + CLOSE_COST);
            ending::overdue(core, conn);
        }
        if core.parts.is_spent() {
            break;
        }
    }
    unfinished::look_at_unfinished(core);
    parked::look_at_questions(core);
    wakes::wake_protocols(core);
    limits::expire(core);
}

fn is_due<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, tick: Tick) -> bool {
    let Some(connection) = core.table.get_mut(conn) else { return false };
    let Parts { life, clock, .. } = &mut core.parts;
    life.is_due(conn, connection, tick, clock.now)
}

/// Of each connection one entry of the timers counts. Others are of those that have gone since,
/// and are dropped where there are too many of them.
pub(crate) fn weed<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let Core { table, parts } = core;
    let kept = 2 * table.len() + ENTRIES_KEPT;
    while parts.life.timers.len() > kept && !parts.budget.is_spent() {
        let looked = parts.life.timers.weed(|conn, tick| {
            table.get_mut(conn).is_some_and(|connection| connection.timer == tick)
        });
        parts.budget.pay(TIMER_COST + looked * FRAME_COST);
    }
    limits::weed(core);
}

fn send_pings<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let Some(mut sweep) = core.parts.life.pings.take() else { return };
    for _ in 0..PINGS_PER_TURN {
        let Some(index) = core.parts.life.cohorts.next(&mut sweep, core.parts.clock.now) else {
            break;
        };
        core.parts.budget.pay(TIMER_COST);
        send_ping(core, index);
        if core.parts.is_spent() {
            break;
        }
    }
    core.parts.life.pings = Some(sweep);
}

fn send_ping<W: Wake, L: Protocols>(core: &mut Core<W, L>, index: u32) {
    let Some((conn, connection)) = core.table.at(index) else { return };
    if !connection.is_open() {
        return;
    }
    if must_time_send(connection, &core.parts.settings.config) {
        core.parts.budget.pay(QUESTION_COST);
        core.parts.life.ask(Question::Taken, conn);
    }
    // Who is paused by us cannot answer; who has not answered yet is asked no further.
    if connection.has(flag::PAUSED) || connection.ping() != Ping::None {
        return;
    }
    connection.set_ping(Ping::Queued);
    core.parts.out.pool.append_shared(&mut connection.queue, &core.parts.life.ping, Form::Plain);
    core.parts.out.touch(conn, connection);
    core.parts.budget.pay(SEND_COST);
    core.parts.counters.pings.add(1);
}

fn check_pongs<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let Some(mut sweep) = core.parts.life.checks.take() else { return };
    for _ in 0..PINGS_PER_TURN {
        let Some(index) = core.parts.life.cohorts.next(&mut sweep, core.parts.clock.now) else {
            break;
        };
        core.parts.budget.pay(TIMER_COST);
        if let Some((conn, _)) = core.table.at(index) {
            check_pong(core, conn);
        }
        if core.parts.is_spent() {
            break;
        }
    }
    core.parts.life.checks = Some(sweep);
}

/// The deadline counts from when the ping has gone, which may be later than its sweep.
pub(crate) fn check_pong<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let timeout = core.parts.config().pong_timeout;
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Ping::Awaiting(since) = connection.ping() else { return };
    // Who was told to go, or has finished, has another deadline, and may still be getting the
    // last bytes.
    if !connection.is_open() || connection.has(flag::PAUSED) {
        connection.set_ping(Ping::None);
        return;
    }
    let due = core.parts.life.timers.tick_behind(since, timeout);
    if core.parts.life.timers.is_ahead(due, core.parts.clock.now) {
        // A send that is timed has the deadline: then the next sweep looks again.
        if !connection.has(flag::SEND_TIMED) {
            core.parts.life.set_deadline(conn, connection, due);
        }
        return;
    }
    core.parts.budget.pay(QUESTION_COST + CLOSE_COST);
    core.parts.life.ask(Question::Silence, conn);
}

pub(crate) fn end_unresponsive<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    core.parts.counters.closed_unresponsive.add(1);
    closing::close_and_finish(core, conn, Ending::PongTimeout, CloseCode::POLICY, "no pong");
}

/// Whether the send that is under way is to have a deadline. It has the connection's only one: a
/// pong that is owed too is asked for by the sweeps.
fn must_time_send<S>(connection: &Connection<S>, config: &Config) -> bool {
    connection.has(flag::SENDING)
        && !connection.has(flag::SEND_TIMED)
        && !config.send_timeout.is_zero()
}
