//! When peers are told to come back, so that they do not all come at once.
//!
//! The core draws no random numbers: what is to be spread is spread by what tells sessions apart,
//! or by numbers that follow from a seed in the configuration.

use super::Broker;
use super::clock::Clock;
use super::clock::{Tick, ticks};
use super::config::BrokerConfig;
use super::error::{ComesBack, OpenError};
use alloc::collections::VecDeque;
use core::num::NonZeroU16;
use core::time::Duration;
use std::time::Instant;

/// The longest that [`Broker::retry_after`] says, in seconds: whoever is refused takes a place in the
/// order of coming back, and a flood of such requests must not send everybody else away for hours.
const MAX_RETRY_AFTER: u64 = 300;

const SECOND: Tick = 1_000_000_000;

/// What a session is told where its retry is spread and no other is configured: what browsers do
/// by themselves.
const USUAL_RETRY: Duration = Duration::from_secs(3);

/// Numbers that look random and follow from the seed: `SplitMix64`.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        // Shards of one configuration draw different numbers.
        Self(config.seed.wrapping_add(u64::from(config.shard) << 48))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 to `limit`, exclusive; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(limit)) >> 64;
        // Less than `limit`.
        u64::try_from(scaled).unwrap_or_default()
    }
}

/// When those who are refused come back: each is told a number of seconds, whole ones since a
/// `Retry-After` has no others, and is counted for the time after that.
///
/// Times are given out in order, so that only those of the newest second matter for the next.
#[derive(Debug)]
pub(crate) struct Returns {
    /// The least that is said, in seconds.
    least: u64,
    /// How many may come back within any `window`.
    most: u32,
    window: Tick,
    /// Those of the newest window, the latest last.
    slices: VecDeque<Slice>,
    /// How many they are.
    count: u64,
}

/// Returns that are so close together that they are one for the next.
#[derive(Debug)]
struct Slice {
    number: u64,
    count: u32,
    latest: Tick,
}

impl Returns {
    /// Into how many slices a window is cut: for each of them at most this part of a window is lost.
    const SLICES: u64 = 64;

    pub(super) fn new(config: &BrokerConfig) -> Self {
        let (rate, shards) = (config.reconnects_per_second.get(), u32::from(config.shards.get()));
        let shard = u32::from(config.shard) % shards;
        // The parts add up to the rate.
        let until = |shard: u32| u64::from(rate) * u64::from(shard) / u64::from(shards);
        let part = until(shard + 1) - until(shard);
        let (most, seconds) = match u32::try_from(part) {
            Ok(part) if rate >= shards => (part, 1),
            _ => (1, shards.div_ceil(rate)),
        };
        Self {
            least: config.retry_after.as_secs() + u64::from(config.retry_after.subsec_nanos() > 0),
            most,
            window: u64::from(seconds) * SECOND,
            slices: VecDeque::new(),
            count: 0,
        }
    }

    pub(super) fn retry_after(&mut self, now: Tick, error: OpenError) -> Option<Duration> {
        let seconds = match error.comes_back() {
            ComesBack::Never => return None,
            ComesBack::AfterMinimum => self.least,
            ComesBack::InTurn => self.allot(now),
        };
        Some(Duration::from_secs(seconds))
    }

    fn allot(&mut self, now: Tick) -> u64 {
        // The whole seconds after which it is that time, or later.
        let seconds_until = |at: Tick| at.saturating_sub(now).div_ceil(SECOND);
        let last = self.slices.back().map_or(0, |last| seconds_until(last.latest));
        let mut after = self.least.max(last);
        loop {
            if after > self.least.max(MAX_RETRY_AFTER) {
                self.slices.clear();
                (self.count, after) = (0, self.least);
            }
            let at = now.saturating_add(after.saturating_mul(SECOND));
            while let Some(first) = self.slices.front()
                && first.latest.saturating_add(self.window) <= at
            {
                self.count -= u64::from(first.count);
                self.slices.pop_front();
            }
            match self.slices.front() {
                Some(first) if self.count >= u64::from(self.most) => {
                    after = seconds_until(first.latest.saturating_add(self.window));
                }
                _ => {
                    self.note(at);
                    return after;
                }
            }
        }
    }

