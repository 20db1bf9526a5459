//! A server that stops: no more connects, 1001 to everybody, and time to answer.

use std::sync::atomic::Ordering;

use crate::driver::{Driver, Wake};
use crate::id::ConnId;
use crate::limits::{GOODBYES_PER_TURN, SEND_COST, TIMER_COST};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::wire::CloseCode;
use crate::worker::Worker;
use crate::worker::connection::{Link, flag};
use crate::worker::core::{Core, Stopping};
use crate::worker::life::{closing, ending, reasons};

/// One step of stopping, if the server stops.
pub(crate) fn say_goodbye<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    if is_stop_unseen(&worker.core) {
        for listener in worker.listeners.drain(..) {
            worker.driver.unlisten(listener);
        }
        let until = worker.core.parts.clock.now + worker.core.parts.config().drain;
        worker.core.parts.admission.stopping = Some(Stopping { told: 0, until, closed: 0 });
    }
    tell_some(&mut worker.core);
}

/// Whether the server stops and this worker has not begun to.
pub(crate) fn is_stop_unseen<W: Wake, L: Protocols>(core: &Core<W, L>) -> bool {
    core.parts.admission.stopping.is_none() && core.parts.shared.is_stopping.load(Ordering::Acquire)
}

fn tell_some<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let Some(Stopping { mut told, until, mut closed }) = core.parts.admission.stopping else {
        return;
    };
    let end = core.table.end();
    // When the time is up, it is so for everybody, told or not.
    let is_over = core.parts.clock.now >= until;
    let next = if is_over { &mut closed } else { &mut told };
    for index in *next..end.min(*next + GOODBYES_PER_TURN as u32) {
        *next = index + 1;
        core.parts.budget.pay(TIMER_COST + SEND_COST);
        if is_over {
            close_at(core, index)
        } else {
            tell(core, index)
        }
        if core.parts.is_spent() {
            break;
        }
    }
    if closed >= end {
        closed = 0;
    }
    core.parts.admission.stopping = Some(Stopping { told, until, closed });
}

fn tell<W: Wake, L: Protocols>(core: &mut Core<W, L>, index: u32) {
    let Some((conn, connection)) = core.table.at(index) else { return };
    match &connection.link {
        Link::WebSocket(_) => {
            let code = CloseCode::GOING_AWAY;
            closing::begin_close(core, conn, Ending::Shutdown, code, "server stops")
        }
        Link::Http(_) => tell_http(core, conn),
        Link::Lingering(_) | Link::Closed => {}
    }
}

/// Ends a connection between requests. In the middle of one, the answer to it says that the
/// server stops; one that is stalled may have more, and is told when it goes on.
pub(crate) fn tell_http<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::Http(http) = &connection.link else { return };
    if http.is_partial() || connection.has(flag::STALLED) {
        return;
    }
    // One that was paused may have sent more, and would be reset for that.
    if connection.queue.is_some() || connection.has(flag::SENDING | flag::PAUSED) {
        ending::finish(core, conn);
    } else {
        ending::close_soon(core, conn);
    }
}

fn close_at<W: Wake, L: Protocols>(core: &mut Core<W, L>, index: u32) {
    if let Some((conn, connection)) = core.table.at(index)
        && !matches!(connection.link, Link::Closed)
    {
        // Of those whom nobody has told before.
        reasons::note(core, conn, Ending::Shutdown, reasons::NO_CLOSE_FRAME);
        ending::close_soon(core, conn);
    }
}
