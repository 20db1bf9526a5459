//! Why WebSocket connections end: each is counted once, by the first reason that there is.

use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::core::Core;
use crate::worker::notices;

/// The code of an end without a close frame (RFC 6455, 7.4.1).
pub(crate) const NO_CLOSE_FRAME: u16 = 1006;

/// The code of a close frame that has none.
pub(crate) const NO_CODE: u16 = 1005;

/// Counts the end of a session that is open: call it before anything of that is done.
#[inline(never)]
pub(crate) fn note<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    reason: Ending,
    code: u16,
) {
    if core.table.get_mut(conn).is_some_and(|connection| connection.is_open()) {
        count(core, conn, reason, code);
    }
}

/// As `note`, of a session whose client has closed it: that one is not open any more.
pub(crate) fn note_client<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, code: u16) {
    count(core, conn, Ending::Client, code);
}

fn count<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, reason: Ending, code: u16) {
    core.parts.counters.endings.of(reason).add(1);
    core.parts.counters.close_codes.note(code);
    tracing::debug!(?conn, reason = reason.name(), code, "a connection ends");
    notices::ended(&core.parts, conn, reason);
}
