//! A server that stops: it leaves, then closes its connections one after the other, then ends.

use std::time::{Duration, Instant};

use crate::config::{Config, DrainCode, Reconnect};
use crate::driver::{Driver, Wake};
use crate::id::ConnId;
use crate::limits::{
    CLOSE_TIMEOUT, DRAIN_RATE_MIN, GOODBYES_PER_TURN, LETTING_GO_MAX, SEND_COST, TIMER_COST,
    TIMER_TICK,
};
use crate::protocol::Protocols;
use crate::stats::{Ending, Refusal};
use crate::wire::CloseCode;
use crate::worker::Worker;
use crate::worker::connection::{Link, flag};
use crate::worker::core::Core;
use crate::worker::ingress::{refusals, requests};
use crate::worker::life::{closing, ending, reasons};

/// How far a worker has come with the end of the server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Stopping {
    /// Nobody has asked for it.
    #[default]
    Serving,
    /// Load balancers are to see that it goes: until then all is as before.
    Leaving(Instant),
    /// The listeners were let go of. Who had come by then is let in, and what it has sent by the
    /// turn after is answered: nobody waits in a queue of ours any more. Lasts until then at most.
    LettingGo(Instant),
    /// Nobody is let in, and connections are told one after the other.
    Closing(Spread),
    /// All were told.
    Ending {
        /// Until then they may answer; then those that are left are closed.
        until: Instant,
        /// Connections in slots below were closed.
        closed: u32,
        /// Whether all were told within a second.
        were_few: bool,
    },
}

/// Goodbyes that are spread over a time, in the order of slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    since: Instant,
    /// From one connection to the next.
    pace: Duration,
    /// From the first to the last.
    whole: Duration,
    /// Connections in slots below were told.
    upto: u32,
    /// How many these were.
    told: u32,
    /// Before this nothing is to be done.
    look_at: Instant,
}

impl Spread {
    /// Of so many connections, as those of one worker of several.
    fn new(now: Instant, drain: Duration, connections: usize, workers: usize) -> Self {
        let slowest = Duration::from_secs(workers as u64) / DRAIN_RATE_MIN;
        let connections = u32::try_from(connections).unwrap_or(u32::MAX).max(1);
        let pace = slowest.min(drain / connections);
        let whole = pace * connections;
        Self { since: now, pace, whole, upto: 0, told: 0, look_at: now }
    }

    /// How many are to be told by now.
    fn due(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.since).as_nanos();
        let told = passed.checked_div(self.pace.as_nanos()).map(|told| told + 1);
        told.and_then(|told| u32::try_from(told).ok()).unwrap_or(u32::MAX)
    }

    /// Sets when the next is due. Those of a tick are told together: a wake for each would cost
    /// more than it.
    fn rest(&mut self, now: Instant) {
        if self.told >= self.due(now) {
            self.look_at = (self.since + self.pace * self.told).max(now + TIMER_TICK);
        }
    }
}

impl Stopping {
    /// Whether nobody is let in any more.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self, Self::Closing(_) | Self::Ending { .. })
    }

    /// Whether all were told.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self, Self::Ending { .. })
    }

    /// Whether the connection of a slot was told.
    pub(crate) fn has_told(&self, index: u32) -> bool {
        match self {
            Self::Serving | Self::Leaving(_) | Self::LettingGo(_) => false,
            Self::Closing(spread) => index < spread.upto,
            Self::Ending { .. } => true,
        }
    }

    /// How long nothing is to be done.
    pub(crate) fn until_next(&self, now: Instant) -> Option<Duration> {
        let next = match self {
            Self::Serving => return None,
            Self::Leaving(until) | Self::LettingGo(until) | Self::Ending { until, .. } => until,
            Self::Closing(spread) => &spread.look_at,
        };
        Some(next.saturating_duration_since(now))
    }
}

