//! The time of a run: nanoseconds since its begin, the same for all threads.

use std::time::{Duration, Instant};

/// Where a run begins. A copy counts from the same begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the begin; 584 years fit.
    pub(crate) fn now_ns(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// A duration as the clock counts.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Seconds of a count of the clock.
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
