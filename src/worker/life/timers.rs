//! Deadlines of connections: a wheel of ticks, each with the connections that are due then.
//!
//! A connection knows its own deadline and the tick of its one entry that counts. One whose
//! deadline moves back keeps its entry, and is entered again when that comes; any other entry means
//! nothing. These are dropped when there are more of them than connections.

use std::time::{Duration, Instant};

use crate::id::ConnId;
use crate::limits::TIMER_TICK;

/// A moment: the lower 32 bits of a count of ticks, full after 994 days. 0 is never.
pub(crate) type Tick = u32;

/// The tick before a worker begins. As with the jiffies of the kernel, it is so close to 2^32 that
/// every server meets the wrap in its first minute, and with it every test.
const FIRST: u64 = (1 << 32) - 1500;

/// No deadline is further away: 124 days. Half of all ticks are ahead, the other half behind.
const AHEAD_MAX: u64 = 1 << 29;

const TICK_NANOS: u64 = TIMER_TICK.as_nanos() as u64;
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;

#[derive(Debug)]
pub(crate) struct Timers {
    start: Instant,
    slots: Vec<Vec<(ConnId, Tick)>>,
    /// A bit for each slot that holds anything.
    filled: [u64; WORDS],
    /// Everything up to this tick was given out. Here ticks do not wrap.
    done: u64,
    /// Entries in all slots.
    count: usize,
    /// The slot that is looked through next for entries that mean nothing.
    weeded: usize,
}

impl Timers {
    pub(crate) fn new(start: Instant) -> Self {
        let slots = vec![Vec::new(); SLOTS];
        Self { start, slots, filled: [0; WORDS], done: FIRST, count: 0, weeded: 0 }
    }

    /// The tick that a moment lies in.
    pub(crate) fn tick(&self, now: Instant) -> Tick {
        shorten(self.count_to(now))
    }

    /// The first tick that lies wholly behind `now + delay`.
    pub(crate) fn tick_after(&self, now: Instant, delay: Duration) -> Tick {
        shorten(self.count_to(now + delay.min(TIMER_TICK * AHEAD_MAX as u32)) + 1)
    }

    /// The tick that is a span of time behind another one.
    pub(crate) fn tick_behind(&self, tick: Tick, span: Duration) -> Tick {
        let ticks = span.as_nanos().div_ceil(TIMER_TICK.as_nanos());
        shorten(self.lengthen(tick) + ticks.min(u128::from(AHEAD_MAX)) as u64)
    }

    /// How far a tick is from now, in nanoseconds; negative if it has come.
    pub(crate) fn distance(&self, tick: Tick, now: Instant) -> i64 {
        let ticks = self.lengthen(tick).cast_signed() - (FIRST + 1).cast_signed();
        ticks * TICK_NANOS as i64 - self.nanos_to(now)
    }

    /// The tick that begins so far from now, or the next one: what was a tick of this worker is the
    /// same again.
    pub(crate) fn tick_at(&self, now: Instant, distance: i64) -> Tick {
        let farthest = (AHEAD_MAX * TICK_NANOS) as i64;
        let begins = self.nanos_to(now) + distance.clamp(-farthest, farthest);
        let ticks = begins.div_euclid(TICK_NANOS as i64)
            + i64::from(begins.rem_euclid(TICK_NANOS as i64) > 0);
        shorten((FIRST + 1).saturating_add_signed(ticks))
    }

    /// Whether a deadline is still to come; one that is never is not.
    pub(crate) fn is_ahead(&self, deadline: Tick, now: Instant) -> bool {
        deadline != 0 && self.lengthen(deadline) > self.count_to(now)
    }

    /// Whether one deadline comes before another.
    pub(crate) fn is_before(&self, deadline: Tick, other: Tick) -> bool {
        self.lengthen(deadline) < self.lengthen(other)
    }

    /// Enters a connection that is due at a tick.
    pub(crate) fn enter(&mut self, conn: ConnId, due: Tick) {
        self.put(conn, due, self.done);
    }

