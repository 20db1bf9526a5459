//! How many there were in each second of the run.

/// A count for each second, from the begin of the run on. A run is bounded by a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seconds(Vec<u64>);

impl Seconds {
    pub(super) fn count(&mut self, at_ns: u64) {
        let second = (at_ns / 1_000_000_000) as usize;
        if second >= self.0.len() {
            self.0.resize(second + 1, 0);
        }
        self.0[second] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The most in one second.
    pub(super) fn peak(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// The seconds from `first` to `last` and their counts, those without any too.
    pub(super) fn points(&self, first: u64, last: u64) -> Vec<(f64, f64)> {
        let at = |second: u64| self.0.get(second as usize).copied().unwrap_or(0) as f64;
        (first..=last).map(|second| (second as f64, at(second))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_count() {
        let (mut one, mut other) = (Seconds::default(), Seconds::default());
        for at_ns in [100, 999_999_999, 1_000_000_000, 3_500_000_000] {
            one.count(at_ns);
        }
        other.count(5_000_000_000);
        one.add(&other);
        assert_eq!((one.total(), one.peak()), (5, 2));
        let points = [(0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (3.0, 1.0), (4.0, 0.0), (5.0, 1.0)];
        assert_eq!(one.points(0, 5), points);
        assert_eq!(one.points(6, 7), [(6.0, 0.0), (7.0, 0.0)]);
    }
}