    fn note(&mut self, at: Tick) {
        self.count += 1;
        let number = at / (self.window / Self::SLICES);
        match self.slices.back_mut() {
            Some(last) if last.number == number => {
                last.count += 1;
                last.latest = at;
            }
            _ => self.slices.push_back(Slice { number, count: 1, latest: at }),
        }
    }
}

/// [`Returns`] for all shards of a hub, with a clock of their own: the promise is one for all.
#[derive(Debug)]
pub(crate) struct ReturnsOfAll {
    clock: Clock,
    returns: Returns,
}

impl ReturnsOfAll {
    pub(crate) fn new(now: Instant, config: &BrokerConfig) -> Self {
        let config = BrokerConfig { shard: 0, shards: NonZeroU16::MIN, ..config.clone() };
        Self { clock: Clock::new(now), returns: Returns::new(&config) }
    }

    pub(crate) fn retry_after(&mut self, now: Instant, error: OpenError) -> Option<Duration> {
        self.returns.retry_after(self.clock.advance(now), error)
    }
}

impl Broker {
    /// How long whoever was refused with this error is to wait before the next attempt, for a
    /// `Retry-After`, and so in whole seconds (RFC 9110, section 10.2.3); `None` where waiting does
    /// not help.
    ///
    /// It is no less than [`BrokerConfig::retry_after`]. Where the broker as a whole has no room,
    /// who asks is told no earlier time than the one before, so that of those who wait as long as
    /// they are told no more than [`BrokerConfig::reconnects_per_second`] come back in any second;
    /// beyond five minutes it begins anew. It depends on how many were refused, and so on the load.
    /// If all are refused at the same time, each second is used; those who are refused over a period,
    /// and more of them than may come, may take as much longer as that period, since seconds of those
    /// who ask at different times begin at different times.
    ///
    /// Of several [shards](BrokerConfig::shards) without a hub each allots its part, and one return
    /// in several seconds where there are more shards than returns: then those of different shards
    /// may come together. A hub allots for all of them.
    pub fn retry_after(&mut self, now: Instant, error: &OpenError) -> Option<Duration> {
        let now = self.clock.advance(now);
        self.returns.retry_after(now, *error)
    }

    /// The reconnection time that a new session in this slot is told.
    ///
    /// No two sessions that are open at the same time share a slot, and slots are given out from
    /// the lowest on. So if all connections are lost at once, they come back one after the other.
    pub(super) fn retry_in(&self, slot: u32) -> Option<Duration> {
        if !self.config.spread_retry {
            return self.config.retry;
        }
        let base = self.config.retry.unwrap_or(USUAL_RETRY);
        // Other shards take the places between.
        let shard = self.apart(1) / u64::from(self.config.shards.get());
        let number = self.config.shard % self.config.shards.get();
        let after = self.apart(slot).saturating_add(shard * u64::from(number));
        Some(base.saturating_add(Duration::from_nanos(after)))
    }

    /// When a session that is opened now has the maximum age.
    pub(super) fn expiry(&mut self, now: Tick) -> Option<Tick> {
        let age = self.config.max_session_age?;
        let less = self.random.below(ticks(self.config.max_session_age_jitter).saturating_add(1));
        Some(now.saturating_add(ticks(age) - less))
    }

    /// How far this many reconnects of this shard lie apart.
    fn apart(&self, reconnects: u32) -> Tick {
        let second = u128::from(SECOND) * u128::from(self.config.shards.get());
        let apart = second * u128::from(reconnects);
        let apart = apart / u128::from(self.config.reconnects_per_second.get());
        u64::try_from(apart).unwrap_or(Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Epoch;
    use super::*;

    #[test]
    fn numbers_below_a_limit_are_spread_evenly_and_follow_from_the_seed() {
        let mut config = BrokerConfig::new(Epoch(1));
        config.seed = 7;
        let (mut one, mut same) = (Random::new(&config), Random::new(&config));
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let number = one.below(10);
            assert_eq!(number, same.below(10));
            counts[usize::try_from(number).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!(one.below(0), 0);
        config.shard = 1;
        assert_ne!(Random::new(&config).next(), Random::new(&config_of_shard_0(&config)).next());
    }

    fn config_of_shard_0(config: &BrokerConfig) -> BrokerConfig {
        BrokerConfig { shard: 0, ..config.clone() }
    }
}
