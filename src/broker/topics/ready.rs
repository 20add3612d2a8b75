//! The queue of sessions that have output again.
//!
//! A publish hands over a channel's whole waiting list at once, however long it is. A subscription
//! in it is looked at when its turn comes, and dropped if it means nothing any more:
//!
//! ```text
//!   front ─▶ [ list of "news": s4 s7 s9 … ] [ s2 itself ] [ list of "chat": s4 ]
//!                         next ▲                            ▲ seen
//! ```
//!
//! A list remembers when it was handed over, since from then on its sessions have output. Whether
//! the driver asks for ids or not, each list is seen once when a session on it may have stalled.

use super::waiting::{Waiting, WaitingList};
use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// A channel on whose list this subscription waited has a new event.
    Channel(Waiting, HandOver),
    /// The session has output of its own.
    Session(Key),
    /// The session has ended, and its driver is to be told.
    Ended(Key),
}

/// One handing over of a waiting list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandOver {
    number: u64,
    at: Tick,
}

impl HandOver {
    /// Returns how many came before it.
    pub(crate) const fn number(self) -> u64 {
        self.number
    }

    /// Returns when it was: since then, who waited has output.
    pub(crate) const fn at(self) -> Tick {
        self.at
    }
}

#[derive(Debug)]
enum Entry {
    List { list: Vec<Waiting>, next: usize, by: HandOver },
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
    hand_overs: u64,
    /// How many entries at the front were seen, or name a session itself. The one behind them, if
    /// there is one, is of a list.
    seen: usize,
}

impl ReadyQueue {
    /// Takes what `list` holds and leaves it empty.
    pub(crate) fn push_list(&mut self, now: Tick, list: &mut WaitingList) {
        let by = HandOver { number: self.hand_overs, at: now };
        self.hand_overs += 1;
        match list {
            WaitingList::Few(one) => {
                if let Some(waiting) = one.take() {
                    self.push(Ready::Channel(waiting, by));
                }
            }
            WaitingList::Many(all) if all.is_empty() => {}
            WaitingList::Many(all) => {
                let empty = self.spare.pop().unwrap_or_default();
                let list = core::mem::replace(all, empty);
                self.len += list.len();
                self.entries.push_back(Entry::List { list, next: 0, by });
            }
        }
    }

    pub(crate) fn push(&mut self, ready: Ready) {
        self.len += 1;
        self.entries.push_back(Entry::One(ready));
        self.skip_seen();
    }

    /// Returns how many lists were handed over: the number of the next one.
    #[inline]
    pub(crate) const fn hand_overs(&self) -> u64 {
        self.hand_overs
    }

    /// Returns when the oldest list was handed over that was not seen.
    pub(crate) fn next_unseen(&self) -> Option<Tick> {
        self.entries.get(self.seen).and_then(Entry::by).map(HandOver::at)
    }

    /// Shows `each` what is left of the oldest list that was not seen.
    pub(crate) fn see(&mut self, mut each: impl FnMut(Waiting, HandOver)) {
        match self.entries.get(self.seen) {
            Some(Entry::List { list, next, by }) => {
                list.iter().skip(*next).for_each(|waiting| each(*waiting, *by));
            }
            Some(Entry::One(Ready::Channel(waiting, by))) => each(*waiting, *by),
            Some(Entry::One(_)) | None => {}
        }
        self.seen = self.entries.len().min(self.seen + 1);
        self.skip_seen();
    }

    /// Passes entries that name a session itself: of these, the session knows the time.
    fn skip_seen(&mut self) {
        while self.entries.get(self.seen).is_some_and(|entry| entry.by().is_none()) {
            self.seen += 1;
        }
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let front = self.entries.pop_front();
        self.seen = self.seen.saturating_sub(1);
        self.skip_seen();
        front
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
                    self.pop_front();
                    return Some(ready);
                }
                Entry::List { list, next, by } => {
                    if let Some(waiting) = list.get(*next) {
                        let ready = Ready::Channel(*waiting, *by);
                        *next += 1;
                        self.len -= 1;
                        return Some(ready);
                    }
                    if let Some(Entry::List { mut list, .. }) = self.pop_front()
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
        let (mut index, mut seen) = (0, 0);
        self.entries.retain_mut(|entry| {
            let is_kept = match entry {
                Entry::One(ready) => is_live(ready),
                Entry::List { list, next, by } => {
                    list.drain(..*next);
                    *next = 0;
                    list.retain(|waiting| is_live(&Ready::Channel(*waiting, *by)));
                    !list.is_empty()
                }
            };
            seen += usize::from(is_kept && index < self.seen);
            index += 1;
            is_kept
        });
        self.seen = seen;
        self.skip_seen();
        self.void = 0;
        self.len = self.entries.iter().map(Entry::len).sum();
    }
}

