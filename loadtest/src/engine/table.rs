//! Descriptor tables: each loader thread has one of its own, with a limit of its own.

use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of a table that are no connections: standard streams, a timer, files that are read,
/// and what this process had open when the tables parted.
const DESCRIPTORS_BESIDE: usize = 64;

/// Descriptors that each thread makes in the common table, before the tables part.
const DESCRIPTORS_PER_THREAD: usize = 3;

/// Raises the soft limit of descriptors to the hard one; gives what holds then.
pub(crate) fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let is_raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if is_raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Connections that one of `threads` threads can hold.
pub(crate) fn room(limit: usize, threads: usize) -> usize {
    limit.saturating_sub(DESCRIPTORS_BESIDE + threads * DESCRIPTORS_PER_THREAD)
}

/// The smallest number of threads, `wanted` at least, that have room for all connections.
pub(crate) fn threads_for(connections: usize, wanted: usize, limit: usize) -> Option<usize> {
    (wanted.max(1)..=THREADS_MAX).find(|threads| room(limit, *threads) * threads >= connections)
}

/// Loader threads, at most.
pub(crate) const THREADS_MAX: usize = 1024;

/// Gives this thread a table of its own. It keeps copies of what was open, which nothing uses.
pub(crate) fn part() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_FILES)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_from_connections() {
        assert_eq!(threads_for(10, 2, 20_000), Some(2));
        assert_eq!(threads_for(100_000, 2, 20_000), Some(6));
        assert_eq!(threads_for(1_000_000, 2, 20_000), Some(51));
        assert_eq!(threads_for(1_000_000, 2, 1 << 21), Some(2));
        assert_eq!(threads_for(1_000_000, 1, 256), None);
    }
}
