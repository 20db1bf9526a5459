//! Descriptor tables: the senders have one, their peers another, and the limit counts for each.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use anyhow::{Result, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// Standard streams, listener, poll or ring, and what comes and goes.
const BESIDE: u64 = 20;

/// Raises the soft limit so far that a table holds that many sockets.
pub(super) fn make_room(connections: u32) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let needed = needed(connections, hard)?;
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard)?;
    }
    Ok(())
}

/// Descriptors of a table for that many sockets, where the hard limit allows them.
fn needed(connections: u32, hard: u64) -> Result<u64> {
    let needed = u64::from(connections) + BESIDE;
    ensure!(
        needed <= hard,
        "{connections} connections need {needed} descriptors in a table and the hard limit is \
         {hard}: `ulimit -Hn {needed}` as root, or `--connections {}`",
        hard.saturating_sub(BESIDE)
    );
    Ok(needed)
}

/// Gives this thread a table of its own with nothing in it but the standard streams.
pub(super) fn part() -> io::Result<()> {
    unshare(CloneFlags::CLONE_FILES)?;
    let entries = fs::read_dir("/proc/thread-self/fd")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let numbers: Vec<RawFd> = numbers.collect();
    for descriptor in numbers.into_iter().filter(|descriptor| *descriptor > 2) {
        // It fails for the one that listed the others, which is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_descriptors_are_refused_with_the_remedy() {
        assert_eq!(needed(19_980, 20_000).ok(), Some(20_000));
        let error = needed(19_981, 20_000).expect_err("one does not fit").to_string();
        assert!(error.contains("19981 connections need 20001 descriptors"), "{error}");
        assert!(error.contains("`ulimit -Hn 20001`"), "{error}");
        assert!(error.ends_with("`--connections 19980`"), "{error}");
    }
}
