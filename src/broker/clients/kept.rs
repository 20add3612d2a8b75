//! Clients that have no session here and are not present, and for whom something is kept.
//!
//! They are elsewhere: another node may have their sessions. Most never come here, so that each
//! takes no more than its id, its channel, and the time of its newest event.

use crate::broker::clock::Tick;
use crate::broker::names::ClientId;
use alloc::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Kept {
    by_id: BTreeMap<ClientId, One>,
    /// The one whose newest event is the oldest comes first.
    by_time: BTreeSet<(Tick, ClientId)>,
}

#[derive(Clone, Copy, Debug)]
struct One {
    /// When something was last published to it.
    since: Tick,
    /// The slot of its channel among the topics.
    channel: u32,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns the slot of the channel of such a client.
    pub(super) fn channel(&self, id: &ClientId) -> Option<u32> {
        self.by_id.get(id).map(|one| one.channel)
    }

    /// Adds a client, to which something was last published then.
    pub(super) fn insert(&mut self, since: Tick, id: ClientId, channel: u32) {
        self.by_id.insert(id.clone(), One { since, channel });
        self.by_time.insert((since, id));
    }

    /// Records that something was published to a client then.
    pub(super) fn renew(&mut self, at: Tick, id: &ClientId) {
        if let Some(one) = self.by_id.get_mut(id)
            && at > one.since
        {
            let since = core::mem::replace(&mut one.since, at);
            self.by_time.remove(&(since, id.clone()));
            self.by_time.insert((at, id.clone()));
        }
    }

    /// Takes a client out. Returns the slot of its channel.
    pub(super) fn take(&mut self, id: &ClientId) -> Option<u32> {
        let one = self.by_id.remove(id)?;
        self.by_time.remove(&(one.since, id.clone()));
        Some(one.channel)
    }

    /// Returns when something was last published to the one for which that is longest ago.
    pub(super) fn oldest(&self) -> Option<Tick> {
        self.by_time.first().map(|(since, _)| *since)
    }

    /// Takes that one out. Returns the slot of its channel.
    pub(super) fn pop_oldest(&mut self) -> Option<u32> {
        let (_, id) = self.by_time.pop_first()?;
        self.by_id.remove(&id).map(|one| one.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    #[test]
    fn the_one_for_which_nothing_came_longest_goes_first() {
        let mut kept = Kept::default();
        for (since, name, channel) in [(1, "a", 10), (2, "b", 20), (3, "c", 30)] {
            kept.insert(since, id(name), channel);
        }
        kept.renew(4, &id("a"));
        kept.renew(3, &id("a"));
        kept.renew(9, &id("unknown"));
        assert_eq!((kept.len(), kept.oldest()), (3, Some(2)));
        assert_eq!(kept.take(&id("c")), Some(30));
        assert_eq!(kept.channel(&id("c")), None);
        assert_eq!((kept.pop_oldest(), kept.oldest()), (Some(20), Some(4)));
        assert_eq!((kept.pop_oldest(), kept.pop_oldest()), (Some(10), None));
        assert_eq!(kept.len(), 0);
    }
}
