//! Connections in cohorts that are pinged together, spread evenly over the interval.

use std::time::{Duration, Instant};

use crate::limits::PING_COHORTS_MAX;

/// Cohorts are at least this far apart.
const STEP_MIN: Duration = Duration::from_millis(100);

/// Where a connection stands: which cohort, and where in it. Packed, so that each connection has
/// two bytes less.
#[repr(Rust, packed(2))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u32,
    pub(crate) cohort: u16,
}

/// The cohorts, and a sweep that goes over one after the other.
#[derive(Debug)]
pub(crate) struct Cohorts {
    /// Slots of connections, in dense arrays.
    members: Vec<Vec<u32>>,
    search: Search,
}

/// A search for the emptiest cohort that goes on where it was, so that a rush of connections costs
/// one look at each.
#[derive(Debug, Default)]
struct Search {
    /// No cohort has fewer members.
    least: usize,
    /// Cohorts that were looked at, from `swept` downwards.
    looked: usize,
    /// Where the sweep was.
    swept: usize,
}

/// A walk over all cohorts in each interval, cut into turns.
#[derive(Debug)]
pub(crate) struct Sweep {
    step: Duration,
    cohort: usize,
    /// When the next cohort is due.
    at: Instant,
    /// Members of the present cohort that are still to be visited: those before it.
    left: usize,
}

impl Cohorts {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { members: vec![Vec::new(); count(interval)], search: Search::default() }
    }

    /// Adds a connection to the emptiest cohort. Of several it takes the one that the sweep comes
    /// to last, so that on a quiet server the first ping is an interval away.
    pub(crate) fn join(&mut self, slot: u32, sweep: Option<&Sweep>) -> Place {
        let cohort = self.emptiest(sweep.map_or(0, |sweep| sweep.cohort));
        let members = &mut self.members[cohort];
        members.push(slot);
        Place { index: members.len() as u32 - 1, cohort: cohort as u16 }
    }

    fn emptiest(&mut self, swept: usize) -> usize {
        let (search, count) = (&mut self.search, self.members.len());
        if search.swept != swept {
            (search.swept, search.looked) = (swept, 0);
        }
        loop {
            while search.looked < count {
                let cohort = (swept + count - search.looked) % count;
                if self.members[cohort].len() == search.least {
                    return cohort;
                }
                search.looked += 1;
            }
            search.least = self.members.iter().map(Vec::len).min().unwrap_or_default();
            search.looked = 0;
        }
    }

    /// Takes a connection out; the slot that now stands in its place, if any, is returned.
    pub(crate) fn leave(&mut self, place: Place) -> Option<u32> {
        let cohort = usize::from(place.cohort);
        let members = &mut self.members[cohort];
        members.swap_remove(place.index as usize);
        let moved = members.get(place.index as usize).copied();
        let (size, count) = (members.len(), self.members.len());
        if size < self.search.least {
            self.search.least = size;
            self.search.looked = (self.search.swept + count - cohort) % count;
        }
        moved
    }

    /// Gives back what larger cohorts needed than there are.
    pub(crate) fn trim(&mut self) {
        for members in &mut self.members {
            if members.capacity() > members.len() * 4 {
                members.shrink_to(members.len() * 2);
            }
        }
    }

    pub(crate) fn sweep(&self, interval: Duration, first: Instant) -> Sweep {
        let step = interval / self.members.len() as u32;
        Sweep { step, cohort: 0, at: first, left: 0 }
    }

    /// The next slot to visit. It goes through a cohort from its end: whoever leaves meanwhile is
    /// replaced by one that was visited, so that one may be visited twice but none left out.
    pub(crate) fn next(&self, sweep: &mut Sweep, now: Instant) -> Option<u32> {
        loop {
            let members = &self.members[sweep.cohort];
            if let Some(index) = sweep.left.min(members.len()).checked_sub(1) {
                sweep.left = index;
                return Some(members[index]);
            }
            if sweep.at > now {
                return None;
            }
            sweep.at += sweep.step;
            // After a long pause of the whole process one round is enough.
            if now.saturating_duration_since(sweep.at) > sweep.step * self.members.len() as u32 {
                sweep.at = now + sweep.step;
            }
            sweep.cohort = (sweep.cohort + 1) % self.members.len();
            sweep.left = self.members[sweep.cohort].len();
        }
    }
}

impl Sweep {
    /// Lets time pass in which there was nobody to visit.
    pub(crate) fn skip(&mut self, now: Instant) {
        if self.at <= now {
            (self.at, self.left) = (now + self.step, 0);
        }
    }

