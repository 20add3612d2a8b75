//! When peers are told to come back, so that they do not all come at once.
//!
//! The core draws no random numbers: what is to be spread is spread by what tells sessions apart,
//! or by numbers that follow from a seed in the configuration.

use super::Broker;
use super::clock::{Tick, ticks};
use super::config::BrokerConfig;
use super::outcome::OpenError;
use core::time::Duration;
use std::time::Instant;

/// The longest that [`Broker::retry_after`] says: whoever is refused takes a place in the order of
/// coming back, and a flood of such requests must not send everybody else away for hours.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

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

impl Broker {
    /// How long whoever was refused with this error is to wait before the next attempt, for a
    /// `Retry-After`; `None` where waiting does not help.
    ///
    /// It is no less than [`BrokerConfig::retry_after`]. Where the broker as a whole has no room,
    /// each that asks is told a later time than the one before, so that no more than
    /// [`BrokerConfig::reconnects_per_second`] come back in any second; beyond five minutes it
    /// begins anew. It depends on how many were refused, and so on the load. A `Retry-After` has
    /// whole seconds (RFC 9110, section 10.2.3): whoever rounds up to them may get twice as many in
    /// a second.
    pub fn retry_after(&mut self, now: Instant, error: &OpenError) -> Option<Duration> {
        let now = self.clock.advance(now);
        let earliest = ticks(self.config.retry_after);
        match error {
            OpenError::TopicsEnded
            | OpenError::NotPermitted
            | OpenError::TooManyTopicsOfSession { .. }
            | OpenError::TooManyPermitted { .. }
            | OpenError::ZeroHeartbeat
            | OpenError::ZeroStallTimeout
            | OpenError::ZeroLag
            | OpenError::LeaseInThePast => None,
            // It is for the client to close one, and others are not to wait for it.
            OpenError::TooManySessionsOfClient { .. }
            | OpenError::TooManySessionsFromAddress { .. } => Some(self.config.retry_after),
            OpenError::Closed
            | OpenError::Draining
            | OpenError::TooManySessions
            | OpenError::TooManyTopics
            | OpenError::UnreadEvents => {
                let latest = earliest.max(ticks(MAX_RETRY_AFTER));
                let mut after = self.next_return.saturating_sub(now).max(earliest);
                if after > latest {
                    after = earliest;
                }
                self.next_return = now.saturating_add(after).saturating_add(self.apart(1));
                Some(Duration::from_nanos(after))
            }
        }
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
        let second = 1_000_000_000 * u128::from(self.config.shards.get());
        let apart = second * u128::from(reconnects);
        let apart = apart / u128::from(self.config.reconnects_per_second.get());
        u64::try_from(apart).unwrap_or(Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Epoch;
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
