//! Waking a worker from another thread, by an eventfd(2) that its driver polls edge-triggered.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Wake;

/// Wakes one worker. Make it before the worker's descriptor table parts from the others: its
/// descriptor has the same number and the same meaning in every table from then on.
#[derive(Clone, Debug)]
pub struct EventWaker(Arc<EventFd>);

impl EventWaker {
    /// A waker for a driver that is yet to be made.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }
}

impl EventWaker {
    /// Waits until somebody wakes who has no driver, or for that long.
    ///
    /// # Errors
    ///
    /// If poll(2) fails.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            // It does not wait: there is something, or nothing is.
            Ok(_) => drop(self.0.read()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl AsRawFd for EventWaker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Wake for EventWaker {
    fn wake(&self) {
        // Every write is an edge, so drivers never read the count; it takes 2^64 wakes to fail.
        self.0.write(1).expect("an eventfd takes 2^64 - 2 writes");
    }
}
