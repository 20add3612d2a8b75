//! A drain: all sessions end one after the other, so that a deploy makes no storm.

use super::super::arena::Key;
use super::super::clock::{Tick, ticks};
use super::super::config::{Drain, ShardNumber};
use crate::event::Event;
use alloc::vec::Vec;
use core::time::Duration;

/// What a drain does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DrainStep {
    /// It is the turn of this session, which may have ended since.
    Turn {
        session: Key,
        /// What it gets after all that was published before.
        last_words: LastWords,
        /// It goes on instead, if it has no broadcast.
        lets_topics_end: bool,
    },
    /// All that are left end at once.
    LastCall,
}

/// What a session gets last of all that is to come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastWords {
    pub(crate) farewell: Option<Event>,
    /// When it is to come back, in whole milliseconds; `None`: as it was told before.
    pub(crate) retry: Option<Duration>,
}

/// Which sessions are yet to go, and when.
///
/// The turns of all shards lie between one another, evenly over the period, in an order that is
/// drawn. After them there is patience for those that have not taken all yet:
///
/// ```text
/// shard 0   0     1     2                          last call
/// shard 1      0     1     2                       last call
///           ├──────── over ────────┼─── patience ───┤
/// ```
#[derive(Debug)]
pub(super) struct Draining {
    drain: Drain,
    started: Tick,
    /// Those that have a turn, and how many of them had it.
    order: Vec<Key>,
    next: usize,
    shard: ShardNumber,
    /// When those that are left end at once; `None` afterwards.
    last_call: Option<Tick>,
}

/// The position of a session in the order, and the length of that order, over all shards.
struct Turn {
    number: u128,
    of: u128,
}

