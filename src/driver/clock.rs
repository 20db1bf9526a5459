//! The one place where the clock is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

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

/// The time since some moment of the past, by the clock that all of the host share: for who tells
/// others.
#[must_use]
pub fn monotonic_time() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
