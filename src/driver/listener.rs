//! A listening socket, of TCP or Unix.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::Socket;

/// A socket that listens and does not block.
#[derive(Debug)]
pub struct Listener(Socket);

/// One listener of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(pub u16);

impl Listener {
    /// Takes a socket that is bound, listens and does not block.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Self(socket)
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0
    }

    pub(super) fn accept(&self) -> io::Result<OwnedFd> {
        self.0.accept().map(|(socket, _)| socket.into())
    }

    /// Refuses connects from here on, whoever else has the socket open. A shutdown is the quick
    /// way: the socket may still be busy with an accept that has to be cancelled.
    pub(super) fn refuse_connects(&self) {
        // It fails only if nothing listens any more.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}