    /// How long there is nothing to visit; a sweep that was cut has something at once.
    pub(crate) fn until_next(&self, now: Instant) -> Duration {
        if self.left > 0 { Duration::ZERO } else { self.at.saturating_duration_since(now) }
    }
}

fn count(interval: Duration) -> usize {
    ((interval.as_millis() / STEP_MIN.as_millis()) as usize).clamp(1, PING_COHORTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    const INTERVAL: Duration = Duration::from_secs(25);

    #[test]
    fn a_rush_is_spread_over_the_interval() {
        let mut cohorts = Cohorts::new(INTERVAL);
        let mut places: Vec<Place> = (0..1000).map(|slot| cohorts.join(slot, None)).collect();
        let sizes = |cohorts: &Cohorts| {
            let sizes = cohorts.members.iter().map(Vec::len);
            (sizes.clone().min(), sizes.max())
        };
        assert_eq!(sizes(&cohorts), (Some(4), Some(4)));
        for slot in (0..1000).step_by(2) {
            if let Some(moved) = cohorts.leave(places[slot]) {
                places[moved as usize].index = places[slot].index;
            }
        }
        (1000..1500).for_each(|slot| places.push(cohorts.join(slot, None)));
        assert_eq!(sizes(&cohorts), (Some(4), Some(4)), "who comes fills the gaps");
    }

    #[test]
    fn who_comes_always_joins_one_of_the_emptiest() {
        let start = sim::Net::new(1).driver().now();
        let mut cohorts = Cohorts::new(INTERVAL);
        let mut sweep = cohorts.sweep(INTERVAL, start);
        let mut places: Vec<Option<Place>> = Vec::new();
        let mut random = 1_u64;
        for round in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let choice = (random >> 33) as usize;
            if choice.is_multiple_of(100) {
                sweep.cohort = (sweep.cohort + 1) % cohorts.members.len();
            }
            // Now more come than leave, now fewer.
            let is_flood = round % 4000 < 2500;
            if choice % 10 < if is_flood { 7 } else { 2 } || places.is_empty() {
                let least = cohorts.members.iter().map(Vec::len).min();
                let place = cohorts.join(places.len() as u32, Some(&sweep));
                assert_eq!(Some(place.index as usize), least, "in round {round}");
                places.push(Some(place));
                continue;
            }
            let leaver = choice % places.len();
            if let Some(place) = places[leaver].take()
                && let Some(moved) = cohorts.leave(place)
            {
                places[moved as usize].as_mut().expect("it has not left").index = place.index;
            }
        }
    }

    #[test]
    fn everybody_is_visited_once_in_each_interval() {
        let start = sim::Net::new(1).driver().now();
        let mut cohorts = Cohorts::new(INTERVAL);
        let _: Vec<Place> = (0..777).map(|slot| cohorts.join(slot, None)).collect();
        let mut sweep = cohorts.sweep(INTERVAL, start);
        let (mut now, mut visits) = (start, vec![0; 777]);
        while now < start + INTERVAL * 4 {
            while let Some(slot) = cohorts.next(&mut sweep, now) {
                visits[slot as usize] += 1;
            }
            assert!(sweep.until_next(now) > Duration::ZERO);
            now += sweep.until_next(now);
        }
        assert!(visits.iter().all(|visits| *visits == 4), "{visits:?}");
        now += INTERVAL * 100;
        let late = std::iter::from_fn(|| cohorts.next(&mut sweep, now)).count();
        assert!(late < 777 * 3, "a stopped process does not make up for every missed ping");
    }

    #[test]
    fn the_first_ping_of_a_lone_connection_is_nearly_an_interval_away() {
        let start = sim::Net::new(1).driver().now();
        let mut cohorts = Cohorts::new(INTERVAL);
        let mut sweep = cohorts.sweep(INTERVAL, start);
        let mut now = start;
        for slot in 0..600 {
            assert_eq!(cohorts.next(&mut sweep, now), None);
            let place = cohorts.join(slot, Some(&sweep));
            let (early, late) = (now + INTERVAL - sweep.step, now + INTERVAL + sweep.step);
            let mut first = None;
            while now < late && first.is_none() {
                now += sweep.step;
                first = cohorts.next(&mut sweep, now);
            }
            assert_eq!(first, Some(slot));
            assert!((early..=late).contains(&now), "{:?} before", late - now);
            cohorts.leave(place);
        }
    }

    #[test]
    fn short_intervals_have_few_cohorts() {
        assert_eq!(count(Duration::from_millis(50)), 1);
        assert_eq!(count(Duration::from_millis(500)), 5);
        assert_eq!(count(INTERVAL), 250);
        assert_eq!(count(INTERVAL * 10), PING_COHORTS_MAX);
    }
}
