//! How much a connection sends in a second: messages and bytes, each by the moment at which all
//! that came is paid for. Who is ahead by more than a second is over the limit, so what may come in
//! a second may also come at once.
//!
//! What is handled is paid, not what is received, so what waits in a stash is not: a message of any
//! size may come, and the next one waits until it is paid for.

use std::fmt;
use std::time::{Duration, Instant};

use crate::config;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::TIMER_COST;
use crate::protocol::Protocols;
use crate::worker::connection::flag;
use crate::worker::core::Core;

/// What connections have sent, by slot: 16 bytes each.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What moments count from.
    start: Instant,
    messages: Option<u32>,
    bytes: Option<u32>,
    paid: Vec<Paid>,
}

/// When all that a connection has sent is paid for, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paid {
    messages: u64,
    bytes: u64,
}

/// What a connection is judged by: in the middle of a message it may be one of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct What {
    pub(crate) messages: bool,
    pub(crate) bytes: bool,
}

/// How far a connection is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// Of what.
    pub(crate) limit: Limit,
    /// Until more may come.
    pub(crate) wait: Duration,
}

/// What a connection has sent too much of, and how many may be in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Messages(u32),
    Bytes(u32),
}

const SECOND: u64 = 1_000_000_000;

/// What an image says is no further ahead than a day.
const AHEAD_MAX: u64 = 24 * 3600 * SECOND;

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(rate) => write!(f, "more than {rate} messages a second"),
            Self::Bytes(rate) => write!(f, "more than {rate} bytes a second"),
        }
    }
}

impl Pace {
    /// What is to be measured, with what was before; nothing if nothing is. What is not paid for
    /// yet counts at the new rates.
    pub(super) fn of(
        limits: &config::Limits,
        before: Option<Box<Self>>,
        now: Instant,
    ) -> Option<Box<Self>> {
        if !limits.measures_senders() {
            return None;
        }
        let (messages, bytes) = (limits.messages_per_second, limits.bytes_per_second);
        let mut pace = before.unwrap_or_else(|| {
            Box::new(Self { start: now, messages: None, bytes: None, paid: Vec::new() })
        });
        let rates = ((pace.messages, messages), (pace.bytes, bytes));
        if rates.0.0 != messages || rates.1.0 != bytes {
            let now = pace.nanos(now);
            for paid in &mut pace.paid {
                paid.messages = now.saturating_add(rescaled(paid.messages, rates.0, now));
                paid.bytes = now.saturating_add(rescaled(paid.bytes, rates.1, now));
            }
        }
        (pace.messages, pace.bytes) = (messages, bytes);
        Some(pace)
    }

    /// Whether a connection has to wait before it sends more of one of these.
    pub(crate) fn judge(&self, slot: u32, what: What, now: Instant) -> Option<Over> {
        let paid = self.paid.get(slot as usize).copied().unwrap_or_default();
        let now = self.nanos(now);
        let over = |limit, ahead: u64| {
            let wait = ahead.checked_sub(SECOND).filter(|wait| *wait > 0)?;
            Some(Over { limit, wait: Duration::from_nanos(wait) })
        };
        let messages = self.messages.filter(|_| what.messages).and_then(|rate| {
            let ahead = paid.messages.saturating_sub(now).saturating_add(price(1, rate));
            over(Limit::Messages(rate), ahead)
        });
        let bytes = self
            .bytes
            .filter(|_| what.bytes)
            .and_then(|rate| over(Limit::Bytes(rate), paid.bytes.saturating_sub(now)));
        [messages, bytes].into_iter().flatten().max_by_key(|over| over.wait)
    }

    /// So much was handled of a connection.
    pub(crate) fn pay(&mut self, slot: u32, messages: usize, bytes: usize, now: Instant) {
        let (now, at) = (self.nanos(now), slot as usize);
        if at >= self.paid.len() {
            self.paid.resize(at + 1, Paid::default());
        }
        let paid = &mut self.paid[at];
        if let Some(rate) = self.messages {
            paid.messages = paid.messages.max(now).saturating_add(price(messages, rate));
        }
        if let Some(rate) = self.bytes {
            paid.bytes = paid.bytes.max(now).saturating_add(price(bytes, rate));
        }
    }