impl Entry {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::List { list, next, .. } => list.len() - next,
        }
    }

    /// Returns how it was handed over, unless it names a session itself.
    const fn by(&self) -> Option<HandOver> {
        match self {
            Self::List { by, .. } | Self::One(Ready::Channel(_, by)) => Some(*by),
            Self::One(Ready::Session(_) | Ready::Ended(_)) => None,
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
                Ready::Channel(waiting, _) => waiting.session(),
                Ready::Session(key) | Ready::Ended(key) => key.slot(),
            })
            .collect()
    }

    #[test]
    fn whole_lists_come_out_in_order_between_single_sessions() {
        let (mut queue, mut many, mut one) = (ReadyQueue::default(), list(0..3), list(3..4));
        queue.push_list(1, &mut many);
        queue.push_list(2, &mut one);
        queue.push_list(3, &mut many);
        assert!(many.is_empty() && one.is_empty());
        assert_eq!(popped(&mut queue), [0, 1, 2, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_list_that_was_emptied_is_used_again() {
        let (mut queue, mut first, mut second) = (ReadyQueue::default(), list(0..100), list(0..2));
        queue.push_list(1, &mut first);
        popped(&mut queue);
        queue.push_list(2, &mut second);
        let WaitingList::Many(second) = second else { panic!("it had two") };
        assert!(second.capacity() >= 100 && second.is_empty());
    }

    #[test]
    fn void_entries_are_thrown_away_once_they_are_many_and_half_of_all() {
        let count = u32::try_from(VOID).unwrap();
        let (mut queue, mut all) = (ReadyQueue::default(), list(0..2 * count));
        queue.push_list(1, &mut all);
        // Some of the list has come out already.
        assert!(matches!(queue.pop(), Some(Ready::Channel(waiting, _)) if waiting.session() == 0));
        let is_live = |ready: &Ready| matches!(ready, Ready::Channel(waiting, _) if waiting.session() % 2 == 0);
        queue.void(VOID - 1, is_live);
        assert_eq!(queue.len, 2 * VOID - 1, "too few");
        queue.void(1, is_live);
        assert_eq!(queue.len, VOID - 1);
        assert!(popped(&mut queue).iter().all(|session| session % 2 == 0));
    }

    fn seen(queue: &mut ReadyQueue) -> Vec<(u32, Tick)> {
        let mut seen = Vec::new();
        queue.see(|waiting, by| seen.push((waiting.session(), by.at())));
        seen
    }

    #[test]
    fn each_list_is_seen_once_with_the_time_at_which_it_was_handed_over() {
        let mut queue = ReadyQueue::default();
        queue.push(Ready::Session(Key::new(9, core::num::NonZeroU32::MIN)));
        queue.push_list(10, &mut list(0..3));
        queue.push(Ready::Session(Key::new(8, core::num::NonZeroU32::MIN)));
        queue.push_list(20, &mut list(3..4));
        assert_eq!((queue.next_unseen(), queue.hand_overs()), (Some(10), 2));
        // Two have come out, one of them of the list.
        assert!(queue.pop().is_some() && queue.pop().is_some());
        assert_eq!(
            (queue.next_unseen(), seen(&mut queue)),
            (Some(10), alloc::vec![(1, 10), (2, 10)])
        );
        assert_eq!((queue.next_unseen(), seen(&mut queue)), (Some(20), alloc::vec![(3, 20)]));
        assert_eq!((queue.next_unseen(), seen(&mut queue)), (None, Vec::new()));
        assert_eq!(popped(&mut queue), [1, 2, 8, 3]);
        queue.push_list(30, &mut list(5..6));
        assert_eq!(queue.next_unseen(), Some(30));
    }

    #[test]
    fn what_was_not_seen_stays_so_when_void_entries_are_thrown_away() {
        let mut queue = ReadyQueue::default();
        let count = u32::try_from(VOID).unwrap();
        queue.push_list(10, &mut list(0..count));
        queue.push_list(20, &mut list(count..count + 2));
        seen(&mut queue);
        queue.void(VOID, |ready| matches!(ready, Ready::Channel(one, _) if one.session() >= count));
        assert_eq!((queue.next_unseen(), queue.len), (Some(20), 2));
        assert_eq!(seen(&mut queue), [(count, 20), (count + 1, 20)]);
    }
}
