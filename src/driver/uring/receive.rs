//! How bytes come in: from whom to receive, into which memory, and who has it then.

use io_uring::cqueue::{self, Entry};
use io_uring::opcode;

use super::complete::{Told, kind_of};
use super::slot::flag;
use super::{Operation, UringDriver};
use crate::driver::tables::stand_in_line;
use crate::driver::{Completion, End};
use crate::id::ConnId;

/// Receives in one submission. What is sent in answer goes with the next one, out of the same
/// buffers: there are twice as many. So many sockets' memory, and that of all buffers, must stay in
/// the processor's caches between the two.
const RECEIVES_AT_ONCE: usize = 16;

/// Where the bytes are that were lent with the last completion.
#[derive(Debug)]
pub(super) enum Lent {
    Nothing,
    /// In one of the buffers.
    Buffer {
        id: u16,
        length: usize,
    },
    /// In what a paused connection had received.
    Stash(Box<Vec<u8>>),
}

impl UringDriver {
    /// Submits what is queued together with the receives that are next in this turn; false if
    /// there are none.
    pub(super) fn receive_more(&mut self) -> bool {
        let left = self.quota.unwrap_or(self.readable.len());
        let at_once = left.min(RECEIVES_AT_ONCE);
        let before = self.readable.len();
        let issued = self.issue_receives(at_once);
        // Those that are not received from any more count for nothing: others may come instead.
        self.quota = Some(left.saturating_sub(before - self.readable.len()));
        if issued == 0 {
            return false;
        }
        // Bytes that were received come before sends that were done earlier, or they might never.
        let is_first = |entry: &Entry| {
            Operation::parse(entry.user_data()).0 == Operation::Receive && entry.result() > 0
        };
        self.failure = self.ring.submit_urgent(issued, is_first).err();
        self.failure.is_none()
    }

    /// Receives from some of the connections that are readable, no more at once than there are
    /// buffers.
    fn issue_receives(&mut self, max: usize) -> usize {
        let mut issued = 0;
        while self.buffers.has_free() && issued < max {
            let Some(conn) = self.readable.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(conn.index as usize) else { continue };
            if slot.generation != conn.generation {
                continue;
            }
            slot.clear(flag::QUEUED);
            if !slot.must_queue() {
                continue;
            }
            slot.clear(flag::QUEUED);
            self.push_receive(conn);
            issued += 1;
        }
        issued
    }

    /// MSG_DONTWAIT, or a socket that turns out to be drained would stay armed.
    fn push_receive(&mut self, conn: ConnId) {
        let (buffer, start) = self.buffers.take().expect("the caller has seen a free one");
        let slot = self.slot(conn);
        slot.set(flag::RECEIVE);
        let fd = slot.fd();
        let bytes = self.buffers.bytes() as u32;
        let entry = opcode::Recv::new(fd, start.as_ptr(), bytes).flags(libc::MSG_DONTWAIT).build();
        let entry = entry.user_data(Operation::receive(conn.index, buffer));
        // SAFETY: nobody else has the buffer until the completion is seen, and it lives until the
        // ring is gone.
        unsafe { self.ring.push(&entry) };
    }

    pub(super) fn received(&mut self, conn: ConnId, entry: &Entry) -> Told {
        let id = Operation::buffer(entry.user_data());
        let slot = self.slot(conn);
        slot.clear(flag::RECEIVE);
        match entry.result() {
            length if length > 0 => self.filled(conn, id, length as usize, entry.flags()),
            none => {
                self.buffers.give_back(id);
                self.received_nothing(conn, -none)
            }
        }
    }

    fn filled(&mut self, conn: ConnId, id: u16, length: usize, flags: u32) -> Told {
        let buffer_bytes = self.buffers.bytes();
        let slot = self.slot(conn);
        // A short read means drained, unless the kernel says that there is more or the end is
        // known to be behind it.
        let is_more =
            length == buffer_bytes || cqueue::sock_nonempty(flags) || slot.has(flag::HUNG_UP);
        if !is_more {
            slot.clear(flag::READABLE);
        }
        self.lent = Lent::Buffer { id, length };
        self.hand_over(conn)
    }

    /// The end, which has no errno, or a failure.
    fn received_nothing(&mut self, conn: ConnId, errno: i32) -> Told {
        let slot = self.slot(conn);
        match errno {
            // It shows again by the receive that follows resume.
            0 if slot.has(flag::PAUSED) => slot.set(flag::HUNG_UP),
            0 => return self.end(conn, End::Finished),
            libc::EAGAIN if slot.failure.is_none() => slot.clear(flag::READABLE),
            libc::EINTR => {
                if slot.must_queue() {
                    stand_in_line(&mut self.readable, conn, &self.slots);
                }
            }
            libc::ECANCELED => {}
            errno => return self.end(conn, End::Failed(kind_of(errno))),
        }
        Told::Nothing
    }

    /// Lends what was received, or keeps it while the connection is paused. Nobody wants it any
    /// more after close, or after a failure that was told while paused.
    fn hand_over(&mut self, conn: ConnId) -> Told {
        let slot = self.slot(conn);
        if slot.has(flag::CLOSING | flag::ENDED) {
            self.take_back_lent();
            return Told::Nothing;
        }
        if slot.has(flag::PAUSED) && !slot.has(flag::RELEASING) {
            let Completion::Received(_, bytes) = self.lend(conn) else { return Told::Nothing };
            let stash = Box::new(bytes.to_vec());
            self.take_back_lent();
            self.slot(conn).stash = Some(stash);
            return Told::Nothing;
        }
        if slot.must_queue() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
        Told::Received(conn)
    }

    /// The memory of the last lent bytes goes back to where it came from.
    pub(super) fn take_back_lent(&mut self) {
        if let Lent::Buffer { id, .. } = std::mem::replace(&mut self.lent, Lent::Nothing) {
            self.buffers.give_back(id);
        }
    }

    pub(super) fn lend(&mut self, conn: ConnId) -> Completion<'_> {
        let bytes = match &mut self.lent {
            Lent::Buffer { id, length } => self.buffers.filled(*id, *length),
            Lent::Stash(bytes) => &mut bytes[..],
            Lent::Nothing => &mut [],
        };
        Completion::Received(conn, bytes)
    }

    /// Has the stash lent by the next `take_unstashed`.
    pub(super) fn wait_to_unstash(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        if !slot.has(flag::UNSTASHED) {
            slot.set(flag::UNSTASHED);
            stand_in_line(&mut self.unstashed, conn, &self.slots);
        }
    }

    /// The next stash to be lent, of a connection that was resumed or is given away.
    pub(super) fn take_unstashed(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.unstashed.pop_front() {
            let Some(slot) = self.slots.get_mut(conn.index as usize) else { continue };
            if slot.generation != conn.generation {
                continue;
            }
            slot.clear(flag::UNSTASHED);
            if slot.has(flag::PAUSED) && !slot.has(flag::RELEASING) {
                continue;
            }
            let Some(stash) = slot.stash.take() else { continue };
            self.lent = Lent::Stash(stash);
            if slot.must_queue() {
                stand_in_line(&mut self.readable, conn, &self.slots);
            }
            self.leave_if_quiet(conn);
            return Some(conn);
        }
        None
    }
}