    /// Takes what is due.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<(ConnId, Tick)>) {
        let now = self.count_to(now);
        let last = now.min(self.done + SLOTS as u64);
        for tick in self.done + 1..=last {
            self.take(tick, now, due);
        }
        self.done = now;
    }

    /// How long nothing will be due.
    pub(crate) fn until_next(&self, now: Instant) -> Option<Duration> {
        let ticks = self.next_filled()? - FIRST - 1;
        let at = self.start + Duration::from_nanos(ticks * TICK_NANOS);
        Some(at.saturating_duration_since(now))
    }

    /// Entries that there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Drops the entries of one slot that mean nothing, and of the next one when called again;
    /// says how many it has looked at.
    pub(crate) fn weed(&mut self, mut is_meant: impl FnMut(ConnId, Tick) -> bool) -> usize {
        let at = self.weeded;
        self.weeded = (at + 1) % SLOTS;
        let slot = &mut self.slots[at];
        let before = slot.len();
        slot.retain(|(conn, due)| is_meant(*conn, *due));
        self.count -= before - slot.len();
        if slot.is_empty() {
            *slot = Vec::new();
            self.filled[at / 64] &= !(1 << (at % 64));
        }
        before
    }

    /// Ticks up to a moment.
    fn count_to(&self, now: Instant) -> u64 {
        FIRST + 1 + self.nanos_to(now) as u64 / TICK_NANOS
    }

    fn nanos_to(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.start).as_nanos() as i64
    }

    /// The whole count of a tick that is not half of all ticks away.
    fn lengthen(&self, tick: Tick) -> u64 {
        let distance = tick.wrapping_sub(self.done as Tick).cast_signed();
        self.done.saturating_add_signed(distance.into())
    }

    /// What lies beyond the wheel goes to its far end and is put again from there.
    fn put(&mut self, conn: ConnId, due: Tick, now: u64) {
        let slot = self.lengthen(due).clamp(now + 1, now + SLOTS as u64) as usize % SLOTS;
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.slots[slot].push((conn, due));
        self.count += 1;
    }

    fn take(&mut self, tick: u64, now: u64, due: &mut Vec<(ConnId, Tick)>) {
        let slot = tick as usize % SLOTS;
        if self.slots[slot].is_empty() {
            return;
        }
        self.filled[slot / 64] &= !(1 << (slot % 64));
        // The memory of a slot is given back: a rush of connects would leave all of them large.
        let entries = std::mem::take(&mut self.slots[slot]);
        self.count -= entries.len();
        for (conn, at) in entries {
            if self.lengthen(at) <= now { due.push((conn, at)) } else { self.put(conn, at, now) }
        }
    }

    fn next_filled(&self) -> Option<u64> {
        let first = self.done + 1;
        let start = first as usize % SLOTS;
        // From the slot of the next tick to the end, then from the beginning.
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.filled[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == WORDS {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                return Some(first + ((slot + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }
}

/// The tick that is called 0 would be never: the next one stands for it.
fn shorten(count: u64) -> Tick {
    (count as Tick).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 0 }
    }

    #[test]
    fn deadlines_come_in_time_and_in_order() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        assert_eq!(timers.until_next(start), None);
        let delays = [0, 1, 19, 20, 21, 500, 9_999, 20_480, 20_500, 45_000, 3_600_000];
        for (index, delay) in delays.into_iter().enumerate() {
            let due = timers.tick_after(start, Duration::from_millis(delay));
            timers.enter(conn(index as u32), due);
        }
        let (mut now, mut seen) = (start, Vec::new());
        while let Some(wait) = timers.until_next(now) {
            now += wait;
            let mut due = Vec::new();
            timers.expire(now, &mut due);
            for (conn, _) in due {
                let delay = Duration::from_millis(delays[conn.index as usize]);
                let late = (now - start).checked_sub(delay).expect("never early");
                assert!(late <= TIMER_TICK * 2, "{conn:?} is {late:?} late");
                seen.push(conn.index as usize);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..delays.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_deadline_that_is_written_out_is_the_same_here_and_no_earlier_elsewhere() {
        let start = sim::Net::new(1).driver().now();
        let here = Timers::new(start);
        let there = Timers::new(start + TIMER_TICK / 3);
        for millis in [1, 25, 29_981, 29_999, 31_000] {
            let now = start + Duration::from_millis(millis);
            for delay in [0, 19, 500, 60_000] {
                let due = here.tick_after(now, Duration::from_millis(delay));
                let distance = here.distance(due, now);
                assert!(distance as u128 > u128::from(delay) * 1_000_000);
                assert_eq!(here.tick_at(now, distance), due);
                let late = there.distance(there.tick_at(now, distance), now) - distance;
                assert!((0..2 * TICK_NANOS as i64).contains(&late), "{late}");
                let passed = now + Duration::from_secs(600);
                assert_eq!(here.tick_at(passed, here.distance(due, passed)), due);
            }
            assert!(here.is_ahead(here.tick_at(now, i64::MAX), now));
            assert!(!here.is_ahead(here.tick_at(now, i64::MIN), now));
        }
    }

    #[test]
    fn deadlines_are_kept_across_the_wrap_of_ticks() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        let to_wrap = TIMER_TICK * ((1 << 32) - FIRST - 1) as u32;
        let delay = Duration::from_secs(9);
        let (mut now, mut wrapped) = (start + to_wrap - delay * 2, 0);
        while now < start + to_wrap + delay * 2 {
            timers.expire(now, &mut Vec::new());
            let (tick, due) = (timers.tick(now), timers.tick_after(now, delay));
            assert!(tick != 0 && due != 0, "0 is never");
            wrapped += u32::from(due < tick);
            assert!(timers.is_before(tick, due) && !timers.is_before(due, tick));
            assert!(timers.is_ahead(due, now) && timers.is_ahead(due, now + delay));
            assert!(!timers.is_ahead(due, now + delay + TIMER_TICK * 3));
            assert!(!timers.is_ahead(tick, now + TIMER_TICK) && !timers.is_ahead(0, now));
            let behind = timers.tick_behind(tick, delay);
            assert!(due.wrapping_sub(behind) <= 1, "{due} and {behind}");
            timers.enter(conn(0), due);
            assert!(timers.until_next(now).is_some_and(|wait| wait >= delay));
            let mut taken = Vec::new();
            timers.expire(now + delay, &mut taken);
            assert!(taken.is_empty(), "never early");
            now += delay + TIMER_TICK * 3;
            timers.expire(now, &mut taken);
            assert_eq!(taken, [(conn(0), due)], "nor late");
            now += TIMER_TICK * 7;
        }
        assert!(wrapped > 0 && timers.len() == 0);
    }

    #[test]
    fn the_longest_delay_is_ahead_and_not_behind() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let century = Duration::from_secs(3_200_000_000);
        let due = timers.tick_after(start, century);
        timers.enter(conn(1), due);
        assert!(timers.is_ahead(due, start));
        assert!(timers.is_ahead(timers.tick_behind(timers.tick(start), century), start));
        let mut taken = Vec::new();
        (1..100).for_each(|day| timers.expire(start + DAY * day, &mut taken));
        assert!(taken.is_empty());
        timers.expire(start + DAY * 125, &mut taken);
        assert_eq!(taken, [(conn(1), due)]);
    }

    #[test]
    fn weeding_drops_what_means_nothing_and_keeps_the_rest() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        for index in 0..5000 {
            let due = timers.tick_after(start, Duration::from_millis(u64::from(index) * 3));
            timers.enter(conn(index), due);
        }
        let looked = (0..SLOTS).map(|_| timers.weed(|conn, _| conn.index.is_multiple_of(7)));
        assert_eq!(looked.sum::<usize>(), 5000);
        assert_eq!(timers.len(), 5000_usize.div_ceil(7));
        let (mut taken, mut now) = (Vec::new(), start);
        while let Some(wait) = timers.until_next(now) {
            now += wait;
            timers.expire(now, &mut taken);
        }
        assert!(taken.iter().all(|(conn, _)| conn.index.is_multiple_of(7)));
        assert_eq!((taken.len(), timers.len()), (5000_usize.div_ceil(7), 0));
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = sim::Net::new(1).driver().now();
        let mut timers = Timers::new(start);
        for index in 0..2000 {
            let due = timers.tick_after(start, Duration::from_millis(u64::from(index) * 37));
            timers.enter(conn(index), due);
        }
        let mut due = Vec::new();
        for hours in 1..4 {
            timers.expire(start + Duration::from_secs(3600 * hours), &mut due);
        }
        assert_eq!(due.len(), 2000);
        assert_eq!(timers.until_next(start), None);
    }
}
