//! When protocols want to be called again for a connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{TIMER_COST, TIMER_TICK};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::connection::flag;
use crate::worker::core::Core;
use crate::worker::ingress::staged;
use crate::worker::ingress::visit::Visit;
use crate::worker::life::ending;
use crate::worker::life::timers::{Tick, Timers};

/// One moment for each connection that has one. A worker has none of this until it is needed.
#[derive(Debug)]
pub(crate) struct Wakes {
    /// Ticks are counted from there, whenever the first moment is set.
    start: Instant,
    inner: Option<Box<Inner>>,
}

#[derive(Debug)]
struct Inner {
    timers: Timers,
    /// Entries of the timers mean nothing but for what stands here, with words to be given back.
    at: HashMap<ConnId, (Tick, u64)>,
    due: Vec<(ConnId, Tick)>,
}

impl Wakes {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, inner: None }
    }

    /// Sets the moment of a connection, in place of the one that it had, and a word.
    pub(crate) fn set(&mut self, conn: ConnId, delay: Duration, word: u64, now: Instant) {
        let inner = self.inner(now);
        let tick = inner.timers.tick_after(now, delay);
        inner.set(conn, tick, word);
    }

    /// Forgets the moment of a connection; gives how far it is from now, and its word.
    pub(crate) fn take(&mut self, conn: ConnId, now: Instant) -> Option<(i64, u64)> {
        let inner = self.inner.as_deref()?;
        let (tick, word) = *inner.at.get(&conn)?;
        let distance = inner.timers.distance(tick, now);
        self.forget(conn);
        Some((distance, word))
    }

    /// Sets the moment of a connection again, so far from now.
    pub(crate) fn put(&mut self, conn: ConnId, (distance, word): (i64, u64), now: Instant) {
        let inner = self.inner(now);
        let tick = inner.timers.tick_at(now, distance);
        if inner.timers.is_ahead(tick, now) {
            inner.set(conn, tick, word);
        } else {
            inner.at.insert(conn, (tick, word));
            inner.due.push((conn, tick));
        }
    }

    /// Forgets all moments; gives whose they were.
    pub(crate) fn take_all(&mut self) -> Vec<ConnId> {
        self.inner.take().map_or_else(Vec::new, |inner| inner.at.into_keys().collect())
    }

    /// Whether a connection has a moment.
    pub(crate) fn has(&self, conn: ConnId) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.at.contains_key(&conn))
    }

    fn inner(&mut self, now: Instant) -> &mut Inner {
        self.inner.get_or_insert_with(|| {
            let mut timers = Timers::new(self.start);
            timers.expire(now, &mut Vec::new());
            Box::new(Inner { timers, at: HashMap::new(), due: Vec::new() })
        })
    }

    /// A connection is gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if let Some(inner) = &mut self.inner {
            inner.at.remove(&conn);
            if inner.at.is_empty() {
                self.inner = None;
            }
        }
    }

    /// The next connection whose moment has come, with its word.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(ConnId, u64)> {
        let inner = self.inner.as_deref_mut()?;
        if inner.due.is_empty() {
            inner.timers.expire(now, &mut inner.due);
        }
        while let Some((conn, tick)) = inner.due.pop() {
            if let Entry::Occupied(entry) = inner.at.entry(conn)
                && entry.get().0 == tick
            {
                return Some((conn, entry.remove().1));
            }
        }
        None
    }

    pub(crate) fn until_next(&self, now: Instant) -> Option<Duration> {
        let inner = self.inner.as_deref()?;
        if inner.due.is_empty() { inner.timers.until_next(now) } else { Some(Duration::ZERO) }
    }
}

impl Inner {
    fn set(&mut self, conn: ConnId, tick: Tick, word: u64) {
        if self.at.insert(conn, (tick, word)).map(|(before, _)| before) != Some(tick) {
            self.timers.enter(conn, tick);
        }
        // One that moves its moment all the time leaves an entry behind each time.
        if self.timers.len() > 2 * self.at.len() + ENTRIES_KEPT {
            let Self { timers, at, .. } = self;
            timers.weed(|conn, tick| at.get(&conn).is_some_and(|(last, _)| *last == tick));
        }
    }
}

/// Calls the protocols that want to be called now.
pub(crate) fn wake_protocols<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while let Some((conn, word)) = core.parts.life.wakes.next(core.parts.clock.now) {
        core.parts.budget.pay(TIMER_COST);
        wake(core, conn, word);
        if core.parts.is_spent() {
            return;
        }
    }
}

fn wake<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, word: u64) {
    let Some(mut visit) = Visit::of(core, conn) else { return };
    if visit.connection.has(flag::WAITING) {
        // It has published more than is taken, and this is no other way to publish.
        let now = visit.parts.clock.now;
        return visit.parts.life.wakes.set(conn, TIMER_TICK, word, now);
    }
    let before = visit.connection.backlog();
    let flow = visit.due(word);
    staged::carry_out_call(core, conn, flow);
    // No message was needed for what it says, so nothing stops but this: see `must_stall`.
    let max = before.max(core.parts.config().max_backlog);
    let Some(connection) = core.table.get_mut(conn) else { return };
    if connection.is_open() && connection.has(flag::SENDING) && connection.backlog() > max {
        ending::end_slow(core, conn, Ending::SlowConsumer);
    }
}

/// Timers' entries that are not worth weeding.
const ENTRIES_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    #[test]
    fn each_has_the_last_moment_that_it_has_set_and_who_is_gone_has_none() {
        let start = sim::Net::new(1).driver().now();
        let mut wakes = Wakes::new(start);
        let conn = |index| ConnId { index, generation: 0 };
        for round in 0..1000 {
            for index in 0..3 {
                wakes.set(
                    conn(index),
                    Duration::from_millis(100 * u64::from(index) + 30 + round),
                    round,
                    start,
                );
            }
        }
        assert!(wakes.inner.as_ref().is_some_and(|inner| inner.timers.len() < 1000));
        wakes.forget(conn(1));
        let mut seen = Vec::new();
        for step in 0..200_u64 {
            let now = start + Duration::from_millis(20 * step);
            while let Some((conn, word)) = wakes.next(now) {
                assert_eq!(word, 999, "the last one");
                seen.push((conn.index, 20 * step));
            }
        }
        assert!(matches!(seen[..], [(0, 1020..1100), (2, 1220..1300)]), "{seen:?}");
        [0, 2].into_iter().for_each(|index| wakes.forget(conn(index)));
        assert!(wakes.inner.is_none() && wakes.until_next(start).is_none());
    }
}
