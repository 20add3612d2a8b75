//! The order in which sessions are opened, where the oldest may be evicted.

use super::super::arena::Key;
use alloc::collections::VecDeque;

/// A session with its number. Sessions are numbered in the order in which they are opened, over all
/// shards, so that one of two is always the older.
pub(super) type Numbered = (u64, Key);

/// All sessions, the oldest first.
///
/// One that ends stays in the order until it comes to the front, or until such are the greater
/// part. The first is always open:
///
/// ```text
/// open   ended  ended  open   open          open   open
///   3      4      5      6      7    3 ends:  6      7
/// ```
#[derive(Debug, Default)]
pub(super) struct Opening {
    order: VecDeque<Numbered>,
}

impl Opening {
    /// Returns the oldest session.
    pub(super) fn oldest(&self) -> Option<Numbered> {
        self.order.front().copied()
    }

    /// Appends a session that was opened, where so many are open with it.
    pub(super) fn push(&mut self, session: Numbered, open: usize, is_open: impl Fn(Key) -> bool) {
        self.order.push_back(session);
        if self.order.len() > 2 * open + 64 {
            self.order.retain(|&(_, key)| is_open(key));
        }
    }

    /// Takes those from the front that have ended.
    pub(super) fn pass_ended(&mut self, is_open: impl Fn(Key) -> bool) {
        while let Some(&(_, key)) = self.order.front()
            && !is_open(key)
        {
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;

    #[test]
    fn what_stays_in_the_order_of_opening_is_bounded() {
        let mut opening = Opening::default();
        for slot in 0..10_000 {
            opening.push((slot.into(), key(slot)), 1, |key| key.slot() == 0);
            assert!(opening.order.len() <= 66, "{}", opening.order.len());
        }
        assert_eq!(opening.oldest(), Some((0, key(0))));
    }

    #[test]
    fn the_oldest_is_the_first_that_is_open() {
        let mut opening = Opening::default();
        assert_eq!(opening.oldest(), None);
        for slot in 3..8 {
            opening.push((slot.into(), key(slot)), 5, |_| true);
        }
        // Some that are not the oldest have ended.
        opening.pass_ended(|key| ![4, 5].contains(&key.slot()));
        assert_eq!(opening.oldest(), Some((3, key(3))));
        opening.pass_ended(|key| key.slot() > 5);
        assert_eq!(opening.oldest(), Some((6, key(6))));
        opening.pass_ended(|_| false);
        assert_eq!(opening.oldest(), None);
    }
}
