//! Who is to be looked at, and when, for sessions, clients and topics in one heap.

use super::clock::Tick;
use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Session,
    Client,
    Topic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Tick,
    pub(super) owner: Owner,
    /// An entry that finds another owner in the slot finds another deadline too, or does no harm:
    /// whoever is looked at without need is armed anew.
    pub(super) slot: u32,
}

/// A heap whose entries are never moved or taken out.
///
/// Most deadlines only ever move later (each write postpones the heartbeat), so an owner keeps
/// one entry and looks at its true deadline when that comes up. The owner remembers for when its
/// entry stands; any other entry under its name is void.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
}

impl Timers {
    pub(super) fn push(&mut self, timer: Timer) {
        self.heap.push(Reverse(timer));
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(timer)| timer.at)
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timer)| timer)
    }

    /// Throws void entries away once they are the greater part.
    ///
    /// Every owner has at most one entry that is not void.
    pub(super) fn compact(&mut self, owners: usize, is_live: impl Fn(&Timer) -> bool) {
        if self.heap.len() > 2 * owners + 64 {
            let mut all = core::mem::take(&mut self.heap).into_vec();
            all.retain(|Reverse(timer)| is_live(timer));
            // Where time stands still, a slot's next owner may be armed for the very same.
            all.sort_unstable();
            all.dedup();
            self.heap = all.into();
        }
    }
}
