//! Sends out of the buffer that was received into: a reply needs no memory of its own.

use std::ops::Range;

use io_uring::cqueue::Entry;
use io_uring::opcode;

use super::complete::Told;
use super::receive::Lent;
use super::slot::flag;
use super::{Operation, Outgoing, UringDriver};
use crate::driver::Driver;
use crate::id::ConnId;

impl UringDriver {
    /// Sends a part of what is lent.
    pub(super) fn reply(&mut self, conn: ConnId, part: Range<usize>) {
        match std::mem::replace(&mut self.lent, Lent::Nothing) {
            Lent::Buffer { id, length } => {
                assert!(part.end <= length && !part.is_empty(), "it was lent");
                self.push_lent(conn, id, part);
            }
            Lent::Stash(bytes) => {
                self.send(conn, Outgoing::copied(&bytes[part]));
                self.slot(conn).set(flag::LENT);
            }
            Lent::Nothing => panic!("nothing is lent"),
        }
    }

    /// MSG_DONTWAIT: others want to receive into the buffer, so that no peer may hold it up.
    fn push_lent(&mut self, conn: ConnId, id: u16, part: Range<usize>) {
        const FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let slot = self.slot(conn);
        assert!(!slot.is_sending(), "one send at a time");
        slot.set(flag::SEND | flag::LENT);
        let fd = slot.fd();
        let bytes = self.buffers.begin_sending(id, part);
        let entry = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).flags(FLAGS).build();
        let entry = entry.user_data(Operation::send_lent(conn.index, id));
        // SAFETY: the buffer is taken until the completion is seen, so that nobody writes to it,
        // and it lives until the ring is gone.
        unsafe { self.ring.push(&entry) };
    }

    /// What the socket did not take is copied, and goes on like any other send.
    pub(super) fn sent_lent(&mut self, conn: ConnId, entry: &Entry) -> Told {
        let id = Operation::buffer(entry.user_data());
        let result = entry.result();
        let rest = &self.buffers.being_sent(id)[result.max(0) as usize..];
        let rest = (!rest.is_empty()).then(|| Outgoing::copied(rest));
        self.buffers.give_back(id);
        let slot = self.slot(conn);
        let Some(rest) = rest else {
            slot.clear(flag::SEND);
            return self.complete_send(conn);
        };
        slot.sending = Some(rest);
        slot.sent = 0;
        self.sent(conn, result.min(0))
    }
}
