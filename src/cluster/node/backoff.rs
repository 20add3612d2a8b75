//! How long to wait before an engine that failed is asked again.

use core::time::Duration;

/// Draws waits below a bound that doubles with each failure ("full jitter").
#[derive(Debug)]
pub(super) struct Backoff {
    random: u64,
    min: Duration,
    max: Duration,
    /// Failures in a row.
    failures: u32,
}

impl Backoff {
    pub(super) fn new(seed: u64, min: Duration, max: Duration) -> Self {
        Self { random: seed, min: min.max(LEAST), max: max.max(LEAST), failures: 0 }
    }

    /// Returns the first bound.
    pub(super) const fn least(&self) -> Duration {
        self.min
    }

    /// The engine serves again.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns how long to wait after a failure.
    pub(super) fn wait(&mut self) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let bound = self.min.saturating_mul(doubled).min(self.max);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let share = u128::from(self.next()) * (u128::from(nanos) + 1);
        // Never no time, so that what waits for it is never due at once.
        Duration::from_nanos(((share >> 64) as u64).max(1))
    }

    /// splitmix64 (Steele, Lea, Flood, 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What is doubled where the configuration says zero, so that nothing is tried without end at one
/// and the same time.
const LEAST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(5);

    /// The longest of many waits after so many failures, and the shortest.
    fn range(failures: u32) -> (Duration, Duration) {
        let waits: Vec<Duration> = (0..2_000)
            .map(|seed| {
                let mut backoff = Backoff::new(seed, MIN, MAX);
                (0..failures).for_each(|_| _ = backoff.wait());
                backoff.wait()
            })
            .collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    #[test]
    fn waits_fill_the_range_from_zero_to_a_bound_that_doubles_up_to_the_most() {
        for (failures, bound) in [(0, MIN), (1, 2 * MIN), (4, 16 * MIN), (7, MAX), (1_000, MAX)] {
            let (shortest, longest) = range(failures);
            assert!(shortest < bound / 20, "{failures}: {shortest:?}");
            assert!(longest <= bound && longest > bound * 19 / 20, "{failures}: {longest:?}");
        }
    }

    #[test]
    fn success_brings_the_first_bound_back() {
        let mut backoff = Backoff::new(3, MIN, MAX);
        (0..20).for_each(|_| _ = backoff.wait());
        backoff.reset();
        assert!(backoff.wait() <= MIN);
    }

    #[test]
    fn a_bound_of_zero_spins_no_more_than_a_millisecond_does() {
        let mut backoff = Backoff::new(3, Duration::ZERO, Duration::ZERO);
        let waits: Duration = (0..100).map(|_| backoff.wait()).sum();
        assert!(waits > Duration::from_millis(20), "{waits:?}");
    }
}
