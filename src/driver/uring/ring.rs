//! The ring itself: submitting in batches, reaping in batches.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};

/// Deferred completions that the kernel runs per call at least: since Linux 6.13 it stops at the
/// larger of this and what is waited for.
const PER_CALL: usize = 20;

/// Completions of a wait, beyond which no more are asked for.
const PER_WAIT: usize = 512;

/// Completions that are not handed out, beyond which a turn does not ask for more.
const PER_TURN: usize = 4096;

/// Of io_uring_enter(2): run what is deferred.
const IORING_ENTER_GETEVENTS: u32 = 1;

const PAGE: usize = 4096;

/// What the kernel's `struct io_rings` has before the completions.
const HEADS_BYTES: usize = 64;

/// A ring of one thread.
pub(super) struct Ring {
    ring: IoUring,
    /// Completions that were taken out of the kernel's queue.
    reaped: VecDeque<cqueue::Entry>,
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
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "Linux 6.6 or newer is needed"));
        }
        Ok(Self { ring, reaped: VecDeque::with_capacity(completions as usize), overflows: 0 })
    }

    /// Both queues; their heads and tails lie before the completions.
    pub(super) fn locked_bytes(submissions: u32, completions: u32) -> u64 {
        let submissions = submissions as usize * size_of::<squeue::Entry>();
        let completions = HEADS_BYTES + completions as usize * size_of::<cqueue::Entry>();
        (submissions.next_multiple_of(PAGE) + completions.next_multiple_of(PAGE)) as u64
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

    /// Submits, and takes the `expected` completions that come while submitting.
    pub(super) fn submit(&mut self, expected: usize) -> io::Result<()> {
        // No time at all: should one of them have been taken before, nobody waits for another.
        let none = Timespec::new();
        let args = SubmitArgs::new().timespec(&none);
        let result = self.ring.submitter().submit_with_args(expected, &args);
        self.reap(result)
    }

    /// As `submit`, but of what completes now, some come first.
    pub(super) fn submit_urgent(
        &mut self,
        expected: usize,
        is_first: impl Fn(&cqueue::Entry) -> bool,
    ) -> io::Result<()> {
        let before = self.reaped.len();
        let result = self.submit(expected);
        if before > 0 {
            let fresh = self.reaped.split_off(before);
            let (first, others): (Vec<_>, Vec<_>) = fresh.into_iter().partition(is_first);
            self.reaped.extend(others);
            first.into_iter().rev().for_each(|entry| self.reaped.push_front(entry));
        }
        result
    }

    /// Submits and waits until something completes, or until the timeout. What has completed by
    /// then is all of one turn. It does not wait a little longer for more to come: the timer for
    /// that costs more than the turns it saves.
    pub(super) fn submit_and_wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timespec = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timespec);
        let before = self.reaped.len();
        let result = self.ring.submitter().submit_with_args(1, &args);
        self.reap(result)?;
        let mut fresh = self.reaped.len() - before;
        while fresh >= PER_CALL && self.reaped.len() < PER_WAIT {
            let before = self.reaped.len();
            self.reap_deferred()?;
            fresh = self.reaped.len() - before;
        }
        Ok(())
    }

    /// Runs what the kernel has deferred. A submission runs twenty of it, and with more to come in
    /// a turn than that, whoever is readable would stand in a queue there that nobody sees.
    pub(super) fn run_deferred(&mut self) -> io::Result<()> {
        let mut before = self.reaped.len();
        while self.ring.submission().taskrun() && before < PER_TURN {
            self.reap_deferred()?;
            // The flag may stay where nothing comes of it.
            if self.reaped.len() == before {
                break;
            }
            before = self.reaped.len();
        }
        Ok(())
    }

    fn reap_deferred(&mut self) -> io::Result<()> {
        let submitter = self.ring.submitter();
        let flags = IORING_ENTER_GETEVENTS;
        // SAFETY: it submits nothing and passes no argument.
        let result = unsafe { submitter.enter::<libc::sigset_t>(0, 0, flags, None) };
        self.reap(result)
    }

    /// The next completion.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        self.reaped.pop_front()
    }

    /// How many completions `next` has not given out.
    pub(super) fn reaped(&self) -> usize {
        self.reaped.len()
    }

    /// Whether there is something that `next` has not given out.
    pub(super) fn has_reaped(&self) -> bool {
        !self.reaped.is_empty()
    }

    pub(super) fn has_completions(&mut self) -> bool {
        self.has_reaped() || !self.ring.completion().is_empty()
    }

    /// Whether the kernel keeps completions aside that did not fit.
    pub(super) fn is_overflowing(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Times that completions did not fit into the kernel's queue: it keeps them aside, but ends
    /// multishot requests, which are then armed again and look afresh.
    pub(super) fn overflows(&self) -> u32 {
        self.overflows
    }

    /// Gives back what more completions needed than the kernel's queue holds.
    pub(super) fn trim(&mut self) {
        let completions = self.ring.params().cq_entries() as usize;
        self.reaped.shrink_to(completions);
    }

    fn reap(&mut self, result: io::Result<usize>) -> io::Result<()> {
        if self.is_overflowing() {
            self.overflows += 1;
        }
        self.reaped.extend(self.ring.completion());
        match result {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn make_room(&mut self) {
        let result = self.ring.submit();
        if let Err(error) = result.map(drop).or_else(|error| self.reap(Err(error))) {
            panic!("io_uring takes no submissions: {error}");
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
