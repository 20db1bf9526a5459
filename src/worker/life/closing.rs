//! How sessions end: the closing handshake, from either side.

use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::websocket::Session;
use crate::wire::{CloseCode, Violation};
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::egress::membership;
use crate::worker::ingress::{refusals, requests};
use crate::worker::life::{ending, reasons};
use crate::worker::limits::{self, Limit};

/// Both sides have said goodbye: the server closes TCP first (RFC 6455, 7.1.1).
pub(crate) fn answer_close<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    code: Option<CloseCode>,
) {
    let is_first = core.table.get_mut(conn).is_some_and(
        |connection| matches!(&connection.link, Link::WebSocket(session) if session.is_answering()),
    );
    if is_first {
        reasons::note_client(core, conn, code.map_or(reasons::NO_CODE, CloseCode::get));
    }
    say_last(core, conn, |session, out| session.answer_close(code, out));
    ending::finish(core, conn);
}

/// The peer broke the protocol: it is told why, and that was all.
pub(crate) fn fail<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    violation: Violation,
) {
    core.parts.counters.closed_violation.add(1);
    let is_too_big = violation == Violation::TooBig;
    let reason = if is_too_big { Ending::MessageTooBig } else { Ending::Violation };
    reasons::note(core, conn, reason, violation.code().get());
    tracing::debug!(?conn, %violation, "closing");
    say_last(core, conn, |session, out| session.fail(violation, out));
    ending::finish(core, conn);
}

/// Ends a connection by a close frame: it has its time to take that, whether it answers or not.
pub(crate) fn close_and_finish<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    why: Ending,
    code: CloseCode,
    reason: &str,
) {
    begin_close(core, conn, why, code, reason);
    ending::finish(core, conn);
}

/// Ends a connection that sends more than it may.
pub(crate) fn end_too_fast<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    limit: Limit,
) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    if let Link::Http(_) = &connection.link {
        let response = refusals::too_fast(limit);
        refusals::note(&core.parts, conn, &response, None);
        return requests::respond(core, conn, response, false);
    }
    close_and_finish(core, conn, Ending::RateLimit, CloseCode::POLICY, &limit.to_string());
}

/// Begins the closing handshake.
pub(crate) fn begin_close<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    why: Ending,
    code: CloseCode,
    reason: &str,
) {
    reasons::note(core, conn, why, code.get());
    limits::let_go_on(core, conn);
    if let Some(connection) = core.table.get_mut(conn)
        && !connection.has(flag::CLOSE_WHEN_SENT)
    {
        // It was of a pong or of a send: from here on the end has one, or the drain.
        connection.deadline = 0;
    }
    say_last(core, conn, |session, out| session.close(code, reason, out));
}

/// Gives a session its last word, behind what it published and what was published before.
fn say_last<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    write: impl FnOnce(&mut Session, &mut Vec<u8>),
) {
    membership::leave_topics(core, conn);
    let Some(connection) = core.table.get_mut(conn) else { return };
    if let Link::WebSocket(session) = &mut connection.link {
        core.parts.out.pool.append(&mut connection.queue, |out| write(session, out));
        core.parts.out.touch(conn, connection);
    }
}
