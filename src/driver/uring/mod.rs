//! The driver on io_uring(7): idle sockets rest on a multishot poll, only who is readable borrows a
//! buffer, requests go in batches.
//!
//! It never arms a receive on an idle socket: that costs 864 bytes of kernel memory, a poll 256.
//! It never closes a descriptor that a request names, since then no FIN would be sent.

mod accept;
mod buffers;
mod cancel;
mod complete;
mod message;
mod operation;
mod polls;
mod probe;
mod receive;
mod reply;
mod ring;
mod slot;

pub use probe::{probe, probe_locked_bytes};

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, Timespec};
use io_uring::{opcode, squeue};
use slab::Slab;

use super::shortage::Shortage;
use super::tables::{stand_in_line, trim_queue, trim_slots};
use super::{
    Completion, Driver, End, EventWaker, Listener, ListenerId, Outgoing, Peer, Tuning, clock,
};
use crate::id::ConnId;
use crate::limits::ACCEPT_RETRY;
use crate::outgoing::SEND_BYTES_MAX;
use buffers::Buffers;
use message::Message;
use operation::Operation;
use receive::Lent;
use ring::Ring;
use slot::{Slot, flag};

/// Messages kept for reuse; one is a kilobyte.
const MESSAGES_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct UringDriver {
    /// Dropped by hand, before the memory that the kernel may write to.
    ring: ManuallyDrop<Ring>,
    buffers: ManuallyDrop<Buffers>,
    slots: ManuallyDrop<Slab<Slot>>,
    next_generation: u32,
    waker: EventWaker,
    listeners: Vec<Option<Listening>>,
    /// Connections to receive from, as soon as there are buffers.
    readable: VecDeque<ConnId>,
    /// Connections that the multishot accepts have brought since the last turn began.
    accepted: usize,
    /// Connections whose poll has ended and is wanted again.
    unpolled: VecDeque<ConnId>,
    is_waker_armed: bool,
    /// Connections that were resumed and have something in their stash.
    unstashed: VecDeque<ConnId>,
    /// What happened by our own calls.
    done: VecDeque<Done>,
    messages: Vec<Box<Message>>,
    /// Where the bytes are that the last completion lent.
    lent: Lent,
    /// Connections of `readable` that are received from in this turn. If nobody was readable before
    /// the wait, that is not known before all that it brought was handled.
    quota: Option<usize>,
    /// What went wrong in the middle of a turn.
    failure: Option<io::Error>,
    /// Accepting rests until then, or until a connection is closed: something ran out.
    stalled_until: Option<Instant>,
    /// What was said to have run out.
    stalls_told: Vec<Shortage>,
    tuning: Tuning,
    budget: usize,
}

#[derive(Debug)]
struct Listening {
    listener: Listener,
    is_armed: bool,
    is_leaving: bool,
    /// The multishot accept is being cancelled, as the worker is behind.
    is_resting: bool,
}

#[derive(Debug)]
enum Done {
    Accepted(ConnId, ListenerId),
    Ended(ConnId, End),
    Closed(ConnId),
    Released(ConnId, OwnedFd, Option<Outgoing>),
}

/// Bytes that count against RLIMIT_MEMLOCK for each driver tuned like this, unless the process has
/// CAP_IPC_LOCK (Linux 6.14 or newer).
#[must_use]
pub fn locked_bytes(tuning: &Tuning) -> u64 {
    Ring::locked_bytes(tuning.submissions, tuning.completions)
}

impl UringDriver {
    /// Sets the ring up; call it on the thread that uses it.
    ///
    /// # Errors
    ///
    /// If the kernel gives no ring.
    pub fn new(waker: EventWaker, tuning: Tuning) -> io::Result<Self> {
        let ring = Ring::new(tuning.submissions, tuning.completions)?;
        let buffers = Buffers::new(tuning.buffers, tuning.buffer_bytes);
        let mut driver = Self {
            ring: ManuallyDrop::new(ring),
            buffers: ManuallyDrop::new(buffers),
            slots: ManuallyDrop::new(Slab::with_capacity(tuning.connections)),
            next_generation: 0,
            waker,
            listeners: Vec::new(),
            readable: VecDeque::new(),
            accepted: 0,
            unpolled: VecDeque::new(),
            is_waker_armed: false,
            unstashed: VecDeque::new(),
            done: VecDeque::new(),
            messages: Vec::new(),
            lent: Lent::Nothing,
            quota: None,
            failure: None,
            stalled_until: None,
            stalls_told: Vec::new(),
            tuning,
            budget: 0,
        };
        driver.arm_waker();
        Ok(driver)
    }

    /// Times that the completion queue overflowed.
    #[must_use]
    pub fn overflows(&self) -> u32 {
        self.ring.overflows()
    }

    fn slot(&mut self, conn: ConnId) -> &mut Slot {
        let slot = self.slots.get_mut(conn.index as usize).expect("the connection is not closed");
        assert_eq!(slot.generation, conn.generation, "the connection is not closed");
        slot
    }

