//! Pongs that must come behind what the same connections have published.

use std::collections::BTreeMap;

use crate::driver::Wake;
use crate::hub::{Before, EdgeId};
use crate::id::ConnId;
use crate::limits::{FRAME_COST, RUNS_FOR_PONGS_PER_TURN};
use crate::protocol::Protocols;
use crate::wire::frame::{self, CONTROL_BYTES_MAX, Opcode};
use crate::worker::connection::Link;
use crate::worker::core::Core;
use crate::worker::egress::deliver;

/// Pongs that are not queued yet.
#[derive(Debug, Default)]
pub(crate) struct Pongs {
    /// By slot.
    pub(crate) waiting: BTreeMap<u32, Pong>,
    /// Runs that were delivered in this turn so that a pong comes behind them.
    pub(crate) runs: usize,
    /// What the ping said that is being handled.
    pub(crate) payload: Payload,
}

/// What a ping is answered with once the delivery has begun of what was published before it.
#[derive(Debug)]
pub(crate) struct Pong {
    pub(crate) conn: ConnId,
    pub(crate) payload: Box<[u8]>,
    /// The number of the seal.
    pub(crate) behind: u32,
}

/// Of a control frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: usize,
}

impl Default for Payload {
    fn default() -> Self {
        Self { bytes: [0; CONTROL_BYTES_MAX], length: 0 }
    }
}

impl Payload {
    pub(crate) fn set(&mut self, payload: &[u8]) {
        self.bytes[..payload.len()].copy_from_slice(payload);
        self.length = payload.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A pong goes behind what the same connection has published, if it is subscribed to one topic:
/// nobody else could tell. That is delivered now, unless
/// many pings have made it so in this turn, or a delivery is under way that must come first:
/// then the pong waits, and stands for earlier ones that wait too (RFC 6455, 5.5.3).
#[inline(never)]
pub(crate) fn pong_behind<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    membership: EdgeId,
) {
    let payload = core.parts.pongs.payload;
    let behind = match core.parts.hub.before_reply(membership) {
        Before::Gathering(seal) if core.parts.pongs.runs == RUNS_FOR_PONGS_PER_TURN => Some(seal),
        Before::Gathering(_) => {
            core.parts.pongs.runs += 1;
            deliver::bring_up_to_date(core, conn, membership)
        }
        _ => deliver::bring_up_to_date(core, conn, membership),
    };
    let Some(behind) = behind else {
        // What an earlier one waited for may have come just now.
        core.parts.pongs.waiting.remove(&conn.index);
        return append_pong(core, conn, payload.bytes());
    };
    let pong = Pong { conn, payload: payload.bytes().into(), behind };
    core.parts.pongs.waiting.insert(conn.index, pong);
}

/// Sends the pongs that wait for nothing any more.
pub(crate) fn answer_waiting<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    if core.parts.pongs.waiting.is_empty() {
        return;
    }
    let mut pongs = std::mem::take(&mut core.parts.pongs.waiting);
    pongs.retain(|_, pong| {
        core.parts.budget.pay(FRAME_COST);
        let connection = core.table.get_mut(pong.conn);
        let Some(membership) = connection.and_then(|c| c.first_edge()) else { return false };
        let hub = &core.parts.hub;
        let must_wait = !hub.at(hub.room_of(membership)).has_begun(pong.behind);
        if !must_wait {
            deliver::append_runs_under_way(core, pong.conn, membership);
            append_pong(core, pong.conn, &pong.payload);
        }
        must_wait
    });
    core.parts.pongs.waiting = pongs;
}

/// Sends the pong that waits, if one does: what its connection is subscribed to is about to be
/// something else.
pub(crate) fn append_waiting_pong<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    if let Some(pong) = core.parts.pongs.waiting.remove(&conn.index) {
        append_pong(core, conn, &pong.payload);
    }
}

pub(crate) fn append_pong<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    payload: &[u8],
) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::WebSocket(session) = &connection.link else { return };
    if session.is_open() {
        core.append(conn, |out| put_pong(out, payload));
    }
}

pub(crate) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame::put_frame(out, Opcode::Pong, false, payload);
}
