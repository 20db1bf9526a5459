//! What leaves at the end of a turn.

use std::collections::{HashMap, VecDeque};

use crate::id::ConnId;
use crate::outgoing::{Cuts, Pool};
use crate::worker::connection::{Connection, flag};

/// Memory for it, and whose it is.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) pool: Pool,
    /// Connections with something to do at the end of the turn.
    pub(crate) touched: VecDeque<ConnId>,
    pub(crate) cuts: Cuts,
    /// How many messages were dropped for connections that do not keep up, by slot.
    pub(crate) dropped: HashMap<u32, u64>,
}

impl Out {
    /// Puts a connection on the list of those to flush.
    #[inline]
    pub(crate) fn touch<S>(&mut self, conn: ConnId, connection: &mut Connection<S>) {
        if !connection.has(flag::TOUCHED) {
            connection.set(flag::TOUCHED);
            self.touched.push_back(conn);
        }
    }
}
