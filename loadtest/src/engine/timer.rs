//! Waking up at a time that a wait in milliseconds cannot hit.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// One alarm of a thread.
pub(crate) struct Alarm {
    timer: TimerFd,
    /// What it is set to; `u64::MAX` is never.
    due_ns: u64,
}

impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Self { timer, due_ns: u64::MAX })
    }

    /// Sets it, unless it is set to this time already.
    pub(crate) fn set(&mut self, due_ns: u64, now_ns: u64) -> io::Result<()> {
        if due_ns == self.due_ns {
            return Ok(());
        }
        self.due_ns = due_ns;
        if due_ns == u64::MAX {
            return Ok(self.timer.unset()?);
        }
        // Zero would unset it.
        let wait = Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1));
        Ok(self.timer.set(Expiration::OneShot(wait.into()), TimerSetTimeFlags::empty())?)
    }

    /// It rang: the next [`Alarm::set`] sets it anew. Being edge-triggered it need not be read.
    pub(crate) fn rang(&mut self) {
        self.due_ns = u64::MAX;
    }
}
