//! The ring itself: submitting in batches, reaping in batches.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};

/// Completions worth waking for at once. Also how many deferred ones the kernel runs per call:
/// since Linux 6.13 it stops at the larger of 20 and what is waited for.
const WAIT_FOR: usize = 512;

/// How long the kernel may gather completions before it wakes us with fewer (Linux 6.12).
const GATHER_USEC: u32 = 20;

/// A ring of one thread.
pub(super) struct Ring {
    ring: IoUring,
    /// Completions that were taken out of the kernel's queue.
    reaped: VecDeque<cqueue::Entry>,
    can_gather: bool,
    overflows: u32,
}

impl Ring {
    /// Sets a ring up on the thread that uses it.
    pub(super) fn new(submissions: u32, completions: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(completions)
            .build(submissions)?;
        let can_gather = ring.params().is_feature_min_timeout();
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "Linux 6.1 or newer is needed"));
        }
        Ok(Self {
            ring,
            reaped: VecDeque::with_capacity(completions as usize),
            can_gather,
            overflows: 0,
        })
    }

    pub(super) fn inner(&self) -> &IoUring {
        &self.ring
    }

    /// Queues a request.
    ///
    /// # Safety
    ///
    /// What the request points to stays in place until its completion was seen.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        loop {
            let mut queue = self.ring.submission();
            // SAFETY: the caller vouches for what the request points to.
            if unsafe { queue.push(entry) }.is_ok() {
                return;
            }
            drop(queue);
            self.make_room();
        }
    }

    /// Submits and waits: for `at_least` completions that are certain to come without waiting, or,
    /// where none are, until `timeout`.
    pub(super) fn enter(&mut self, at_least: usize, timeout: Option<Duration>) -> io::Result<()> {
        let result = match timeout {
            None => self.ring.submitter().submit_with_args(at_least, &SubmitArgs::new()),
            Some(timeout) => {
                let timespec = Timespec::from(timeout);
                let args = SubmitArgs::new().timespec(&timespec);
                if self.can_gather {
                    let args = args.min_wait_usec(GATHER_USEC);
                    self.ring.submitter().submit_with_args(WAIT_FOR, &args)
                } else {
                    self.ring.submitter().submit_with_args(1, &args)
                }
            }
        };
        self.reap();
        match result {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next completion.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        self.reaped.pop_front()
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.reaped.is_empty() || !self.ring.completion().is_empty()
    }

    /// Times that completions did not fit into the kernel's queue: it keeps them aside, but ends
    /// multishot requests, which are then armed again and look afresh.
    pub(super) fn overflows(&self) -> u32 {
        self.overflows
    }

    fn reap(&mut self) {
        if self.ring.submission().cq_overflow() {
            self.overflows += 1;
        }
        self.reaped.extend(self.ring.completion());
    }

    fn make_room(&mut self) {
        match self.ring.submit() {
            Ok(_) => {}
            Err(error) if is_passing(&error) => self.reap(),
            Err(error) => panic!("io_uring takes no submissions: {error}"),
        }
    }
}

/// ETIME: nothing came in time. EINTR: a signal. EBUSY and EAGAIN: reap first, then again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("overflows", &self.overflows).finish_non_exhaustive()
    }
}
