//! What leaves at the end of a turn.

use std::collections::VecDeque;

use super::table::{Connection, flag};
use crate::id::ConnId;
use crate::outgoing::Pool;

/// Memory for it, and whose it is.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) pool: Pool,
    /// Connections with something to do at the end of the turn.
    pub(super) touched: VecDeque<ConnId>,
}

impl Out {
    /// Puts a connection on the list of those to flush.
    #[inline]
    pub(super) fn touch<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        if !connection.has(flag::TOUCHED) {
            connection.set(flag::TOUCHED);
            self.touched.push_back(conn);
        }
    }
}
