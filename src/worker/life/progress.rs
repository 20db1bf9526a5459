//! Sends that are under way for long: whether the peer still takes of them.
//!
//! How much it takes only the driver can say, so the core names whom to ask about.

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::TAKE_TIMEOUT;
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::connection::flag;
use crate::worker::core::Core;
use crate::worker::life::ending;

/// A peer that has taken something since the last look has time until the next one, as it has
/// at the first look; one that has not is closed.
pub(crate) fn look_at_send<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, taken: u32) {
    let send_timeout = core.parts.config().send_timeout;
    let Some(connection) = core.table.get_mut(conn) else { return };
    let is_early = connection.has(flag::SEND_TIMED)
        && core.parts.life.timers.is_ahead(connection.deadline, core.parts.clock.now);
    if !connection.has(flag::SENDING) || is_early {
        return;
    }
    let is_timed = connection.has(flag::SEND_TIMED);
    let has_taken = core.parts.life.note_taken(conn, connection, taken);
    let is_open = connection.is_open();
    if has_taken || !is_timed {
        return core.arm(conn, if is_open { send_timeout } else { TAKE_TIMEOUT });
    }
    if is_open {
        return ending::end_slow(core, conn, Ending::SendTimeout);
    }
    ending::close_soon(core, conn);
}
