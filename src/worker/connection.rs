//! One connection's record.

use crate::driver::Outgoing;
use crate::http;
use crate::hub::EdgeId;
use crate::id::ConnId;
use crate::websocket::Session;
use crate::worker::ingress::stash::Stash;
use crate::worker::life::cohorts::Place;
use crate::worker::life::timers::Tick;

/// One connection: plain data, without pointers to anywhere else.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) link: Link,
    /// What is said on it, while messages may come.
    pub(crate) spoken: Option<S>,
    /// The head of what it is subscribed to.
    pub(crate) edges: EdgeId,
    /// What leaves with the next send.
    pub(crate) queue: Option<Outgoing>,
    /// What came behind the message at which the connection was stalled.
    pub(crate) stash: Option<Box<Stash>>,
    pub(super) generation: u32,
    /// When something must have happened; 0 is never.
    pub(crate) deadline: Tick,
    /// When the timers look at it next; not behind the deadline, and 0 is never.
    pub(crate) timer: Tick,
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
pub(crate) enum Link {
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
pub(crate) struct Linger {
    /// Bytes thrown away.
    pub(crate) discarded: u32,
    /// When it is over, whatever still comes; 0 before the FIN.
    pub(crate) until: Tick,
}

/// Where a heartbeat stands. Anything received resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ping {
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

/// The bits of a connection's state. Their numbers stand in images: with one that changes its
/// meaning the format of these has another number.
pub(crate) mod flag {
    /// The driver is sending.
    pub(crate) const SENDING: u32 = 1;
    /// It stands in the list of those to flush.
    pub(crate) const TOUCHED: u32 = 1 << 1;
    /// The driver was told to receive no more.
    pub(crate) const PAUSED: u32 = 1 << 2;
    /// It must not be read: its own queue is long, a response is on its way, the turn was spent, or
    /// it waits for others.
    pub(crate) const STALLED: u32 = 1 << 3;
    /// A FIN follows the queue, then it lingers.
    pub(crate) const FINISH: u32 = 1 << 4;
    /// The FIN was asked for.
    pub(crate) const FINISHED: u32 = 1 << 5;
    /// The peer has finished: close when the queue has gone.
    pub(crate) const CLOSE_WHEN_SENT: u32 = 1 << 6;
    /// Close at the end of the turn.
    pub(crate) const CLOSE: u32 = 1 << 7;
    /// It counts among the connections of the process.
    pub(crate) const COUNTED: u32 = 1 << 8;
    /// It stands in the list of publishers who wait: for other workers, this one or their room.
    pub(crate) const WAITING: u32 = 1 << 10;
    /// Its deadline has passed while something it had sent was still to be read.
    pub(crate) const REPRIEVED: u32 = 1 << 11;
    /// Something was read since.
    pub(crate) const HEARD: u32 = 1 << 12;
    /// The deadline is of the send that is under way.
    pub(crate) const SEND_TIMED: u32 = 1 << 13;
    /// It had a response that another request may follow.
    pub(crate) const RESPONDED: u32 = 1 << 14;
    /// It stands among those in the middle of a message.
    pub(crate) const UNFINISHED: u32 = 1 << 15;
    /// It stands in the list of those who go on in the next turn.
    pub(crate) const HELD: u32 = 1 << 9;
    /// Its queue has waited behind a send and may be behind what it says itself: see
    /// [`crate::worker::egress::slow`].
    pub(crate) const WAITED: u32 = 1 << 17;
    /// Its messages wait for an answer.
    pub(crate) const PARKED: u32 = 1 << 16;
    /// What is written out of it as it is.
    pub(crate) const WRITTEN: u32 = SENDING
        | PAUSED
        | STALLED
        | FINISH
        | FINISHED
        | CLOSE_WHEN_SENT
        | CLOSE
        | COUNTED
        | REPRIEVED
        | HEARD
        | RESPONDED;
    /// It stands in lists, and does so again when it is read back.
    pub(crate) const LISTED: u32 = TOUCHED | HELD | WAITING;
    /// Something is to follow when all was sent.
    pub(crate) const WAITS_FOR_SENT: u32 =
        STALLED | FINISH | CLOSE_WHEN_SENT | RESPONDED | SEND_TIMED;
}

impl<S> Connection<S> {
    pub(crate) fn new(conn: ConnId) -> Self {
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

    /// Those of some flags that it has.
    pub(crate) fn those_of(&self, flags: u32) -> u32 {
        self.flags & flags
    }

    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    pub(crate) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    #[inline]
    pub(crate) fn ping(&self) -> Ping {
        match self.ping {
            PING_NONE => Ping::None,
            PING_QUEUED => Ping::Queued,
            PING_IN_FLIGHT => Ping::InFlight,
            tick => Ping::Awaiting(tick),
        }
    }

    #[inline]
    pub(crate) fn set_ping(&mut self, ping: Ping) {
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
    pub(crate) fn prove_life(&mut self) {
        if self.ping != PING_QUEUED {
            self.ping = PING_NONE;
        }
        if self.has(flag::REPRIEVED) {
            self.set(flag::HEARD);
        }
    }

    /// Where it stands among the cohorts, if it does.
    pub(crate) fn place(&self) -> Option<Place> {
        let place = Place { index: self.place_in_cohort, cohort: self.cohort };
        (self.cohort != NO_COHORT).then_some(place)
    }

    pub(crate) fn leave_place(&mut self) {
        self.cohort = NO_COHORT;
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        (self.place_in_cohort, self.cohort) = (place.index, place.cohort);
    }

    /// Bytes of memory that wait behind what is being sent.
    pub(crate) fn backlog(&self) -> usize {
        self.queue.as_ref().map_or(0, Outgoing::memory)
    }

    /// Bytes of memory that it holds by what waits for it, or by what it has not finished to ask.
    pub(crate) fn memory(&self) -> usize {
        let asked = if let Link::Http(http) = &self.link { http.memory() } else { 0 };
        let waits = self.queue.as_ref().map_or(0, Outgoing::share);
        waits + self.stash.as_ref().map_or(0, |stash| stash.memory()) + asked
    }

    /// What it is subscribed to: the first, if there is any.
    #[inline]
    pub(crate) fn first_edge(&self) -> Option<EdgeId> {
        self.is_subscribed().then_some(self.edges)
    }

    /// Whether it is subscribed to anything, so that it may publish.
    #[inline]
    pub(crate) fn is_subscribed(&self) -> bool {
        self.edges != EdgeId::NONE
    }

    /// Whether something waits for it, or it has not taken what it was sent.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.queue.is_some() || self.has(flag::SENDING)
    }

    /// Whether it is a session of which more than the end is to come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(&self.link, Link::WebSocket(session) if session.is_open())
            && !self.has(flag::CLOSE_WHEN_SENT | flag::CLOSE)
    }

    /// Whether somebody else is to answer its request.
    pub(crate) fn owes_answer(&self) -> bool {
        matches!(&self.link, Link::Http(http) if http.owed().is_some())
    }

    /// Whether a response is on its way, behind which the next request is to be handled.
    pub(crate) fn owes_response(&self) -> bool {
        matches!(self.link, Link::Http(_)) && (self.queue.is_some() || self.has(flag::SENDING))
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
