//! Connections that were stopped in the middle of what they had sent, and go on in later turns.

use std::collections::VecDeque;

use super::core::Core;
use super::table::{Connection, flag};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::RELEASE_COST;

impl<W: Wake> Core<W> {
    /// Whether connections wait for nothing but the next turn.
    pub(super) fn may_go_on(&self) -> bool {
        !self.held.is_empty() || !self.waiting.is_empty() && !self.must_publishers_wait()
    }

    /// Goes on with those who were held, each for a while, as far as the phase reaches.
    pub(super) fn resume_held(&mut self) {
        self.release_waiting();
        for _ in 0..self.held.len() {
            let Some(conn) = self.held.pop_front() else { return };
            if let Some(connection) = self.table.get_mut(conn) {
                connection.clear(flag::HELD);
            }
            self.unstall(conn);
            if self.is_spent() {
                return;
            }
        }
    }

    /// Publishers who need not wait any longer go on in their turn.
    fn release_waiting(&mut self) {
        if self.waiting.is_empty() || self.must_publishers_wait() {
            return;
        }
        for _ in 0..self.waiting.len() {
            let Some(conn) = self.waiting.pop_front() else { return };
            self.budget.pay(RELEASE_COST);
            let Some(connection) = self.table.get_mut(conn) else { continue };
            if connection.membership().is_some_and(|membership| self.hub.is_full(membership)) {
                self.waiting.push_back(conn);
                continue;
            }
            connection.clear(flag::WAITING);
            hold(&mut self.held, conn, connection);
            if self.is_spent() {
                return;
            }
        }
    }
}

/// Puts a connection on the list of those who go on in the next turn.
pub(super) fn hold(held: &mut VecDeque<ConnId>, conn: ConnId, connection: &mut Connection) {
    if !connection.has(flag::HELD) {
        connection.set(flag::HELD);
        held.push_back(conn);
    }
}

/// Puts a publisher on the list of those who go on when this worker and the others have kept up.
pub(super) fn wait_for_others(
    waiting: &mut VecDeque<ConnId>,
    conn: ConnId,
    connection: &mut Connection,
) {
    if !connection.has(flag::WAITING) {
        connection.set(flag::WAITING);
        waiting.push_back(conn);
    }
}
