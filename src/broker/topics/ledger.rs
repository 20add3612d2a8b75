//! How many bytes all logs keep together, and which log is to give something up.
//!
//! The log that would keep the most bytes, together with the event for which there must be room,
//! gives up its oldest event, again and again until there is room. So a log that keeps less than an
//! equal share loses nothing to those that keep more. Of two logs that keep equally much, the one
//! with the older event gives it up.
//!
//! ```text
//!   limit 100, a new event of 20 for c:
//!   a ██████ 60    60 > 10 + 20: a gives up its oldest      a ████ 40
//!   b ██ 25                                                 b ██ 25
//!   c █ 10                                                  c ███ 30
//! ```

use super::log::Footprint;
use alloc::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Ledger {
    limit: usize,
    bytes: usize,
    /// All logs that keep something, by their slots, the largest last.
    by_size: BTreeSet<(Footprint, u32)>,
}

impl Ledger {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, by_size: BTreeSet::new() }
    }

    /// Records what became of the log in this slot.
    pub(crate) fn update(
        &mut self,
        slot: u32,
        before: Option<Footprint>,
        after: Option<Footprint>,
    ) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.bytes -= before.0;
            self.by_size.remove(&(before, slot));
        }
        if let Some(after) = after {
            self.bytes += after.0;
            self.by_size.insert((after, slot));
        }
    }

    /// Returns how many bytes all logs keep.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many bytes all logs may keep.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the slot of the log that is to give up an event, so that one of `size` bytes has
    /// room in the log in `slot`, which keeps `own` now. `None`: there is room.
    pub(crate) fn next_to_trim(
        &self,
        size: usize,
        slot: u32,
        own: Option<Footprint>,
    ) -> Option<u32> {
        if self.bytes + size <= self.limit {
            return None;
        }
        let &(largest, owner) = self.by_size.last()?;
        let is_own = own.is_some_and(|(bytes, oldest)| (bytes + size, oldest) > largest);
        Some(if is_own { slot } else { owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cmp::Reverse;

    fn keeps(bytes: usize, oldest: u64) -> Footprint {
        (bytes, Reverse(oldest))
    }

    #[test]
    fn bytes_are_those_of_all_logs_and_go_with_them() {
        let mut ledger = Ledger::new(100);
        ledger.update(1, None, Some(keeps(30, 1)));
        ledger.update(2, None, Some(keeps(20, 2)));
        ledger.update(1, Some(keeps(30, 1)), Some(keeps(10, 3)));
        assert_eq!(ledger.bytes(), 30);
        ledger.update(2, Some(keeps(20, 2)), None);
        ledger.update(1, Some(keeps(10, 3)), None);
        assert_eq!((ledger.bytes(), ledger.by_size.len()), (0, 0));
    }

    #[test]
    fn nobody_gives_way_while_there_is_room_to_the_last_byte() {
        let mut ledger = Ledger::new(100);
        ledger.update(1, None, Some(keeps(80, 1)));
        assert_eq!(ledger.next_to_trim(20, 2, None), None);
        assert_eq!(ledger.next_to_trim(21, 2, None), Some(1));
    }

    #[test]
    fn the_log_that_would_keep_the_most_gives_way_also_if_it_is_the_one_that_grows() {
        let mut ledger = Ledger::new(100);
        ledger.update(1, None, Some(keeps(50, 1)));
        ledger.update(2, None, Some(keeps(40, 2)));
        assert_eq!(ledger.next_to_trim(11, 2, Some(keeps(40, 2))), Some(2), "51 are more than 50");
        assert_eq!(ledger.next_to_trim(30, 3, None), Some(1), "a log that keeps nothing is no one");
    }

    #[test]
    fn of_two_that_keep_equally_much_the_one_with_the_older_event_gives_way() {
        let mut ledger = Ledger::new(100);
        ledger.update(1, None, Some(keeps(50, 7)));
        ledger.update(2, None, Some(keeps(50, 3)));
        assert_eq!(ledger.next_to_trim(1, 9, None), Some(2));
        // With the new event, 2 would keep as much as 1, and has the older one.
        ledger.update(2, Some(keeps(50, 3)), Some(keeps(40, 3)));
        ledger.update(3, None, Some(keeps(10, 9)));
        assert_eq!(ledger.next_to_trim(10, 2, Some(keeps(40, 3))), Some(2));
        assert_eq!(ledger.next_to_trim(10, 2, Some(keeps(40, 8))), Some(1));
    }

    #[test]
    fn nothing_gives_way_where_nothing_is_kept() {
        assert_eq!(Ledger::new(10).next_to_trim(11, 0, None), None);
    }
}
