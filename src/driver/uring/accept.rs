//! Who is let in: by a multishot accept all that come, but only a few a turn while many wait.

use std::os::fd::AsRawFd;

use io_uring::opcode;
use io_uring::types::Fd;

use super::{Done, Operation, UringDriver};
use crate::driver::ListenerId;
use crate::limits::ACCEPTS_PER_TURN;

/// Connections that came in one turn, or that wait to be read with what the kernel has told, beyond
/// which only a few more are accepted in a turn.
const WAITING_MAX: usize = 256;

impl UringDriver {
    /// Accepts from each listener: all that come, but while many wait to be read only a few a turn.
    /// They would stand in front of the others, who might wait for ever.
    pub(super) fn accept(&mut self) {
        let came = std::mem::take(&mut self.accepted);
        let is_behind = came.max(self.readable.len() + self.ring.reaped()) > WAITING_MAX;
        for id in 0..self.listeners.len() {
            let Some(listening) = &mut self.listeners[id] else { continue };
            if listening.is_leaving {
                continue;
            }
            if !listening.is_armed {
                // With many in the queue of the kernel a multishot accept would take all at once.
                if self.accept_some(id) && !is_behind {
                    self.arm_accept(id);
                }
            } else if is_behind && !listening.is_resting {
                listening.is_resting = true;
                let entry = opcode::AsyncCancel::new(Operation::Accept.name(id as u32)).build();
                self.push(Operation::Unlisten, id as u32, entry);
            }
        }
    }

    fn arm_accept(&mut self, id: usize) {
        let Some(listening) = &mut self.listeners[id] else { return };
        listening.is_armed = true;
        let fd = Fd(listening.listener.socket().as_raw_fd());
        let entry = opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build();
        self.push(Operation::Accept, id as u32, entry);
    }

    /// Accepts a few connections; whether no more are there.
    fn accept_some(&mut self, id: usize) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listening) = &self.listeners[id] else { return false };
            match listening.listener.accept() {
                Ok(socket) => {
                    let conn = self.add(socket);
                    self.done.push_back(Done::Accepted(conn, ListenerId(id as u16)));
                }
                Err(error) => {
                    self.stall_if_exhausted(&error);
                    return self.stalled_until.is_none();
                }
            }
        }
        false
    }
}
