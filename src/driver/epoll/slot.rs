//! One socket of the epoll driver.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use socket2::SockRef;

use crate::driver::{End, Outgoing, Peer, peek, taken};
use crate::outgoing::SLICES_MAX;

/// A socket with what is being sent on it. The socket itself blocks, so that it means the same to
/// every driver; each call says that it must not.
#[derive(Debug)]
pub(super) struct Slot {
    socket: OwnedFd,
    pub(super) generation: u32,
    sending: Option<Outgoing>,
    sent: usize,
    flags: u8,
    failure: Option<ErrorKind>,
}

/// There may be something to read.
const READABLE: u8 = 1;
/// It stands in the queue of those to read.
const QUEUED: u8 = 1 << 1;
/// The end is behind the data: read until it shows, as no other edge will come.
const HUNG_UP: u8 = 1 << 2;
const PAUSED: u8 = 1 << 3;
/// A FIN is to follow what is being sent.
const FINISH: u8 = 1 << 4;
/// The end was told.
const ENDED: u8 = 1 << 5;
/// What is being sent is a copy of what was received.
const COPY: u8 = 1 << 6;
/// It stands in the queue of those to write.
const WRITABLE: u8 = 1 << 7;

const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

pub(super) enum Read {
    Some(usize),
    Nothing,
    Ended(End),
}

pub(super) enum Written {
    All(Option<Outgoing>),
    Blocked,
    Failed,
}

impl Slot {
    pub(super) fn new(socket: OwnedFd, generation: u32) -> Self {
        Self { socket, generation, sending: None, sent: 0, flags: 0, failure: None }
    }

    pub(super) fn into_parts(mut self) -> (OwnedFd, Option<Outgoing>) {
        let rest = self.sending.take().map(|bytes| Outgoing::owned(bytes.to_vec(self.sent)));
        (self.socket, rest)
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.has(PAUSED)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has(ENDED) && !self.is_sending()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    pub(super) fn sending(&self) -> Option<&Outgoing> {
        self.sending.as_ref()
    }

    pub(super) fn is_hung_up(&self) -> bool {
        self.has(HUNG_UP)
    }

    pub(super) fn note_hang_up(&mut self, is_hung_up: bool) {
        self.set(HUNG_UP, is_hung_up || self.has(HUNG_UP));
    }

    pub(super) fn note_readable(&mut self) {
        self.set(READABLE, true);
    }

    /// Marks it readable; whether it must be put into the queue of those to read.
    pub(super) fn must_queue_for_reading(&mut self) -> bool {
        self.set(READABLE, true);
        self.must_queue_if_readable()
    }

    pub(super) fn must_queue_if_readable(&mut self) -> bool {
        let must = self.has(READABLE) && !self.has(QUEUED | PAUSED | ENDED);
        self.set(QUEUED, must || self.has(QUEUED));
        must
    }

    /// It was taken out of the queue; whether it may be read now.
    pub(super) fn begin_reading(&mut self) -> bool {
        self.set(QUEUED, false);
        self.has(READABLE) && !self.has(PAUSED | ENDED)
    }

    /// Whether it must be put into the queue of those to write.
    pub(super) fn must_queue_for_writing(&mut self) -> bool {
        let must = self.is_sending() && !self.has(WRITABLE);
        self.set(WRITABLE, must || self.has(WRITABLE));
        must
    }

    /// It was taken out of the queue; whether there is anything to write.
    pub(super) fn begin_writing(&mut self) -> bool {
        self.set(WRITABLE, false);
        self.is_sending()
    }

    /// Bytes of what is being sent that the kernel has.
    pub(super) fn written(&self) -> usize {
        self.sent
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.end(End::Finished),
            Ok(length) => {
                // A short read means drained, unless the end is known to be behind it.
                self.set(READABLE, length == buffer.len() || self.has(HUNG_UP));
                Read::Some(length)
            }
            Err(Errno::EAGAIN) if self.failure.is_none() => {
                self.set(READABLE, false);
                Read::Nothing
            }
            Err(errno) => self.end(End::Failed(kind_of(errno))),
        }
    }

    pub(super) fn has_unread(&self) -> bool {
        peek::holds_bytes(&self.socket)
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        Peer::of(self.socket.as_fd())
    }

    pub(super) fn taken(&self) -> u32 {
        taken::taken(&self.socket, self.sent)
    }

    fn end(&mut self, end: End) -> Read {
        self.set(ENDED, true);
        Read::Ended(self.failure.map_or(end, End::Failed))
    }

    /// Why the connection broke, if it did and that was not told.
    pub(super) fn take_failure(&mut self) -> Option<ErrorKind> {
        if self.has(ENDED) {
            return None;
        }
        let error = || SockRef::from(&self.socket).take_error().ok().flatten();
        let failure = self.failure.or_else(|| error().map(|error| error.kind()))?;
        self.set(ENDED, true);
        Some(failure)
    }

    pub(super) fn pause(&mut self) {
        self.set(PAUSED, true);
    }

    /// Whether it must be put into the queue of those to read: what came meanwhile has no edge.
    pub(super) fn resume(&mut self) -> bool {
        self.set(PAUSED, false);
        self.must_queue_if_readable()
    }

    pub(super) fn begin_sending(&mut self, bytes: Outgoing) {
        assert!(self.sending.is_none(), "one send at a time");
        self.sending = Some(bytes);
        self.sent = 0;
    }

    /// Sends what the kernel takes at once; how much that was. If that failed, so will the rest.
    pub(super) fn write_lent(&self, bytes: &[u8]) -> usize {
        assert!(!self.is_sending(), "one send at a time");
        SockRef::from(&self.socket).send_with_flags(bytes, SEND_FLAGS).unwrap_or(0)
    }

    /// As `begin_sending`, but nobody wants the memory back.
    pub(super) fn begin_sending_copy(&mut self, bytes: Outgoing) {
        self.begin_sending(bytes);
        self.set(COPY, true);
    }

    /// What was being sent, if somebody wants it back.
    fn end_sending(&mut self) -> Option<Outgoing> {
        let bytes = self.sending.take().filter(|_| !self.has(COPY));
        self.set(COPY, false);
        bytes
    }

    /// Sends until all has gone or the kernel takes no more.
    pub(super) fn write(&mut self) -> Written {
        let Some(bytes) = &mut self.sending else { return Written::Blocked };
        loop {
            match write_once(&self.socket, bytes, self.sent) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.fail(error.kind()),
            }
            if self.sent == bytes.len() {
                return Written::All(self.end_sending());
            }
        }
    }

    fn fail(&mut self, kind: ErrorKind) -> Written {
        let bytes = self.end_sending();
        if self.has(ENDED) {
            return Written::All(bytes);
        }
        self.failure = Some(kind);
        self.set(HUNG_UP, true);
        Written::Failed
    }

    pub(super) fn finish(&mut self) {
        self.set(FINISH, true);
        if !self.is_sending() {
            self.finish_if_asked();
        }
    }

    pub(super) fn finish_if_asked(&mut self) {
        if self.has(FINISH) {
            self.set(FINISH, false);
            // It fails only where the connection is broken, which is told otherwise.
            let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        }
    }
}

fn write_once(socket: &OwnedFd, bytes: &mut Outgoing, sent: usize) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    if let Some(run) = bytes.contiguous(sent) {
        return socket.send_with_flags(run, SEND_FLAGS);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = bytes.slices(sent, usize::MAX, &mut slices);
    socket.send_vectored_with_flags(&slices[..count], SEND_FLAGS)
}

fn kind_of(errno: Errno) -> ErrorKind {
    io::Error::from(errno).kind()
}
