//! The queue of sessions that have output again.

use super::arena::Key;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A subscription on a topic's parked list: the session's slot, and which of its subscriptions.
///
/// In a list that was handed over it may be void: then the session has ended, and in its place
/// there is none, or another, which at worst is looked at once in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) session: u32,
    pub(super) subscription: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// A topic on whose list this session waited has a new event.
    Topic(Parked),
    /// The session has output of its own.
    Session(Key),
    /// The session is gone, and whoever drives it is to be told.
    Ended(Key),
}

#[derive(Debug)]
enum Entry {
    List { list: Vec<Parked>, next: usize },
    One(Ready),
}

/// How many emptied lists are kept, so that topics need not allocate new ones.
const SPARE_LISTS: usize = 64;

/// A publish hands over a topic's whole list at once, however long it is.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    entries: VecDeque<Entry>,
    spare: Vec<Vec<Parked>>,
    len: usize,
    void: usize,
}

impl ReadyQueue {
    /// Takes what `list` holds and leaves it empty.
    pub(super) fn push_list(&mut self, list: &mut Vec<Parked>) {
        if list.is_empty() {
            return;
        }
        let empty = self.spare.pop().unwrap_or_default();
        let list = core::mem::replace(list, empty);
        self.len += list.len();
        self.entries.push_back(Entry::List { list, next: 0 });
    }

    pub(super) fn push(&mut self, ready: Ready) {
        self.len += 1;
        self.entries.push_back(Entry::One(ready));
    }

    pub(super) fn pop(&mut self) -> Option<Ready> {
        loop {
            match self.entries.front_mut()? {
                Entry::One(ready) => {
                    let ready = *ready;
                    self.len -= 1;
                    self.entries.pop_front();
                    return Some(ready);
                }
                Entry::List { list, next } => {
                    if let Some(parked) = list.get(*next) {
                        *next += 1;
                        self.len -= 1;
                        return Some(Ready::Topic(*parked));
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

    /// Takes note that `count` entries became void; throws such entries away once they are many.
    pub(super) fn void(&mut self, count: usize, is_live: impl Fn(&Ready) -> bool) {
        self.void += count;
        if self.void < 1024 || self.void < self.len / 2 {
            return;
        }
        self.entries.retain_mut(|entry| match entry {
            Entry::One(ready) => is_live(ready),
            Entry::List { list, next } => {
                list.drain(..*next);
                *next = 0;
                list.retain(|parked| is_live(&Ready::Topic(*parked)));
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