    /// Another connection comes to the slot, or another client to the connection.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(paid) = self.paid.get_mut(slot as usize) {
            *paid = Paid::default();
        }
    }

    pub(super) fn trim(&mut self, end: u32) {
        self.paid.truncate(end as usize);
        self.paid.shrink_to_fit();
    }

    /// How far messages and bytes of a connection are ahead of now, in nanoseconds.
    pub(super) fn ahead(&self, slot: u32, now: Instant) -> (u64, u64) {
        let Paid { messages, bytes } = self.paid.get(slot as usize).copied().unwrap_or_default();
        let now = self.nanos(now);
        (messages.saturating_sub(now), bytes.saturating_sub(now))
    }

    /// Sets that again. It is read of a file: no number there is too large.
    pub(super) fn set_ahead(&mut self, slot: u32, (messages, bytes): (u64, u64), now: Instant) {
        self.pay(slot, 0, 0, now);
        let now = self.nanos(now);
        let moment = |ahead: u64| now.saturating_add(ahead.min(AHEAD_MAX));
        self.paid[slot as usize] = Paid { messages: moment(messages), bytes: moment(bytes) };
    }

    fn nanos(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_nanos() as u64
    }
}

/// The time that so much takes at a rate.
fn price(count: usize, rate: u32) -> u64 {
    (count as u64).saturating_mul(SECOND) / u64::from(rate.max(1))
}

/// How far a moment is ahead where the same costs another price: never further than before, or
/// whoever has kept to the old rate would be over the new one.
fn rescaled(paid: u64, (before, rate): (Option<u32>, Option<u32>), now: u64) -> u64 {
    let ahead = paid.saturating_sub(now);
    let (Some(before), Some(rate)) = (before, rate) else { return 0 };
    let scaled = u128::from(ahead) * u128::from(before) / u128::from(rate.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX).min(ahead)
}

/// Those who may send more go on, each in its turn.
pub(super) fn resume_due<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while let Some((conn, _)) = core.parts.admission.limits.paused.next(core.parts.clock.now) {
        core.parts.budget.pay(TIMER_COST);
        resume(core, conn);
        if core.parts.is_spent() {
            return;
        }
    }
}

/// All go on: whoever is still over what holds now is paused again.
pub(super) fn resume_all<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    for conn in core.parts.admission.limits.paused.take_all() {
        resume(core, conn);
    }
}

