//! The queue of sessions that have output again.
//!
//! A publish hands over a channel's whole waiting list at once, however long it is. A subscription
//! in it is looked at when its turn comes, and dropped if it means nothing any more:
//!
//! ```text
//!   front ─▶ [ list of "news": s4 s7 s9 … ] [ s2 itself ] [ list of "chat": s4 ]
//!                         next ▲
//! ```

use super::waiting::{Waiting, WaitingList};
use crate::broker::arena::Key;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// A channel on whose list this subscription waited has a new event.
    Channel(Waiting),
    /// The session has output of its own.
    Session(Key),
    /// The session has ended, and its driver is to be told.
    Ended(Key),
}

#[derive(Debug)]
enum Entry {
    List { list: Vec<Waiting>, next: usize },
    One(Ready),
}

/// How many emptied lists are kept, so that channels need not allocate new ones.
const SPARE_LISTS: usize = 64;

/// How many void entries may always stay.
const VOID: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    entries: VecDeque<Entry>,
    spare: Vec<Vec<Waiting>>,
    len: usize,
    void: usize,
}

impl ReadyQueue {
    /// Takes what `list` holds and leaves it empty.
    pub(crate) fn push_list(&mut self, list: &mut WaitingList) {
        match list {
            WaitingList::Few(one) => {
                if let Some(waiting) = one.take() {
                    self.push(Ready::Channel(waiting));
                }
            }
            WaitingList::Many(all) if all.is_empty() => {}
            WaitingList::Many(all) => {
                let empty = self.spare.pop().unwrap_or_default();
                let list = core::mem::replace(all, empty);
                self.len += list.len();
                self.entries.push_back(Entry::List { list, next: 0 });
            }
        }
    }

    pub(crate) fn push(&mut self, ready: Ready) {
        self.len += 1;
        self.entries.push_back(Entry::One(ready));
    }

    /// Returns whether [`pop`](Self::pop) gives nothing.
    #[cfg(any(feature = "record", test))]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn pop(&mut self) -> Option<Ready> {
        loop {
            match self.entries.front_mut()? {
                Entry::One(ready) => {
                    let ready = *ready;
                    self.len -= 1;
                    self.entries.pop_front();
                    return Some(ready);
                }
                Entry::List { list, next } => {
                    if let Some(waiting) = list.get(*next) {
                        *next += 1;
                        self.len -= 1;
                        return Some(Ready::Channel(*waiting));
                    }
                    if let Some(Entry::List { mut list, .. }) = self.entries.pop_front()
                        && self.spare.len() < SPARE_LISTS
                    {
                        list.clear();
                        self.spare.push(list);
                    }
                }
            }
        }
    }

    /// Records that `count` entries became void. Throws such entries away once they are many, and
    /// at least half of all.
    pub(crate) fn void(&mut self, count: usize, is_live: impl Fn(&Ready) -> bool) {
        self.void += count;
        if self.void < VOID || self.void < self.len / 2 {
            return;
        }
        self.entries.retain_mut(|entry| match entry {
            Entry::One(ready) => is_live(ready),
            Entry::List { list, next } => {
                list.drain(..*next);
                *next = 0;
                list.retain(|waiting| is_live(&Ready::Channel(*waiting)));
                !list.is_empty()
            }
        });
        self.void = 0;
        self.len = self.entries.iter().map(Entry::len).sum();
    }
}

impl Entry {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::List { list, next } => list.len() - next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(sessions: core::ops::Range<u32>) -> WaitingList {
        let mut list = WaitingList::default();
        sessions.for_each(|session| _ = list.push(Waiting::new(session, 0)));
        list
    }

    fn popped(queue: &mut ReadyQueue) -> Vec<u32> {
        core::iter::from_fn(|| queue.pop())
            .map(|ready| match ready {
                Ready::Channel(waiting) => waiting.session(),
                Ready::Session(key) | Ready::Ended(key) => key.slot(),
            })
            .collect()
    }

    #[test]
    fn whole_lists_come_out_in_order_between_single_sessions() {
        let (mut queue, mut many, mut one) = (ReadyQueue::default(), list(0..3), list(3..4));
        queue.push_list(&mut many);
        queue.push_list(&mut one);
        queue.push_list(&mut many);
        assert!(many.is_empty() && one.is_empty());
        assert_eq!(popped(&mut queue), [0, 1, 2, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_list_that_was_emptied_is_used_again() {
        let (mut queue, mut first, mut second) = (ReadyQueue::default(), list(0..100), list(0..2));
        queue.push_list(&mut first);
        popped(&mut queue);
        queue.push_list(&mut second);
        let WaitingList::Many(second) = second else { panic!("it had two") };
        assert!(second.capacity() >= 100 && second.is_empty());
    }

    #[test]
    fn void_entries_are_thrown_away_once_they_are_many_and_half_of_all() {
        let count = u32::try_from(VOID).unwrap();
        let (mut queue, mut all) = (ReadyQueue::default(), list(0..2 * count));
        queue.push_list(&mut all);
        // Some of the list has come out already.
        assert_eq!(queue.pop(), Some(Ready::Channel(Waiting::new(0, 0))));
        let is_live =
            |ready: &Ready| matches!(ready, Ready::Channel(waiting) if waiting.session() % 2 == 0);
        queue.void(VOID - 1, is_live);
        assert_eq!(queue.len, 2 * VOID - 1, "too few");
        queue.void(1, is_live);
        assert_eq!(queue.len, VOID - 1);
        assert!(popped(&mut queue).iter().all(|session| session % 2 == 0));
    }
}
