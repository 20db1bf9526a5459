//! Latencies, in nanoseconds, with three significant figures.

use hdrhistogram::Histogram;

/// A histogram that grows with what it gets.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// Percentiles that a report has. From the 99.9th on they only mean something with many values.
pub(crate) const PERCENTILES: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0];

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three figures are possible"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, ns: u64) {
        self.record_times(ns, 1);
    }

    pub(crate) fn record_times(&mut self, ns: u64, times: u64) {
        self.0.record_n(ns, times).expect("a histogram that grows takes every value");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("a histogram that grows takes every value");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Microseconds at a percentile; 0 of an empty one.
    pub(crate) fn at_us(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1e3
    }

    /// Microseconds.
    pub(crate) fn mean_us(&self) -> f64 {
        self.0.mean() / 1e3
    }

    /// Microseconds.
    pub(crate) fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures_hold_from_microseconds_to_minutes() {
        for ns in [1_000, 25_000, 1_000_000_000, 120_000_000_000] {
            let mut latencies = Latencies::default();
            latencies.record(ns);
            let expected = ns as f64 / 1e3;
            assert!((latencies.at_us(50.0) - expected).abs() <= expected / 1000.0);
            assert!((latencies.max_us() - expected).abs() <= expected / 1000.0);
        }
    }

    #[test]
    fn two_are_added() {
        let (mut a, mut b) = (Latencies::default(), Latencies::default());
        a.record(1_000);
        b.record_times(9_000_000, 3);
        a.add(&b);
        assert_eq!(a.count(), 4);
        assert!(a.at_us(25.0) < 2.0);
        assert!(a.at_us(50.0) > 8_900.0);
    }
}
