//! How long to wait before an engine that failed is asked again.

use crate::random::Random;
use core::time::Duration;

/// Draws waits below a bound that doubles with each failure ("full jitter").
#[derive(Debug)]
pub(super) struct Backoff {
    random: Random,
    min: Duration,
    max: Duration,
    /// Failures in a row.
    failures: u32,
}

impl Backoff {
    pub(super) fn new(seed: u64, min: Duration, max: Duration) -> Self {
        Self { random: Random::new(seed), min: min.max(LEAST), max: max.max(LEAST), failures: 0 }
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
        // Never no time, so that what waits for it is never due at once.
        self.random.duration_up_to(bound).max(Duration::from_nanos(1))
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
