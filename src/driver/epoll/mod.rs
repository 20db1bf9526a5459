//! The driver on epoll(7): registered once, edge-triggered, readable and writable together.
//!
//! It imitates completions: it reads when a socket is readable, writes at once and rests on the
//! writable edge. It never registers a socket twice and never asks for readiness that it knows.

mod accepting;
mod slot;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::place::Memory;
use super::tables::{Tenant, stand_in_line, trim_queue, trim_slots};
use super::{
    Completion, Driver, End, EventWaker, Listener, ListenerId, Outgoing, Peer, Tuning, clock,
};
use crate::id::ConnId;
use crate::limits::SEND_COST;
use accepting::Accepting;
use slot::{Read, Slot, Written};

/// What is made before the descriptor tables part: a poll and the waker it watches.
#[derive(Debug)]
pub struct Seed {
    poll: Poll,
    waker: EventWaker,
}

/// See the module.
#[derive(Debug)]
pub struct EpollDriver {
    poll: Poll,
    events: Events,
    waker: EventWaker,
    /// A slot is empty between the end of its connection and the last word about it.
    slots: Slab<Option<Slot>>,
    next_generation: u32,
    accepting: Accepting,
    /// Connections that may be readable.
    readable: VecDeque<ConnId>,
    /// Connections whose sends may go on.
    writable: VecDeque<ConnId>,
    /// What happened by our own calls.
    done: VecDeque<Done>,
    is_woken: bool,
    /// Whether what was done comes next: it alternates with what comes from outside, or sends that
    /// are done at once, and followed by the next, would leave nobody else a word.
    is_dones_turn: bool,
    buffer: Memory,
    tuning: Tuning,
    budget: usize,
}

#[derive(Debug)]
enum Done {
    Accepted(ConnId, ListenerId),
    Sent(ConnId, Option<Outgoing>),
    Ended(ConnId, End),
    Closed(ConnId),
    Released(ConnId, OwnedFd, Option<Outgoing>),
}

/// The waker's token; those of listeners count down from it, those of connections have a
/// generation in the upper half and never get so high.
const WAKER: usize = usize::MAX;
const EVENTS_PER_WAIT: usize = 1024;

impl Seed {
    /// Makes the poll and its waker.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (poll, waker) = (Poll::new()?, EventWaker::new()?);
        let mut source = SourceFd(&waker.as_raw_fd());
        poll.registry().register(&mut source, Token(WAKER), Interest::READABLE)?;
        Ok(Self { poll, waker })
    }

    /// What wakes the driver that comes of this.
    #[must_use]
    pub fn waker(&self) -> EventWaker {
        self.waker.clone()
    }

    /// The poll's descriptor, which must survive the parting of the tables beside the wakers.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// The driver; call it on the thread that uses it.
    #[must_use]
    pub fn build(self, tuning: Tuning) -> EpollDriver {
        EpollDriver {
            poll: self.poll,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            waker: self.waker,
            slots: Slab::with_capacity(tuning.connections),
            next_generation: 0,
            accepting: Accepting::default(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            done: VecDeque::new(),
            is_woken: false,
            is_dones_turn: false,
            buffer: Memory::new(tuning.receive_bytes),
            tuning,
            budget: 0,
        }
    }
}

impl Tenant for Option<Slot> {
    fn generation(&self) -> Option<u32> {
        self.as_ref().map(|slot| slot.generation)
    }
}

fn token_of(conn: ConnId) -> Token {
    Token((conn.generation as usize & 0x7fff_ffff) << 32 | conn.index as usize)
}

impl EpollDriver {
    fn slot(&mut self, conn: ConnId) -> &mut Slot {
        let slot = self.slots.get_mut(conn.index as usize).and_then(Option::as_mut);
        let slot = slot.expect("the connection is not closed");
        assert_eq!(slot.generation, conn.generation, "the connection is not closed");
        slot
    }

    /// Fails if the kernel will not watch it, and gives it back.
    fn add(&mut self, socket: OwnedFd) -> Result<ConnId, (io::Error, OwnedFd)> {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        let conn = ConnId { index: entry.key() as u32, generation };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut source = SourceFd(&socket.as_raw_fd());
        if let Err(error) = self.poll.registry().register(&mut source, token_of(conn), interest) {
            return Err((error, socket));
        }
        entry.insert(Some(Slot::new(socket, generation)));
        Ok(conn)
    }

    /// Takes a connection out of its slot, which stays taken until the last word is told.
    fn leave(&mut self, conn: ConnId) -> Slot {
        assert_eq!(self.slot(conn).generation, conn.generation);
        self.slots[conn.index as usize].take().expect("the connection is not closed")
    }

