//! Pongs that must come behind what the same connections have published.

use std::collections::BTreeMap;

use super::core::Core;
use super::table::Link;
use crate::driver::Wake;
use crate::hub::{Before, EdgeId};
use crate::id::ConnId;
use crate::limits::{FRAME_COST, RUNS_FOR_PONGS_PER_TURN};
use crate::protocol::Protocols;
use crate::wire::frame::{self, CONTROL_BYTES_MAX, Opcode};

/// Pongs that are not queued yet.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    /// By slot.
    pub(super) waiting: BTreeMap<u32, Pong>,
    /// Runs that were delivered in this turn so that a pong comes behind them.
    pub(super) runs: usize,
    /// What the ping said that is being handled.
    pub(super) payload: Payload,
}

/// What a ping is answered with once the delivery has begun of what was published before it.
#[derive(Debug)]
pub(super) struct Pong {
    conn: ConnId,
    pub(super) payload: Box<[u8]>,
    behind: u32,
}

/// Of a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: usize,
}

impl Default for Payload {
    fn default() -> Self {
        Self { bytes: [0; CONTROL_BYTES_MAX], length: 0 }
    }
}

impl Payload {
    pub(super) fn set(&mut self, payload: &[u8]) {
        self.bytes[..payload.len()].copy_from_slice(payload);
        self.length = payload.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// A pong goes behind what the same connection has published, if it is subscribed to one topic:
    /// nobody else could tell. That is delivered now, unless
    /// many pings have made it so in this turn, or a delivery is under way that must come first:
    /// then the pong waits, and stands for earlier ones that wait too (RFC 6455, 5.5.3).
    #[inline(never)]
    pub(super) fn pong_behind(&mut self, conn: ConnId, membership: EdgeId) {
        let payload = self.parts.pongs.payload;
        let behind = match self.parts.hub.before_reply(membership) {
            Before::Gathering(seal) if self.parts.pongs.runs == RUNS_FOR_PONGS_PER_TURN => {
                Some(seal)
            }
            Before::Gathering(_) => {
                self.parts.pongs.runs += 1;
                self.bring_up_to_date(conn, membership)
            }
            _ => self.bring_up_to_date(conn, membership),
        };
        let Some(behind) = behind else {
            // What an earlier one waited for may have come just now.
            self.parts.pongs.waiting.remove(&conn.index);
            return self.append_pong(conn, payload.bytes());
        };
        let pong = Pong { conn, payload: payload.bytes().into(), behind };
        self.parts.pongs.waiting.insert(conn.index, pong);
    }

    /// Sends the pongs that wait for nothing any more.
    pub(super) fn answer_waiting(&mut self) {
        if self.parts.pongs.waiting.is_empty() {
            return;
        }
        let mut pongs = std::mem::take(&mut self.parts.pongs.waiting);
        pongs.retain(|_, pong| {
            self.parts.budget.pay(FRAME_COST);
            let connection = self.table.get_mut(pong.conn);
            let Some(membership) = connection.and_then(|c| c.first_edge()) else { return false };
            let hub = &self.parts.hub;
            let must_wait = !hub.has_begun(hub.room_of(membership), pong.behind);
            if !must_wait {
                self.append_runs_under_way(pong.conn, membership);
                self.append_pong(pong.conn, &pong.payload);
            }
            must_wait
        });
        self.parts.pongs.waiting = pongs;
    }

    /// Sends the pong that waits, if one does: what its connection is subscribed to is about to be
    /// something else.
    pub(super) fn append_waiting_pong(&mut self, conn: ConnId) {
        if let Some(pong) = self.parts.pongs.waiting.remove(&conn.index) {
            self.append_pong(conn, &pong.payload);
        }
    }

    pub(super) fn append_pong(&mut self, conn: ConnId, payload: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Link::WebSocket(session) = &connection.link else { return };
        if session.is_open() {
            self.append(conn, |out| put_pong(out, payload));
        }
    }
}

pub(super) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame::put_frame(out, Opcode::Pong, false, payload);
}
