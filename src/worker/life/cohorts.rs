//! Connections in cohorts that are pinged together, spread evenly over the interval.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::limits::PING_COHORTS_MAX;
use crate::worker::clock;

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

/// When a connection is pinged next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UntilPing {
    /// Nobody is pinged.
    Unknown,
    /// Its cohort is being pinged, and it has not been.
    Due,
    /// In so many nanoseconds.
    In(i64),
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

    /// Adds a connection to the cohort that is pinged when it is to be pinged, or a step before.
    /// Of the sweeps the first one pings. Who makes way is told to `moved`, with its new place.
    pub(crate) fn join_at(
        &mut self,
        slot: u32,
        until: UntilPing,
        now: Instant,
        [pings, checks]: [Option<&mut Sweep>; 2],
        moved: impl FnMut(u32, Place),
    ) -> Place {
        let Some(pings) = pings else { return self.join(slot, None) };
        match until {
            UntilPing::Unknown => self.join(slot, Some(pings)),
            UntilPing::Due => self.join_unvisited(slot, pings, checks, moved),
            UntilPing::In(distance) => {
                let count = self.members.len();
                let steps = pings.steps_to(clock::moment(now, distance), count);
                let cohort = (pings.cohort + steps) % count;
                self.members[cohort].push(slot);
                Place { index: self.members[cohort].len() as u32 - 1, cohort: cohort as u16 }
            }
        }
    }

    /// Adds a connection to the cohort that is being pinged, among those that are still to be. To
    /// the other sweep everybody else there is what they were.
    fn join_unvisited(
        &mut self,
        slot: u32,
        pings: &mut Sweep,
        checks: Option<&mut Sweep>,
        mut moved: impl FnMut(u32, Place),
    ) -> Place {
        let (cohort, unvisited) = (pings.cohort, pings.left);
        let members = &mut self.members[cohort];
        members.push(slot);
        let place = |index: usize| Place { index: index as u32, cohort: cohort as u16 };
        let mut index = members.len() - 1;
        let [fewer, more] = at_cohort(cohort, [Some(pings), checks]);
        for sweep in [more, fewer].into_iter().flatten().filter(|it| it.left >= unvisited) {
            members.swap(index, sweep.left);
            if index != sweep.left {
                moved(members[index], place(index));
            }
            index = sweep.left;
            sweep.left += 1;
        }
        place(index)
    }

    /// When a connection is pinged next.
    pub(crate) fn until_ping(
        &self,
        place: Place,
        pings: Option<&Sweep>,
        now: Instant,
    ) -> UntilPing {
        let Some(pings) = pings else { return UntilPing::Unknown };
        let (cohort, count) = (usize::from(place.cohort), self.members.len());
        if cohort == pings.cohort && (place.index as usize) < pings.left {
            return UntilPing::Due;
        }
        let steps = (cohort + count - pings.cohort - 1) % count;
        UntilPing::In(clock::distance(pings.at + pings.step * steps as u32, now))
    }

    /// Whether a connection stands in any: for tests.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.members.iter().any(|members| members.contains(&slot))
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

    /// Takes a connection out; who stands elsewhere then is told to `moved`, with its new place. A
    /// sweep has nobody more and nobody less to visit for it.
    pub(crate) fn leave(
        &mut self,
        place: Place,
        sweeps: [Option<&mut Sweep>; 2],
        mut moved: impl FnMut(u32, Place),
    ) {
        let cohort = usize::from(place.cohort);
        let members = &mut self.members[cohort];
        let mut hole = place.index as usize;
        let mut tell = |members: &[u32], index: usize| {
            if let Some(slot) = members.get(index) {
                moved(*slot, Place { index: index as u32, ..place });
            }
        };
        for sweep in at_cohort(cohort, sweeps).into_iter().flatten() {
            if hole < sweep.left {
                sweep.left -= 1;
                members.swap(hole, sweep.left);
                if hole != sweep.left {
                    tell(members, hole);
                }
                hole = sweep.left;
            }
        }
        members.swap_remove(hole);
        tell(members, hole);
        let (size, count) = (members.len(), self.members.len());
        if size < self.search.least {
            self.search.least = size;
            self.search.looked = (self.search.swept + count - cohort) % count;
        }
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

    /// The next slot to visit. It goes through a cohort from its end: who comes meanwhile stands
    /// behind those that are left.
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
    /// How many cohorts further the last one is that is due by then, of so many.
    fn steps_to(&self, at: Instant, count: usize) -> usize {
        let step = (self.step.as_nanos() as i64).max(1);
        let steps = clock::distance(at, self.at).max(0) / step;
        count.min(steps as usize + 1)
    }

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

/// Those of the sweeps that are at a cohort, the one first that has fewer left there.
fn at_cohort(cohort: usize, sweeps: [Option<&mut Sweep>; 2]) -> [Option<&mut Sweep>; 2] {
    let [one, other] = sweeps.map(|sweep| sweep.filter(|sweep| sweep.cohort == cohort));
    let left = |sweep: &Option<&mut Sweep>| sweep.as_ref().map(|sweep| sweep.left);
    if left(&one) <= left(&other) { [one, other] } else { [other, one] }
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
            cohorts.leave(places[slot], [None, None], |moved, to| places[moved as usize] = to);
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
            if let Some(place) = places[leaver].take() {
                let sweeps = [Some(&mut sweep), None];
                cohorts.leave(place, sweeps, |moved, to| places[moved as usize] = Some(to));
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

    /// Connections of a worker with two sweeps, some of which leave and come back.
    struct Swept {
        cohorts: Cohorts,
        sweeps: [Sweep; 2],
        places: Vec<Place>,
        /// How often each was visited by each.
        visits: [Vec<u32>; 2],
        random: u64,
    }

    /// Those below never leave.
    const STAYING: u32 = 20;
    const ALL: u32 = 70;

    impl Swept {
        fn new(interval: Duration, behind: Duration, start: Instant) -> Self {
            let mut cohorts = Cohorts::new(interval);
            let pings = cohorts.sweep(interval, start);
            let checks = cohorts.sweep(interval, start + behind);
            let places = (0..ALL).map(|slot| cohorts.join(slot, Some(&pings))).collect();
            let visits = [(); 2].map(|()| vec![0; ALL as usize]);
            Self { cohorts, sweeps: [pings, checks], places, visits, random: 1 }
        }

        fn choose(&mut self, below: u64) -> u64 {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (self.random >> 33) % below
        }

        /// Each sweep goes on for some visits.
        fn visit(&mut self, now: Instant) {
            for at in 0..2 {
                for _ in 0..self.choose(30) {
                    if let Some(slot) = self.cohorts.next(&mut self.sweeps[at], now) {
                        self.visits[at][slot as usize] += 1;
                    }
                }
            }
        }

        fn rewrite(&mut self, now: Instant) {
            let slots: Vec<u32> = (STAYING..ALL).filter(|_| self.choose(3) > 0).collect();
            let mut untils = Vec::new();
            for slot in &slots {
                let place = self.places[*slot as usize];
                untils.push(self.cohorts.until_ping(place, Some(&self.sweeps[0]), now));
                let Self { cohorts, sweeps: [pings, checks], places, .. } = self;
                let sweeps = [Some(pings), Some(checks)];
                cohorts.leave(place, sweeps, |moved, to| places[moved as usize] = to);
                assert!(!cohorts.has(*slot));
            }
            for (slot, until) in slots.iter().zip(untils) {
                let Self { cohorts, sweeps: [pings, checks], places, .. } = self;
                let sweeps = [Some(pings), Some(checks)];
                let tell = |moved, to| places[moved as usize] = to;
                let place = cohorts.join_at(*slot, until, now, sweeps, tell);
                self.places[*slot as usize] = place;
                assert_eq!(self.cohorts.until_ping(place, Some(&self.sweeps[0]), now), until);
            }
        }

        fn check(&self) {
            for (slot, Place { index, cohort }) in self.places.iter().copied().enumerate() {
                let members = &self.cohorts.members[usize::from(cohort)];
                assert_eq!(members[index as usize], slot as u32);
            }
            let is_even = |visits: &[u32]| {
                visits.iter().max() <= visits.iter().min().map(|it| it + 1).as_ref()
            };
            assert!(is_even(&self.visits[0]), "{:?}", self.visits[0]);
            assert!(is_even(&self.visits[1][..STAYING as usize]), "{:?}", self.visits[1]);
        }
    }

    #[test]
    fn who_is_written_out_and_read_back_is_pinged_as_if_nothing_had_been() {
        for (interval, behind) in [(80, 30), (80, 0), (500, 100), (500, 230), (25_000, 20_000)] {
            let [interval, behind] = [interval, behind].map(Duration::from_millis);
            let mut now = sim::Net::new(1).driver().now();
            let mut swept = Swept::new(interval, behind, now);
            for _ in 0..2000 {
                swept.visit(now);
                swept.rewrite(now);
                swept.check();
                now += swept.sweeps[0].step / 7 * swept.choose(9) as u32;
            }
            assert!(swept.visits[0].iter().all(|visits| *visits > 2), "{interval:?}");
        }
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
            cohorts.leave(place, [Some(&mut sweep), None], |_, _| panic!("it is alone"));
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
