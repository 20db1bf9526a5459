//! How values are spread, with one writer and many readers.

use super::Count;

/// Buckets of a histogram: values below each power of two from the first on, and all others.
pub const BUCKETS: usize = 20;

/// Counts of values by powers of two: a bucket has what is at most `FIRST << number`, and the last
/// one also what is above. One writer.
#[derive(Debug, Default)]
pub struct Histogram<const FIRST: u64> {
    buckets: [Count; BUCKETS + 1],
    sum: Count,
}

impl<const FIRST: u64> Histogram<FIRST> {
    /// Notes a value. Only the worker that owns it calls this.
    #[inline]
    pub fn note(&self, value: u64) {
        self.buckets[Self::bucket(value)].add(1);
        self.sum.add(value);
    }

    /// The upper bounds of the buckets, but for the last, which has none.
    pub fn bounds() -> impl Iterator<Item = u64> {
        (0..BUCKETS).map(|number| FIRST << number)
    }

    /// How many values lie in each bucket.
    #[must_use]
    pub fn counts(&self) -> [u64; BUCKETS + 1] {
        self.buckets.each_ref().map(Count::get)
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    #[inline]
    fn bucket(value: u64) -> usize {
        let multiples = value.saturating_sub(1) / FIRST;
        let number = u64::BITS - multiples.leading_zeros();
        (number as usize).min(BUCKETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_in_the_first_bucket_that_takes_them() {
        let histogram = Histogram::<32>::default();
        let bounds: Vec<u64> = Histogram::<32>::bounds().collect();
        assert_eq!(&bounds[..3], [32, 64, 128]);
        for (value, bucket) in
            [(0, 0), (1, 0), (32, 0), (33, 1), (64, 1), (65, 2), (128, 2), (129, 3)]
        {
            assert_eq!(Histogram::<32>::bucket(value), bucket, "{value}");
        }
        assert_eq!(Histogram::<32>::bucket(32 << 19), 19);
        assert_eq!(Histogram::<32>::bucket((32 << 19) + 1), BUCKETS);
        [5, 40, u64::from(u32::MAX)].into_iter().for_each(|value| histogram.note(value));
        assert_eq!(histogram.counts().iter().sum::<u64>(), 3);
        assert_eq!(histogram.sum(), 45 + u64::from(u32::MAX));
    }
}