pub(super) fn resume<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    if let Some(connection) = core.table.get_mut(conn)
        && connection.has(flag::STALLED)
    {
        core.parts.stalls.hold(conn, connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    const ALL: What = What { messages: true, bytes: true };

    fn pace(messages: Option<u32>, bytes: Option<u32>) -> (Box<Pace>, Instant) {
        let limits = config::Limits {
            messages_per_second: messages,
            bytes_per_second: bytes,
            ..config::Limits::default()
        };
        let start = sim::Net::new(1).driver().now();
        (Pace::of(&limits, None, start).expect("something is measured"), start)
    }

    #[test]
    fn what_may_come_in_a_second_may_come_at_once_and_no_more() {
        for rate in [1, 7, 50, 5000] {
            let (mut pace, start) = pace(Some(rate), None);
            for _ in 0..rate {
                assert_eq!(pace.judge(3, ALL, start), None, "{rate}");
                pace.pay(3, 1, 99, start);
            }
            let over = pace.judge(3, ALL, start).expect("that was all");
            assert_eq!(over.limit, Limit::Messages(rate));
            assert_eq!(
                over.wait,
                Duration::from_nanos(price(1, rate) * (u64::from(rate) + 1) - SECOND)
            );
            assert!(pace.judge(3, ALL, start + over.wait / 2).is_some());
            assert_eq!(pace.judge(3, ALL, start + over.wait), None);
            assert_eq!(pace.judge(4, ALL, start), None, "each by itself");
        }
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept_however_often_one_looks() {
        let (mut pace, start) = pace(Some(300), None);
        let mut handled = 0;
        for tick in 0..=500 {
            let now = start + Duration::from_millis(20 * tick);
            while pace.judge(0, ALL, now).is_none() {
                pace.pay(0, 1, 0, now);
                handled += 1;
            }
        }
        assert!((3299..=3300).contains(&handled), "{handled} in ten seconds, and those at once");
    }

    #[test]
    fn a_message_of_any_size_is_paid_for_afterwards() {
        let (mut pace, start) = pace(None, Some(1000));
        assert_eq!(pace.judge(0, ALL, start), None);
        pace.pay(0, 1, 1 << 20, start);
        let over = pace.judge(0, ALL, start).expect("it has sent much");
        assert_eq!(over.limit.to_string(), "more than 1000 bytes a second");
        assert_eq!(over.wait.as_millis(), (1 << 20) - 1000);
        assert_eq!(pace.judge(0, ALL, start + over.wait), None);
        pace.forget(0);
        assert_eq!(pace.judge(0, ALL, start), None, "who comes next has sent nothing");
    }

    #[test]
    fn of_two_limits_the_one_counts_that_is_further_away() {
        let (mut pace, start) = pace(Some(10), Some(1000));
        pace.pay(0, 11, 5000, start);
        assert_eq!(pace.judge(0, ALL, start).map(|over| over.limit), Some(Limit::Bytes(1000)));
        let ahead = pace.ahead(0, start);
        pace.set_ahead(9, ahead, start + Duration::from_secs(60));
        assert_eq!(pace.judge(9, ALL, start + Duration::from_secs(60)), pace.judge(0, ALL, start));
    }

    #[test]
    fn with_another_rate_what_is_ahead_has_another_price_and_is_never_further_away() {
        let limits = |messages_per_second, bytes_per_second| config::Limits {
            messages_per_second,
            bytes_per_second,
            ..config::Limits::default()
        };
        let wait = |pace: &Pace, now| pace.judge(2, ALL, now).map(|over| over.wait.as_millis());
        let (mut before, start) = pace(None, Some(100));
        before.pay(2, 0, 100_000, start);
        assert_eq!(wait(&before, start), Some(999_000));
        let now = start + Duration::from_secs(10);
        // 99,000 bytes are not paid for: that is 9.9 seconds of the new rate, and one is free.
        let pace = Pace::of(&limits(None, Some(10_000)), Some(before), now).expect("it is on");
        assert_eq!(wait(&pace, now), Some(8_900));
        let pace = Pace::of(&limits(None, Some(10)), Some(pace), now).expect("it is on");
        assert_eq!(wait(&pace, now), Some(8_900), "not 9,900 seconds");
        // While only messages are measured bytes are forgiven.
        let pace = Pace::of(&limits(Some(5), None), Some(pace), now).expect("it is on");
        let pace = Pace::of(&limits(Some(5), Some(10)), Some(pace), now).expect("it is on");
        assert_eq!(wait(&pace, now), None);
    }

    #[test]
    fn no_number_of_an_image_is_too_large() {
        let (mut pace, start) = pace(Some(10), Some(1000));
        pace.set_ahead(0, (u64::MAX, u64::MAX), start);
        for _ in 0..3 {
            let over = pace.judge(0, ALL, start).expect("it is far ahead");
            assert!(over.wait <= Duration::from_secs(24 * 3600), "{over:?}");
            pace.pay(0, 1, 0, start);
        }
        pace.pay(0, usize::MAX, usize::MAX, start);
        pace.pay(0, usize::MAX, usize::MAX, start);
        assert!(pace.judge(0, ALL, start).is_some());
    }
}
