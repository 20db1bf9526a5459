//! What completions of the kernel mean.

use std::io::{self, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue::{self, Entry};

use super::slot::flag;
use super::{ACCEPT_RETRY, Operation, UringDriver, clock};
use crate::driver::shortage::Shortage;
use crate::driver::tables::stand_in_line;
use crate::driver::{Completion, End, ListenerId};
use crate::id::ConnId;

/// What a completion tells the worker.
pub(super) enum Told {
    Nothing,
    /// The bytes are where `lent` says.
    Received(ConnId),
    Other(Completion<'static>),
}

impl UringDriver {
    pub(super) fn handle(&mut self, entry: &Entry) -> Told {
        let (operation, index) = Operation::parse(entry.user_data());
        match operation {
            Operation::Accept => self.accepted(index, entry),
            Operation::Unlisten => Told::Nothing,
            Operation::Wake => {
                self.is_waker_armed = cqueue::more(entry.flags());
                Told::Other(Completion::Woken)
            }
            _ => self.handle_of_conn(operation, self.conn(index), entry),
        }
    }

    fn handle_of_conn(&mut self, operation: Operation, conn: ConnId, entry: &Entry) -> Told {
        let told = match operation {
            Operation::Poll => self.polled(conn, entry),
            Operation::Receive => self.received(conn, entry),
            Operation::Send => self.sent(conn, entry.result()),
            Operation::SendLent => self.sent_lent(conn, entry),
            Operation::CancelPoll => {
                self.poll_cancelled(conn, entry.result());
                Told::Nothing
            }
            Operation::CancelSend => {
                self.send_cancelled(conn, entry.result());
                Told::Nothing
            }
            _ => {
                self.slot(conn).clear(flag::CLOSE);
                Told::Nothing
            }
        };
        self.leave_if_quiet(conn);
        told
    }

    fn conn(&self, index: u32) -> ConnId {
        let slot = self.slots.get(index as usize).expect("a request names its slot until the end");
        ConnId { index, generation: slot.generation }
    }

    fn accepted(&mut self, index: u32, entry: &Entry) -> Told {
        if !cqueue::more(entry.flags())
            && let Some(listening) = &mut self.listeners[index as usize]
        {
            (listening.is_armed, listening.is_resting) = (false, false);
            if listening.is_leaving {
                self.listeners[index as usize] = None;
            }
        }
        match entry.result() {
            fd if fd >= 0 => {
                // SAFETY: the kernel has just made this descriptor, for us alone.
                let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                let conn = self.add(socket);
                self.accepted += 1;
                Told::Other(Completion::Accepted(conn, ListenerId(index as u16)))
            }
            error => {
                self.stall_if_exhausted(&io::Error::from_raw_os_error(-error));
                Told::Nothing
            }
        }
    }

    pub(super) fn stall_if_exhausted(&mut self, error: &io::Error) {
        let Some(shortage) = Shortage::of_accept(error) else { return };
        self.stalled_until = Some(clock::now() + ACCEPT_RETRY);
        shortage.warn_once(&mut self.stalls_told, error);
    }

    fn polled(&mut self, conn: ConnId, entry: &Entry) -> Told {
        let slot = self.slot(conn);
        if !cqueue::more(entry.flags()) {
            slot.clear(flag::POLL);
        }
        if slot.has(flag::CLOSING | flag::RELEASING | flag::ENDED) {
            return Told::Nothing;
        }
        const HANG_UP: i16 = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
        let is_hung_up = match entry.result() {
            events if events >= 0 => events & i32::from(HANG_UP) != 0,
            errno => {
                slot.failure = Some(kind_of(-errno));
                true
            }
        };
        slot.set(flag::READABLE);
        if is_hung_up {
            slot.set(flag::HUNG_UP);
        }
        if slot.has(flag::PAUSED)
            && is_hung_up
            && let Some(kind) = slot.take_failure()
        {
            return Told::Other(Completion::Ended(conn, End::Failed(kind)));
        }
        let (must_arm, must_queue) = (!slot.has(flag::POLL), slot.must_queue());
        // The end shows by reading, and a poll behind it would fire at once. While paused nothing
        // is read: a reset behind the FIN has to show by the poll.
        if must_arm && (slot.has(flag::PAUSED) || !slot.has(flag::HUNG_UP)) {
            self.poll_again(conn);
        }
        if must_queue {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
        Told::Nothing
    }

    pub(super) fn end(&mut self, conn: ConnId, end: End) -> Told {
        let slot = self.slot(conn);
        slot.clear(flag::READABLE);
        if slot.has(flag::ENDED | flag::CLOSING | flag::RELEASING) {
            return Told::Nothing;
        }
        slot.set(flag::ENDED);
        let end = slot.failure.map_or(end, End::Failed);
        Told::Other(Completion::Ended(conn, end))
    }

    pub(super) fn sent(&mut self, conn: ConnId, result: i32) -> Told {
        let slot = self.slot(conn);
        slot.clear(flag::SEND);
        match result {
            count if count >= 0 => slot.sent += count as usize,
            errno => {
                if let Some(told) = self.send_failed(conn, -errno) {
                    return told;
                }
            }
        }
        let slot = self.slot(conn);
        let Some(bytes) = &slot.sending else { return Told::Nothing };
        if slot.sent < bytes.len() {
            if !slot.has(flag::CLOSING | flag::RELEASING) {
                self.push_send(conn);
            }
            return Told::Nothing;
        }
        self.complete_send(conn)
    }

    pub(super) fn complete_send(&mut self, conn: ConnId) -> Told {
        let slot = self.slot(conn);
        let bytes = slot.sending.take().filter(|_| !slot.has(flag::LENT));
        slot.clear(flag::LENT);
        slot.finish_if_asked();
        let is_closing = slot.has(flag::CLOSING);
        let message = slot.message.take();
        self.keep_message(message);
        if is_closing { Told::Nothing } else { Told::Other(Completion::Sent(conn, bytes)) }
    }

    /// What a failed send tells; nothing if it is to be tried again.
    fn send_failed(&mut self, conn: ConnId, errno: i32) -> Option<Told> {
        let slot = self.slot(conn);
        if matches!(errno, libc::EAGAIN | libc::EINTR) {
            return None;
        }
        if slot.has(flag::CLOSING | flag::RELEASING) {
            return Some(Told::Nothing);
        }
        if slot.has(flag::ENDED) {
            return Some(self.complete_send(conn));
        }
        slot.sending = None;
        slot.clear(flag::LENT);
        slot.failure = Some(kind_of(errno));
        slot.set(flag::HUNG_UP | flag::READABLE);
        if slot.has(flag::PAUSED) {
            let kind = slot.take_failure().unwrap_or(ErrorKind::BrokenPipe);
            return Some(Told::Other(Completion::Ended(conn, End::Failed(kind))));
        }
        if slot.must_queue() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
        Some(Told::Nothing)
    }
}

pub(super) fn kind_of(errno: i32) -> ErrorKind {
    io::Error::from_raw_os_error(errno).kind()
}
