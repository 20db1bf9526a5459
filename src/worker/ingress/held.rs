//! Connections that were stopped in the middle of what they had sent, and go on in later turns.

use std::collections::VecDeque;

use crate::driver::Wake;
use crate::hub::RoomId;
use crate::id::ConnId;
use crate::limits::RELEASE_COST;
use crate::protocol::Protocols;
use crate::worker::connection::{Connection, flag};
use crate::worker::core::Core;
use crate::worker::ingress::ingest;

/// Those that go on by themselves; others do when their queue has gone.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    /// Connections that go on in the next turn.
    pub(crate) held: VecDeque<ConnId>,
    /// Publishers that wait until this worker, the others and the room that they have published to
    /// have kept up.
    pub(crate) waiting: VecDeque<(ConnId, Option<RoomId>)>,
}

impl Stalls {
    /// Puts a connection on the list of those who go on in the next turn. Each stands there once.
    pub(crate) fn hold<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        if !connection.has(flag::HELD) {
            connection.set(flag::HELD);
            self.held.push_back(conn);
        }
    }

    /// Puts a publisher on the list of those who go on when others have kept up, a room among
    /// them.
    pub(crate) fn wait_for_others<S>(
        &mut self,
        conn: ConnId,
        connection: &mut Connection<S>,
        room: Option<RoomId>,
    ) {
        if !connection.has(flag::WAITING) {
            connection.set(flag::WAITING);
            self.waiting.push_back((conn, room));
        }
    }
}

/// Goes on with those who were held, each for a while, as far as the phase reaches.
pub(crate) fn resume_held<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    release_waiting(core);
    for _ in 0..core.parts.stalls.held.len() {
        let Some(conn) = core.parts.stalls.held.pop_front() else { return };
        if let Some(connection) = core.table.get_mut(conn) {
            connection.clear(flag::HELD);
        }
        ingest::unstall(core, conn);
        if core.parts.is_spent() {
            return;
        }
    }
}

/// Publishers who need not wait any longer go on in their turn.
fn release_waiting<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    if core.parts.stalls.waiting.is_empty() || core.parts.must_publishers_wait() {
        return;
    }
    for _ in 0..core.parts.stalls.waiting.len() {
        let Some((conn, room)) = core.parts.stalls.waiting.pop_front() else { return };
        core.parts.budget.pay(RELEASE_COST);
        let Some(connection) = core.table.get_mut(conn) else { continue };
        if room.is_some_and(|room| core.parts.hub.is_full(room)) {
            core.parts.stalls.waiting.push_back((conn, room));
            continue;
        }
        connection.clear(flag::WAITING);
        core.parts.stalls.hold(conn, connection);
        if core.parts.is_spent() {
            return;
        }
    }
}
