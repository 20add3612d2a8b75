//! How long to wait before the next attempt.

use super::config::Reconnection;
use crate::random::Random;
use core::time::Duration;

/// Counts attempts that came to nothing, and draws the waits between them.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    random: Random,
    /// Attempts in a row, up to the present one, without a stable stream.
    attempts: u32,
    /// All waits since the last stable stream.
    waited: Duration,
}

/// A reconnection wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// What the peer or the configuration asks for.
    pub(super) earliest: Duration,
    /// What is waited, unless something cuts it short.
    pub(super) whole: Duration,
}

impl Backoff {
    pub(super) const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), attempts: 0, waited: Duration::ZERO }
    }

    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Adds a wait to those since the last stable stream, unless they would then be longer than
    /// `most`. Says whether it did.
    pub(super) fn allow(&mut self, wait: Duration, most: Option<Duration>) -> bool {
        let waited = self.waited.saturating_add(wait);
        let is_allowed = most.is_none_or(|most| waited <= most);
        if is_allowed {
            self.waited = waited;
        }
        is_allowed
    }

    pub(super) const fn begin_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The present attempt is not to count.
    pub(super) const fn forget_attempt(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// A stream has been stable, or the world has changed.
    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
        self.waited = Duration::ZERO;
    }

    /// The wait after an attempt is over, where `retry` is the reconnection time that the peer set
    /// and `retry_after` what the answer asked for.
    pub(super) fn wait(
        &mut self,
        rules: &Reconnection,
        retry: Option<Duration>,
        retry_after: Option<Duration>,
    ) -> Wait {
        let base = rules.base(retry);
        let asked = retry_after.map_or(Duration::ZERO, |asked| rules.cap(asked));
        let earliest = base.max(asked);
        let Some(max) = rules.max_backoff else {
            return Wait { earliest, whole: earliest };
        };
        // A server that restarts loses all its clients at one moment. Were the first wait the same
        // for all, they would come back at one moment too, so that it is spread as well.
        let step = if self.attempts == 0 { base } else { base.max(rules.floor).max(LEAST_STEP) };
        let doubled = 1_u32.checked_shl(self.attempts.max(1)).unwrap_or(u32::MAX);
        let ceiling = step.saturating_mul(doubled).min(max.max(step.saturating_mul(2)));
        let whole =
            earliest.saturating_add(self.random.duration_up_to(ceiling.saturating_sub(base)));
        Wait { earliest, whole }
    }

    /// The wait after a server said to come back: no longer than it told, for it spreads its clients
    /// by that. Where it told no time, it is that after a first loss.
    pub(super) fn wait_as_told(&mut self, rules: &Reconnection, retry: Option<Duration>) -> Wait {
        if retry.is_some() {
            let base = rules.base(retry);
            return Wait { earliest: base, whole: base };
        }
        let attempts = core::mem::take(&mut self.attempts);
        let wait = self.wait(rules, retry, None);
        self.attempts = attempts;
        wait
    }
}

/// What is doubled where the reconnection time and its floor are zero, so that an attempt that
/// fails at once is not made again and again at once.
const LEAST_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn waits(rules: &Reconnection, attempts: u32, retry: Option<Duration>) -> Vec<Wait> {
        (0..5000)
            .map(|seed| {
                let mut backoff = Backoff::new(seed);
                (0..attempts).for_each(|_| backoff.begin_attempt());
                backoff.wait(rules, retry, None)
            })
            .collect()
    }

    /// The range of the waits, in the tenths of `unit` that are nearest.
    fn tenths(waits: &[Wait], unit: Duration) -> (u32, u32) {
        let tenth = |wait: &Wait| {
            u32::try_from((wait.whole.as_nanos() * 10 + unit.as_nanos() / 2) / unit.as_nanos())
                .unwrap()
        };
        (waits.iter().map(tenth).min().unwrap(), waits.iter().map(tenth).max().unwrap())
    }

    #[test]
    fn waits_fill_the_whole_range_from_the_reconnection_time_to_a_ceiling_that_doubles() {
        let rules = Reconnection::default();
        let unit = rules.initial;
        for (attempts, ceiling) in [(0, 20), (1, 20), (2, 40), (3, 80), (4, 160)] {
            assert_eq!(tenths(&waits(&rules, attempts, None), unit), (10, ceiling), "{attempts}");
        }
    }

    #[test]
    fn backoff_stops_at_its_maximum_however_many_attempts_fail() {
        let rules = Reconnection::default();
        let max = rules.max_backoff.unwrap();
        for attempts in [5, 31, 32, 33, 1000] {
            let longest = waits(&rules, attempts, None).iter().map(|wait| wait.whole).max();
            assert!(longest.unwrap() <= max && longest.unwrap() > max * 9 / 10, "{longest:?}");
        }
    }

    #[test]
    fn a_reconnection_time_above_the_maximum_is_still_spread() {
        let retry = Duration::from_secs(600);
        let waits = waits(&Reconnection::default(), 5, Some(retry));
        assert_eq!(tenths(&waits, retry), (10, 20));
    }

    #[test]
    fn a_time_of_zero_holds_at_first_and_grows_when_attempts_fail() {
        let rules = Reconnection {
            initial: Duration::ZERO,
            floor: Duration::ZERO,
            ..Reconnection::default()
        };
        assert!(waits(&rules, 0, None).iter().all(|wait| wait.whole.is_zero()));
        let longest = |attempts| waits(&rules, attempts, None).iter().map(|w| w.whole).max();
        assert!(longest(10).unwrap() > Duration::from_millis(900));
    }

    #[test]
    fn what_is_asked_for_is_the_least_and_is_spread_too() {
        let asked = Duration::from_secs(30);
        let mut backoff = Backoff::new(1);
        let rules = Reconnection::default();
        let waits: Vec<_> = (0..5000).map(|_| backoff.wait(&rules, None, Some(asked))).collect();
        assert!(waits.iter().all(|wait| wait.earliest == asked && wait.whole >= asked));
        assert_eq!(tenths(&waits, asked), (10, 11));
    }

    #[test]
    fn the_largest_times_do_not_overflow() {
        let rules = Reconnection {
            initial: Duration::MAX,
            max_backoff: Some(Duration::MAX),
            max_asked: None,
            ..Reconnection::default()
        };
        let mut backoff = Backoff::new(0);
        backoff.begin_attempt();
        let wait = backoff.wait(&rules, None, Some(Duration::MAX));
        assert_eq!((wait.earliest, wait.whole), (Duration::MAX, Duration::MAX));
    }
}
