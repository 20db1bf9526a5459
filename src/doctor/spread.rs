//! How unevenly the kernel spreads connections over listeners that share a port.
//!
//! It takes a listener by a hash of the addresses and ports, so one worker's share is binomial.

/// Standard deviations above the mean that no worker's share is expected to exceed: with a
/// thousand workers, once in three thousand times.
const DEVIATIONS: f64 = 5.0;

/// The largest share of `connections` that one of so many workers gets.
pub(super) fn largest_share(connections: u64, workers: usize) -> u64 {
    let mean = connections as f64 / workers as f64;
    (mean + deviation(workers) * mean.sqrt()).ceil() as u64
}

/// Connections of all workers together of which none gets more than `share`.
pub(super) fn within_share(share: u64, workers: usize) -> u64 {
    // mean + d * sqrt(mean) = share, solved for the root of the mean.
    let d = deviation(workers);
    let root = (-d + (d * d + 4.0 * share as f64).sqrt()) / 2.0;
    // Rounding may have left it a little too large or too small.
    let most = (root * root * workers as f64) as u64 + workers as u64;
    (0..=2 * workers as u64)
        .map(|less| most.saturating_sub(less))
        .find(|connections| largest_share(*connections, workers) <= share)
        .unwrap_or(0)
}

fn deviation(workers: usize) -> f64 {
    DEVIATIONS * (1.0 - 1.0 / workers as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_gets_them_all() {
        for connections in [0, 1, 154, 19_953, 1_000_000] {
            assert_eq!(largest_share(connections, 1), connections);
            assert_eq!(within_share(connections, 1), connections);
        }
    }

    #[test]
    fn what_fits_within_a_share_is_the_most_that_does() {
        for share in [0, 1, 7, 154, 19_953, 1_000_000] {
            for workers in [2, 3, 16, 52, 1024] {
                let most = within_share(share, workers);
                assert!(largest_share(most, workers) <= share, "{share} of {workers}");
                let more = most + 2 * workers as u64;
                assert!(largest_share(more, workers) > share, "{share} of {workers}");
            }
        }
    }

    #[test]
    fn a_million_over_many_workers_need_a_little_more_than_the_mean() {
        let share = largest_share(1_000_000, 52);
        assert!((19_231 + 500..19_231 + 800).contains(&share), "{share}");
    }
}
