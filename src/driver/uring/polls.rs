//! Multishot polls: armed once, and again when the kernel has ended one.
//!
//! It ends one when the completion does not fit into the queue, and for as long as completions wait
//! aside no other fits either. One that is armed meanwhile and fires at once would end at once,
//! and many of them for ever: so they wait until the queue flows again.

use std::os::fd::AsRawFd;

use io_uring::opcode;
use io_uring::types::Fd;

use super::slot::flag;
use super::{Operation, UringDriver};
use crate::driver::tables::stand_in_line;
use crate::id::ConnId;

const POLL_EVENTS: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;

impl UringDriver {
    pub(super) fn arm_waker(&mut self) {
        self.is_waker_armed = true;
        let fd = Fd(self.waker.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.push(Operation::Wake, 0, entry);
    }

    pub(super) fn arm_poll(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.set(flag::POLL);
        let entry = opcode::PollAdd::new(slot.fd(), POLL_EVENTS).multi(true).build();
        self.push(Operation::Poll, conn.index, entry);
    }

    /// Has the poll armed by the next wait for which the queue flows.
    pub(super) fn poll_again(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        if !slot.has(flag::UNPOLLED) {
            slot.set(flag::UNPOLLED);
            stand_in_line(&mut self.unpolled, conn, &self.slots);
        }
    }

    /// Arms as many as can all fire at once; whether some are still to be armed.
    pub(super) fn arm_polls_again(&mut self) -> bool {
        if self.is_waker_armed && self.unpolled.is_empty() {
            return false;
        }
        if self.ring.is_overflowing() {
            return true;
        }
        if !self.is_waker_armed {
            self.arm_waker();
        }
        for _ in 0..self.tuning.completions / 2 {
            let Some(conn) = self.unpolled.pop_front() else { return false };
            let Some(slot) = self.slots.get_mut(conn.index as usize) else { continue };
            if slot.generation != conn.generation {
                continue;
            }
            slot.clear(flag::UNPOLLED);
            if !slot.has(flag::POLL | flag::CLOSING | flag::RELEASING | flag::ENDED) {
                self.arm_poll(conn);
            }
        }
        !self.unpolled.is_empty()
    }
}