    fn add(&mut self, socket: OwnedFd) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let index = self.slots.insert(Slot::new(socket, generation)) as u32;
        let conn = ConnId { index, generation };
        self.arm_poll(conn);
        conn
    }

    /// Queues a request that points to no memory, or to memory that its slot owns until the
    /// completion is seen.
    fn push(&mut self, operation: Operation, index: u32, entry: squeue::Entry) {
        let entry = entry.user_data(operation.name(index));
        // SAFETY: bytes being sent and their message header are owned by the slot, and a slot is
        // removed only when nothing in the kernel names it; the other requests point to nothing.
        unsafe { self.ring.push(&entry) };
    }

    /// Submits the rest of what a connection is sending. MSG_WAITALL makes the kernel go on by
    /// itself where the socket takes only a part.
    fn push_send(&mut self, conn: ConnId) {
        const FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let slot = self.slots.get_mut(conn.index as usize).expect("the connection is not closed");
        let (fd, sent) = (slot.fd(), slot.sent);
        let bytes = slot.sending.as_mut().expect("something is being sent");
        let entry = match bytes.contiguous(sent) {
            Some(run) => {
                let length = run.len().min(SEND_BYTES_MAX) as u32;
                opcode::Send::new(fd, run.as_ptr(), length).flags(FLAGS).build()
            }
            None => {
                let fresh = || self.messages.pop().unwrap_or_else(Message::boxed);
                let header = slot.message.get_or_insert_with(fresh).point_to(bytes, sent);
                opcode::SendMsg::new(fd, header).flags(FLAGS as u32).build()
            }
        };
        slot.set(flag::SEND);
        self.push(Operation::Send, conn.index, entry);
    }

    fn keep_message(&mut self, message: Option<Box<Message>>) {
        if self.messages.len() < MESSAGES_MAX {
            self.messages.extend(message);
        }
    }

    /// Ends or gives away a connection once nothing in the kernel names it.
    fn leave(&mut self, conn: ConnId, how: u32) {
        let slot = self.slot(conn);
        assert!(!slot.has(flag::CLOSING | flag::RELEASING), "close or release, and once");
        slot.set(how);
        if slot.has(flag::POLL) {
            self.cancel_poll(conn);
        }
        if self.slot(conn).has(flag::SEND) {
            self.cancel_send(conn);
        }
        self.leave_if_quiet(conn);
    }

    fn leave_if_quiet(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        if slot.has(flag::IN_KERNEL) || !slot.has(flag::CLOSING | flag::RELEASING) {
            return;
        }
        if slot.has(flag::RELEASING) {
            if slot.stash.is_some() {
                return self.wait_to_unstash(conn);
            }
            let rest = slot.sending.take().map(|bytes| Outgoing::owned(bytes.to_vec(slot.sent)));
            let socket = slot.socket.take().expect("a released socket is not closed");
            return self.done.push_back(Done::Released(conn, socket, rest));
        }
        match slot.socket.take() {
            Some(socket) => {
                slot.set(flag::CLOSE);
                let entry = opcode::Close::new(Fd(socket.into_raw_fd())).build();
                self.push(Operation::Close, conn.index, entry);
            }
            None => {
                self.stalled_until = None;
                self.done.push_back(Done::Closed(conn));
            }
        }
    }

    /// A slot is free for the next connection once the last word about this one is told.
    fn tell(&mut self, done: Done) -> Completion<'static> {
        if let Done::Closed(conn) | Done::Released(conn, ..) = &done {
            drop(self.slots.remove(conn.index as usize));
        }
        match done {
            Done::Accepted(conn, listener) => Completion::Accepted(conn, listener),
            Done::Ended(conn, end) => Completion::Ended(conn, end),
            Done::Closed(conn) => Completion::Closed(conn),
            Done::Released(conn, socket, rest) => Completion::Released(conn, socket, rest),
        }
    }

    fn begin_turn(&mut self) -> Option<Duration> {
        self.take_back_lent();
        self.budget = self.tuning.budget;
        let now = clock::now();
        let retry = self.stalled_until.map(|until| until.saturating_duration_since(now));
        match retry {
            Some(retry) if !retry.is_zero() => return Some(retry),
            _ => self.stalled_until = None,
        }
        self.accept();
        None
    }
}

impl Driver for UringDriver {
    type Waker = EventWaker;

    const SENDS_IN_WAIT: bool = true;

    fn listen(&mut self, listener: Listener) -> io::Result<ListenerId> {
        let id = ListenerId(self.listeners.len() as u16);
        self.listeners.push(Some(Listening {
            listener,
            is_armed: false,
            is_leaving: false,
            is_resting: false,
        }));
        Ok(id)
    }

    fn unlisten(&mut self, id: ListenerId) {
        let index = usize::from(id.0);
        let Some(listening) = &mut self.listeners[index] else { return };
        listening.is_leaving = true;
        let (last, is_armed) = (listening.listener.empty(), listening.is_armed);
        for socket in last {
            let conn = self.add(socket);
            self.done.push_front(Done::Accepted(conn, id));
        }
        let Some(listening) = &self.listeners[index] else { return };
        if is_armed {
            let fd = Fd(listening.listener.socket().as_raw_fd());
            let entry = opcode::AsyncCancel2::new(CancelBuilder::fd(fd).all()).build();
            self.push(Operation::Unlisten, u32::from(id.0), entry);
        } else {
            self.listeners[index] = None;
        }
    }

