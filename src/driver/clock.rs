//! The one place where the clock is read.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a driver is where time comes from")]
pub(super) fn now() -> Instant {
    Instant::now()
}
