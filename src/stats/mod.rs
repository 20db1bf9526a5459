//! Counts of what workers did: each worker writes its own, anybody reads the sum.
//!
//! It never locks anything, and never decides anything.

mod histogram;
mod reasons;

pub use histogram::{BUCKETS, Histogram};
pub use reasons::{ByReason, CloseCodes, Ending, Endings, Refusal, Refusals};

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer and many readers.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the worker that owns the count calls this, so nothing has to be locked.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The count as it was a moment ago.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one worker counts.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Count,)*
            /// Refused, by reason.
            pub refusals: Refusals,
            /// WebSocket connections that have ended, by reason.
            pub endings: Endings,
            /// The same by close code.
            pub close_codes: CloseCodes,
            /// Microseconds from a publish until the sends of all members here were handed out.
            pub fanout_micros: Histogram<32>,
            /// What turns have cost, in units of their budget ([`crate::limits::TURN_BUDGET`]).
            pub turn_units: Histogram<1024>,
        }

        /// The sum over workers at one moment; counts of different workers are not in step.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        impl Counts {
            /// Each count with its name.
            fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// Adds what one worker counted.
            pub fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)*
            }
        }
    };
}

counters! {
    /// Connections accepted, those refused included.
    accepted,
    /// Connections that are gone.
    closed,
    /// Connections over a limit that were answered with 503 or 429.
    refused,
    /// Connections over a limit that were closed without an answer.
    turned_away,
    /// Upgrades to WebSocket.
    upgraded,
    /// Connections closed because deliveries waited beyond `--max-backlog`, or because the peer
    /// took nothing for `--send-timeout`.
    closed_slow,
    /// Connections closed because nothing came within `--pong-timeout` of a ping.
    closed_unresponsive,
    /// Connections closed because the peer broke the protocol.
    closed_violation,
    /// Connections closed because nothing more of a message came for long.
    closed_unfinished,
    /// Connections closed because the process was over its budget of memory.
    closed_memory,
    /// Connections refused because the process was over its budget of memory: among `refused` and
    /// `turned_away` too.
    refused_memory,
    /// Data messages received.
    messages_received,
    /// Messages encoded for a room: one each, however many get it.
    messages_encoded,
    /// Messages compressed for a room: at most one each.
    messages_deflated,
    /// Messages of a room that went as they are, as their run was too long to be compressed whole.
    deflates_skipped,
    /// Messages handed to a subscriber.
    messages_delivered,
    /// Messages that were dropped because a subscriber did not keep up: the oldest that waited.
    dropped_oldest,
    /// The same of topics of which only the newest message waits.
    dropped_latest,
    /// Connections whose address was not counted, as the table of addresses had no room.
    addresses_untracked,
    /// Times that a connection was paused for sending more than it may.
    rate_paused,
    /// Bytes received.
    bytes_received,
    /// Bytes handed to the driver.
    bytes_sent,
    /// Sends handed to the driver: at most one per connection and turn, but an echo's leave with
    /// each receive.
    sends,
    /// Heartbeats queued.
    pings,
    /// Turns of the loop.
    turns,
    /// Envelopes sent to other workers.
    envelopes,
    /// Other workers woken because they slept.
    wakes,
    /// Times that a mailbox was full and the envelope went to the outbox.
    mailbox_full,
    /// Times that reading from a connection was paused.
    paused,
    /// Questions that nobody answered in time.
    questions_unanswered,
    /// Answers that came too late, or to a connection that had gone.
    answers_late,
    /// Messages that a publisher had already handed in when it was paused.
    overshoot,
}

/// Each as `name=number`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.named().enumerate() {
            write!(f, "{}{name}={count}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl Counts {
    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}
