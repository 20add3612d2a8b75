//! Sessions whose place is not decided yet: what each asked for, and until when it waits to get it.
//! Either its last event id is ahead of this broker, or what it missed is read from a log outside.
//!
//! ```text
//!   newest position here   40 ──► 41 ──► 42 ──► 43 …
//!   comes with an id at    42             ▲ here it resumes
//!
//!   in memory here                  30 ── 31 ── 32 …
//!   comes with an id at    12
//!   read from a log           13 ── 29    ▲ here it resumes
//! ```
//!
//! Such a session has all its subscriptions, and none of them has a place: they stand on no waiting
//! list, so that nothing that is published looks at the session before its position comes.

use super::history::History;
use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use crate::broker::config::StartAt;
use crate::last_event_id::LastEventId;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// What is decided when the position has come, or the time is over.
#[derive(Debug)]
pub(crate) struct Ahead {
    position: u64,
    until: Tick,
    last_event_id: LastEventId,
    start: StartAt,
    opening_comment: Option<Cow<'static, str>>,
    retry: Option<Duration>,
    /// The numbers of the subscriptions that were made meanwhile, in that order, and from where on.
    late: Vec<(u32, StartAt)>,
    /// What is read for it, where its position is older than what is in memory.
    history: Option<Box<History>>,
}

impl Ahead {
    /// Makes the wait for a position, of a session that asked to resume so.
    pub(crate) fn new(
        position: u64,
        until: Tick,
        last_event_id: LastEventId,
        start: StartAt,
    ) -> Self {
        let (opening_comment, retry, late, history) = (None, None, Vec::new(), None);
        Self { position, until, last_event_id, start, opening_comment, retry, late, history }
    }

    /// Sets what its stream begins with beside what is decided.
    pub(crate) fn with_opening(
        self,
        opening_comment: Option<Cow<'static, str>>,
        retry: Option<Duration>,
    ) -> Self {
        Self { opening_comment, retry, ..self }
    }

    /// Returns the position that its last event id names.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    pub(crate) const fn last_event_id(&self) -> &LastEventId {
        &self.last_event_id
    }

    pub(crate) const fn start(&self) -> &StartAt {
        &self.start
    }

    pub(crate) const fn opening_comment(&self) -> Option<&Cow<'static, str>> {
        self.opening_comment.as_ref()
    }

    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Returns the subscriptions that were made meanwhile, in that order.
    pub(crate) fn late(&self) -> &[(u32, StartAt)] {
        &self.late
    }

    /// Lets it wait, until then, for what is read after its position.
    pub(crate) fn with_history(self, until: Tick, history: History) -> Self {
        Self { until, history: Some(Box::new(history)), ..self }
    }

    /// Returns what is read for it, where its position is older than what is in memory.
    pub(crate) fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    /// Takes what was read for it.
    pub(crate) fn take_history(&mut self) -> Option<Box<History>> {
        self.history.take()
    }

    pub(crate) fn history_mut(&mut self) -> Option<&mut History> {
        self.history.as_deref_mut()
    }

    pub(super) fn add_late(&mut self, number: u32, start: StartAt) {
        self.late.push((number, start));
    }

    /// Forgets a subscription that is gone.
    pub(super) fn forget(&mut self, number: u32) {
        self.late.retain(|(late, _)| *late != number);
        if let Some(history) = &mut self.history {
            history.forget(number);
        }
    }
}

/// All sessions whose place is not decided yet, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct AllAhead {
    by_position: BTreeSet<(u64, Key)>,
    by_time: BTreeSet<(Tick, Key)>,
    /// Those for which nobody was asked yet to read what they missed. Some may have ended.
    unread: VecDeque<Key>,
}

impl AllAhead {
    pub(super) fn insert(&mut self, key: Key, ahead: &Ahead) {
        if ahead.history.is_some() {
            self.unread.push_back(key);
        } else {
            self.by_position.insert((ahead.position, key));
        }
        self.by_time.insert((ahead.until, key));
    }

    pub(super) fn remove(&mut self, key: Key, ahead: &Ahead) {
        self.by_position.remove(&(ahead.position, key));
        self.by_time.remove(&(ahead.until, key));
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_position.is_empty()
    }

    /// Returns whether fewer than so many sessions wait for what is read for them.
    pub(super) fn has_room_to_read(&self, limit: usize) -> bool {
        (self.by_time.len() - self.by_position.len()).max(self.unread.len()) < limit
    }

    /// Takes the next session for which nobody was asked yet to read.
    pub(super) fn pop_unread(&mut self) -> Option<Key> {
        self.unread.pop_front()
    }

    #[cfg(feature = "record")]
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns all of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.by_time.iter().map(|(_, key)| *key)
    }

    /// Returns the session with the lowest position, if it is none beyond `last`.
    pub(super) fn reached(&self, last: u64) -> Option<Key> {
        self.by_position.first().filter(|(position, _)| *position <= last).map(|(_, key)| *key)
    }

    /// Returns the session that has waited longest, if its time is over.
    pub(super) fn overdue(&self, now: Tick) -> Option<Key> {
        self.by_time.first().filter(|(until, _)| *until <= now).map(|(_, key)| *key)
    }

    /// Returns when the next time is over.
    pub(super) fn next_timeout(&self) -> Option<Tick> {
        self.by_time.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroU32;

    fn key(slot: u32) -> Key {
        Key::new(slot, NonZeroU32::MIN)
    }

    fn ahead(position: u64, until: Tick) -> Ahead {
        Ahead::new(position, until, LastEventId::Absent, StartAt::Now)
    }

    #[test]
    fn sessions_come_in_the_order_of_their_positions_and_of_their_times() {
        let mut all = AllAhead::default();
        let each = [ahead(9, 100), ahead(7, 300), ahead(7, 200)];
        for (one, slot) in each.iter().zip(0..) {
            all.insert(key(slot), one);
        }
        assert_eq!((all.len(), all.next_timeout()), (3, Some(100)));
        assert_eq!((all.reached(6), all.reached(7)), (None, Some(key(1))));
        assert_eq!((all.overdue(99), all.overdue(100)), (None, Some(key(0))));
        all.remove(key(1), &each[1]);
        assert_eq!(all.reached(u64::MAX), Some(key(2)));
        all.remove(key(0), &each[0]);
        assert_eq!(all.next_timeout(), Some(200));
        all.remove(key(2), &each[2]);
        assert!(all.is_empty() && all.next_timeout().is_none());
    }

    #[test]
    fn a_late_subscription_that_is_gone_is_not_decided() {
        let mut one = ahead(9, 100);
        one.add_late(3, StartAt::Now);
        one.add_late(4, StartAt::Oldest);
        one.forget(3);
        assert_eq!(one.late(), [(4, StartAt::Oldest)]);
    }
}
