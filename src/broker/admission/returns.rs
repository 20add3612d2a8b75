//! When peers come back, so that they do not all come at once: those that are refused, and those
//! whose connections are lost.

use super::super::clock::{Clock, Tick};
use super::super::config::{Reconnect, ShardNumber};
use super::super::error::{ComesBack, OpenError};
use super::random::Random;
use alloc::collections::VecDeque;
use core::time::Duration;
use std::time::Instant;

/// The longest that a refused peer is told to wait, in seconds. Each takes a place in the order of
/// coming back, and a flood of requests must not send everybody else away for hours.
const MAX_RETRY_AFTER: u64 = 300;

const SECOND: Tick = 1_000_000_000;

/// What a session is told where its retry is spread and no other is configured: what browsers do
/// by themselves.
const USUAL_RETRY: Duration = Duration::from_secs(3);

/// The least that a session is told that may be evicted: for so long it leaves its place to the one
/// that took it.
const LEAST_TURN: Duration = Duration::from_secs(1);

/// The order in which refused peers come back: each is told a number of seconds, whole ones since a
/// `Retry-After` has no others, and is counted for the time after that.
///
/// Times are given out in order, so that only those of the newest window matter for the next. Of
/// peers that are refused at 0.0 s, where two may come back in a second and none before five
/// seconds, and of one that is refused at 0.5 s:
///
/// ```text
/// refused at   0.0  0.0  0.0  0.0  0.5
/// told           5    5    6    6    7
/// back at      5.0  5.0  6.0  6.0  7.5     no window of a second holds more than two
/// ```
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
    /// Into how many slices a window is cut: for each of them at most this part of a window is
    /// lost.
    const SLICES: u64 = 64;

    /// Makes the order for one shard, which gives out its part of the rate.
    pub(super) fn of_shard(shard: ShardNumber, reconnect: &Reconnect) -> Self {
        let (shard, shards) = (u32::from(shard.get()), u32::from(shard.of().get()));
        let rate = reconnect.per_second.get();
        // The parts add up to the rate.
        let until = |shard: u32| u64::from(rate) * u64::from(shard) / u64::from(shards);
        let part = until(shard + 1) - until(shard);
        let (most, seconds) = match u32::try_from(part) {
            Ok(part) if rate >= shards => (part, 1),
            _ => (1, shards.div_ceil(rate)),
        };
        Self {
            least: reconnect
                .retry_after
                .as_secs()
                .saturating_add(u64::from(reconnect.retry_after.subsec_nanos() > 0)),
            most,
            window: u64::from(seconds) * SECOND,
            slices: VecDeque::new(),
            count: 0,
        }
    }

    /// Returns how long a peer that is refused with this error is to wait; `None` where waiting
    /// does not help.
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

/// [`Returns`] for all shards of a hub, with a clock of its own: the promise is one for all.
#[derive(Debug)]
pub(crate) struct ReturnsOfAll {
    clock: Clock,
    returns: Returns,
}

impl ReturnsOfAll {
    pub(crate) fn new(now: Instant, reconnect: &Reconnect) -> Self {
        Self { clock: Clock::new(now), returns: Returns::of_shard(ShardNumber::ONLY, reconnect) }
    }

    /// Returns how long a peer that is refused with this error is to wait; `None` where waiting
    /// does not help.
    pub(crate) fn retry_after(&mut self, now: Instant, error: OpenError) -> Option<Duration> {
        self.returns.retry_after(self.clock.advance(now), error)
    }
}

/// The reconnection times that sessions are told when they begin.
#[derive(Debug)]
pub(super) struct RetryTimes {
    retry: Option<Duration>,
    is_spread: bool,
    reconnects_per_second: u32,
    shard: ShardNumber,
}

impl RetryTimes {
    pub(super) fn new(shard: ShardNumber, reconnect: &Reconnect) -> Self {
        Self {
            retry: reconnect.retry,
            is_spread: reconnect.spread_retry,
            reconnects_per_second: reconnect.per_second.get(),
            shard,
        }
    }

    /// Returns the time that a new session in this slot is told.
    ///
    /// No two sessions that are open at the same time share a slot, and slots are given out from
    /// the lowest on. So if all connections are lost at once, they come back one after the other:
    ///
    /// ```text
    /// slot of shard 0    0     1     2
    /// slot of shard 1       0     1     2
    ///                    └─────┴─────┴─────► time after `retry`
    /// ```
    pub(super) fn of_slot(&self, slot: u32) -> Option<Duration> {
        if !self.is_spread {
            return self.retry;
        }
        let base = self.retry.unwrap_or(USUAL_RETRY);
        // Other shards take the places between.
        let shard = self.apart(1) / u64::from(self.shard.of().get());
        let after = self.apart(slot).saturating_add(shard * u64::from(self.shard.get()));
        Some(base.saturating_add(Duration::from_nanos(after)))
    }

