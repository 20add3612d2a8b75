//! What a log has lost: how many events, and after which position.
//!
//! Somebody who comes back knows a position, and is to be told how many events after it are gone.
//! Positions are shared with other topics, so that a subtraction does not tell. Stretches of lost
//! events whose positions follow each other are remembered, by where they begin and how many events
//! were lost before them:
//!
//! ```text
//!   position   4 5 6 7      11 12        20       after 5: 6 7 11 12 20, five are lost
//!   begins     4            11           20
//!   before     0             4            6       the count is 7
//! ```
//!
//! Most logs have one stretch, and no log remembers more than a few. Of what lies before those, it
//! is not known how many events there were.

use alloc::collections::VecDeque;

/// How many stretches a log remembers.
const STRETCHES: usize = 32;

#[derive(Debug)]
pub(super) struct Lost {
    stretches: VecDeque<Stretch>,
    /// How many events are lost, as far as that is known.
    count: u64,
    /// From which position on it is known.
    since: u64,
    /// Whether events went that were superseded, so that their numbers are missing without a loss.
    has_spared: bool,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    begins: u64,
    before: u64,
}

impl Lost {
    /// Begins with nothing; of events through the position `since`, nothing is known.
    pub(super) const fn new(since: u64) -> Self {
        Self { stretches: VecDeque::new(), count: 0, since, has_spared: false }
    }

    /// Records that the event at this position is lost; no later one is.
    pub(super) fn push(&mut self, position: u64) {
        let newest = self.stretches.back();
        if newest.is_none_or(|newest| newest.begins + (self.count - newest.before) != position) {
            self.forget_beyond(STRETCHES - 1);
            self.stretches.push_back(Stretch { begins: position, before: self.count });
        }
        self.count += 1;
    }

    fn forget_beyond(&mut self, limit: usize) {
        while self.stretches.len() > limit
            && let Some(oldest) = self.stretches.pop_front()
        {
            let before = self.stretches.front().map_or(self.count, |next| next.before);
            self.since = oldest.begins + (before - oldest.before) - 1;
        }
    }

    /// Records that a superseded event is gone, which is no loss.
    pub(super) const fn spare(&mut self) {
        self.has_spared = true;
    }

    /// Returns whether superseded events are gone.
    pub(super) const fn has_spared(&self) -> bool {
        self.has_spared
    }

    /// Returns how many events after `position` are lost; `None` if that is not known any more.
    pub(super) fn after(&self, position: u64) -> Option<u64> {
        if position < self.since {
            return None;
        }
        let next = self.stretches.partition_point(|stretch| stretch.begins <= position);
        let before_next = self.stretches.get(next).map_or(self.count, |next| next.before);
        let through = next
            .checked_sub(1)
            .and_then(|index| self.stretches.get(index))
            .map_or(before_next, |stretch| {
                (stretch.before + (position - stretch.begins + 1)).min(before_next)
            });
        Some(self.count - through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(positions: impl IntoIterator<Item = u64>) -> Lost {
        let mut lost = Lost::new(0);
        positions.into_iter().for_each(|position| lost.push(position));
        lost
    }

    #[test]
    fn what_is_lost_after_a_position_is_counted_wherever_it_lies() {
        let positions = [4, 5, 6, 7, 11, 12, 20];
        let lost = lost(positions);
        for position in 0..25 {
            let after = positions.iter().filter(|one| **one > position).count() as u64;
            assert_eq!(lost.after(position), Some(after), "after {position}");
        }
    }

    #[test]
    fn what_was_lost_before_the_log_was_there_is_not_counted() {
        let mut lost = Lost::new(10);
        assert_eq!((lost.after(9), lost.after(10)), (None, Some(0)));
        lost.push(12);
        assert_eq!((lost.after(9), lost.after(10), lost.after(12)), (None, Some(1), Some(0)));
    }

    #[test]
    fn a_bound_holds_for_what_is_remembered_and_beyond_it_nothing_is_known() {
        // Every other position, so that each is a stretch.
        let count = STRETCHES as u64 + 2;
        let one = lost(10..100_000);
        assert_eq!((one.stretches.len(), one.after(9)), (1, Some(99_990)));
        let lost = lost((0..count).map(|number| 10 + 2 * number));
        assert_eq!(lost.stretches.len(), STRETCHES);
        assert_eq!((lost.after(11), lost.after(12)), (None, Some(STRETCHES as u64)));
        assert_eq!(lost.after(14), Some(STRETCHES as u64 - 1));
    }
}
