//! The same by io_uring(7): requests in batches, on a ring set up as the server sets up its own.
//!
//! It never points a request at memory that can go away: what is sent, and where receives go, lives
//! as long as the process.

mod echo;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use super::broadcast::Sender;
use super::frames::Echoed;
use super::pairs::STALL;
pub(super) use echo::Echo;

/// Requests of one call.
const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;

/// Neither waits for room nor raises SIGPIPE: it completes while it is submitted.
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A ring of one thread.
pub(super) struct Ring {
    ring: IoUring,
}

impl Ring {
    /// Sets it up on the thread that uses it.
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        Ok(Self { ring })
    }

    /// Makes it the server of an echo.
    pub(super) fn echo(&mut self, sockets: &[OwnedFd], echoed: Echoed) -> io::Result<Echo<'_>> {
        Echo::new(self, sockets, echoed)
    }

    /// Queues a request; where the queue is full, submits it first.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.ring.submit()?;
        }
        // SAFETY: requests of this module point to memory that is never freed.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.map_err(|_| io::Error::other("io_uring takes no submissions"))
    }

    /// Submits, and waits for so many completions. Fails when they do not come.
    fn submit_and_wait(&mut self, completions: usize) -> io::Result<()> {
        let timeout = Timespec::from(STALL);
        let args = SubmitArgs::new().timespec(&timeout);
        self.ring.submitter().submit_with_args(completions, &args).map(drop)
    }
}

impl Sender for Ring {
    fn send_all(&mut self, sockets: &[OwnedFd], bytes: &'static [u8]) -> io::Result<()> {
        for chunk in sockets.chunks(SUBMISSIONS as usize) {
            for socket in chunk {
                let fd = Fd(socket.as_raw_fd());
                let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32);
                self.push(&send.flags(SEND_FLAGS).build())?;
            }
            self.submit_and_wait(chunk.len())?;
            for completion in self.ring.completion() {
                match completion.result() {
                    sent if sent == bytes.len() as i32 => {}
                    0.. => return Err(io::ErrorKind::WriteZero.into()),
                    error => return Err(io::Error::from_raw_os_error(-error)),
                }
            }
        }
        Ok(())
    }
}