    fn tell(&mut self, done: Done) -> Completion<'static> {
        if let Done::Closed(conn) | Done::Released(conn, ..) = &done {
            self.slots.remove(conn.index as usize);
        }
        match done {
            Done::Accepted(conn, listener) => Completion::Accepted(conn, listener),
            Done::Sent(conn, bytes) => Completion::Sent(conn, bytes),
            Done::Ended(conn, end) => Completion::Ended(conn, end),
            Done::Closed(conn) => Completion::Closed(conn),
            Done::Released(conn, socket, rest) => Completion::Released(conn, socket, rest),
        }
    }

    /// Tries to send the rest; what comes of it is told by the next turn.
    fn write(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        match slot.write() {
            Written::Blocked => {}
            Written::All(bytes) => {
                slot.finish_if_asked();
                self.done.push_back(Done::Sent(conn, bytes));
            }
            Written::Failed if slot.is_paused() => self.end_if_broken(conn),
            Written::Failed => self.make_readable(conn),
        }
    }

    fn make_readable(&mut self, conn: ConnId) {
        if self.slot(conn).must_queue_for_reading() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
    }

    /// While a connection is paused only a failure is told: a FIN waits behind the data.
    fn end_if_broken(&mut self, conn: ConnId) {
        if let Some(kind) = self.slot(conn).take_failure() {
            self.done.push_back(Done::Ended(conn, End::Failed(kind)));
        }
    }

    /// Goes on with sends that rested, as far as a turn reaches.
    fn write_some(&mut self) {
        let mut left = self.tuning.write_bytes;
        while left > 0
            && let Some(conn) = self.writable.pop_front()
        {
            let slot = self.slots.get_mut(conn.index as usize).and_then(Option::as_mut);
            let Some(slot) = slot.filter(|slot| slot.generation == conn.generation) else {
                continue;
            };
            if !slot.begin_writing() {
                continue;
            }
            let before = slot.written();
            self.write(conn);
            left = left.saturating_sub(SEND_COST + self.slot(conn).written() - before);
        }
    }

    fn take_events(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let token = event.token().0;
            if token == WAKER {
                self.is_woken = true;
            } else if let Some(listener) = Accepting::listener_of(token) {
                self.accepting.mark_ready(listener);
            } else {
                self.take_event(token, event);
            }
        }
        self.events = events;
    }

    fn take_event(&mut self, token: usize, event: &mio::event::Event) {
        let Some(Some(slot)) = self.slots.get_mut(token & 0xffff_ffff) else { return };
        let conn = ConnId { index: token as u32, generation: slot.generation };
        // A connection that was closed in this batch may have left its slot to another.
        if token_of(conn).0 != token || slot.has_ended() {
            return;
        }
        let is_hung_up = event.is_read_closed() || event.is_write_closed() || event.is_error();
        slot.note_hang_up(is_hung_up);
        if (event.is_writable() || is_hung_up) && slot.must_queue_for_writing() {
            stand_in_line(&mut self.writable, conn, &self.slots);
        }
        if self.slot(conn).is_paused() {
            self.slot(conn).note_readable();
            if is_hung_up {
                self.end_if_broken(conn);
            }
        } else if event.is_readable() || is_hung_up {
            self.make_readable(conn);
        }
    }

    fn accept(&mut self) -> Option<(ConnId, ListenerId)> {
        let (socket, listener) = self.accepting.accept()?;
        match self.add(socket) {
            Ok(conn) => Some((conn, listener)),
            Err((error, socket)) => {
                self.accepting.keep_unwatched(socket, listener, &error);
                None
            }
        }
    }

    /// Reads one connection; `None` if it had nothing to tell.
    fn read(&mut self, conn: ConnId) -> Option<Result<usize, End>> {
        let buffer = self.buffer.bytes();
        let slot = self.slots.get_mut(conn.index as usize)?.as_mut()?;
        if slot.generation != conn.generation || !slot.begin_reading() {
            return None;
        }
        match slot.read(buffer) {
            Read::Some(length) => {
                if slot.must_queue_if_readable() {
                    stand_in_line(&mut self.readable, conn, &self.slots);
                }
                Some(Ok(length))
            }
            Read::Nothing => None,
            Read::Ended(end) => Some(Err(end)),
        }
    }

    fn has_work(&self) -> bool {
        !self.done.is_empty()
            || !self.readable.is_empty()
            || !self.writable.is_empty()
            || self.is_woken
            || self.accepting.is_ready()
    }
}

impl Driver for EpollDriver {
    type Waker = EventWaker;

