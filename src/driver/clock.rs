//! The one place where the clock is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time, for who has no driver to ask.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver is where time comes from")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time since the beginning of 1970; none, if the host's clock stands before it.
#[expect(clippy::disallowed_methods, reason = "as above")]
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
