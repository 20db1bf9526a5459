//! Sends that are under way for long: whether the peer still takes of them.
//!
//! How much it takes only the driver can say, so the core names whom to ask about.

use super::core::Core;
use super::table::flag;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::TAKE_TIMEOUT;
use crate::protocol::Protocols;

impl<W: Wake, L: Protocols> Core<W, L> {
    /// A peer that has taken something since the last look has time until the next one, as it has
    /// at the first look; one that has not is closed.
    pub(super) fn look_at_send(&mut self, conn: ConnId, taken: u32) {
        let send_timeout = self.parts.config().send_timeout;
        let Some(connection) = self.table.get_mut(conn) else { return };
        let is_early = connection.has(flag::SEND_TIMED)
            && self.parts.life.timers.is_ahead(connection.deadline, self.parts.clock.now);
        if !connection.has(flag::SENDING) || is_early {
            return;
        }
        let is_timed = connection.has(flag::SEND_TIMED);
        let has_taken = self.parts.life.note_taken(conn, connection, taken);
        let is_open = connection.is_open();
        if has_taken || !is_timed {
            return self.arm(conn, if is_open { send_timeout } else { TAKE_TIMEOUT });
        }
        if is_open {
            self.parts.counters.closed_slow.add(1);
            tracing::debug!(?conn, "closing: takes nothing");
        }
        self.close_soon(conn);
    }
}
