//! What a log knows of the labels of its entries, which are their keys and the ids of their own.
//!
//! ```text
//!   number          12    13    14    15    16
//!   key              a     b     a     a     b
//!                    s     s     s     ▲     ▲     ▲ newest of its key, s superseded
//! ```

use crate::broker::sequence::Published;
use crate::event::EventId;
use crate::event_key::EventKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};

/// What few events bring.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    own_id: Option<EventId>,
    key: Option<EventKey>,
}

impl Labels {
    /// Returns `None` where the event has none.
    pub(super) fn of(published: &Published) -> Option<Box<Self>> {
        Self::new(published.own_id().cloned(), published.key().cloned())
    }

    pub(super) fn new(own_id: Option<EventId>, key: Option<EventKey>) -> Option<Box<Self>> {
        (own_id.is_some() || key.is_some()).then(|| Box::new(Self { own_id, key }))
    }

    pub(super) const fn own_id(&self) -> Option<&EventId> {
        self.own_id.as_ref()
    }

    pub(super) const fn key(&self) -> Option<&EventKey> {
        self.key.as_ref()
    }
}

/// Owns which entries have which labels, and which of them are superseded.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    /// Each id with the position of its entry.
    own_ids: BTreeSet<(EventId, u64)>,
    /// The number of the newest entry of each key.
    newest: BTreeMap<EventKey, u64>,
    /// The numbers of entries that are superseded and still there.
    superseded: BTreeSet<u64>,
    /// How many entries have no frame.
    taken: usize,
    is_compact: bool,
}

/// How many entries without a frame may always stay.
pub(super) const TAKEN: usize = 32;

impl Labelled {
    /// Says whether superseded entries go first.
    pub(super) const fn set_compact(&mut self, is_compact: bool) {
        self.is_compact = is_compact;
    }

    pub(super) const fn is_compact(&self) -> bool {
        self.is_compact
    }

    /// Adds an entry, which is newer than all others. Returns the number of the one that it supersedes.
    pub(super) fn insert(&mut self, number: u64, position: u64, labels: &Labels) -> Option<u64> {
        if let Some(id) = labels.own_id() {
            self.own_ids.insert((id.clone(), position));
        }
        let older = self.newest.insert(labels.key()?.clone(), number)?;
        self.superseded.insert(older);
        Some(older)
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, number: u64, position: u64, labels: &Labels) {
        if let Some(id) = labels.own_id() {
            self.own_ids.remove(&(id.clone(), position));
        }
        if let Some(key) = labels.key()
            && !self.superseded.remove(&number)
        {
            self.newest.remove(key);
        }
    }

    /// Returns the position of the oldest entry that has this id.
    pub(super) fn find(&self, id: &EventId) -> Option<u64> {
        let (found, position) = self.own_ids.range((id.clone(), 0)..).next()?;
        (found == id).then_some(*position)
    }

    /// Returns the number of the newest entry that has this key.
    pub(super) fn newest(&self, key: &EventKey) -> Option<u64> {
        self.newest.get(key).copied()
    }

    /// Returns the numbers of the superseded entries, the oldest one first.
    pub(super) fn superseded(&self) -> impl Iterator<Item = u64> {
        self.superseded.iter().copied()
    }

    /// An entry has lost its frame, where so many have theirs. Returns whether those without one are to
    /// be removed now, all of them.
    pub(super) const fn take(&mut self, kept: usize) -> bool {
        self.taken += 1;
        let are_too_many = self.taken > kept + TAKEN;
        if are_too_many {
            self.taken = 0;
        }
        are_too_many
    }

    /// An entry without a frame was removed.
    pub(super) const fn remove_taken(&mut self) {
        self.taken -= 1;
    }

    /// Returns how many entries without a frame there are.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn key(key: &'static str) -> Labels {
        Labels { own_id: None, key: Some(EventKey::new(key).unwrap()) }
    }

    #[test]
    fn the_newest_of_a_key_supersedes_the_one_before_it() {
        let mut labelled = Labelled::default();
        let older = [(12, "a"), (13, "b"), (14, "a"), (15, "a"), (16, "b")]
            .map(|(number, name)| labelled.insert(number, 10 * number, &key(name)));
        assert_eq!(older, [None, None, Some(12), Some(14), Some(13)]);
        assert_eq!(labelled.superseded().collect::<Vec<_>>(), [12, 13, 14]);
        assert_eq!(labelled.newest(&EventKey::new("a").unwrap()), Some(15));
        labelled.remove(12, 120, &key("a"));
        labelled.remove(16, 160, &key("b"));
        assert_eq!(labelled.superseded().collect::<Vec<_>>(), [13, 14]);
        assert_eq!(labelled.newest(&EventKey::new("a").unwrap()), Some(15));
        assert_eq!(labelled.newest(&EventKey::new("b").unwrap()), None);
    }

    #[test]
    fn an_id_is_found_at_its_oldest_entry_until_that_is_gone() {
        let id = EventId::new("7").unwrap();
        let labels = Labels { own_id: Some(id.clone()), key: None };
        let mut labelled = Labelled::default();
        labelled.insert(1, 10, &labels);
        labelled.insert(2, 20, &labels);
        assert_eq!(labelled.find(&id), Some(10));
        labelled.remove(1, 10, &labels);
        assert_eq!(labelled.find(&id), Some(20));
        assert_eq!(labelled.find(&EventId::new("6").unwrap()), None);
        labelled.remove(2, 20, &labels);
        assert_eq!(labelled.find(&id), None);
    }

    #[test]
    fn entries_without_frames_go_together_when_there_are_too_many() {
        let mut labelled = Labelled::default();
        assert!((0..3 + TAKEN).all(|_| !labelled.take(3)));
        labelled.remove_taken();
        assert!(!labelled.take(3));
        assert!(labelled.take(3));
        assert_eq!(labelled.taken(), 0);
    }
}
