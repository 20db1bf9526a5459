//! The connections of a worker, in the slots that its driver gives them.

use crate::driver::Outgoing;
use crate::http;
use crate::hub::EdgeId;
use crate::id::ConnId;
use crate::session::Session;

use super::cohorts::Place;
use super::stash::Stash;
use super::timers::Tick;

/// One connection: plain data, without pointers to anywhere else.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) link: Link,
    /// What is said on it, while messages may come.
    pub(super) spoken: Option<S>,
    /// The head of what it is subscribed to.
    pub(super) edges: EdgeId,
    /// What leaves with the next send.
    pub(super) queue: Option<Outgoing>,
    /// What came behind the message at which the connection was stalled.
    pub(super) stash: Option<Box<Stash>>,
    generation: u32,
    /// When something must have happened; 0 is never.
    pub(super) deadline: Tick,
    /// When the timers look at it next; not behind the deadline, and 0 is never.
    pub(super) timer: Tick,
    /// [`Ping`], in a word.
    ping: u32,
    /// Set bits of [`flag`].
    flags: u32,
    /// Its place among the cohorts, in two parts that leave no gap.
    cohort: u16,
    place_in_cohort: u32,
}

/// Of a connection that stands in none.
const NO_COHORT: u16 = u16::MAX;

/// What carries what is said.
#[derive(Debug)]
pub(super) enum Link {
    /// HTTP/1.1, until the upgrade.
    Http(http::Connection),
    /// WebSocket.
    WebSocket(Session),
    /// The last bytes are queued or gone; what still comes is counted and thrown away.
    Lingering(Linger),
    /// The driver was told to close it.
    Closed,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Linger {
    /// Bytes thrown away.
    pub(super) discarded: u32,
    /// When it is over, whatever still comes; 0 before the FIN.
    pub(super) until: Tick,
}

/// Where a heartbeat stands. Anything received resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ping {
    /// None is under way.
    None,
    /// In the queue.
    Queued,
    /// In a send that has not completed.
    InFlight,
    /// It has gone at this tick, and nothing came since.
    Awaiting(Tick),
}

const PING_NONE: u32 = 0;
const PING_QUEUED: u32 = 1;
const PING_IN_FLIGHT: u32 = 2;

/// The bits of a connection's state.
pub(super) mod flag {
    /// The driver is sending.
    pub(in super::super) const SENDING: u32 = 1;
    /// It stands in the list of those to flush.
    pub(in super::super) const TOUCHED: u32 = 1 << 1;
    /// The driver was told to receive no more.
    pub(in super::super) const PAUSED: u32 = 1 << 2;
    /// It must not be read: its own queue is long, a response is on its way, the turn was spent, or
    /// it waits for others.
    pub(in super::super) const STALLED: u32 = 1 << 3;
    /// A FIN follows the queue, then it lingers.
    pub(in super::super) const FINISH: u32 = 1 << 4;
    /// The FIN was asked for.
    pub(in super::super) const FINISHED: u32 = 1 << 5;
    /// The peer has finished: close when the queue has gone.
    pub(in super::super) const CLOSE_WHEN_SENT: u32 = 1 << 6;
    /// Close at the end of the turn.
    pub(in super::super) const CLOSE: u32 = 1 << 7;
    /// It counts among the connections of the process.
    pub(in super::super) const COUNTED: u32 = 1 << 8;
    /// It stands in the list of publishers who wait: for other workers, this one or their room.
    pub(in super::super) const WAITING: u32 = 1 << 10;
    /// Its deadline has passed while something it had sent was still to be read.
    pub(in super::super) const REPRIEVED: u32 = 1 << 11;
    /// Something was read since.
    pub(in super::super) const HEARD: u32 = 1 << 12;
    /// The deadline is of the send that is under way.
    pub(in super::super) const SEND_TIMED: u32 = 1 << 13;
    /// It had a response that another request may follow.
    pub(in super::super) const RESPONDED: u32 = 1 << 14;
    /// It stands among those in the middle of a message.
    pub(in super::super) const UNFINISHED: u32 = 1 << 15;
    /// It stands in the list of those who go on in the next turn.
    pub(in super::super) const HELD: u32 = 1 << 9;
    /// Its messages wait for an answer.
    pub(in super::super) const PARKED: u32 = 1 << 16;
    /// Something is to follow when all was sent.
    pub(in super::super) const WAITS_FOR_SENT: u32 =
        STALLED | FINISH | CLOSE_WHEN_SENT | RESPONDED | SEND_TIMED;
}

impl<S> Connection<S> {
    pub(super) fn new(conn: ConnId) -> Self {
        Self {
            link: Link::Http(http::Connection::default()),
            spoken: None,
            edges: EdgeId::NONE,
            queue: None,
            stash: None,
            generation: conn.generation,
            deadline: 0,
            timer: 0,
            ping: PING_NONE,
            flags: 0,
            cohort: NO_COHORT,
            place_in_cohort: 0,
        }
    }

    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    #[inline]
    pub(super) fn ping(&self) -> Ping {
        match self.ping {
            PING_NONE => Ping::None,
            PING_QUEUED => Ping::Queued,
            PING_IN_FLIGHT => Ping::InFlight,
            tick => Ping::Awaiting(tick),
        }
    }

