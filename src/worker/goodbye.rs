//! A server that stops: no more connects, 1001 to everybody, and time to answer.

use std::sync::atomic::Ordering;

use super::Worker;
use super::core::{Core, Stopping};
use super::table::{Link, flag};
use crate::driver::{Driver, Wake};
use crate::id::ConnId;
use crate::limits::{GOODBYES_PER_TURN, SEND_COST, TIMER_COST};
use crate::protocol::Protocols;
use crate::wire::CloseCode;

impl<D: Driver, L: Protocols> Worker<D, L> {
    /// One step of stopping, if the server stops.
    pub(super) fn say_goodbye(&mut self) {
        if self.core.is_stop_unseen() {
            for listener in self.listeners.drain(..) {
                self.driver.unlisten(listener);
            }
            let until = self.core.parts.clock.now + self.core.parts.config().drain;
            self.core.parts.stopping = Some(Stopping { told: 0, until, closed: 0 });
        }
        self.core.tell_some();
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Whether the server stops and this worker has not begun to.
    pub(super) fn is_stop_unseen(&self) -> bool {
        self.parts.stopping.is_none() && self.parts.shared.is_stopping.load(Ordering::Acquire)
    }

    fn tell_some(&mut self) {
        let Some(Stopping { mut told, until, mut closed }) = self.parts.stopping else { return };
        let end = self.table.end();
        // When the time is up, it is so for everybody, told or not.
        let is_over = self.parts.clock.now >= until;
        let next = if is_over { &mut closed } else { &mut told };
        for index in *next..end.min(*next + GOODBYES_PER_TURN as u32) {
            *next = index + 1;
            self.parts.budget.pay(TIMER_COST + SEND_COST);
            if is_over {
                self.close_at(index)
            } else {
                self.tell(index)
            }
            if self.parts.is_spent() {
                break;
            }
        }
        if closed >= end {
            closed = 0;
        }
        self.parts.stopping = Some(Stopping { told, until, closed });
    }

    fn tell(&mut self, index: u32) {
        let Some((conn, connection)) = self.table.at(index) else { return };
        match &connection.link {
            Link::WebSocket(_) => self.begin_close(conn, CloseCode::GOING_AWAY, "server stops"),
            Link::Http(_) => self.tell_http(conn),
            Link::Lingering(_) | Link::Closed => {}
        }
    }

    /// Ends a connection between requests. In the middle of one, the answer to it says that the
    /// server stops; one that is stalled may have more, and is told when it goes on.
    pub(super) fn tell_http(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Link::Http(http) = &connection.link else { return };
        if http.is_partial() || connection.has(flag::STALLED) {
            return;
        }
        // One that was paused may have sent more, and would be reset for that.
        if connection.queue.is_some() || connection.has(flag::SENDING | flag::PAUSED) {
            self.finish(conn);
        } else {
            self.close_soon(conn);
        }
    }

    fn close_at(&mut self, index: u32) {
        if let Some((conn, connection)) = self.table.at(index)
            && !matches!(connection.link, Link::Closed)
        {
            self.close_soon(conn);
        }
    }
}
