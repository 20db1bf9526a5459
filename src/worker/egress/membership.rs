//! Who joins a topic and who leaves one: what was published before a join is not for the newcomer,
//! and who leaves with a goodbye has all that was published before.

use crate::driver::Wake;
use crate::hub::{self, EdgeId};
use crate::id::ConnId;
use crate::limits::{LEAVER_COPY_BYTES_MAX, STEP_COST};
use crate::protocol::Protocols;
use crate::wire::{Encoded, Form, buffer};
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::egress::{deliver, pongs, rules};

/// What was published before is not for the one who joins.
pub(crate) fn subscribe<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, topic: &str) {
    deliver_before_join(core, topic);
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::WebSocket(session) = &connection.link else { return };
    let (window_bits, head) = (session.window_bits(), &mut connection.edges);
    let edge = core.parts.hub.join(topic, conn.index, window_bits, head);
    rules::note_join(&mut core.parts, edge, connection.spoken.as_ref());
    let bytes = core.parts.hub.except_handed(edge, conn);
    core.parts.budget.pay(bytes / 8);
}

/// Delivers what was published in a room before somebody joins it.
pub(crate) fn deliver_before_join<W: Wake, L: Protocols>(core: &mut Core<W, L>, name: &str) {
    if let Some(room) = core.parts.hub.room(name)
        && core.parts.hub.at(room).has_gathered()
        && !core.parts.hub.at(room).is_batched()
    {
        deliver::deliver_now(core, room);
    }
}

/// Takes a connection out of its topics that is to get a word of goodbye: what it published and
/// what was published before comes first.
#[inline(never)]
pub(crate) fn leave_topics<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let mut next = connection.first_edge();
    while let Some(edge) = next {
        next = core.parts.hub.edges(edge).nth(1);
        hand_out_before_leave(core, conn, edge);
    }
    pongs::append_waiting_pong(core, conn);
    drop_out(core, conn);
}

/// Ends one subscription: what was published before comes first.
pub(crate) fn unsubscribe<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, topic: &str) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Some(edge) = core.parts.hub.find(connection.edges, topic) else { return };
    hand_out_before_leave(core, conn, edge);
    pongs::append_waiting_pong(core, conn);
    core.parts.hub.note_handed(edge);
    leave_topic(core, conn, edge);
}

/// Puts all that a connection is to have of a topic into its queue.
fn hand_out_before_leave<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, edge: EdgeId) {
    deliver::bring_up_to_date(core, conn, edge);
    if core.parts.hub.at(core.parts.hub.room_of(edge)).has_gathered() {
        hand_out_gathered(core, conn, edge);
    }
}

/// Takes a connection out of its topics that gets nothing more. What it published is delivered
/// to the others as if it had stayed.
#[inline(never)]
pub(crate) fn drop_out<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    if !matches!(connection.link, Link::WebSocket(_)) {
        if !core.parts.said.asks.is_empty() {
            core.parts.said.asks.forget(conn);
        }
        return;
    }
    connection.spoken = None;
    connection.clear(flag::PARKED);
    let edge = connection.first_edge();
    core.parts.life.wakes.forget(conn);
    if !core.parts.said.asks.is_empty() {
        core.parts.said.asks.forget(conn);
    }
    let Some(mut edge) = edge else { return };
    core.parts.pongs.waiting.remove(&conn.index);
    // The head leaves first, so each leave is a step.
    while let Some(next) = leave_topic(core, conn, edge) {
        edge = next;
    }
}

/// Takes a connection out of a topic; gives the head of those that are left.
fn leave_topic<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    edge: EdgeId,
) -> Option<EdgeId> {
    core.parts.budget.pay(STEP_COST);
    let room = core.parts.hub.room_of(edge);
    if core.parts.hub.at(room).members() == 1 {
        // Nobody is left here to deliver it to, but elsewhere there may be.
        deliver::seal(core, room);
    }
    let connection = core.table.get_mut(conn)?;
    core.parts.hub.leave(edge, &mut connection.edges);
    connection.first_edge()
}

/// All that a leaver is to have of a room where a delivery is under way.
fn hand_out_gathered<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, edge: EdgeId) {
    let room = core.parts.hub.room_of(edge);
    let must_seal = |run: &Encoded| run.plain_bytes() > LEAVER_COPY_BYTES_MAX || run.has_excepts();
    if core.parts.hub.at(room).pending().is_some_and(must_seal) {
        deliver::seal(core, room);
    }
    let mut runs = core.parts.hub.pass(edge);
    runs.extend(core.parts.hub.at(room).waiting().cloned());
    runs.iter().for_each(|frames| deliver::append_run(core, conn, frames));
    if let Some(run) = core.parts.hub.at(room).pending()
        && let Some(connection) = core.table.get_mut(conn)
    {
        let bytes = run.bytes(Form::Plain);
        core.parts.out.pool.append(&mut connection.queue, |out| buffer::append(out, bytes));
        core.parts.out.touch(conn, connection);
        core.parts.budget.pay(hub::delivery_cost(run));
        core.parts.counters.messages_delivered.add(run.messages() as u64);
    }
}