/// What a client of a server that stops is asked to wait, in whole seconds: until all were told,
/// and until the last answers, but where all go within a second, so that they are few. Where all
/// are told at once each slot has its own moment.
pub(crate) fn retry_after(config: &Config, stopping: &Stopping, index: u32, now: Instant) -> u32 {
    const SLOTS_AT_ONCE: u32 = 10;
    if config.drain_reconnect == Reconnect::Now {
        return 0;
    }
    if config.drain.is_zero() {
        return 1 + index % SLOTS_AT_ONCE;
    }
    let last_answers = |are_few| if are_few { Duration::ZERO } else { CLOSE_TIMEOUT };
    let ends = match stopping {
        Stopping::Serving | Stopping::Leaving(_) | Stopping::LettingGo(_) => {
            config.drain.saturating_add(last_answers(are_few(config.drain)))
        }
        Stopping::Closing(spread) => spread.whole + last_answers(are_few(spread.whole)),
        Stopping::Ending { were_few: true, .. } => Duration::ZERO,
        Stopping::Ending { until, .. } => until.saturating_duration_since(now),
    };
    u32::try_from(ends.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// Whether those who take so long to be told are few: the next process may take them all at once.
fn are_few(whole: Duration) -> bool {
    whole <= Duration::from_secs(1)
}

/// One step of stopping, if the server stops.
pub(crate) fn say_goodbye<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    let parts = &mut worker.core.parts;
    let now = parts.clock.now;
    if parts.is_stop_unseen() {
        parts.admission.stopping = Stopping::Leaving(now + parts.config().drain_delay);
    }
    match worker.core.parts.admission.stopping {
        Stopping::Serving => {}
        Stopping::Leaving(until) if now < until => {}
        Stopping::Leaving(_) => let_go(worker, now),
        Stopping::LettingGo(until) if now < until => {
            worker.core.parts.admission.stopping = letting_go(&worker.driver, now, until);
        }
        Stopping::LettingGo(_) => begin_closing(&mut worker.core, now),
        Stopping::Closing(spread) => tell_some(&mut worker.core, spread),
        Stopping::Ending { until, closed, were_few } if now >= until => {
            close_some(&mut worker.core, closed, were_few);
        }
        Stopping::Ending { .. } => {}
    }
}

fn let_go<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, now: Instant) {
    for listener in worker.listeners.drain(..) {
        worker.driver.unlisten(listener);
    }
    let stopping = letting_go(&worker.driver, now, now + LETTING_GO_MAX);
    worker.core.parts.admission.stopping = stopping;
}

/// Until all have come who had been accepted: then one turn more, in which they are read.
fn letting_go<D: Driver>(driver: &D, now: Instant, until: Instant) -> Stopping {
    Stopping::LettingGo(if driver.is_accepting() { until } else { now })
}

fn begin_closing<W: Wake, L: Protocols>(core: &mut Core<W, L>, now: Instant) {
    let (drain, workers) = (core.parts.config().drain, core.parts.shared.workers);
    let spread = Spread::new(now, drain, core.table.len(), workers);
    core.parts.admission.stopping = Stopping::Closing(spread);
}

fn tell_some<W: Wake, L: Protocols>(core: &mut Core<W, L>, mut spread: Spread) {
    let now = core.parts.clock.now;
    if now < spread.look_at {
        return;
    }
    let (due, end) = (spread.due(now), core.table.end());
    let last = end.min(spread.upto.saturating_add(GOODBYES_PER_TURN as u32));
    while spread.upto < last && spread.told < due {
        let is_told = tell(core, spread.upto);
        spread.upto += 1;
        spread.told += u32::from(is_told);
        core.parts.budget.pay(TIMER_COST + if is_told { SEND_COST } else { 0 });
        if core.parts.is_spent() {
            break;
        }
    }
    spread.rest(now);
    core.parts.admission.stopping = if spread.upto < end {
        Stopping::Closing(spread)
    } else {
        Stopping::Ending { until: now + CLOSE_TIMEOUT, closed: 0, were_few: are_few(spread.whole) }
    };
}

/// When the time is up it is so for all, whatever they still have to say.
fn close_some<W: Wake, L: Protocols>(core: &mut Core<W, L>, mut closed: u32, were_few: bool) {
    let end = core.table.end();
    let last = end.min(closed.saturating_add(GOODBYES_PER_TURN as u32));
    while closed < last {
        close_at(core, closed);
        closed += 1;
        core.parts.budget.pay(TIMER_COST + SEND_COST);
        if core.parts.is_spent() {
            break;
        }
    }
    let now = core.parts.clock.now;
    core.parts.admission.stopping = if closed < end {
        Stopping::Ending { until: now, closed, were_few }
    } else {
        // The driver has its time to close them.
        Stopping::Ending { until: now + TIMER_TICK, closed: 0, were_few }
    };
}

/// Whether there was somebody.
fn tell<W: Wake, L: Protocols>(core: &mut Core<W, L>, index: u32) -> bool {
    let Some((conn, connection)) = core.table.at(index) else { return false };
    match &connection.link {
        Link::WebSocket(_) => {
            let config = core.parts.config();
            let now = core.parts.clock.now;
            let wait = retry_after(config, &core.parts.admission.stopping, index, now);
            let code = match config.drain_code {
                DrainCode::GoingAway => CloseCode::GOING_AWAY,
                DrainCode::ServiceRestart => CloseCode::SERVICE_RESTART,
            };
            let reason = format!("server stops; retry-after={wait}s");
            closing::begin_close(core, conn, Ending::Shutdown, code, &reason);
        }
        Link::Http(_) => tell_http(core, conn),
        Link::Lingering(_) | Link::Closed => return false,
    }
    true
}

