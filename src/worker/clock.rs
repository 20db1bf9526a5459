//! The time of a turn.

use std::time::{Duration, Instant};

use crate::http::Dates;
use crate::limits::TIMER_TICK;

/// No moment that is written out is further from now: 124 days.
const DISTANCE_MAX: i64 = (TIMER_TICK.as_nanos() as i64) << 29;

/// How far a moment is from now, in nanoseconds; negative if it is over.
pub(super) fn distance(at: Instant, now: Instant) -> i64 {
    let nanos = |span: Duration| span.as_nanos().min(DISTANCE_MAX as u128) as i64;
    match at.checked_duration_since(now) {
        Some(ahead) => nanos(ahead),
        None => -nanos(now.saturating_duration_since(at)),
    }
}

/// The moment that is so far from now.
pub(super) fn moment(now: Instant, distance: i64) -> Instant {
    let span = Duration::from_nanos(distance.unsigned_abs().min(DISTANCE_MAX as u64));
    if distance < 0 { now.checked_sub(span).unwrap_or(now) } else { now + span }
}

/// The driver is asked once a turn, and once a second for the host's clock.
#[derive(Debug)]
pub(super) struct Clock {
    /// The time of this turn.
    pub(super) now: Instant,
    /// The same as the host's clock has it, and until when.
    unix_seconds: u64,
    second_ends_at: Instant,
    /// What responses say of it.
    dates: Dates,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { now, unix_seconds: 0, second_ends_at: now, dates: Dates::default() }
    }

    /// Whether the date of responses is due to be another one.
    pub(super) fn is_next_second(&self, now: Instant) -> bool {
        now >= self.second_ends_at
    }

    /// Sets the date of responses, until the second is over.
    pub(super) fn set_second(&mut self, now: Instant, unix_time: Duration) {
        self.unix_seconds = unix_time.as_secs();
        let left = Duration::from_secs(1) - Duration::from_nanos(unix_time.subsec_nanos().into());
        self.second_ends_at = now + left;
    }

    /// The date, as responses have it.
    pub(super) fn date(&mut self) -> &str {
        self.dates.at(self.unix_seconds)
    }
}
