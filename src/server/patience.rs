//! Trying again for a moment what others may be about to leave.
//!
//! A process that was killed may hold its sockets for some 100 ms more: the kernel takes its rings
//! apart in the background.

use std::io;
use std::thread;
use std::time::Duration;

/// Two seconds in all.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Tries until it succeeds, fails in a way that does not pass, or two seconds are over.
#[expect(clippy::disallowed_methods, reason = "nothing is served yet that could be kept waiting")]
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..TRIES {
        match attempt() {
            Err(error) if may_pass(&error) => thread::sleep(BETWEEN_TRIES),
            result => return result,
        }
    }
    attempt()
}

/// EAGAIN is a Unix socket whose queue is full, as that of a server that hangs.
fn may_pass(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock)
}
