//! Who hears a channel for which publishers wait, and how far all of them have come.

use super::wait::House;
use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use crate::broker::sessions::{Session, Sessions, Untaken};
use alloc::collections::{BTreeMap, BTreeSet};

/// For how many different patiences it is remembered how far the readers of a channel are.
const PATIENCES: usize = 4;

/// The readers of the channels for which somebody has waited, by the channels' slots.
///
/// A channel is in it from its first wait on and as long as it has a reader, so that its slot is
/// not another's.
#[derive(Debug, Default)]
pub(crate) struct AllReaders(BTreeMap<u32, Readers>);

/// The readers of one channel.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    sessions: BTreeSet<Key>,
    /// By the patience of who waited: through which position all that count have got everything, or
    /// further. With more patience, more of them count.
    reached: BTreeMap<Tick, u64>,
    /// How often a reader came to count that had got less.
    lowered: u64,
}

impl AllReaders {
    /// Returns through which position all readers of these channels that count have got everything,
    /// as far as that is known; `None` where there is no channel.
    pub(crate) fn reached(&self, channels: &[u32], patience: Tick) -> Option<u64> {
        let of = |channel| self.0.get(channel).map_or(0, |readers| readers.reached(patience));
        channels.iter().map(of).min()
    }

    /// Finds out who hears these channels, where that is not known. This walks over all sessions,
    /// once in the life of a channel.
    pub(crate) fn follow(&mut self, channels: &[u32], sessions: &Sessions) {
        let is_new = |channel: &u32| channels.contains(channel) && !self.0.contains_key(channel);
        if channels.iter().all(|channel| !is_new(channel)) {
            return;
        }
        let mut found: BTreeMap<u32, Readers> = BTreeMap::new();
        for key in sessions.keys() {
            let heard = sessions.get(key).into_iter().flat_map(Session::channels);
            for (_, channel) in heard.filter(|(_, channel)| is_new(channel)) {
                found.entry(channel).or_default().sessions.insert(key);
            }
        }
        self.0.append(&mut found);
    }

    pub(crate) fn of(&mut self, channel: u32) -> Option<&mut Readers> {
        self.0.get_mut(&channel)
    }

    /// Adds a reader to a channel that is followed.
    pub(crate) fn join(&mut self, session: Key, channel: u32, house: &House<'_>) {
        if let Some(readers) = self.0.get_mut(&channel) {
            readers.sessions.insert(session);
            readers.lower(session, channel, house);
        }
    }

    /// Takes a reader from these channels.
    pub(crate) fn leave(&mut self, session: Key, channels: impl Iterator<Item = u32>) {
        if self.0.is_empty() {
            return;
        }
        for channel in channels {
            if let Some(readers) = self.0.get_mut(&channel) {
                readers.sessions.remove(&session);
                if readers.sessions.is_empty() {
                    self.0.remove(&channel);
                }
            }
        }
    }

    /// Records that a reader counts again, which may have got less than the others.
    pub(crate) fn lower(&mut self, session: Key, house: &House<'_>) {
        let heard = house.sessions.get(session).into_iter().flat_map(Session::channels);
        for (_, channel) in heard {
            if let Some(readers) = self.0.get_mut(&channel) {
                readers.lower(session, channel, house);
            }
        }
    }
}

impl Readers {
    /// Returns the readers after this one, in order, or all of them.
    pub(crate) fn after(&self, session: Option<Key>) -> impl Iterator<Item = Key> {
        use core::ops::Bound::{Excluded, Unbounded};
        self.sessions.range((session.map_or(Unbounded, Excluded), Unbounded)).copied()
    }

    pub(crate) const fn lowered(&self) -> u64 {
        self.lowered
    }

    fn reached(&self, patience: Tick) -> u64 {
        self.reached.range(patience..).map(|(_, position)| *position).max().unwrap_or(0)
    }

    /// Records that all that count with this patience are through this position.
    pub(crate) fn reach(&mut self, patience: Tick, position: u64) {
        let reached = self.reached.entry(patience).or_default();
        *reached = position.max(*reached);
        // What is forgotten is found out again.
        if self.reached.len() > PATIENCES {
            self.reached.pop_first();
        }
    }

    fn lower(&mut self, session: Key, channel: u32, house: &House<'_>) {
        let untaken =
            house.sessions.get(session).and_then(|state| Untaken::of(state, channel, house.topics));
        if let Some(untaken) = untaken {
            for reached in self.reached.values_mut() {
                *reached = untaken.place().min(*reached);
            }
            self.lowered += 1;
        }
    }
}
