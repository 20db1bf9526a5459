//! A listening socket, of TCP or Unix.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::Socket;

use crate::limits::LAST_ACCEPTS_MAX;

/// A socket that listens and does not block.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    is_kept: Arc<AtomicBool>,
}

/// One listener of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(pub u16);

impl Listener {
    /// Takes a socket that is bound, listens and does not block.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Self { socket, is_kept: Arc::default() }
    }

    /// The same, which somebody else keeps open if that says so when it is closed here: connects
    /// wait for another process then.
    #[must_use]
    pub fn kept(self, is_kept: Arc<AtomicBool>) -> Self {
        Self { is_kept, ..self }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn accept(&self) -> io::Result<OwnedFd> {
        self.socket.accept().map(|(socket, _)| socket.into())
    }

    /// Refuses connects from here on, whoever else has the socket open, and gives those that stood
    /// in its queue; one that is kept is left alone. A shutdown is the quick way: the socket may
    /// still be busy with an accept that has to be cancelled.
    pub(super) fn empty(&self) -> Vec<OwnedFd> {
        let mut last = Vec::new();
        if self.is_kept.load(Ordering::Acquire) {
            return last;
        }
        self.accept_into(&mut last);
        // It fails only if nothing listens any more.
        let _ = self.socket.shutdown(Shutdown::Both);
        // The queue of a Unix socket outlives that.
        self.accept_into(&mut last);
        last
    }

    fn accept_into(&self, last: &mut Vec<OwnedFd>) {
        while last.len() < LAST_ACCEPTS_MAX {
            match self.accept() {
                Ok(socket) => last.push(socket),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(descriptor: OwnedFd) -> Self {
        Self::new(descriptor.into())
    }
}
