//! Lines of the log about single connections: a few of each kind, however many there are.
//!
//! The first of a kind is told at once, and then one in ten seconds, with how many there were
//! meanwhile. Nothing waits for it, and no line has what a client keeps secret: no payload and no
//! query.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::stats::{Ending, Refusal};
use crate::worker::core::Parts;

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Somebody was refused.
    Refused(Refusal),
    /// A connection was ended by us.
    Ended(Ending),
}

/// What all workers of a server have told.
#[derive(Debug)]
pub(crate) struct Notices {
    /// Moments are counted from the first notice on.
    began: OnceLock<Instant>,
    kinds: [Kind; Notice::COUNT],
}

#[derive(Debug, Default)]
struct Kind {
    /// When the next may be told, in milliseconds; 0 before the first.
    next: AtomicU64,
    /// How many were not told since the last that was.
    untold: AtomicU64,
}

/// From one line of a kind to the next. Those between are counted, and told with the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was not told before this line; nothing is written of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    count: u64,
    within: Duration,
}

/// Tells that a connection ends, if it is for a cause that the operator can do something about.
pub(crate) fn ended<W: Wake, L: Protocols>(parts: &Parts<W, L>, conn: ConnId, why: Ending) {
    let Some(cause) = cause(why) else { return };
    let (name, worker, ConnId { index, generation }) = (why.name(), parts.mail.id().0, conn);
    parts.shared.notices.tell(Notice::Ended(why), parts.clock.now, |untold| {
        let client = parts.admission.clients.who(index).known();
        let of = client.map(|client| format!(" of {client}")).unwrap_or_default();
        tracing::warn!(
            "connection {worker}-{index}-{generation}{of} is closed ({name}): {cause}{untold}"
        );
    });
}

/// The cause, and the option that decides about it.
fn cause(why: Ending) -> Option<&'static str> {
    match why {
        Ending::MessageTooBig => Some("its message is larger than --max-message-size"),
        Ending::SlowConsumer => Some(
            "more than its room's backlog, or --max-backlog, waited for it: it reads more slowly \
             than is published",
        ),
        Ending::SendTimeout => Some("it took nothing of what is sent to it for --send-timeout"),
        Ending::PongTimeout => Some("nothing came of it for --pong-timeout after a ping"),
        Ending::Memory => Some("the process is over its budget of memory (--memory)"),
        Ending::Unfinished => Some("the rest of a message that it had begun did not come"),
        Ending::Violation => Some("what it sends is not WebSocket as RFC 6455 has it"),
        Ending::RateLimit => Some(
            "it sent more than limits.messages_per_second or limits.bytes_per_second allow, and \
             limits.over is close",
        ),
        Ending::MaxAge
        | Ending::Client
        | Ending::Disconnected
        | Ending::Shutdown
        | Ending::Operator
        | Ending::Protocol => None,
    }
}

impl Notice {
    const COUNT: usize = Refusal::ALL.len() + Ending::ALL.len();

    fn index(self) -> usize {
        match self {
            Self::Refused(refusal) => refusal as usize,
            Self::Ended(ending) => Refusal::ALL.len() + ending as usize,
        }
    }
}

impl Default for Notices {
    fn default() -> Self {
        let kinds = std::array::from_fn(|_| Kind::default());
        Self { began: OnceLock::new(), kinds }
    }
}

impl Notices {
    /// Has a line written, if it is time for one of its kind.
    pub(crate) fn tell(&self, notice: Notice, now: Instant, write: impl FnOnce(Untold)) {
        if let Some(untold) = self.may_tell(notice, now) {
            write(untold);
        }
    }

    /// Of several workers at the same moment one may.
    fn may_tell(&self, notice: Notice, now: Instant) -> Option<Untold> {
        let began = *self.began.get_or_init(|| now);
        let now = millis(now.saturating_duration_since(began));
        let Kind { next, untold } = &self.kinds[notice.index()];
        let due = next.load(Ordering::Relaxed);
        let after = now + millis(INTERVAL);
        let is_mine = now >= due
            && next.compare_exchange(due, after, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !is_mine {
            untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let since_last = (now + millis(INTERVAL)).saturating_sub(due);
        let count = untold.swap(0, Ordering::Relaxed);
        Some(Untold { count, within: Duration::from_millis(since_last) })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 2)
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => Ok(()),
            count => write!(f, " (and {count} more in {} s)", self.within.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, sim};

    const ORIGIN: Notice = Notice::Refused(Refusal::Origin);
    const SLOW: Notice = Notice::Ended(Ending::SlowConsumer);

    #[test]
    fn one_line_of_a_kind_in_ten_seconds_and_the_others_are_counted() {
        let (notices, start) = (Notices::default(), sim::Net::new(1).driver().now());
        let told = |notice, millis| {
            let now = start + Duration::from_millis(millis);
            notices.may_tell(notice, now).map(|untold| untold.to_string())
        };
        assert_eq!(told(ORIGIN, 0).as_deref(), Some(""), "the first at once");
        assert_eq!(told(SLOW, 1).as_deref(), Some(""), "each kind for itself");
        for millis in [1, 5_000, 9_999] {
            assert_eq!(told(ORIGIN, millis), None);
        }
        assert_eq!(told(ORIGIN, 12_000).as_deref(), Some(" (and 3 more in 12 s)"));
        assert_eq!(told(ORIGIN, 21_999), None);
        assert_eq!(told(SLOW, 100_000).as_deref(), Some(""));
        assert_eq!(told(ORIGIN, 22_000).as_deref(), Some(" (and 1 more in 10 s)"));
    }

    #[test]
    fn every_notice_has_a_place_of_its_own() {
        let refused = Refusal::ALL.iter().map(|refusal| Notice::Refused(*refusal));
        let ended = Ending::ALL.iter().map(|ending| Notice::Ended(*ending));
        let places: Vec<usize> = refused.chain(ended).map(Notice::index).collect();
        assert_eq!(places, (0..Notice::COUNT).collect::<Vec<_>>());
    }
}
