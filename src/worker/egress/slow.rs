//! Who does not keep up with what is published: what is dropped for it, and when it is closed.

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::FRAME_COST;
use crate::outgoing::{Judged, Verdict};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::wire::CloseCode;
use crate::worker::connection::flag;
use crate::worker::core::{Core, Parts};
use crate::worker::egress::membership;
use crate::worker::life::closing;

/// Judges what waits behind a send that the peer has not taken; and before it leaves what has
/// waited there, as something newer may have come since. Replies alone do not count: they have
/// stopped us from reading before they come to this.
pub(crate) fn judge<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Core { table, parts } = core;
    let bound = parts.config().max_backlog;
    let Some(connection) = table.get_mut(conn) else { return };
    let (waits, has_waited) = (connection.has(flag::SENDING), connection.has(flag::WAITED));
    connection.clear(flag::WAITED);
    if !connection.is_subscribed() {
        return;
    }
    let Some(queue) = &mut connection.queue else { return };
    let is_judged = if waits { queue.must_be_judged(bound) } else { has_waited };
    let judged =
        if is_judged { queue.judge(bound, &mut parts.out.cuts) } else { Judged::default() };
    if waits && queue.is_of_latest() {
        connection.set(flag::WAITED);
    }
    note(parts, conn, judged);
    if let (true, Verdict::Close(bound)) = (waits, judged.verdict) {
        close(core, conn, bound);
    }
}

fn note<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId, judged: Judged) {
    let Judged { dropped, copied, walked, .. } = judged;
    parts.budget.pay(copied / 4 + walked * FRAME_COST);
    if dropped.messages() > 0 {
        parts.counters.dropped_oldest.add(dropped.oldest as u64);
        parts.counters.dropped_latest.add(dropped.latest as u64);
        *parts.out.dropped.entry(conn.index).or_default() += dropped.messages() as u64;
    }
}

/// More waits than may: all of that goes, and the reason comes instead.
#[inline(never)]
fn close<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, bound: usize) {
    core.parts.counters.closed_slow.add(1);
    membership::drop_out(core, conn);
    if let Some(queue) = core.table.get_mut(conn).and_then(|connection| connection.queue.take()) {
        core.parts.out.pool.recycle(queue);
    }
    let reason = format!("slow consumer: more than {bound} bytes waited");
    let code = CloseCode::POLICY;
    closing::close_and_finish(core, conn, Ending::SlowConsumer, code, &reason);
}
