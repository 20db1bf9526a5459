//! A driver without a kernel: a seeded network that cuts, delays and breaks as it likes.
//!
//! It runs the unmodified worker in one thread, one turn at a time, in virtual time. It never does
//! anything twice differently for the same seed.

mod net;

pub use net::{Client, Net, Rng};

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use slab::Slab;

use super::tables::{trim_queue, trim_slots};
use super::{Completion, Driver, End, Listener, ListenerId, Outgoing, Peer, Wake};
use crate::id::ConnId;
use net::LinkId;

/// See the module.
#[derive(Debug)]
pub struct SimDriver {
    net: Net,
    id: usize,
    /// A slot is empty between the end of its connection and the last word about it.
    slots: Slab<Option<Slot>>,
    next_generation: u32,
    listener: Option<ListenerId>,
    listeners: u16,
    done: VecDeque<Done>,
    waker: SimWaker,
    lent: Vec<u8>,
    budget_max: usize,
    budget: usize,
}

/// Wakes a simulated worker.
#[derive(Clone, Debug, Default)]
pub struct SimWaker(Arc<AtomicBool>);

impl Wake for SimWaker {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Slot {
    link: LinkId,
    generation: u32,
    sending: Option<Outgoing>,
    sent: usize,
    /// What is being sent is a copy of what was received.
    is_copy: bool,
    is_paused: bool,
    has_ended: bool,
    must_finish: bool,
    failure: Option<ErrorKind>,
}

#[derive(Debug)]
enum Done {
    Accepted(ConnId, ListenerId),
    Sent(ConnId, Option<Outgoing>),
    Closed(ConnId),
    Released(ConnId, OwnedFd, Option<Outgoing>),
}

impl Slot {
    /// What was being sent, if somebody wants it back.
    fn end_sending(&mut self) -> Option<Outgoing> {
        let is_copy = std::mem::take(&mut self.is_copy);
        self.sending.take().filter(|_| !is_copy)
    }
}

impl SimDriver {
    fn new(net: Net, id: usize, budget_max: usize) -> Self {
        Self {
            net,
            id,
            slots: Slab::new(),
            next_generation: 0,
            listener: None,
            listeners: 0,
            done: VecDeque::new(),
            waker: SimWaker::default(),
            lent: Vec::new(),
            budget_max,
            budget: 0,
        }
    }

    fn slot(&mut self, conn: ConnId) -> &mut Slot {
        let slot = self.slots.get_mut(conn.index as usize).and_then(Option::as_mut);
        let slot = slot.expect("the connection is not closed");
        assert_eq!(slot.generation, conn.generation, "the connection is not closed");
        slot
    }

    fn add(&mut self, link: LinkId) -> ConnId {
        let generation = self.next_generation;
        self.next_generation += 1;
        let slot = Slot {
            link,
            generation,
            sending: None,
            sent: 0,
            is_copy: false,
            is_paused: false,
            has_ended: false,
            must_finish: false,
            failure: None,
        };
        ConnId { index: self.slots.insert(Some(slot)) as u32, generation }
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
            Done::Closed(conn) => Completion::Closed(conn),
            Done::Released(conn, socket, rest) => Completion::Released(conn, socket, rest),
        }
    }

    /// Lets the network take some of what is being sent.
    fn progress(&mut self) {
        for index in 0..self.slots.capacity() {
            let Some(Some(slot)) = self.slots.get_mut(index) else { continue };
            let Some(bytes) = &slot.sending else { continue };
            let conn = ConnId { index: index as u32, generation: slot.generation };
            let rest = bytes.to_vec(slot.sent);
            match self.net.carry(slot.link, &rest) {
                Ok(count) => slot.sent += count,
                Err(kind) => {
                    slot.failure = Some(kind);
                    let bytes = slot.end_sending();
                    if slot.has_ended {
                        self.done.push_back(Done::Sent(conn, bytes));
                    }
                    continue;
                }
            }
            if slot.sent == bytes.len() {
                let bytes = slot.end_sending();
                if slot.must_finish {
                    self.net.finish_by_server(slot.link);
                }
                self.done.push_back(Done::Sent(conn, bytes));
            }
        }
    }

    fn accept(&mut self) -> Option<(ConnId, ListenerId)> {
        let listener = self.listener?;
        let link = self.net.accept(self.id)?;
        Some((self.add(link), listener))
    }

    /// Looks at one connection, beginning anywhere, until one has something to tell.
    fn look(&mut self) -> Option<(ConnId, Result<Vec<u8>, End>)> {
        let indexes: Vec<usize> = self.slots.iter().map(|(index, _)| index).collect();
        let start = self.net.below(indexes.len().max(1));
        for at in 0..indexes.len() {
            let index = indexes[(start + at) % indexes.len()];
            let Some(slot) = &mut self.slots[index] else { continue };
            let conn = ConnId { index: index as u32, generation: slot.generation };
            if slot.has_ended {
                continue;
            }
            if let Some(kind) = slot.failure.or_else(|| self.net.failure(slot.link)) {
                slot.has_ended = true;
                return Some((conn, Err(End::Failed(kind))));
            }
            if slot.is_paused {
                continue;
            }
            if let Some(bytes) = self.net.receive(slot.link) {
                return Some((conn, Ok(bytes)));
            }
            if self.net.is_finished_by_client(slot.link) {
                slot.has_ended = true;
                return Some((conn, Err(End::Finished)));
            }
        }
        None
    }
}

