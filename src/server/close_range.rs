//! close_range(2), the one system call of the server that no library has in a safe form.

use std::io;
use std::os::fd::RawFd;

/// Whose table it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The one that this thread uses now.
    Present,
    /// A copy of it, which this thread uses from here on.
    Own,
}

/// Closes the descriptors from `first` to `last`, or to the end. Containers permit it where they
/// forbid unshare(2), which a filter cannot tell from what makes namespaces.
pub(super) fn close_range(first: RawFd, last: Option<RawFd>, table: Table) -> io::Result<()> {
    assert!(first > 2, "the standard streams stay open");
    let last = last.map_or(libc::c_uint::MAX, RawFd::cast_unsigned);
    let flags = match table {
        Table::Present => 0,
        Table::Own => libc::CLOSE_RANGE_UNSHARE,
    };
    let first = first.cast_unsigned();
    // SAFETY: it takes numbers only. Whoever calls it owns none of the descriptors between them:
    // it is called on a new thread for what the launch has not given to that thread.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
