//! How many connections each address has, and how fast they come: one table for all workers,
//! without a lock, and no larger whatever comes.
//!
//! An entry is an address and a word: the connections that are open, and the moment at which those
//! that came are paid for. Both are atomics of their own, and three rules keep them together:
//!
//! * An entry with open connections belongs to its address. It is taken over by another one only
//!   from no open connections to [`TAKEN`], by one compare-and-swap, and as long as it is taken
//!   nobody adds to it. The new address is written before the word says that it is there.
//! * Who adds a connection looks at the address again behind that: from here on the entry has an
//!   open connection and cannot change hands. If it is another's by now, the connection is taken
//!   off again. So between these two steps an address may have one too many, and nobody stays
//!   counted to another one.
//! * Who is counted keeps the [`Place`] of its entry, and is taken off there without looking for
//!   its address: options and the table around it may have changed meanwhile.
//!
//! Workers that meet an unknown address at the same moment may each take an entry for it. Who
//! comes later adds to the first of them, so there are at most as many connections too many as
//! there are other workers.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Instant;

use super::sync::{AtomicU64, Ordering};
use crate::config::PerIp;
use crate::stats::Refusal;

/// See the module.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// In sets of [`WAYS`]: an address has its place in one of these.
    pub(super) entries: Box<[Entry]>,
    /// Nobody outside knows which addresses share a set.
    hasher: RandomState,
    /// What moments count from.
    began: OnceLock<Instant>,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// The address; 0 is none.
    key: AtomicU64,
    /// [`State`].
    pub(super) word: AtomicU64,
}

/// What an entry says of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Connections that are open.
    pub(super) open: u64,
    /// When those that came are paid for, in microseconds; it goes round in twelve days.
    pub(super) paid: u64,
}

/// Where a connection is counted: the number of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It is counted there.
    At(Place),
    /// There is no room to count it.
    Untracked,
    /// Its address has as many as it may, or they come too fast.
    Over(Refusal),
}

/// Entries that an address may stand in: they fill two lines of the cache.
pub(super) const WAYS: usize = 8;

/// Entries at least, and at most: 16 MiB.
const ENTRIES: (usize, usize) = (1024, 1 << 20);

const OPEN_BITS: u32 = 24;

/// In place of the open connections, while an address takes the entry over.
pub(super) const TAKEN: u64 = (1 << OPEN_BITS) - 1;

pub(super) const PAID_MASK: u64 = (1 << (u64::BITS - OPEN_BITS)) - 1;

pub(super) const SECOND: u64 = 1_000_000;

/// Nobody is further ahead than a second, another one of a rate that was reloaded, and what the
/// clocks of two workers differ: what seems to be has gone round.
const AHEAD_MAX: u64 = 3 * SECOND;

impl Addresses {
    /// For so many connections: twice as many entries, within [`ENTRIES`].
    pub(crate) fn for_connections(connections: usize) -> Self {
        let wanted = connections.saturating_mul(2).clamp(ENTRIES.0, ENTRIES.1);
        Self::of_sets(wanted.next_power_of_two() / WAYS)
    }

    pub(super) fn of_sets(sets: usize) -> Self {
        let entry = || Entry { key: AtomicU64::new(0), word: AtomicU64::new(0) };
        let entries = (0..sets * WAYS).map(|_| entry()).collect();
        Self { entries, hasher: RandomState::new(), began: OnceLock::new() }
    }

    /// Counts a connection, if its address may have one more.
    pub(crate) fn admit(&self, client: IpAddr, limits: PerIp, now: Instant) -> Admitted {
        let (key, now) = (key(client), self.micros(now));
        loop {
            let done = match self.find(key) {
                Some(at) => self.add(at, key, limits, now),
                None => self.take_over(key, limits, now),
            };
            if let Some(admitted) = done {
                return admitted;
            }
        }
    }

    /// A connection that was counted is gone.
    pub(crate) fn release(&self, Place(at): Place) {
        let before = self.entries[at as usize].word.fetch_sub(1, Ordering::Release);
        let open = State::of(before).open;
        debug_assert!(open > 0 && open != TAKEN, "who is released was counted");
    }