    #[inline]
    pub(super) fn set_ping(&mut self, ping: Ping) {
        self.ping = match ping {
            Ping::None => PING_NONE,
            Ping::Queued => PING_QUEUED,
            Ping::InFlight => PING_IN_FLIGHT,
            // The ticks below are the numbers of the other states: these wait a moment longer.
            Ping::Awaiting(tick) => tick.max(PING_IN_FLIGHT + 1),
        };
    }

    /// Any bytes prove life; a ping that still waits in the queue goes out all the same.
    #[inline]
    pub(super) fn prove_life(&mut self) {
        if self.ping != PING_QUEUED {
            self.ping = PING_NONE;
        }
        if self.has(flag::REPRIEVED) {
            self.set(flag::HEARD);
        }
    }

    /// Where it stands among the cohorts, if it does.
    pub(super) fn place(&self) -> Option<Place> {
        let place = Place { index: self.place_in_cohort, cohort: self.cohort };
        (self.cohort != NO_COHORT).then_some(place)
    }

    pub(super) fn leave_place(&mut self) {
        self.cohort = NO_COHORT;
    }

    pub(super) fn set_place(&mut self, place: Place) {
        (self.place_in_cohort, self.cohort) = (place.index, place.cohort);
    }

    /// Bytes of memory that wait behind what is being sent.
    pub(super) fn backlog(&self) -> usize {
        self.queue.as_ref().map_or(0, Outgoing::memory)
    }

    /// Bytes of memory that it holds by what waits for it, or by what it has not finished to ask.
    pub(super) fn memory(&self) -> usize {
        let asked = if let Link::Http(http) = &self.link { http.memory() } else { 0 };
        let waits = self.queue.as_ref().map_or(0, Outgoing::share);
        waits + self.stash.as_ref().map_or(0, |stash| stash.memory()) + asked
    }

    /// What it is subscribed to: the first, if there is any.
    #[inline]
    pub(super) fn first_edge(&self) -> Option<EdgeId> {
        self.is_subscribed().then_some(self.edges)
    }

    /// Whether it is subscribed to anything, so that it may publish.
    #[inline]
    pub(super) fn is_subscribed(&self) -> bool {
        self.edges != EdgeId::NONE
    }

    /// Whether it is a session of which more than the end is to come.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.link, Link::WebSocket(session) if session.is_open())
            && !self.has(flag::CLOSE_WHEN_SENT)
    }

    /// Whether a response is on its way, behind which the next request is to be handled.
    pub(super) fn owes_response(&self) -> bool {
        matches!(self.link, Link::Http(_)) && (self.queue.is_some() || self.has(flag::SENDING))
    }
}

/// Connections by slot.
#[derive(Debug)]
pub(super) struct Table<S> {
    slots: Vec<Option<Connection<S>>>,
    count: usize,
    reserved: usize,
}

/// Slots that are not worth a trim.
const SLOTS_KEPT: usize = 1024;

impl<S> Table<S> {
    /// Has room for that many without growing, which would copy all of them. Memory that is not
    /// used is not resident.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), count: 0, reserved: capacity }
    }

    pub(super) fn insert(&mut self, conn: ConnId, connection: Connection<S>) {
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let former = self.slots[index].replace(connection);
        assert!(former.is_none(), "a slot is given out again only after Closed");
        self.count += 1;
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Connection<S> {
        let slot = self.slots.get_mut(conn.index as usize).and_then(Option::take);
        self.count -= 1;
        slot.expect("Closed comes once for each connection")
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection<S>> {
        let slot = self.slots.get_mut(conn.index as usize)?.as_mut();
        slot.filter(|connection| connection.generation == conn.generation)
    }

    /// The connection of a slot, with its whole name.
    pub(super) fn at(&mut self, index: u32) -> Option<(ConnId, &mut Connection<S>)> {
        let connection = self.slots.get_mut(index as usize)?.as_mut()?;
        Some((ConnId { index, generation: connection.generation }, connection))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Slots that were used since the last trim: all connections are below.
    pub(super) fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Whether three quarters of the slots are free. Who comes and goes in smaller numbers finds
    /// the memory as it was.
    pub(super) fn is_sparse(&self) -> bool {
        self.slots.len() > SLOTS_KEPT && self.count < self.slots.len() / 4
    }

    /// Gives back the memory of the slots behind the last that is used, but not the room for them.
    /// Less than a millisecond for 100,000 of them.
    pub(super) fn trim(&mut self) {
        let used = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.slots.truncate(used);
        self.slots.shrink_to_fit();
        self.slots.reserve_exact(self.reserved.saturating_sub(used));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Spoken;

    #[test]
    fn a_connection_is_small() {
        assert!(
            size_of::<Option<Connection<Spoken>>>() <= 72,
            "{}",
            size_of::<Option<Connection<Spoken>>>()
        );
    }
}
