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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::clients::Clients;
    use crate::broker::config::BrokerConfig;
    use crate::broker::sequence::Epoch;
    use crate::broker::sessions::Subscription;
    use crate::broker::topics::{NewEntry, ReadyQueue, Topics};
    use alloc::vec::Vec;
    use core::time::Duration;

    /// Rooms with events for everyone at the positions 1 to 5.
    fn rooms() -> (Sessions, Topics, Clients) {
        let config = BrokerConfig::new(Epoch(1));
        let mut topics = Topics::new(&config.limits, config.retention, config.private_retention);
        let (everyone, mut ready) = (topics.everyone(), ReadyQueue::default());
        for position in 1..=5 {
            let new = NewEntry::sample(position, "x", "");
            topics.append(0, everyone, new, &mut ready).unwrap();
        }
        (Sessions::new(0, &config.session), topics, Clients::new(Duration::ZERO, 0))
    }

    fn reader(sessions: &mut Sessions, topics: &mut Topics, cursor: u64) -> Key {
        let everyone = topics.everyone();
        topics.join(everyone);
        sessions.insert(Session::new(0, None, alloc::vec![Subscription::new(everyone, cursor)]))
    }

    #[test]
    fn readers_are_found_once_and_then_come_and_go() {
        let (mut sessions, mut topics, clients) = rooms();
        let everyone = topics.everyone();
        let mut all = AllReaders::default();
        let first = reader(&mut sessions, &mut topics, 5);
        all.follow(&[everyone], &sessions);
        let second = reader(&mut sessions, &mut topics, 5);
        let known = |all: &mut AllReaders| {
            all.of(everyone).map(|readers| readers.after(None).collect::<Vec<_>>())
        };
        assert_eq!(known(&mut all), Some(alloc::vec![first]));
        all.join(second, everyone, &House::new(&mut sessions, &topics, &clients));
        assert_eq!(known(&mut all), Some(alloc::vec![first, second]));
        let after: Vec<Key> = all.of(everyone).unwrap().after(Some(first)).collect();
        assert_eq!(after, [second]);
        all.leave(first, [everyone].into_iter());
        assert_eq!(known(&mut all), Some(alloc::vec![second]));
        // Without a reader, the channel may go, and its slot may be another's.
        all.leave(second, [everyone].into_iter());
        assert_eq!(known(&mut all), None);
        all.join(first, everyone, &House::new(&mut sessions, &topics, &clients));
        assert_eq!(known(&mut all), None, "nobody waits");
    }

    #[test]
    fn how_far_all_have_come_falls_back_by_who_has_got_less() {
        let (mut sessions, mut topics, clients) = rooms();
        let everyone = topics.everyone();
        let mut all = AllReaders::default();
        reader(&mut sessions, &mut topics, 5);
        all.follow(&[everyone], &sessions);
        assert_eq!((all.reached(&[everyone], 9), all.reached(&[], 9)), (Some(0), None));
        all.of(everyone).unwrap().reach(9, 4);
        assert_eq!(all.reached(&[everyone], 9), Some(4));
        for (cursor, reached, lowered) in [(5, 4, 0), (3, 3, 1), (4, 3, 2)] {
            let late = reader(&mut sessions, &mut topics, cursor);
            all.join(late, everyone, &House::new(&mut sessions, &topics, &clients));
            assert_eq!(all.reached(&[everyone], 9), Some(reached), "from {cursor}");
            assert_eq!(all.of(everyone).unwrap().lowered(), lowered, "from {cursor}");
        }
    }

    #[test]
    fn what_is_known_with_much_patience_holds_with_less_and_not_the_other_way() {
        let mut readers = Readers::default();
        readers.reach(5, 50);
        readers.reach(2, 70);
        readers.reach(2, 60);
        assert_eq!([1, 2, 3, 5, 6].map(|patience| readers.reached(patience)), [70, 70, 50, 50, 0]);
        for patience in 10..20 {
            readers.reach(patience, 40);
        }
        assert_eq!(readers.reached.len(), PATIENCES);
    }
}
