//! The subscriptions that wait for a channel's next event.

use alloc::vec::Vec;

/// A subscription on a waiting list: the session's slot, and which of its subscriptions.
///
/// In a list that was handed over it may be void: then the session has ended, and in its slot there
/// is no session, or another, which at worst is looked at once in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    session: u32,
    subscription: u32,
}

impl Waiting {
    pub(crate) const fn new(session: u32, subscription: u32) -> Self {
        Self { session, subscription }
    }

    /// Returns the slot of the session.
    pub(crate) const fn session(self) -> u32 {
        self.session
    }

    /// Returns the number of the subscription among those of the session.
    pub(crate) const fn subscription(self) -> u32 {
        self.subscription
    }
}

/// A list that holds one subscription without an allocation: most clients have one session, and so
/// do most topics of a request and its answer.
#[derive(Debug)]
pub(crate) enum WaitingList {
    Few(Option<Waiting>),
    Many(Vec<Waiting>),
}

impl Default for WaitingList {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl WaitingList {
    /// Adds a subscription, and returns its index.
    #[inline]
    pub(crate) fn push(&mut self, waiting: Waiting) -> u32 {
        let index = match self {
            Self::Few(one @ None) => {
                *one = Some(waiting);
                0
            }
            Self::Few(Some(first)) => {
                *self = Self::Many(alloc::vec![*first, waiting]);
                1
            }
            Self::Many(all) => {
                all.push(waiting);
                all.len() - 1
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "no more than max_sessions")]
        let index = index as u32;
        index
    }

    pub(crate) fn get(&self, index: u32) -> Option<Waiting> {
        match self {
            Self::Few(one) => one.filter(|_| index == 0),
            Self::Many(all) => all.get(index as usize).copied(),
        }
    }

    /// Removes the subscription at `index`, where there is one. Returns the subscription that has
    /// this index now, if another has moved there.
    pub(crate) fn swap_remove(&mut self, index: u32) -> Option<Waiting> {
        match self {
            Self::Few(one) => {
                one.take();
                None
            }
            Self::Many(all) => {
                all.swap_remove(index as usize);
                all.get(index as usize).copied()
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(one) => one.is_none(),
            Self::Many(all) => all.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(session: u32) -> Waiting {
        Waiting::new(session, 0)
    }

    #[test]
    fn indexes_are_given_in_order() {
        let mut list = WaitingList::default();
        assert!(list.is_empty());
        for session in 0..5 {
            assert_eq!(list.push(waiting(session)), session);
        }
        assert_eq!((list.get(4), list.get(5)), (Some(waiting(4)), None));
    }

    #[test]
    fn the_last_takes_the_place_of_one_that_leaves() {
        let mut list = WaitingList::default();
        (0..3).for_each(|session| _ = list.push(waiting(session)));
        assert_eq!(list.swap_remove(0), Some(waiting(2)));
        assert_eq!(list.swap_remove(1), None, "the last one itself");
        assert_eq!(list.get(0), Some(waiting(2)));
        assert_eq!(list.swap_remove(0), None);
        assert!(list.is_empty());
    }

    #[test]
    fn one_alone_leaves_nothing() {
        let mut list = WaitingList::default();
        assert_eq!(list.push(waiting(7)), 0);
        assert_eq!((list.get(0), list.get(1)), (Some(waiting(7)), None));
        assert_eq!(list.swap_remove(0), None);
        assert!(list.is_empty());
        assert!(size_of::<WaitingList>() <= size_of::<Vec<Waiting>>());
    }
}
