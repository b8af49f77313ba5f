//! Latencies, counted in buckets whose width grows with the value: any range, a fixed error and a
//! fixed amount of memory, as HDR histograms do it.

use std::time::Duration;

/// Values are distinguished to one part in 2 to this power: under a percent.
const PRECISION_BITS: u32 = 7;

/// Buckets enough for every number of nanoseconds: those below 2^8 one by one, then 2^7 for each
/// further bit.
const BUCKETS: usize = ((64 - PRECISION_BITS as usize) << PRECISION_BITS) + (1 << PRECISION_BITS);

/// A count of latencies by their length.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// How many fell into each bucket.
    counts: Vec<u64>,
    /// How many there are.
    total: u64,
    /// The longest, exactly, in nanoseconds.
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            longest: 0,
        }
    }
}

impl Histogram {
    /// Counts `times` latencies of this many nanoseconds.
    pub(super) fn record(&mut self, nanoseconds: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += times;
        }
        self.total += times;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Adds all that another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// Returns the latency that this share of all, in millionths, did not exceed; zero if there are
    /// none.
    pub fn quantile(&self, millionths: u32) -> Duration {
        let rank = u128::from(self.total) * u128::from(millionths);
        let rank = rank.div_ceil(1_000_000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return Duration::from_nanos(largest_of(index).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// Returns the longest latency.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// Finds the bucket of a value: its highest bits, and how many were left away.
fn bucket(value: u64) -> usize {
    let dropped = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION_BITS + 1);
    let index = (u64::from(dropped) << PRECISION_BITS) + (value >> dropped);
    usize::try_from(index).unwrap_or(BUCKETS)
}

/// Returns the largest value that falls into a bucket.
fn largest_of(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let dropped = (index >> PRECISION_BITS).saturating_sub(1);
    let high = index - (dropped << PRECISION_BITS);
    (high << dropped) + ((1 << dropped) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_at_most_a_percent_wide() {
        let around = (0..64).map(|bits| 1_u64 << bits);
        for value in around.flat_map(|power| [power - 1, power, power + power / 3]) {
            let largest = largest_of(bucket(value));
            assert!(bucket(value) < BUCKETS, "{value}");
            assert!(largest >= value, "{value}");
            assert!(largest - value <= value / 100, "{value}: {largest}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_quantile_is_the_latency_that_so_many_did_not_exceed() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value, 1));
        let nanoseconds = |millionths| histogram.quantile(millionths).as_nanos();
        assert_eq!(
            [0, 500_000, 990_000, 990_001, 1_000_000].map(nanoseconds),
            [1, 50, 99, 100, 100]
        );
    }

    #[test]
    fn no_quantile_is_longer_than_the_longest() {
        let mut histogram = Histogram::default();
        histogram.record(1_000_000_007, 3);
        assert_eq!(histogram.quantile(500_000), histogram.longest());
        assert_eq!(Histogram::default().quantile(500_000), Duration::ZERO);
    }

    #[test]
    fn what_is_added_counts() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(10, 1);
        other.record(20, 9);
        one.add(&other);
        assert_eq!(one.quantile(500_000), Duration::from_nanos(20));
        assert_eq!(one.longest(), Duration::from_nanos(20));
    }
}