impl Driver for SimDriver {
    type Waker = SimWaker;

    /// The listener is only a sign that this driver accepts: clients connect to drivers.
    fn listen(&mut self, _listener: Listener) -> io::Result<ListenerId> {
        Ok(self.accept_connects())
    }

    fn unlisten(&mut self, _id: ListenerId) {
        let Some(listener) = self.listener else { return };
        while let Some((conn, _)) = self.accept() {
            self.done.push_front(Done::Accepted(conn, listener));
        }
        self.listener = None;
        self.net.refuse(self.id);
    }

    fn is_accepting(&self) -> bool {
        let is_accepted = |done: &Done| matches!(done, Done::Accepted(..));
        self.listener.is_some() || self.done.iter().any(is_accepted)
    }

    fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        let slot = self.slot(conn);
        assert!(slot.sending.is_none(), "one send at a time");
        assert!(!bytes.is_empty(), "there is something to send");
        slot.sending = Some(bytes);
        slot.sent = 0;
    }

    fn send_lent(&mut self, conn: ConnId, part: Range<usize>) -> bool {
        let bytes = self.lent[part].to_vec();
        let slot = self.slot(conn);
        assert!(slot.sending.is_none(), "one send at a time");
        let link = slot.link;
        let sent = self.net.carry(link, &bytes).unwrap_or(0);
        if sent == bytes.len() {
            return true;
        }
        self.send(conn, Outgoing::copied(&bytes[sent..]));
        self.slot(conn).is_copy = true;
        false
    }

    fn pause(&mut self, conn: ConnId) {
        self.slot(conn).is_paused = true;
    }

    fn resume(&mut self, conn: ConnId) {
        self.slot(conn).is_paused = false;
    }

    fn finish(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.must_finish = true;
        if slot.sending.is_none() {
            let link = slot.link;
            self.net.finish_by_server(link);
        }
    }

    fn close(&mut self, conn: ConnId) {
        let slot = self.leave(conn);
        self.net.close_by_server(slot.link);
        self.done.retain(|done| !matches!(done, Done::Sent(of, _) if *of == conn));
        self.done.push_back(Done::Closed(conn));
    }

    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        let link = self.net.take_out(&socket).ok_or(ErrorKind::NotConnected)?;
        Ok(self.add(link))
    }

    fn release(&mut self, conn: ConnId) {
        let slot = self.leave(conn);
        let rest = slot.sending.map(|bytes| Outgoing::owned(bytes.to_vec(slot.sent)));
        let socket = self.net.put_in(slot.link);
        self.done.push_back(Done::Released(conn, socket, rest));
    }

    fn has_unread(&mut self, conn: ConnId) -> bool {
        let link = self.slot(conn).link;
        self.net.has_bytes(link)
    }

    fn peer(&mut self, _conn: ConnId) -> Option<Peer> {
        Some(Peer::Unix)
    }

    fn taken(&mut self, conn: ConnId) -> u32 {
        let link = self.slot(conn).link;
        self.net.carried(link)
    }

    fn sending(&mut self, conn: ConnId) -> usize {
        self.slot(conn).sending.as_ref().map_or(0, Outgoing::share)
    }

    fn trim(&mut self) {
        trim_slots(&mut self.slots, 0);
        trim_queue(&mut self.done);
    }

    /// Never sleeps: who drives the simulation moves the time.
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        self.budget = 1 + self.net.below(self.budget_max);
        self.progress();
        Ok(())
    }

    fn next(&mut self) -> Option<Completion<'_>> {
        self.budget = self.budget.checked_sub(1)?;
        if let Some(done) = self.done.pop_front() {
            return Some(self.tell(done));
        }
        if self.waker.0.swap(false, Ordering::SeqCst) {
            return Some(Completion::Woken);
        }
        if let Some((conn, listener)) = self.accept() {
            return Some(Completion::Accepted(conn, listener));
        }
        let (conn, told) = self.look()?;
        match told {
            Ok(bytes) => {
                self.lent = bytes;
                Some(Completion::Received(conn, &mut self.lent))
            }
            Err(end) => Some(Completion::Ended(conn, end)),
        }
    }

    fn now(&self) -> Instant {
        self.net.now()
    }

    /// Simulated time says nothing of years.
    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn waker(&self) -> SimWaker {
        self.waker.clone()
    }
}

impl SimDriver {
    /// Whether a wait would end before its timeout.
    #[must_use]
    pub fn has_events(&self) -> bool {
        let has_event = |slot: &Slot| {
            let is_readable = !slot.is_paused && self.net.has_input(slot.link);
            let is_broken = slot.failure.is_some() || self.net.failure(slot.link).is_some();
            slot.sending.is_some() || !slot.has_ended && (is_readable || is_broken)
        };
        !self.done.is_empty()
            || self.waker.0.load(Ordering::SeqCst)
            || self.listener.is_some() && self.net.has_connects(self.id)
            || self.slots.iter().filter_map(|(_, slot)| slot.as_ref()).any(has_event)
    }

    /// Takes connects from here on; a simulated network needs no listening socket.
    pub fn accept_connects(&mut self) -> ListenerId {
        let id = ListenerId(self.listeners);
        self.listeners += 1;
        self.listener = Some(id);
        self.net.open(self.id);
        id
    }
}