    fn find(&self, key: u64) -> Option<usize> {
        let is_there = |at: &usize| {
            let entry = &self.entries[*at];
            let is_key = entry.key.load(Ordering::Acquire) == key;
            is_key && State::of(entry.word.load(Ordering::Acquire)).open != TAKEN
        };
        self.set_of(key).find(is_there)
    }

    /// Adds a connection to an entry; nothing if it is another's by now.
    fn add(&self, at: usize, key: u64, limits: PerIp, now: u64) -> Option<Admitted> {
        let Entry { key: of, word } = &self.entries[at];
        let mut known = word.load(Ordering::Acquire);
        loop {
            let state = State::of(known);
            if state.open == TAKEN {
                return None;
            }
            if state.open + 1 == TAKEN {
                return Some(Admitted::Untracked);
            }
            let more = match state.with_one_more(limits, now) {
                Ok(more) => more.word(),
                Err(why) => return Some(Admitted::Over(why)),
            };
            match word.compare_exchange(known, more, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => known = other,
            }
        }
        let place = Place(at as u32);
        if of.load(Ordering::Acquire) == key {
            return Some(Admitted::At(place));
        }
        self.release(place);
        None
    }

    /// Takes the entry of an address without open connections, of the one that may come first;
    /// nothing if somebody was quicker.
    fn take_over(&self, key: u64, limits: PerIp, now: u64) -> Option<Admitted> {
        let words = self.set_of(key).map(|at| (at, self.entries[at].word.load(Ordering::Acquire)));
        let idle = words.filter(|(_, word)| State::of(*word).open == 0);
        let Some((at, known)) = idle.min_by_key(|(_, word)| State::of(*word).ahead(now)) else {
            return Some(Admitted::Untracked);
        };
        let first = match (State { open: 0, paid: 0 }).with_one_more(limits, now) {
            Ok(first) => first,
            Err(why) => return Some(Admitted::Over(why)),
        };
        let Entry { key: of, word } = &self.entries[at];
        let taken = State { open: TAKEN, paid: 0 }.word();
        word.compare_exchange(known, taken, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        of.store(key, Ordering::Release);
        word.store(first.word(), Ordering::Release);
        Some(Admitted::At(Place(at as u32)))
    }

    fn set_of(&self, key: u64) -> std::ops::Range<usize> {
        let sets = self.entries.len() / WAYS;
        let first = self.hasher.hash_one(key) as usize % sets * WAYS;
        first..first + WAYS
    }

    fn micros(&self, now: Instant) -> u64 {
        let span = now.saturating_duration_since(*self.began.get_or_init(|| now));
        span.as_micros() as u64 & PAID_MASK
    }

    /// Connections of an address that are counted: for tests.
    #[cfg(test)]
    pub(super) fn open(&self, client: IpAddr) -> u64 {
        let key = key(client);
        let of = self.set_of(key).filter(|at| self.entries[*at].key.load(Ordering::Acquire) == key);
        of.map(|at| State::of(self.entries[at].word.load(Ordering::Acquire)).open).sum()
    }
}

impl State {
    pub(super) fn of(word: u64) -> Self {
        Self { open: word & TAKEN, paid: word >> OPEN_BITS }
    }

    pub(super) fn word(self) -> u64 {
        self.paid << OPEN_BITS | self.open
    }

    /// How far from now it is until all that came is paid for.
    pub(super) fn ahead(self, now: u64) -> u64 {
        let ahead = self.paid.wrapping_sub(now) & PAID_MASK;
        if ahead > AHEAD_MAX { 0 } else { ahead }
    }

    fn with_one_more(self, limits: PerIp, now: u64) -> Result<Self, Refusal> {
        if limits.connections.is_some_and(|max| self.open >= u64::from(max)) {
            return Err(Refusal::IpConnections);
        }
        let mut paid = self.paid;
        if let Some(rate) = limits.connect_rate {
            let each = SECOND.div_ceil(u64::from(rate.max(1)));
            let ahead = self.ahead(now) + each;
            if ahead > each * u64::from(rate) {
                return Err(Refusal::IpConnectRate);
            }
            paid = (now + ahead) & PAID_MASK;
        }
        Ok(Self { open: self.open + 1, paid })
    }
}

/// An address of IPv4 as it is, behind bits that no network of IPv6 begins with; of IPv6 the /64,
/// which is what a subscriber has. Never 0.
fn key(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => 0xffff << 32 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64).max(1),
    }
}
