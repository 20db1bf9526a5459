//! Connections that were stopped in the middle of what they had sent, and go on in later turns.

use std::collections::VecDeque;

use super::core::Core;
use super::table::{Connection, flag};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::RELEASE_COST;
use crate::protocol::Protocols;

/// Those that go on by themselves; others do when their queue has gone.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Connections that go on in the next turn.
    pub(super) held: VecDeque<ConnId>,
    /// Publishers that wait until this worker, the others and their room have kept up.
    pub(super) waiting: VecDeque<ConnId>,
}

impl Stalls {
    /// Puts a connection on the list of those who go on in the next turn.
    pub(super) fn hold<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        stand(&mut self.held, flag::HELD, conn, connection);
    }

    /// Puts a publisher on the list of those who go on when others have kept up.
    pub(super) fn wait_for_others<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        stand(&mut self.waiting, flag::WAITING, conn, connection);
    }
}

/// Each stands in a list once.
fn stand<S>(list: &mut VecDeque<ConnId>, mark: u32, conn: ConnId, connection: &mut Connection<S>) {
    if !connection.has(mark) {
        connection.set(mark);
        list.push_back(conn);
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Goes on with those who were held, each for a while, as far as the phase reaches.
    pub(super) fn resume_held(&mut self) {
        self.release_waiting();
        for _ in 0..self.parts.stalls.held.len() {
            let Some(conn) = self.parts.stalls.held.pop_front() else { return };
            if let Some(connection) = self.table.get_mut(conn) {
                connection.clear(flag::HELD);
            }
            self.unstall(conn);
            if self.parts.is_spent() {
                return;
            }
        }
    }

    /// Publishers who need not wait any longer go on in their turn.
    fn release_waiting(&mut self) {
        if self.parts.stalls.waiting.is_empty() || self.parts.must_publishers_wait() {
            return;
        }
        for _ in 0..self.parts.stalls.waiting.len() {
            let Some(conn) = self.parts.stalls.waiting.pop_front() else { return };
            self.parts.budget.pay(RELEASE_COST);
            let Some(connection) = self.table.get_mut(conn) else { continue };
            let membership = connection.first_edge();
            if membership.is_some_and(|membership| self.parts.hub.is_full(membership)) {
                self.parts.stalls.waiting.push_back(conn);
                continue;
            }
            connection.clear(flag::WAITING);
            self.parts.stalls.hold(conn, connection);
            if self.parts.is_spent() {
                return;
            }
        }
    }
}
