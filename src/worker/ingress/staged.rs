//! What the call of a protocol has left to be done, carried out behind it.

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::STEP_COST;
use crate::protocol::{Flow, Protocols, Step};
use crate::stats::Ending;
use crate::worker::connection::flag;
use crate::worker::core::Core;
use crate::worker::egress::{membership, pongs};
use crate::worker::ingress::visit::Visit;
use crate::worker::life::closing;

/// Does what a call to a protocol has left to be done.
pub(crate) fn carry_out_call<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    flow: Flow,
) {
    if flow != Flow::Next || !core.parts.said.staged.is_empty() {
        carry_out_staged(core, conn, flow);
    }
    if let Some(connection) = core.table.get_mut(conn)
        && connection.queue.is_some()
    {
        core.parts.out.touch(conn, connection);
    }
}

/// Does what a protocol has left to be done, in its order.
#[inline(never)]
pub(crate) fn carry_out_staged<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    flow: Flow,
) {
    let mut steps = core.parts.said.staged.take();
    for step in steps.drain(..) {
        core.parts.budget.pay(STEP_COST);
        match step {
            Step::Subscribe(topic) => {
                pongs::append_waiting_pong(core, conn);
                membership::subscribe(core, conn, &topic);
            }
            Step::Unsubscribe(topic) => membership::unsubscribe(core, conn, &topic),
            Step::Wake(span, word) => {
                core.parts.life.wakes.set(conn, span, word, core.parts.clock.now);
            }
            Step::Send(kind, payload) => {
                if let Some(mut visit) = Visit::of(core, conn) {
                    visit.send(kind, &payload);
                }
                core.touch(conn);
            }
        }
    }
    core.parts.said.staged.give_back(steps);
    match flow {
        Flow::Next => {}
        Flow::Park => park(core, conn),
        Flow::Close(code, reason) => {
            closing::close_and_finish(core, conn, Ending::Protocol, code, reason);
        }
    }
}

/// Messages wait, if there is any question whose answer they can wait for.
fn park<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    if connection.is_open() && core.parts.said.asks.park(conn) {
        connection.set(flag::PARKED);
    }
}