/// Ends a connection between requests. In the middle of one, the answer to it says that the
/// server stops; one that is stalled may have more, and is told when it goes on. One that has just
/// come has a request on its way, and would be reset for that.
pub(crate) fn tell_http<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::Http(http) = &connection.link else { return };
    if http.is_partial() || connection.has(flag::STALLED) {
        return;
    }
    // One that was paused may have sent more, and would be reset for that.
    if connection.queue.is_some() || connection.has(flag::SENDING | flag::PAUSED) {
        ending::finish(core, conn);
    } else if !connection.has(flag::RESPONDED) {
        let response = refusals::unavailable(&core.parts, conn, Refusal::Draining);
        refusals::note(&core.parts, conn, &response, None);
        requests::respond(core, conn, response, false);
    } else {
        ending::close_soon(core, conn);
    }
}

fn close_at<W: Wake, L: Protocols>(core: &mut Core<W, L>, index: u32) {
    if let Some((conn, connection)) = core.table.at(index)
        && !matches!(connection.link, Link::Closed)
    {
        // Of those whom nobody has told before.
        reasons::note(core, conn, Ending::Shutdown, reasons::NO_CLOSE_FRAME);
        ending::close_soon(core, conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn goodbyes_are_in_proportion_to_the_time_and_few_take_less() {
        let now = driver::now();
        for (connections, workers, whole) in [(10_000, 2, 10), (1000, 1, 10), (50, 1, 1)] {
            let spread = Spread::new(now, secs(10), connections, workers);
            let half = spread.due(now + secs(whole) / 2);
            let (least, most) = (connections as u32 * 9 / 20, connections as u32 * 11 / 20 + 1);
            assert!((least..=most).contains(&half) || whole == 1, "{connections}: {half}");
            assert_eq!(spread.due(now), 1, "the first one at once");
            assert!(spread.due(now + secs(whole)) >= connections as u32);
        }
        let slow = Spread::new(now, secs(3600), 100, 4);
        assert_eq!(slow.due(now + secs(2)), 51, "25 a second of each of four workers");
        let at_once = Spread::new(now, Duration::ZERO, 1_000_000, 1);
        assert_eq!(at_once.due(now), u32::MAX);
    }

    #[test]
    fn a_rest_ends_when_the_next_is_due_and_is_a_tick_at_least() {
        let now = driver::now();
        let mut spread = Spread::new(now, secs(3600), 10, 4);
        spread.told = 1;
        spread.rest(now);
        assert_eq!(spread.look_at, now + secs(1) / 25);
        let mut dense = Spread::new(now, secs(1), 1_000_000, 4);
        dense.told = 1;
        dense.rest(now);
        assert_eq!(dense.look_at, now + TIMER_TICK);
        dense.told = 0;
        dense.rest(now + secs(1));
        assert_eq!(dense.look_at, now + TIMER_TICK, "who is behind does not rest");
    }

    #[test]
    fn clients_are_asked_to_wait_for_the_end_or_not_at_all() {
        let config =
            |drain, drain_reconnect| Config { drain, drain_reconnect, ..Config::default() };
        let now = driver::now();
        let wait = |config: &Config, connections, index| {
            let spread = Spread::new(now, config.drain, connections, 1);
            retry_after(config, &Stopping::Closing(spread), index, now)
        };
        let restart = |millis| config(Duration::from_millis(millis), Reconnect::Restart);
        assert_eq!(wait(&restart(10_000), 100_000, 7), 15);
        assert_eq!(wait(&restart(10_001), 100_000, 7), 16);
        assert_eq!(wait(&restart(10_000), 3, 7), 1, "few are gone in a moment");
        assert_eq!(wait(&config(secs(10), Reconnect::Now), 100_000, 7), 0);
        let slots: Vec<u32> = (0..20).map(|index| wait(&restart(0), 20, index)).collect();
        assert_eq!((slots.iter().min(), slots.iter().max()), (Some(&1), Some(&10)));
        assert_eq!(slots.iter().filter(|slot| **slot == 9).count(), 2, "spread evenly");
        let ever = config(Duration::MAX, Reconnect::Restart);
        assert_eq!(retry_after(&ever, &Stopping::Leaving(now), 0, now), u32::MAX);
    }

    #[test]
    fn who_comes_at_the_end_is_asked_to_wait_for_what_is_left_of_it() {
        let (config, now) = (Config { drain: secs(10), ..Config::default() }, driver::now());
        let until = now + CLOSE_TIMEOUT;
        let wait = |were_few, now| {
            let ending = Stopping::Ending { until, closed: 0, were_few };
            retry_after(&config, &ending, 7, now)
        };
        assert_eq!(wait(false, now), 5);
        assert_eq!(wait(false, now + Duration::from_millis(2500)), 3);
        assert_eq!(wait(false, until + secs(1)), 1, "in a moment");
        assert_eq!(wait(true, now), 1);
    }
}