impl Turn {
    /// Returns the part of a time that lies before this turn.
    fn share_of(&self, time: Duration) -> Duration {
        let nanos = time.as_nanos().saturating_mul(self.number) / self.of.max(1);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Draining {
    /// Begins a drain of these sessions, in this order.
    pub(super) fn new(now: Tick, drain: Drain, order: Vec<Key>, shard: ShardNumber) -> Self {
        let last = drain.over().saturating_add(drain.patience());
        let last_call = Some(now.saturating_add(ticks(last)));
        Self { drain, started: now, order, next: 0, shard, last_call }
    }

    /// Ends all turns.
    pub(super) fn stop(&mut self) {
        (self.order, self.next, self.last_call) = (Vec::new(), 0, None);
    }

    fn turn(&self) -> Turn {
        let shards = u128::from(self.shard.of().get());
        Turn {
            number: self.next as u128 * shards + u128::from(self.shard.get()),
            of: self.order.len() as u128 * shards,
        }
    }

    /// Returns when the next step is, where so many sessions are open.
    pub(super) fn next_turn(&self, open: usize) -> Option<Tick> {
        if self.next < self.order.len() {
            let after = self.turn().share_of(self.drain.over());
            return Some(self.started.saturating_add(ticks(after)));
        }
        self.last_call.filter(|_| open > 0)
    }

    /// Takes the next step that is due.
    pub(super) fn pop_due(&mut self, now: Tick, open: usize) -> Option<DrainStep> {
        if self.next_turn(open)? > now {
            return None;
        }
        let Some(&session) = self.order.get(self.next) else {
            self.last_call = None;
            return Some(DrainStep::LastCall);
        };
        let last_words = self.last_words();
        self.next += 1;
        Some(DrainStep::Turn { session, last_words, lets_topics_end: self.drain.lets_topics_end() })
    }

    /// Returns what the session gets last whose turn is next.
    fn last_words(&self) -> LastWords {
        let retry = self.drain.retry().map(|(least, spread)| {
            // Rounded up, since it is told in whole milliseconds.
            let retry = least.saturating_add(self.turn().share_of(spread));
            let rest = Duration::from_nanos(u64::from(retry.subsec_nanos() % 1_000_000));
            let up = if rest.is_zero() { rest } else { Duration::from_millis(1) - rest };
            retry.saturating_add(up)
        });
        LastWords { farewell: self.drain.farewell().cloned(), retry }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;
    use core::num::NonZeroU16;

    const SECOND: Tick = 1_000_000_000;

    /// A drain over 10 s, with 5 s of patience, of sessions in these slots.
    fn draining(drain: Drain, slots: u32, shard: u16, shards: u16) -> Draining {
        let shard = ShardNumber::new(shard, NonZeroU16::new(shards).unwrap()).unwrap();
        let drain = drain.with_patience(Duration::from_secs(5));
        Draining::new(SECOND, drain, (0..slots).map(key).collect(), shard)
    }

    fn over_ten_seconds() -> Drain {
        Drain::new(Duration::from_secs(10))
    }

    /// The sessions that go, by their slots, and when; and the time of the last call.
    fn turns(draining: &mut Draining) -> (Vec<(u32, Tick)>, Option<Tick>) {
        let mut turns = Vec::new();
        while let Some(at) = draining.next_turn(1) {
            assert_eq!(draining.pop_due(at - 1, 1), None);
            match draining.pop_due(at, 1).unwrap() {
                DrainStep::Turn { session, .. } => turns.push((session.slot(), at)),
                DrainStep::LastCall => {
                    assert_eq!((draining.next_turn(1), draining.pop_due(at, 1)), (None, None));
                    return (turns, Some(at));
                }
            }
        }
        (turns, None)
    }

    /// What each session gets last of all.
    fn last_words(draining: &mut Draining) -> Vec<LastWords> {
        let mut words = Vec::new();
        while let Some(DrainStep::Turn { last_words, .. }) = draining.pop_due(Tick::MAX, 1) {
            words.push(last_words);
        }
        words
    }

    #[test]
    fn turns_lie_evenly_over_the_period_and_the_first_is_at_once() {
        let (turns, last_call) = turns(&mut draining(over_ten_seconds(), 4, 0, 1));
        let at = |millis: u64| SECOND + millis * 1_000_000;
        assert_eq!(turns, [(0, at(0)), (1, at(2_500)), (2, at(5_000)), (3, at(7_500))]);
        assert_eq!(last_call, Some(at(15_000)));
    }

    #[test]
    fn turns_of_several_shards_lie_between_one_another() {
        let at = |shard| turns(&mut draining(over_ten_seconds(), 2, shard, 2)).0;
        assert_eq!(at(0), [(0, SECOND), (1, 6 * SECOND)]);
        assert_eq!(at(1), [(0, 3_500_000_000), (1, 8_500_000_000)]);
    }

    #[test]
    fn without_sessions_there_is_no_last_call() {
        let mut draining = draining(over_ten_seconds(), 0, 0, 1);
        assert_eq!((draining.next_turn(0), draining.pop_due(Tick::MAX, 0)), (None, None));
        // One whose turn let it go on is left.
        assert_eq!(draining.next_turn(1), Some(16 * SECOND));
        assert_eq!(draining.pop_due(16 * SECOND, 1), Some(DrainStep::LastCall));
    }

    #[test]
    fn a_drain_that_is_stopped_does_nothing_more() {
        let mut draining = draining(over_ten_seconds(), 4, 0, 1);
        assert!(draining.pop_due(SECOND, 4).is_some());
        draining.stop();
        assert_eq!((draining.next_turn(3), draining.pop_due(Tick::MAX, 3)), (None, None));
    }

    #[test]
    fn each_session_is_told_a_later_time_rounded_up() {
        let retry = (Duration::from_secs(2), Duration::from_millis(5));
        let drain = over_ten_seconds().with_retry(retry.0, retry.1);
        let words = last_words(&mut draining(drain.clone(), 3, 0, 1));
        // 2 s, 2 s and 1.67 ms, 2 s and 3.33 ms.
        let retries: Vec<_> = words.iter().map(|words| words.retry).collect();
        assert_eq!(retries, [2_000, 2_002, 2_004].map(|ms| Some(Duration::from_millis(ms))));
        let farewell = Some(Event::new("bye"));
        let drain = drain.with_farewell(Event::new("bye"));
        let retry = Some(Duration::from_secs(2));
        assert_eq!(last_words(&mut draining(drain, 1, 0, 1)), [LastWords { farewell, retry }]);
    }

    #[test]
    fn without_a_farewell_or_times_nothing_is_said() {
        let none = LastWords::default();
        let words = last_words(&mut draining(over_ten_seconds(), 2, 0, 1));
        assert_eq!(words, [none.clone(), none.clone()]);
        let mut draining = draining(over_ten_seconds().letting_topics_end(), 1, 0, 1);
        let turn = draining.pop_due(SECOND, 1).unwrap();
        let expected = DrainStep::Turn { session: key(0), last_words: none, lets_topics_end: true };
        assert_eq!(turn, expected);
    }
}