    fn is_accepting(&self) -> bool {
        let is_accepted = |done: &Done| matches!(done, Done::Accepted(..));
        self.listeners.iter().any(Option::is_some) || self.done.iter().any(is_accepted)
    }

    fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        let slot = self.slot(conn);
        assert!(!slot.is_sending(), "one send at a time");
        assert!(!bytes.is_empty(), "there is something to send");
        slot.sending = Some(bytes);
        slot.sent = 0;
        self.push_send(conn);
    }

    fn send_lent(&mut self, conn: ConnId, part: Range<usize>) -> bool {
        self.reply(conn, part);
        false
    }

    fn pause(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.set(flag::PAUSED);
        if !slot.has(flag::HUNG_UP) {
            return;
        }
        // The poll has said so: a failure that was to show by receiving would never be told.
        if let Some(kind) = slot.take_failure() {
            self.done.push_back(Done::Ended(conn, End::Failed(kind)));
        } else if !slot.has(flag::POLL | flag::ENDED) {
            self.poll_again(conn);
        }
    }

    fn resume(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.clear(flag::PAUSED);
        if slot.stash.is_some() {
            self.wait_to_unstash(conn);
        } else if slot.must_queue() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
    }

    fn finish(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.set(flag::FINISH);
        slot.finish_if_asked();
    }

    fn close(&mut self, conn: ConnId) {
        self.slot(conn).stash = None;
        self.leave(conn, flag::CLOSING);
    }

    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        Ok(self.add(socket))
    }

    fn release(&mut self, conn: ConnId) {
        self.leave(conn, flag::RELEASING);
    }

    fn has_unread(&mut self, conn: ConnId) -> bool {
        self.slot(conn).has_unread()
    }

    fn peer(&mut self, conn: ConnId) -> Option<Peer> {
        self.slot(conn).peer()
    }

    fn taken(&mut self, conn: ConnId) -> u32 {
        self.slot(conn).taken()
    }

    fn sending(&mut self, conn: ConnId) -> usize {
        self.slot(conn).sending.as_ref().map_or(0, Outgoing::share)
    }

    fn trim(&mut self) {
        // The kernel knows of memory that slots own, and of no slot itself.
        trim_slots(&mut self.slots, self.tuning.connections);
        for queue in [&mut self.readable, &mut self.unpolled, &mut self.unstashed] {
            trim_queue(queue);
        }
        trim_queue(&mut self.done);
        self.ring.trim();
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let retry = self.begin_turn();
        let must_look = self.arm_polls_again();
        self.quota = (!self.readable.is_empty()).then_some(self.readable.len());
        // A turn that was cut short may have received what it did not hand out: with more, all
        // buffers would be touched in time, and not only those of one submission.
        let may_receive = !self.ring.has_reaped() || self.buffers.are_all_free();
        if self.quota.is_some() && may_receive && self.receive_more() {
            return self.ring.run_deferred();
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let has_work =
            !self.done.is_empty() || !self.unstashed.is_empty() || self.ring.has_completions();
        if must_look || has_work {
            self.ring.submit(0)?;
            return self.ring.run_deferred();
        }
        self.ring.submit_and_wait(retry.map_or(timeout, |retry| retry.min(timeout)))
    }

    fn next(&mut self) -> Option<Completion<'_>> {
        self.take_back_lent();
        self.budget = self.budget.checked_sub(1)?;
        loop {
            if let Some(done) = self.done.pop_front() {
                return Some(self.tell(done));
            }
            if let Some(conn) = self.take_unstashed() {
                return Some(self.lend(conn));
            }
            let Some(entry) = self.ring.next() else {
                if self.receive_more() {
                    continue;
                }
                return None;
            };
            match self.handle(&entry) {
                complete::Told::Nothing => {}
                complete::Told::Received(conn) => return Some(self.lend(conn)),
                complete::Told::Other(completion) => return Some(completion),
            }
        }
    }

    fn now(&self) -> Instant {
        clock::now()
    }

    fn unix_time(&self) -> Duration {
        clock::unix_time()
    }

    fn waker(&self) -> EventWaker {
        self.waker.clone()
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        let timeout = Timespec::new().sec(5);
        let submitter = self.ring.inner().submitter();
        let cancelled = submitter.register_sync_cancel(Some(timeout), CancelBuilder::any());
        let is_quiet = match cancelled {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        };
        // SAFETY: nothing uses the ring after this.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if !is_quiet {
            // Leaking is the only safe thing to do with memory that the kernel may still use.
            return tracing::error!("requests could not be cancelled: their memory is leaked");
        }
        // SAFETY: every request was cancelled, so the kernel touches no buffer any more.
        unsafe { ManuallyDrop::drop(&mut self.buffers) };
        // SAFETY: likewise it reads no bytes of a send any more.
        unsafe { ManuallyDrop::drop(&mut self.slots) };
    }
}
