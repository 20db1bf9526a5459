//! One socket of the io_uring driver.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use io_uring::types::Fd;
use nix::sys::socket::{Shutdown, shutdown};
use socket2::SockRef;

use super::message::Message;
use crate::driver::tables::Tenant;
use crate::driver::{Outgoing, Peer, peek, taken};

/// A socket and what the kernel is doing with it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Gone once its close is submitted or it is given away.
    pub(super) socket: Option<OwnedFd>,
    pub(super) generation: u32,
    /// Set bits of `flag`.
    flags: u32,
    pub(super) sending: Option<Outgoing>,
    pub(super) sent: usize,
    pub(super) message: Option<Box<Message>>,
    /// Bytes that were received when the pause came.
    pub(super) stash: Option<Box<Vec<u8>>>,
    pub(super) failure: Option<ErrorKind>,
}

/// The bits of a slot's state.
pub(super) mod flag {
    /// A poll is armed in the kernel.
    pub(in super::super) const POLL: u32 = 1;
    /// A receive is in the kernel, or its completion on the way.
    pub(in super::super) const RECEIVE: u32 = 1 << 1;
    /// A send is in the kernel.
    pub(in super::super) const SEND: u32 = 1 << 2;
    /// A cancel of the poll is in the kernel.
    pub(in super::super) const CANCEL_POLL: u32 = 1 << 3;
    /// A close is in the kernel.
    pub(in super::super) const CLOSE: u32 = 1 << 4;
    /// There may be something to read.
    pub(in super::super) const READABLE: u32 = 1 << 5;
    /// It stands in the queue of those to read.
    pub(in super::super) const QUEUED: u32 = 1 << 6;
    /// The end is behind the data: read until it shows.
    pub(in super::super) const HUNG_UP: u32 = 1 << 7;
    /// The worker wants nothing now.
    pub(in super::super) const PAUSED: u32 = 1 << 8;
    /// A FIN is to follow what is being sent.
    pub(in super::super) const FINISH: u32 = 1 << 9;
    /// The end was told.
    pub(in super::super) const ENDED: u32 = 1 << 10;
    /// `close` was called.
    pub(in super::super) const CLOSING: u32 = 1 << 11;
    /// `release` was called.
    pub(in super::super) const RELEASING: u32 = 1 << 12;
    /// It stands in the queue of those to poll again.
    pub(in super::super) const UNPOLLED: u32 = 1 << 13;
    /// What is being sent is what was received, in its buffer or copied.
    pub(in super::super) const LENT: u32 = 1 << 14;
    /// A cancel of the send is in the kernel.
    pub(in super::super) const CANCEL_SEND: u32 = 1 << 15;
    /// It stands in the queue of those whose stash is to be lent.
    pub(in super::super) const UNSTASHED: u32 = 1 << 16;
    /// What names the slot in the kernel.
    pub(in super::super) const IN_KERNEL: u32 =
        POLL | RECEIVE | SEND | CANCEL_POLL | CANCEL_SEND | CLOSE;
}

impl Tenant for Slot {
    fn generation(&self) -> Option<u32> {
        Some(self.generation)
    }
}

impl Slot {
    pub(super) fn new(socket: OwnedFd, generation: u32) -> Self {
        Self {
            socket: Some(socket),
            generation,
            flags: 0,
            sending: None,
            sent: 0,
            message: None,
            stash: None,
            failure: None,
        }
    }

    pub(super) fn fd(&self) -> Fd {
        Fd(self.socket.as_ref().expect("the socket is not closed").as_raw_fd())
    }

    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some() || self.has(flag::LENT)
    }

    /// Whether it must be put into the queue of those to read.
    pub(super) fn must_queue(&mut self) -> bool {
        const NOT: u32 = flag::QUEUED
            | flag::RECEIVE
            | flag::PAUSED
            | flag::ENDED
            | flag::CLOSING
            | flag::RELEASING;
        let must = self.has(flag::READABLE) && !self.has(NOT) && self.stash.is_none();
        if must {
            self.set(flag::QUEUED);
        }
        must
    }

    /// Bytes that a receive has taken but not brought yet are nowhere else to be seen.
    pub(super) fn has_unread(&self) -> bool {
        self.has(flag::RECEIVE)
            || self.stash.is_some()
            || self.socket.as_ref().is_some_and(peek::holds_bytes)
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        self.socket.as_ref().and_then(|socket| Peer::of(socket.as_fd()))
    }

    pub(super) fn taken(&self) -> u32 {
        self.socket.as_ref().map_or(0, |socket| taken::taken(socket, self.sent))
    }

    /// Why the connection broke, if it did and that was not told.
    pub(super) fn take_failure(&mut self) -> Option<ErrorKind> {
        if self.has(flag::ENDED) {
            return None;
        }
        let socket = self.socket.as_ref()?;
        let error = || SockRef::from(socket).take_error().ok().flatten();
        let failure = self.failure.or_else(|| error().map(|error| error.kind()))?;
        self.set(flag::ENDED);
        // What was received by then is lost with the connection: it would come behind the end.
        self.stash = None;
        Some(failure)
    }

    /// The plain call: as a request it would go through a thread of the kernel.
    pub(super) fn finish_if_asked(&mut self) {
        if self.has(flag::FINISH) && !self.is_sending() {
            self.clear(flag::FINISH);
            // It fails only where the connection is broken, which is told otherwise.
            let _ = shutdown(self.fd().0, Shutdown::Write);
        }
    }
}
