//! The echo: sockets rest on a multishot poll, and what the polls say is received and answered in
//! batches.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{cqueue, opcode};

use super::{Ring, SEND_FLAGS};
use crate::floor::echo;
use crate::floor::frames::{Echoed, RECEIVE_BYTES, Whole};
use crate::floor::pairs::STALL;
use crate::place::Memory;

const POLL: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;

/// A server of echoes.
pub(in crate::floor) struct Echo<'a> {
    ring: &'a mut Ring,
    /// Where every receive goes: nobody looks at it. It is never freed.
    scratch: *mut u8,
    echoed: Echoed,
    replies: &'static [u8],
    whole: Vec<Whole>,
    reaped: Vec<cqueue::Entry>,
    /// Receives that are queued.
    receives: usize,
}

impl<'a> Echo<'a> {
    /// Arms a poll on every socket.
    pub(super) fn new(ring: &'a mut Ring, sockets: &[OwnedFd], echoed: Echoed) -> io::Result<Self> {
        let scratch = Box::leak(Box::new(Memory::new(RECEIVE_BYTES))).bytes().as_mut_ptr();
        let whole = vec![Whole::default(); sockets.len()];
        let mut echo = Self {
            ring,
            scratch,
            echoed,
            replies: echoed.replies(),
            whole,
            reaped: Vec::new(),
            receives: 0,
        };
        for (at, socket) in sockets.iter().enumerate() {
            echo.arm(at, Fd(socket.as_raw_fd()))?;
        }
        echo.ring.ring.submit()?;
        Ok(echo)
    }

    fn arm(&mut self, at: usize, fd: Fd) -> io::Result<()> {
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.ring.push(&poll.user_data(name(POLL, at)))
    }

    /// Submits what is queued and takes what has completed. Receives of readable sockets complete
    /// while they are submitted; only where there are none, it waits, and as the server does it not
    /// longer than for the first completion.
    fn turn(&mut self) -> Result<()> {
        let receives = std::mem::take(&mut self.receives);
        let timeout = Timespec::from(if receives > 0 { Duration::ZERO } else { STALL });
        let args = SubmitArgs::new().timespec(&timeout);
        let submitter = self.ring.ring.submitter();
        let result = submitter.submit_with_args(receives.max(1), &args);
        self.reaped.extend(self.ring.ring.completion());
        match result {
            Err(error) if receives == 0 && error.raw_os_error() == Some(libc::ETIME) => {
                ensure!(!self.reaped.is_empty(), "nothing came for {STALL:?}");
                Ok(())
            }
            Err(error) if !is_passing(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What a completion leads to; the messages that it says were answered.
    fn handle(&mut self, sockets: &[OwnedFd], entry: &cqueue::Entry) -> Result<u64> {
        let (operation, at) = parse(entry.user_data());
        let fd = Fd(sockets[at].as_raw_fd());
        let result = match usize::try_from(entry.result()) {
            Ok(result) => result,
            Err(_) if operation == RECEIVE && -entry.result() == libc::EAGAIN => return Ok(0),
            Err(_) => return Err(io::Error::from_raw_os_error(-entry.result()).into()),
        };
        match operation {
            POLL => {
                if !cqueue::more(entry.flags()) {
                    self.arm(at, fd)?;
                }
                // MSG_DONTWAIT, or a socket that turns out to be drained would stay armed.
                let receive = opcode::Recv::new(fd, self.scratch, RECEIVE_BYTES as u32);
                let receive = receive.flags(libc::MSG_DONTWAIT).build();
                self.ring.push(&receive.user_data(name(RECEIVE, at)))?;
                self.receives += 1;
                Ok(0)
            }
            RECEIVE if result == 0 => bail!("a client has closed its connection"),
            RECEIVE => {
                let whole = self.whole[at].take(result, self.echoed.request_bytes);
                if whole > 0 {
                    let length = (whole * self.echoed.reply_bytes) as u32;
                    let send = opcode::Send::new(fd, self.replies.as_ptr(), length);
                    let send = send.flags(SEND_FLAGS).build();
                    self.ring.push(&send.user_data(name(SEND, at)))?;
                }
                Ok(0)
            }
            _ if result.is_multiple_of(self.echoed.reply_bytes) => {
                Ok((result / self.echoed.reply_bytes) as u64)
            }
            _ => Err(io::Error::from(ErrorKind::WriteZero).into()),
        }
    }
}

impl echo::Echo for Echo<'_> {
    fn answer(&mut self, sockets: &[OwnedFd], messages: u64) -> Result<()> {
        let mut answered = 0;
        while answered < messages {
            self.turn()?;
            let mut reaped = std::mem::take(&mut self.reaped);
            for entry in reaped.drain(..) {
                answered += self.handle(sockets, &entry).context("io_uring")?;
            }
            self.reaped = reaped;
        }
        Ok(())
    }
}

/// ETIME: nothing more came in time. EINTR: a signal.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR))
}

/// What comes back with a completion.
fn name(operation: u64, at: usize) -> u64 {
    operation << 32 | at as u64
}

fn parse(name: u64) -> (u64, usize) {
    (name >> 32, name as u32 as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for operation in [POLL, RECEIVE, SEND] {
            assert_eq!(parse(name(operation, 999_999)), (operation, 999_999));
        }
    }
}
