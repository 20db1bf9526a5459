//! How old connections may become: the moment of the end of each stands in a wheel of timers, by
//! the options that held when it opened. There is none while no option asks for it.

use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{CLOSE_COST, FRAME_COST, TIMER_COST};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::wire::CloseCode;
use crate::worker::core::{Core, Parts};
use crate::worker::life::closing;
use crate::worker::life::timers::{Tick, Timers};

#[derive(Debug)]
pub(super) struct Ages {
    start: Instant,
    inner: Option<Box<Inner>>,
}

#[derive(Debug)]
struct Inner {
    timers: Timers,
    /// By slot, the generation of its connection and when that is to end; 0 is never. Other entries
    /// of the timers mean nothing.
    at: Vec<(u32, Tick)>,
    due: Vec<(ConnId, Tick)>,
}

/// Timers' entries that are not worth weeding.
const ENTRIES_KEPT: usize = 1024;

impl Ages {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, inner: None }
    }

    /// A connection begins that may become about so old.
    pub(super) fn begin(&mut self, conn: ConnId, age: Duration, now: Instant) {
        let inner = self.inner(now);
        let tick = inner.timers.tick_after(now, jitter(conn, age));
        inner.set(conn, tick);
    }

    /// How far the end of a connection is from now, if it has one.
    pub(super) fn distance(&self, slot: u32, now: Instant) -> Option<i64> {
        let inner = self.inner.as_deref()?;
        let (_, tick) = inner.at.get(slot as usize).copied().filter(|(_, tick)| *tick != 0)?;
        Some(inner.timers.distance(tick, now))
    }

    /// Sets that again.
    pub(super) fn put(&mut self, conn: ConnId, distance: i64, now: Instant) {
        let inner = self.inner(now);
        let tick = inner.timers.tick_at(now, distance);
        inner.set(conn, tick);
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        let at = self.inner.as_mut().and_then(|inner| inner.at.get_mut(slot as usize));
        if let Some(at) = at {
            *at = (0, 0);
        }
    }

    pub(super) fn has(&self, slot: u32) -> bool {
        let at = self.inner.as_ref().and_then(|inner| inner.at.get(slot as usize));
        at.is_some_and(|(_, tick)| *tick != 0)
    }

    pub(super) fn until_next(&self, now: Instant) -> Option<Duration> {
        let inner = self.inner.as_deref()?;
        if inner.due.is_empty() { inner.timers.until_next(now) } else { Some(Duration::ZERO) }
    }

    pub(super) fn trim(&mut self, end: u32) {
        if let Some(inner) = &mut self.inner {
            inner.at.truncate(end as usize);
            inner.at.shrink_to_fit();
            inner.due.shrink_to_fit();
        }
    }

    /// The next connection that is old.
    fn next(&mut self, now: Instant) -> Option<ConnId> {
        let inner = self.inner.as_deref_mut()?;
        if inner.due.is_empty() {
            inner.timers.expire(now, &mut inner.due);
        }
        while let Some((conn, tick)) = inner.due.pop() {
            if inner.at.get(conn.index as usize) == Some(&(conn.generation, tick)) {
                inner.at[conn.index as usize] = (0, 0);
                return Some(conn);
            }
        }
        None
    }

    fn inner(&mut self, now: Instant) -> &mut Inner {
        self.inner.get_or_insert_with(|| {
            let mut timers = Timers::new(self.start);
            timers.expire(now, &mut Vec::new());
            Box::new(Inner { timers, at: Vec::new(), due: Vec::new() })
        })
    }
}

impl Inner {
    fn set(&mut self, conn: ConnId, tick: Tick) {
        let slot = conn.index as usize;
        if slot >= self.at.len() {
            self.at.resize(slot + 1, (0, 0));
        }
        self.at[slot] = (conn.generation, tick);
        self.timers.enter(conn, tick);
    }
}

/// Give or take a tenth, as its name decides: those who have come together do not go together.
fn jitter(conn: ConnId, age: Duration) -> Duration {
    const STEPS: u32 = 1 << 16;
    let mixed = (conn.index ^ conn.generation.rotate_left(16)).wrapping_mul(0x9e37_79b9);
    let fifth = age / 5;
    age - age / 10 + (fifth / STEPS).saturating_mul(mixed >> 16)
}

/// Closes those who are as old as they may become.
pub(super) fn end_old<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while let Some(conn) = core.parts.admission.limits.ages.next(core.parts.clock.now) {
        core.parts.budget.pay(TIMER_COST);
        if core.table.get_mut(conn).is_some_and(|connection| connection.is_open()) {
            core.parts.budget.pay(CLOSE_COST);
            let (code, reason) = (CloseCode::GOING_AWAY, "connection_max_age");
            closing::close_and_finish(core, conn, Ending::MaxAge, code, reason);
        }
        if core.parts.is_spent() {
            return;
        }
    }
}

/// Of connections that have gone entries are left for as long as these might have lived.
pub(super) fn weed<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let Core { table, parts } = core;
    let Parts { admission, budget, .. } = parts;
    let Some(Inner { timers, at, .. }) = admission.limits.ages.inner.as_deref_mut() else { return };
    let kept = 2 * table.len() + ENTRIES_KEPT;
    while timers.len() > kept && !budget.is_spent() {
        let looked =
            timers.weed(|conn, tick| at.get(conn.index as usize) == Some(&(conn.generation, tick)));
        budget.pay(TIMER_COST + looked * FRAME_COST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: index / 7 }
    }

    #[test]
    fn those_who_come_together_go_within_a_tenth_before_and_a_tenth_behind() {
        let start = sim::Net::new(1).driver().now();
        let (mut ages, age) = (Ages::new(start), Duration::from_secs(1000));
        assert_eq!(ages.until_next(start), None);
        (0..1000).for_each(|index| ages.begin(conn(index), age, start));
        ages.forget(17);
        let mut ends = Vec::new();
        for second in 0..1200 {
            let now = start + Duration::from_secs(second);
            while let Some(conn) = ages.next(now) {
                assert_ne!(conn.index, 17, "it has gone");
                ends.push(second);
            }
        }
        assert_eq!(ends.len(), 999);
        assert!((900..=905).contains(&ends[0]), "{}", ends[0]);
        assert!((1095..=1101).contains(&ends[998]), "{}", ends[998]);
        let most = ends.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
        assert!(most < Some(20), "spread over 200 s: {most:?}");
    }

    #[test]
    fn an_end_that_is_written_out_comes_when_it_would_have() {
        let start = sim::Net::new(1).driver().now();
        let mut ages = Ages::new(start);
        ages.begin(conn(1), Duration::from_secs(100), start);
        let then = start + Duration::from_secs(30);
        let distance = ages.distance(1, then).expect("it is to end");
        ages.forget(1);
        assert!(!ages.has(1));
        ages.put(conn(2), distance, then);
        assert_eq!(ages.distance(2, then), Some(distance));
        assert_eq!(ages.next(then), None);
        assert_eq!(ages.next(start + Duration::from_secs(120)), Some(conn(2)));
        assert_eq!(ages.next(start + Duration::from_secs(120)), None, "once");
    }
}
