//! Descriptor tables and their limits: each worker has a table of its own.
//!
//! A private table needs no lock, and the limit counts for each worker by itself. In exchange a
//! descriptor number means nothing in another thread, so what must be known on both sides is made
//! before the tables part and keeps its number.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// Raises the soft limit of descriptors to the hard one; gives what holds then.
pub(super) fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let is_raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if is_raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Gives this thread a table of its own with nothing in it but the standard streams and `keep`.
/// Otherwise a listener of another worker would stay open here when that one closes it, and
/// connects would succeed and hang.
pub(super) fn part(keep: &[RawFd]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FILES)?;
    for descriptor in open_descriptors()? {
        if descriptor > 2 && !keep.contains(&descriptor) {
            close_here(descriptor);
        }
    }
    Ok(())
}

/// Closes a descriptor of this thread's table whose owner lives in another.
pub(super) fn close_here(descriptor: RawFd) {
    // It fails for the one that listed the others, which is closed already.
    let _ = close(descriptor);
}

fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let entries = fs::read_dir("/proc/thread-self/fd")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.collect())
}
