//! What single connections and addresses may take, measured in arrays by slot beside the table:
//! they are made when an option first needs them, and the record has no place for any of it.
//! It says who is over a limit, and never sends anything itself.

mod addresses;
#[cfg(test)]
mod addresses_tests;
mod ages;
pub(crate) mod clients;
mod image;
mod pace;

/// What [`addresses`] is built on; a test builds it on loom's.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

pub(crate) use addresses::Addresses;
pub(crate) use clients::Clients;
pub use clients::{Client, ClientImage};
pub use image::LimitsImage;
pub(crate) use image::{put, take};
pub(crate) use pace::{Limit, Pace, What};

use std::time::{Duration, Instant};

use self::addresses::{Admitted, Place};
use self::ages::Ages;
use crate::config::{self, PerIp};
use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::worker::core::{Core, Parts};
use crate::worker::life::wakes::Wakes;

/// See the module.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Where the client of each slot is counted.
    counted: Vec<Option<Place>>,
    /// What each has sent, while that is measured.
    pub(crate) pace: Option<Box<Pace>>,
    /// Who is paused for it, until when.
    paused: Wakes,
    ages: Ages,
}

impl Limits {
    pub(crate) fn new(limits: &config::Limits, now: Instant) -> Self {
        let pace = Pace::of(limits, None, now);
        Self { counted: Vec::new(), pace, paused: Wakes::new(now), ages: Ages::new(now) }
    }

    /// Whether a connection is paused for what it has sent.
    pub(crate) fn has_paused(&self, conn: ConnId) -> bool {
        self.paused.has(conn)
    }

    /// Whether anything here knows of a connection: for tests that nothing does.
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        let is_counted = self.counted.get(conn.index as usize).is_some_and(Option::is_some);
        is_counted || self.paused.has(conn) || self.ages.has(conn.index)
    }

    /// How long nothing is to be done.
    pub(crate) fn until_next(&self, now: Instant) -> Option<Duration> {
        let times = [self.paused.until_next(now), self.ages.until_next(now)];
        times.into_iter().flatten().min()
    }

    /// All connections are in slots below.
    pub(crate) fn trim(&mut self, end: u32) {
        self.counted.truncate(end as usize);
        self.counted.shrink_to_fit();
        self.ages.trim(end);
        if let Some(pace) = &mut self.pace {
            pace.trim(end);
        }
    }

    fn is_counted(&self, conn: ConnId) -> bool {
        self.counted.get(conn.index as usize).is_some_and(Option::is_some)
    }
}

/// Counts the client of a connection, in place of the one that was counted before; tells why it may
/// not be let in. Nothing where no option limits addresses, or it has none.
pub(crate) fn admit<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) -> Option<Refusal> {
    release(&mut core.parts, conn);
    let limits = core.parts.config().limits.per_ip;
    if !core.parts.config().limits.counts_addresses() {
        return None;
    }
    count(&mut core.parts, conn, limits)
}

fn count<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    limits: PerIp,
) -> Option<Refusal> {
    let client = parts.admission.clients.get(conn.index)?;
    let place = match parts.shared.addresses().admit(client, limits, parts.clock.now) {
        Admitted::At(place) => place,
        Admitted::Untracked => {
            parts.counters.addresses_untracked.add(1);
            return None;
        }
        Admitted::Over(why) => return Some(why),
    };
    let (counted, slot) = (&mut parts.admission.limits.counted, conn.index as usize);
    if slot >= counted.len() {
        counted.resize(slot + 1, None);
    }
    counted[slot] = Some(place);
    None
}

fn release<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) {
    let counted = parts.admission.limits.counted.get_mut(conn.index as usize);
    if let Some(place) = counted.and_then(Option::take) {
        parts.shared.addresses().release(place);
    }
}

/// So much was handled of a connection.
#[inline]
pub(crate) fn pay<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    messages: usize,
    bytes: usize,
) {
    if let Some(pace) = &mut parts.admission.limits.pace {
        pace.pay(conn.index, messages, bytes, parts.clock.now);
    }
}

/// A request was handled of a connection, whatever its bytes.
pub(crate) fn pay_request<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) {
    if measures_requests(parts, conn) {
        pay(parts, conn, 1, 0);
    }
}

/// Whether the requests of a connection are measured: not those of a trusted proxy, which sends
/// requests of many clients on one connection.
pub(crate) fn measures_requests<W: Wake, L: Protocols>(parts: &Parts<W, L>, conn: ConnId) -> bool {
    let sender = || parts.admission.clients.sender(conn.index);
    parts.admission.limits.pace.is_some() && !sender().is_in(&parts.config().trusted_proxies)
}

/// A connection is paused until then, unless it is already: nothing more is to be handled of it.
pub(crate) fn pause<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId, wait: Duration) {
    if !parts.admission.limits.has_paused(conn) {
        parts.counters.rate_paused.add(1);
    }
    parts.admission.limits.paused.set(conn, wait, 0, parts.clock.now);
}

/// A connection is gone: its address has one less, and nothing of it is measured any more.
pub(crate) fn forget<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) {
    release(parts, conn);
    parts.admission.limits.paused.forget(conn);
    parts.admission.limits.ages.forget(conn.index);
    if let Some(pace) = &mut parts.admission.limits.pace {
        pace.forget(conn.index);
    }
}

/// A WebSocket connection is about to open, of the client that was named last. What its proxy has
/// sent while it was not trusted yet is not that client's.
pub(crate) fn upgraded<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) {
    if !measures_requests(parts, conn)
        && let Some(pace) = &mut parts.admission.limits.pace
    {
        pace.forget(conn.index);
    }
    parts.admission.clients.settle(conn.index);
}

/// A WebSocket connection has opened: its age counts from here on.
pub(crate) fn opened<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) {
    let age = parts.config().limits.connection_max_age;
    if !age.is_zero() {
        parts.admission.limits.ages.begin(conn, age, parts.clock.now);
    }
}

/// What time has brought: who is paused goes on, and who is old goes.
pub(crate) fn expire<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    pace::resume_due(core);
    ages::end_old(core);
}

/// Drops entries of connections that have gone, where there are too many of them.
pub(crate) fn weed<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    ages::weed(core);
}

/// Other options hold.
pub(crate) fn reload<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let limits = &core.parts.settings.config.limits;
    let pace = core.parts.admission.limits.pace.take();
    core.parts.admission.limits.pace = Pace::of(limits, pace, core.parts.clock.now);
    pace::resume_all(core);
}

/// A connection that is paused goes on, whatever it has sent: it is to be ended.
pub(crate) fn let_go_on<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    if core.parts.admission.limits.has_paused(conn) {
        core.parts.admission.limits.paused.forget(conn);
        pace::resume(core, conn);
    }
}
