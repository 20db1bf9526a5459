//! What server and loader use between two moments.

use loadtest::softirq::SoftirqThreads;
use nix::unistd::Pid;

use super::kernel::{CpuTicks, tcp_data_segments};
use super::process::{CpuSpent, CpuTime, own_threads};
use crate::clock::{Clock, seconds};

/// Below this idle share a result says more about the loader than about the server.
pub(crate) const IDLE_SHARE_MIN: f64 = 0.10;

/// The first of the two moments.
pub(crate) struct Window {
    clock: Clock,
    begin_ns: u64,
    server: Option<(Pid, CpuTime)>,
    softirq: Option<(SoftirqThreads, u64)>,
    loader: CpuTime,
    threads: Vec<(u32, u64)>,
    place: Place,
    ticks: CpuTicks,
    segments: u64,
}

/// On which CPUs both ends are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Those that the loader may run on.
    pub(crate) loader: Vec<usize>,
    /// Those that were given to the server; none were if it is empty.
    pub(crate) server: Vec<usize>,
    pub(crate) shared: LoaderCpus,
}

/// Whose the loader's CPUs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LoaderCpus {
    /// The server may run on none of them.
    #[default]
    Own,
    /// The server may run on some of them.
    Shared,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    /// `None` if no server is watched.
    pub(crate) server: Option<CpuSpent>,
    /// By the softirq threads of the server's CPUs; `None` if they are not known.
    pub(crate) softirq_ns: Option<f64>,
    pub(crate) loader: CpuSpent,
    /// How much was left of the CPUs that the loader may run on.
    pub(crate) idle_share: f64,
    /// How much of the time its busiest thread was on one of them.
    pub(crate) busiest_share: f64,
    pub(crate) cpus: LoaderCpus,
    /// Segments with data that this machine's connections sent.
    pub(crate) segments: u64,
}

impl Window {
    pub(crate) fn begin(clock: Clock, server: Option<Pid>, place: &Place) -> Self {
        let softirq = match place.server.as_slice() {
            [] => None,
            cpus => SoftirqThreads::of(cpus),
        };
        Self {
            clock,
            begin_ns: clock.now_ns(),
            softirq: softirq.map(|threads| (threads.clone(), threads.ns())),
            server: server.and_then(|pid| Some((pid, CpuTime::of(pid).ok()?))),
            loader: CpuTime::of(Pid::this()).unwrap_or_default(),
            threads: own_threads(),
            place: place.clone(),
            ticks: CpuTicks::read(&place.loader),
            segments: tcp_data_segments(),
        }
    }

    /// What was used since the begin.
    pub(crate) fn end(&self) -> Spent {
        let ns = self.clock.now_ns() - self.begin_ns;
        let server =
            self.server.and_then(|(pid, before)| Some(CpuTime::of(pid).ok()?.since(before)));
        let softirq = self.softirq.as_ref();
        let softirq_ns = softirq.map(|(of, before)| of.ns().saturating_sub(*before) as f64);
        let loader = CpuTime::of(Pid::this()).unwrap_or_default().since(self.loader);
        let busiest_share = busiest(&self.threads, &own_threads()) as f64 / ns as f64;
        let idle_share = CpuTicks::read(&self.place.loader).idle_share_since(self.ticks);
        let segments = tcp_data_segments().saturating_sub(self.segments);
        Spent {
            seconds: seconds(ns),
            server,
            softirq_ns,
            loader,
            idle_share,
            busiest_share,
            cpus: self.place.shared,
            segments,
        }
    }
}

fn busiest(before: &[(u32, u64)], after: &[(u32, u64)]) -> u64 {
    let spent = after.iter().map(|(id, ns)| {
        let earlier = before.iter().find(|(other, _)| other == id).map_or(0, |(_, ns)| *ns);
        ns.saturating_sub(earlier)
    });
    spent.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_is_the_one_that_used_most_since() {
        assert_eq!(busiest(&[(1, 100), (2, 5)], &[(1, 101), (2, 10), (3, 2)]), 5);
        assert_eq!(busiest(&[], &[]), 0);
    }
}
