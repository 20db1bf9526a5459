//! How many workers a server needs where each has a descriptor table of its own.

/// Descriptors that one of Throng's workers needs beside its connections: standard streams, poll,
/// listener, those it refuses, and some that come and go; and one waker for each worker.
const DESCRIPTORS_BESIDE: usize = 3 + 1 + 1 + 32 + 8;

/// Standard deviations between the mean and the limit: with 6, one of a billion workers is over.
const DEVIATIONS: f64 = 6.0;

/// The smallest number of workers, a multiple of `cpus`, that have room for all connections: the
/// kernel spreads them over the listeners by a hash, so some get more than the mean.
pub(crate) fn needed(connections: u64, limit: usize, cpus: usize) -> Option<usize> {
    let cpus = cpus.max(1);
    let candidates = (1..=1024 / cpus).map(|times| times * cpus);
    candidates.into_iter().find(|workers| have_room(connections, limit, *workers))
}

/// Whether so many workers have room for all connections.
pub(crate) fn have_room(connections: u64, limit: usize, workers: usize) -> bool {
    let room = limit.saturating_sub(DESCRIPTORS_BESIDE + workers);
    largest_share(connections, workers) <= room as f64
}

/// What no worker gets more than, but for very bad luck.
pub(crate) fn largest_share(connections: u64, workers: usize) -> f64 {
    let (connections, workers) = (connections as f64, workers as f64);
    let mean = connections / workers;
    mean + DEVIATIONS * (mean * (1.0 - 1.0 / workers)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_follow_from_the_limit_and_the_spread() {
        assert_eq!(needed(100_000, 20_000, 2), Some(6));
        assert_eq!(needed(1_000_000, 20_000, 2), Some(54));
        assert_eq!(needed(1_000_000, 2_000_000, 2), Some(2));
        assert_eq!(needed(1_000, 1024, 1), Some(2));
        assert_eq!(needed(1_000_000, 100, 2), None);
        assert!(have_room(100_000, 20_000, 6) && !have_room(100_000, 20_000, 5));
    }

    #[test]
    fn one_worker_has_no_spread() {
        assert!((largest_share(1000, 1) - 1000.0).abs() < 1e-9);
        assert!(largest_share(10_000, 10) > 1000.0);
    }
}
