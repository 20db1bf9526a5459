//! Ends what rests in the kernel, each request by its name: one cancel for all of a descriptor
//! would look at every poll of the ring, twice.
//!
//! A receive never rests, nor does a send out of a receive buffer; they complete by themselves.

use io_uring::opcode;

use super::slot::flag;
use super::{Operation, UringDriver};
use crate::id::ConnId;

impl UringDriver {
    pub(super) fn cancel_poll(&mut self, conn: ConnId) {
        self.slot(conn).set(flag::CANCEL_POLL);
        let entry = opcode::AsyncCancel::new(Operation::Poll.name(conn.index)).build();
        self.push(Operation::CancelPoll, conn.index, entry);
    }

    pub(super) fn cancel_send(&mut self, conn: ConnId) {
        self.slot(conn).set(flag::CANCEL_SEND);
        let entry = opcode::AsyncCancel::new(Operation::Send.name(conn.index)).build();
        self.push(Operation::CancelSend, conn.index, entry);
    }

    pub(super) fn poll_cancelled(&mut self, conn: ConnId, result: i32) {
        let slot = self.slot(conn);
        slot.clear(flag::CANCEL_POLL);
        if slot.has(flag::POLL) && result != 0 {
            self.cancel_poll(conn);
        }
    }

    /// A send that was just woken, because the peer has finished, is in no list until it rests
    /// again: it is looked for again.
    pub(super) fn send_cancelled(&mut self, conn: ConnId, result: i32) {
        let slot = self.slot(conn);
        slot.clear(flag::CANCEL_SEND);
        if slot.has(flag::SEND) && result != 0 {
            self.cancel_send(conn);
        }
    }
}