    fn listen(&mut self, listener: Listener) -> io::Result<ListenerId> {
        let descriptor = listener.socket().as_raw_fd();
        let (id, token) = self.accepting.add(listener);
        let mut source = SourceFd(&descriptor);
        self.poll.registry().register(&mut source, token, Interest::READABLE)?;
        Ok(id)
    }

    fn unlisten(&mut self, id: ListenerId) {
        if let Some(listener) = self.accepting.remove(id) {
            let mut source = SourceFd(&listener.socket().as_raw_fd());
            self.poll.registry().deregister(&mut source).expect("it was registered by listen");
            for socket in listener.empty() {
                // One that the kernel does not watch is lost.
                if let Ok(conn) = self.add(socket) {
                    self.done.push_front(Done::Accepted(conn, id));
                }
            }
        }
    }

    fn is_accepting(&self) -> bool {
        let is_accepted = |done: &Done| matches!(done, Done::Accepted(..));
        self.accepting.listens() || self.done.iter().any(is_accepted)
    }

    fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        self.slot(conn).begin_sending(bytes);
        self.write(conn);
    }

    fn send_lent(&mut self, conn: ConnId, part: Range<usize>) -> bool {
        let slot = self.slots.get_mut(conn.index as usize).and_then(Option::as_mut);
        let slot = slot.filter(|slot| slot.generation == conn.generation);
        let bytes = &self.buffer.bytes()[part];
        let sent = slot.expect("the connection is not closed").write_lent(bytes);
        if sent == bytes.len() {
            return true;
        }
        let rest = Outgoing::copied(&bytes[sent..]);
        self.slot(conn).begin_sending_copy(rest);
        self.write(conn);
        false
    }

    fn pause(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.pause();
        // The edge is spent: a failure that was to show by reading would never be told.
        if slot.is_hung_up() {
            self.end_if_broken(conn);
        }
    }

    fn resume(&mut self, conn: ConnId) {
        if self.slot(conn).resume() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
    }

    fn finish(&mut self, conn: ConnId) {
        self.slot(conn).finish();
    }

    fn close(&mut self, conn: ConnId) {
        drop(self.leave(conn));
        self.done.push_back(Done::Closed(conn));
        self.accepting.unstall();
    }

    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        self.add(socket).map_err(|(error, _)| error)
    }

    fn release(&mut self, conn: ConnId) {
        let (socket, rest) = self.leave(conn).into_parts();
        let mut source = SourceFd(&socket.as_raw_fd());
        self.poll.registry().deregister(&mut source).expect("it was registered by add");
        self.done.push_back(Done::Released(conn, socket, rest));
    }

    fn has_unread(&mut self, conn: ConnId) -> bool {
        let slot = self.slot(conn);
        let has_unread = slot.has_unread();
        // Urgent data makes a read short although more is behind it, and no edge tells of that.
        if has_unread && slot.must_queue_for_reading() {
            stand_in_line(&mut self.readable, conn, &self.slots);
        }
        has_unread
    }

    fn peer(&mut self, conn: ConnId) -> Option<Peer> {
        self.slot(conn).peer()
    }

    fn taken(&mut self, conn: ConnId) -> u32 {
        self.slot(conn).taken()
    }

    fn sending(&mut self, conn: ConnId) -> usize {
        self.slot(conn).sending().map_or(0, Outgoing::share)
    }

    fn trim(&mut self) {
        trim_slots(&mut self.slots, self.tuning.connections);
        trim_queue(&mut self.readable);
        trim_queue(&mut self.writable);
        trim_queue(&mut self.done);
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.budget = self.tuning.budget;
        self.accepting.begin_turn(clock::now());
        let timeout = if self.has_work() {
            Duration::ZERO
        } else {
            self.accepting.retry_in(clock::now()).map_or(timeout, |retry| retry.min(timeout))
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        self.take_events();
        self.write_some();
        Ok(())
    }

    fn next(&mut self) -> Option<Completion<'_>> {
        self.budget = self.budget.checked_sub(1)?;
        self.is_dones_turn = !self.is_dones_turn;
        if self.is_dones_turn
            && let Some(done) = self.done.pop_front()
        {
            return Some(self.tell(done));
        }
        if std::mem::take(&mut self.is_woken) {
            return Some(Completion::Woken);
        }
        if let Some((conn, listener)) = self.accept() {
            return Some(Completion::Accepted(conn, listener));
        }
        while let Some(conn) = self.readable.pop_front() {
            match self.read(conn) {
                Some(Ok(length)) => {
                    return Some(Completion::Received(conn, &mut self.buffer.bytes()[..length]));
                }
                Some(Err(end)) => return Some(Completion::Ended(conn, end)),
                None => {}
            }
        }
        self.done.pop_front().map(|done| self.tell(done))
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

#[cfg(test)]
mod tests;
