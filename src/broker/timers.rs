//! Deadlines in the order in which they come up.

use super::clock::Tick;
use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

/// An entry of [`Timers`]: the owner in this slot is to be looked at, and when.
///
/// Once the owner is gone, its slot may have another owner. That one finds another deadline in its
/// own state, or is looked at without need and armed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    at: Tick,
    slot: u32,
}

impl Timer {
    pub(crate) const fn at(&self) -> Tick {
        self.at
    }

    pub(crate) const fn slot(&self) -> u32 {
        self.slot
    }
}

/// A heap whose entries are never moved or taken out.
///
/// Most deadlines only ever move later: each write postpones the heartbeat. So an owner keeps one
/// entry, and looks at its true deadline when that entry comes up. The owner remembers for when its
/// entry stands. Any other entry with its slot is void.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
}

impl Timers {
    /// Adds an entry.
    pub(crate) fn push(&mut self, at: Tick, slot: u32) {
        self.heap.push(Reverse(Timer { at, slot }));
    }

    /// Returns when the next entry comes up, void or not.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(timer)| timer.at)
    }

    /// Takes the next entry that has come up by `now`.
    pub(crate) fn pop_due(&mut self, now: Tick) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timer)| timer)
    }

    /// Throws void entries away once they are the greater part.
    ///
    /// Every owner has at most one entry that is not void.
    pub(crate) fn compact(&mut self, owners: usize, is_live: impl Fn(&Timer) -> bool) {
        if self.heap.len() > 2 * owners + 64 {
            let mut all = core::mem::take(&mut self.heap).into_vec();
            all.retain(|Reverse(timer)| is_live(timer));
            // If time stands still, the next owner of a slot may be armed for the same time.
            all.sort_unstable();
            all.dedup();
            self.heap = all.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn timers(entries: impl IntoIterator<Item = (Tick, u32)>) -> Timers {
        let mut timers = Timers::default();
        entries.into_iter().for_each(|(at, slot)| timers.push(at, slot));
        timers
    }

    fn all_due(timers: &mut Timers, now: Tick) -> Vec<(Tick, u32)> {
        core::iter::from_fn(|| timers.pop_due(now)).map(|one| (one.at(), one.slot())).collect()
    }

    #[test]
    fn an_entry_is_due_at_its_time_and_not_before() {
        let mut timers = timers([(5, 1)]);
        assert_eq!(timers.next(), Some(5));
        assert_eq!(timers.pop_due(4), None);
        assert_eq!(timers.pop_due(5), Some(Timer { at: 5, slot: 1 }));
        assert_eq!((timers.next(), timers.pop_due(Tick::MAX)), (None, None));
    }

    #[test]
    fn entries_come_up_in_the_order_of_their_times() {
        let mut timers = timers([(7, 0), (3, 2), (5, 1), (3, 1)]);
        assert_eq!(all_due(&mut timers, 5), [(3, 1), (3, 2), (5, 1)]);
        assert_eq!(timers.next(), Some(7));
    }

    #[test]
    fn void_entries_are_thrown_away_once_they_are_the_greater_part() {
        // Slot 1 is armed for 100; all earlier entries of it are void.
        let is_live = |timer: &Timer| timer.slot() != 1 || timer.at() == 100;
        let mut timers = timers((35..=100).map(|at| (at, 1)));
        timers.compact(1, is_live);
        assert_eq!(timers.heap.len(), 66, "66 are as many as two owners have and 64");
        timers.push(200, 2);
        timers.compact(1, is_live);
        assert_eq!(all_due(&mut timers, Tick::MAX), [(100, 1), (200, 2)]);
    }

    #[test]
    fn one_of_several_equal_entries_is_kept() {
        let mut timers = timers([(5, 1); 65]);
        timers.compact(0, |_| true);
        assert_eq!(all_due(&mut timers, 5), [(5, 1)]);
    }
}
