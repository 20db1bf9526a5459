//! Processors and their time.

use std::ops::AddAssign;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, getpid};

use super::figures::Cost;
use crate::softirq::SoftirqThreads;

/// Which processor is whose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) server: usize,
    pub(super) clients: usize,
}

impl Placement {
    /// The first and the last of those that this process may use: neighbours in number are often
    /// two threads of one core.
    pub(super) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(getpid()).context("sched_getaffinity")?;
        let allowed: Vec<usize> =
            (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true)).collect();
        match allowed[..] {
            [server, .., clients] => Ok(Self { server, clients }),
            _ => bail!(
                "one processor only: the floor needs two, one for the sender and one for its \
                 readers; if there are more, start it with `taskset -c 0,1`"
            ),
        }
    }
}

/// Holds this thread on one processor.
pub(super) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("no processor {cpu}"))
}

/// Time on a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// To the nanosecond.
    total: Duration,
    /// As the kernel divides it, which it does by looking at every tick.
    user: Duration,
    system: Duration,
    /// What ksoftirqd used beside it.
    softirq: Duration,
}

/// Reads the time of this thread and of ksoftirqd on its processor.
#[derive(Debug)]
pub(super) struct Meter {
    /// `None` if it is hidden.
    softirq: Option<SoftirqThreads>,
}

impl Meter {
    /// For a thread that is held on that processor.
    pub(super) fn on(cpu: usize) -> Self {
        Self { softirq: SoftirqThreads::of(&[cpu]) }
    }

    fn softirq(&self) -> Duration {
        Duration::from_nanos(self.softirq.as_ref().map_or(0, SoftirqThreads::ns))
    }

    /// What was used so far.
    pub(super) fn so_far(&self) -> Result<Used> {
        let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
        let micros = |time: TimeVal| Duration::from_micros(time.num_microseconds() as u64);
        let total = clock()?;
        let (user, system) = (micros(usage.user_time()), micros(usage.system_time()));
        Ok(Used { total, user, system, softirq: self.softirq() })
    }

    /// What this thread has used since then.
    pub(super) fn since(&self, before: Used) -> Result<Used> {
        let now = self.so_far()?;
        Ok(Used {
            total: now.total.saturating_sub(before.total),
            user: now.user.saturating_sub(before.user),
            system: now.system.saturating_sub(before.system),
            softirq: now.softirq.saturating_sub(before.softirq),
        })
    }

    /// Counts for `used` also what ksoftirqd has done later: now nothing is left to it.
    pub(super) fn settle_softirq(&self, before: Used, used: &mut Used) {
        used.softirq = self.softirq().saturating_sub(before.softirq);
    }
}

impl Used {
    fn both(self) -> Duration {
        self.total + self.softirq
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
        self.system += other.system;
        self.softirq += other.softirq;
    }
}

/// Keeps this thread busy until its clock runs.
///
/// Time that a hypervisor took is subtracted from what runs next, also if it was taken while this
/// thread slept. Until all of it is made up for the clock stands still, and a short piece of work
/// would cost nothing at all.
pub(super) fn settle() -> Result<()> {
    const RUNNING: Duration = Duration::from_micros(20);
    let start = clock()?;
    while clock()?.saturating_sub(start) < RUNNING {}
    Ok(())
}

pub(super) fn clock() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// What the rounds of one kind took.
#[derive(Debug)]
pub(super) struct Samples {
    messages_per_round: u64,
    rounds: Vec<Used>,
    all: Used,
}

impl Samples {
    pub(super) fn new(messages_per_round: u64) -> Self {
        assert!(messages_per_round > 0);
        Self { messages_per_round, rounds: Vec::new(), all: Used::default() }
    }

    pub(super) fn add(&mut self, round: Used) {
        self.rounds.push(round);
        self.all += round;
    }

    /// User time is a share of the lowest as it is of all rounds: one is too short for its ticks.
    pub(super) fn cost(&self) -> Cost {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable_by_key(|round| round.both());
        let us = |round: Duration| round.as_secs_f64() * 1e6 / self.messages_per_round as f64;
        let lowest = *rounds.first().expect("there is at least one round");
        let (thread_us, softirq_us) = (us(lowest.total), us(lowest.softirq));
        let median = rounds[rounds.len() / 2];
        let both = (self.all.user + self.all.system).as_secs_f64();
        let user_share = if both > 0.0 { self.all.user.as_secs_f64() / both } else { 0.0 };
        let user_us = thread_us * user_share;
        let system_us = thread_us - user_us;
        Cost {
            lowest_us: thread_us + softirq_us,
            median_us: us(median.both()),
            median_softirq_us: us(median.softirq),
            user_us,
            system_us,
            softirq_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(total_us: u64, user_us: u64, system_us: u64) -> Used {
        Used {
            total: Duration::from_micros(total_us),
            user: Duration::from_micros(user_us),
            system: Duration::from_micros(system_us),
            softirq: Duration::from_micros(2 * total_us),
        }
    }

    #[test]
    fn the_lowest_round_counts_and_is_divided_as_all_are() {
        let mut samples = Samples::new(10);
        samples.add(used(70, 0, 40));
        samples.add(used(50, 10, 0));
        samples.add(used(60, 30, 80));
        let cost = samples.cost();
        assert_eq!((cost.lowest_us, cost.softirq_us), (15.0, 10.0));
        assert_eq!((cost.median_us, cost.median_softirq_us), (18.0, 12.0));
        assert_eq!((cost.user_us, cost.system_us), (1.25, 3.75));
    }

    #[test]
    fn rounds_too_short_for_a_tick_are_the_kernels() {
        let mut samples = Samples::new(2);
        samples.add(used(1, 0, 0));
        let cost = samples.cost();
        assert_eq!((cost.user_us, cost.system_us, cost.softirq_us), (0.0, 0.5, 1.0));
    }

    #[test]
    fn passes_of_a_round_add_up() {
        let mut round = used(1, 2, 3);
        round += used(10, 20, 30);
        assert_eq!(round, used(11, 22, 33));
    }

    #[test]
    fn the_clock_runs_once_it_is_settled() {
        let meter = Meter::on(0);
        let before = meter.so_far().expect("the kernel has these clocks");
        settle().expect("as before");
        let used = meter.since(before).expect("as before");
        assert!(used.total >= Duration::from_micros(20), "{used:?}");
    }
}
