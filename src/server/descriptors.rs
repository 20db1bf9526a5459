//! Descriptor tables and their limits: each worker has a table of its own where that is permitted.
//!
//! A private table needs no lock, and the limit counts for each worker by itself. In exchange a
//! descriptor number means nothing in another thread, so what must be known on both sides is made
//! before the tables part and keeps its number. Nothing here needs /proc.

use std::io;
use std::os::fd::RawFd;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

use super::capacity::Tables;
use super::close_range::{Table, close_range};

/// Descriptors that are closed one by one where close_range(2) is missing (before Linux 5.9): the
/// kernel gives the lowest, so that a program that embeds a server rarely has higher ones.
const CLOSED_ONE_BY_ONE: RawFd = 65_536;

/// Raises the soft limit of descriptors to the hard one; gives what holds then.
pub(super) fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let is_raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if is_raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Whether threads may part here, found out by one that does.
///
/// # Errors
///
/// If there can be no more threads.
pub fn try_parting() -> io::Result<Tables> {
    let trial = thread::Builder::new().name("trial".into()).spawn(|| part(&[]).is_ok())?;
    let parts = trial.join().expect("parting does not panic");
    Ok(if parts { Tables::Private } else { Tables::Shared })
}

/// Gives this thread a table of its own with nothing in it but the standard streams and `keep`.
/// Otherwise a listener of another worker would stay open here when that one closes it, and
/// connects would succeed and hang.
pub(super) fn part(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|descriptor| *descriptor > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let behind = keep.last().map_or(3, |last| last + 1);
    if close_range(behind, None, Table::Own).is_err() {
        unshare(CloneFlags::CLONE_FILES)?;
        close_from(behind);
    }
    let mut first = 3;
    for kept in keep {
        if first < kept && close_range(first, Some(kept - 1), Table::Present).is_err() {
            (first..kept).for_each(close_here);
        }
        first = kept + 1;
    }
    Ok(())
}

fn close_from(first: RawFd) {
    if close_range(first, None, Table::Present).is_err() {
        (first..CLOSED_ONE_BY_ONE).for_each(close_here);
    }
}

/// Closes a descriptor of this thread's table whose owner lives in another.
pub(super) fn close_here(descriptor: RawFd) {
    // It fails for numbers that are not open, which is as good.
    let _ = close(descriptor);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_thread_that_has_parted_has_what_it_keeps_and_closes_it_for_itself_only() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (other, mut its_peer) = UnixStream::pair().unwrap();
        let (kept, not_kept) = (far.as_raw_fd(), other.as_raw_fd());
        let in_thread = move || {
            part(&[kept, 0]).unwrap();
            (&far).write_all(b"!").unwrap();
            // Both numbers are closed in this table now, and stay open in the other.
            let is_closed = close(not_kept).is_err();
            drop(far);
            is_closed
        };
        assert!(thread::spawn(in_thread).join().unwrap(), "it was not to be kept");
        close_here(kept);
        (&other).write_all(b"!").unwrap();
        its_peer.read_exact(&mut [0]).unwrap();
        assert_eq!(near.read(&mut [0; 2]).unwrap(), 1);
        assert_eq!(near.read(&mut [0]).unwrap(), 0, "both tables have let it go");
    }
}
