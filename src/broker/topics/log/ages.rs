//! How old the entries of a log were when they came.

use crate::broker::clock::Tick;
use alloc::collections::VecDeque;

/// From which age on it counts how old an entry was when it came: a second. What is read from a log
/// that other nodes write is always a few milliseconds old, which is not worth its room. It is also
/// how long an entry is kept at least that was too old when it came.
pub(super) const AGED: Tick = 1_000_000_000;

/// The numbers of entries that were old when they came, in order, each with its age then.
#[derive(Debug, Default)]
pub(super) struct Ages(VecDeque<(u64, Tick)>);

impl Ages {
    /// Notes how old the newest entry was when it came; its number is greater than any before it.
    pub(super) fn push(&mut self, number: u64, age: Tick) {
        self.0.push_back((number, age));
    }

    /// Forgets the entries before this number.
    pub(super) fn forget(&mut self, before: u64) {
        while self.0.front().is_some_and(|(number, _)| *number < before) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// Returns how old the entry of this number was when it came; 0 if that does not count.
    pub(super) fn of(&self, number: u64) -> Tick {
        let found = self.0.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().and_then(|index| self.0.get(index)).map_or(0, |(_, age)| *age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_known_until_its_entry_is_forgotten() {
        let mut ages = Ages::default();
        ages.push(3, 50);
        ages.push(7, 20);
        assert_eq!([2, 3, 5, 7, 8].map(|number| ages.of(number)), [0, 50, 0, 20, 0]);
        ages.forget(4);
        assert_eq!((ages.of(3), ages.of(7)), (0, 20));
        ages.forget(8);
        assert_eq!((ages.of(7), ages.0.capacity()), (0, 0));
    }
}