    /// Returns the time that a new session in this slot is told which others may evict: between
    /// once and twice the usual, drawn for each session.
    ///
    /// Who is evicted comes back after that and takes a place in turn. Were the times equal, three
    /// that share one place would come back in step, and one of them would lose it each time at the
    /// moment at which it gets it:
    ///
    /// ```text
    /// equal    A B . . . A C . . . A B . . . A C       A is served for no time, ever
    /// drawn    A . . B C . . . A . B . . A . . C       each is served in its turn
    /// ```
    pub(super) fn of_evictable(&self, slot: u32, random: &mut Random) -> Duration {
        let base = self.of_slot(slot).unwrap_or(USUAL_RETRY).max(LEAST_TURN);
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX);
        base.saturating_add(Duration::from_nanos(random.below(nanos)))
    }

    /// Returns how far this many reconnects of this shard lie apart.
    fn apart(&self, reconnects: u32) -> Tick {
        let second = u128::from(SECOND) * u128::from(self.shard.of().get());
        let apart = second * u128::from(reconnects) / u128::from(self.reconnects_per_second);
        u64::try_from(apart).unwrap_or(Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::num::{NonZeroU16, NonZeroU32};

    fn at(rate: u32) -> Reconnect {
        Reconnect { per_second: NonZeroU32::new(rate).unwrap(), ..Reconnect::default() }
    }

    fn shard(number: u16, of: u16) -> ShardNumber {
        ShardNumber::new(number, NonZeroU16::new(of).unwrap()).unwrap()
    }

    fn only(rate: u32) -> Returns {
        Returns::of_shard(ShardNumber::ONLY, &at(rate))
    }

    /// What peers are told that are refused at these times, in milliseconds.
    fn told(returns: &mut Returns, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut told = |at| returns.retry_after(at * 1_000_000, OpenError::Draining);
        times.into_iter().map(|at| told(at).map_or(0, |after| after.as_secs())).collect()
    }

    #[test]
    fn no_more_than_the_rate_come_back_in_any_second() {
        let mut returns = only(2);
        assert_eq!(told(&mut returns, [0, 0, 0, 0, 500]), [5, 5, 6, 6, 7]);
        // After a pause it begins with the least again.
        assert_eq!(told(&mut returns, [60_000]), [5]);
        // The promise holds for the time between: 500 ms later the same second has room for one.
        assert_eq!(told(&mut returns, [60_500, 60_500]), [5, 6]);
    }

    #[test]
    fn a_peer_can_be_sent_away_for_ever() {
        let reconnect = Reconnect { retry_after: Duration::MAX, ..at(1) };
        let mut returns = Returns::of_shard(ShardNumber::ONLY, &reconnect);
        assert_eq!(told(&mut returns, [0, 1_000, 0]), [u64::MAX; 3]);
    }

    #[test]
    fn a_part_of_a_second_is_a_whole_one() {
        let mut reconnect = at(1_000);
        reconnect.retry_after = Duration::from_millis(1_001);
        assert_eq!(told(&mut Returns::of_shard(ShardNumber::ONLY, &reconnect), [0]), [2]);
    }

    #[test]
    fn it_begins_anew_beyond_five_minutes() {
        let mut returns = only(1);
        let all = told(&mut returns, [0; 297]);
        assert_eq!((all[0], all[295], all[296]), (5, 300, 5));
    }

    #[test]
    fn shards_give_out_their_parts_of_the_rate() {
        let of_shard =
            |number, rate| told(&mut Returns::of_shard(shard(number, 3), &at(rate)), [0; 4]);
        // 1, 1 and 2 of 4.
        assert_eq!(of_shard(0, 4), [5, 6, 7, 8]);
        assert_eq!(of_shard(1, 4), [5, 6, 7, 8]);
        assert_eq!(of_shard(2, 4), [5, 5, 6, 6]);
        // Fewer returns than shards: one in several seconds.
        assert_eq!(of_shard(0, 1), [5, 8, 11, 14]);
    }

    #[test]
    fn one_order_for_all_shards_gives_out_the_whole_rate() {
        let now = crate::base_instant::base_instant();
        let mut returns = ReturnsOfAll::new(now, &at(2));
        let mut told = |seconds| {
            let after = returns.retry_after(now + Duration::from_secs(seconds), OpenError::Closed);
            after.unwrap().as_secs()
        };
        assert_eq!([told(0), told(0), told(0), told(1)], [5, 5, 6, 5]);
    }

    #[test]
    fn only_those_come_in_order_for_whom_waiting_helps() {
        let mut returns = only(1);
        let of_client = OpenError::TooManySessionsOfClient { limit: 1 };
        for _ in 0..3 {
            assert_eq!(returns.retry_after(0, OpenError::NotPermitted), None);
            assert_eq!(returns.retry_after(0, of_client), Some(Duration::from_secs(5)));
        }
        assert_eq!(told(&mut returns, [0, 0]), [5, 6]);
    }

    #[test]
    fn sessions_of_all_shards_are_told_times_between_one_another() {
        let mut reconnect = at(4);
        let on = |number, reconnect: &Reconnect, slot| {
            RetryTimes::new(shard(number, 2), reconnect).of_slot(slot)
        };
        let told = |reconnect: &Reconnect, slot| on(0, reconnect, slot);
        assert_eq!(told(&reconnect, 7), None);
        reconnect.retry = Some(Duration::from_secs(1));
        assert_eq!(told(&reconnect, 7), Some(Duration::from_secs(1)));
        reconnect.spread_retry = true;
        let of_shard =
            |number| [0, 1, 2].map(|slot| on(number, &reconnect, slot).unwrap().as_millis());
        assert_eq!(of_shard(0), [1_000, 1_500, 2_000]);
        assert_eq!(of_shard(1), [1_250, 1_750, 2_250]);
        reconnect.retry = None;
        assert_eq!(told(&reconnect, 0), Some(Duration::from_secs(3)));
        reconnect.per_second = NonZeroU32::MIN;
        assert!(told(&reconnect, u32::MAX).is_some());
    }
}
