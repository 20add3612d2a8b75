//! The clients: their ids, the sessions of each, and how long a client is remembered without one.

mod kept;
mod roster;

pub use roster::{PresenceCursor, PresencePage, PresentClient, Roster};

use super::arena::{Arena, Key};
use super::clock::{NEVER, Tick, ticks};
use super::config::Metadata;
use super::event::EventNumber;
use super::names::ClientId;
use super::one_or_many::OneOrMany;
use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;
use core::time::Duration;
use kept::Kept;

/// All clients that are known: those that have a session, and those in their grace time; and those
/// of which nothing is known but what is kept for them.
#[derive(Debug)]
pub(crate) struct Clients {
    clients: Arena<Client>,
    /// The slot of each, by its id: less than a key, since there may be a million.
    slots: BTreeMap<ClientId, u32>,
    /// Those without a session, the longest absent first: each that has an
    /// [`absent_since`](Client::absent_since), with it.
    absent: BTreeSet<(Tick, Key)>,
    /// Those that are not known, and for whom something is kept.
    kept: Kept,
    grace: Tick,
    max_absent: u32,
    /// The newest position that was lost with a client that is no longer known.
    forgotten_through: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    id: ClientId,
    /// In the order in which they were opened.
    sessions: OneOrMany<Key>,
    /// How many topics and patterns these are subscribed to, each counted for each session.
    subscriptions: u32,
    metadata: http::Extensions,
    /// [`NEVER`] while it has a session, or is about to have its first.
    absent_since: Tick,
    /// The slot of its channel among the topics.
    channel: u32,
}

/// A client that is no longer known.
#[derive(Debug)]
pub(crate) struct Forgotten {
    /// The slot of the channel that is to be closed.
    pub(crate) channel: u32,
    /// The client, if it was known; `None` where only something was kept for it.
    pub(crate) left: Option<Departed>,
}

/// A client that was known and is so no more.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) id: ClientId,
    pub(crate) metadata: http::Extensions,
    /// Whether its grace time is over, so that it did not have to make room.
    pub(crate) is_over: bool,
}

impl Client {
    pub(crate) const fn id(&self) -> &ClientId {
        &self.id
    }

    /// Returns its sessions, in the order in which they were opened.
    pub(crate) fn sessions(&self) -> &[Key] {
        self.sessions.as_slice()
    }

    /// Returns how many topics and patterns its sessions are subscribed to.
    pub(crate) const fn subscriptions(&self) -> usize {
        self.subscriptions as usize
    }

    /// Counts so many subscriptions more.
    pub(crate) const fn subscribe(&mut self, count: u32) {
        self.subscriptions += count;
    }

    /// Counts so many subscriptions less.
    pub(crate) const fn unsubscribe(&mut self, count: u32) {
        self.subscriptions -= count;
    }

    /// Returns the slot of its channel among the topics.
    pub(crate) const fn channel(&self) -> u32 {
        self.channel
    }

    /// Returns what the application keeps with it.
    pub(crate) const fn metadata(&self) -> &http::Extensions {
        &self.metadata
    }

    /// As [`metadata`](Self::metadata), to be changed.
    pub(crate) const fn metadata_mut(&mut self) -> &mut http::Extensions {
        &mut self.metadata
    }
}

impl Clients {
    /// Makes a place for clients that are remembered for the grace time after their last session,
    /// and no more than `max_absent` of these at a time.
    pub(crate) fn new(grace: Duration, max_absent: u32) -> Self {
        Self {
            clients: Arena::new(),
            slots: BTreeMap::new(),
            absent: BTreeSet::new(),
            kept: Kept::default(),
            grace: ticks(grace),
            max_absent,
            forgotten_through: 0,
        }
    }

    /// Returns the client of this id, if it is known.
    pub(crate) fn get(&self, id: &ClientId) -> Option<&Client> {
        self.at(self.key_of(id)?)
    }

    /// Returns the key of the client of this id, if it is known.
    pub(crate) fn key_of(&self, id: &ClientId) -> Option<Key> {
        self.clients.key_at(*self.slots.get(id)?)
    }

    pub(crate) fn at(&self, key: Key) -> Option<&Client> {
        self.clients.get(key)
    }

    pub(crate) fn at_mut(&mut self, key: Key) -> Option<&mut Client> {
        self.clients.get_mut(key)
    }

    /// Returns how many are known.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns how many are not known, and have something kept for them.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Returns the slot of the channel of a client, known or not, for which something is kept.
    pub(crate) fn channel_of(&self, id: &ClientId) -> Option<u32> {
        self.get(id).map(Client::channel).or_else(|| self.kept.channel(id))
    }

    /// Returns whether the client is not known, and something is kept for it.
    pub(crate) fn is_kept(&self, id: &ClientId) -> bool {
        self.kept.channel(id).is_some()
    }

    /// Keeps something for a client that is not known, in this channel; the newest of it was
    /// published then.
    pub(crate) fn keep(&mut self, since: Tick, id: ClientId, channel: u32) {
        self.kept.insert(since, id, channel);
    }

    /// Records that something was published then to a client that is not known.
    pub(crate) fn renew(&mut self, at: Tick, id: &ClientId) {
        self.kept.renew(at, id);
    }

    /// Takes out a client that is not known, and for which something is kept. Returns the slot of
    /// its channel.
    pub(crate) fn take_kept(&mut self, id: &ClientId) -> Option<u32> {
        self.kept.take(id)
    }

    /// Returns whether a client would be forgotten by now that was absent since then.
    pub(crate) fn is_grace_over(&self, now: Tick, since: Tick) -> bool {
        since.saturating_add(self.grace) <= now
    }

    /// Adds a client that is not known, and is about to have its first session.
    pub(crate) fn insert(&mut self, id: ClientId, channel: u32, metadata: Metadata) -> Key {
        debug_assert!(!self.slots.contains_key(&id), "{id} is known already");
        let key = self.clients.insert(Client {
            id: id.clone(),
            sessions: OneOrMany::None,
            subscriptions: 0,
            metadata: metadata.into_extensions(),
            absent_since: NEVER,
            channel,
        });
        self.slots.insert(id, key.slot());
        key
    }

    /// Records that a client is about to have a session, so that it is not forgotten.
    pub(crate) fn rejoin(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            let since = core::mem::replace(&mut client.absent_since, NEVER);
            self.absent.remove(&(since, key));
        }
    }

    /// Gives a session to its client.
    pub(crate) fn add_session(&mut self, key: Key, session: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            client.sessions.push(session);
        }
    }

    /// Takes a session from its client, and returns whose it was. Without another session the
    /// client is absent from now on.
    pub(crate) fn leave(&mut self, now: Tick, key: Key, session: Key) -> Option<&ClientId> {
        let client = self.clients.get_mut(key)?;
        if let Some(index) = client.sessions.iter().position(|other| *other == session) {
            client.sessions.remove(index);
        }
        if client.sessions.is_empty() && client.absent_since == NEVER {
            client.absent_since = now;
            self.absent.insert((now, key));
        }
        Some(&client.id)
    }

    /// Forgets a client whose grace time is over, or the longest absent one where there are more
    /// than may be. One that is not known is absent since the newest event for it.
    pub(crate) fn pop_forgotten(&mut self, now: Tick) -> Option<Forgotten> {
        let absent = self.absent.first().map(|(since, _)| *since);
        let since = absent.into_iter().chain(self.kept.oldest()).min()?;
        let is_over = self.is_grace_over(now, since);
        if !is_over && self.absent.len() + self.kept.len() <= self.max_absent as usize {
            return None;
        }
        if absent != Some(since) {
            return self.kept.pop_oldest().map(|channel| Forgotten { channel, left: None });
        }
        let (_, key) = self.absent.pop_first()?;
        let Client { id, metadata, channel, .. } = self.clients.remove(key)?;
        self.slots.remove(&id);
        Some(Forgotten { channel, left: Some(Departed { id, metadata, is_over }) })
    }

    /// Returns when the next grace time is over.
    pub(crate) fn next_timeout(&self) -> Option<Tick> {
        let absent = self.absent.first().map(|(since, _)| *since);
        let since = absent.into_iter().chain(self.kept.oldest()).min();
        since.map(|since| since.saturating_add(self.grace))
    }

    /// Returns the newest position that was lost with a client that is no longer known. A peer that
    /// comes back from before it may have missed something.
    pub(crate) const fn forgotten_through(&self) -> u64 {
        self.forgotten_through
    }

    /// Records that what was published to a client up to this position is lost.
    pub(crate) fn note_forgotten(&mut self, position: u64) {
        self.forgotten_through = self.forgotten_through.max(position);
    }

    /// Returns a page of the clients that are known, in the order of their ids: up to `limit` of
    /// them, 1 at least, after `after`.
    pub(crate) fn page<T>(
        &self,
        after: Option<&ClientId>,
        limit: usize,
        mut details: impl FnMut(&ClientId, &http::Extensions) -> T,
        as_of: EventNumber,
    ) -> PresencePage<T> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.slots.range::<ClientId, _>((start, Bound::Unbounded));
        let page = rest.by_ref().take(limit.max(1));
        let clients =
            page.filter_map(|(id, &slot)| self.clients.at(slot).map(|client| (id, client)));
        let clients = clients.map(|(id, client)| PresentClient {
            client: id.clone(),
            sessions: client.sessions.len(),
            details: details(id, &client.metadata),
        });
        let clients = clients.collect();
        PresencePage::new(as_of, after.cloned(), clients, rest.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::num::NonZeroU32;

    const SECOND: Tick = 1_000_000_000;

    fn id(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    fn session(slot: u32) -> Key {
        Key::new(slot, NonZeroU32::MIN)
    }

    /// Clients with a grace time of ten seconds, no more than two absent.
    fn clients() -> Clients {
        Clients::new(Duration::from_secs(10), 2)
    }

    /// A client with one session, in slot `channel` and with the channel in that slot.
    fn join(clients: &mut Clients, name: &str, channel: u32) -> Key {
        let key = clients.insert(id(name), channel, Metadata::default());
        clients.add_session(key, session(channel));
        key
    }

    fn forgotten(clients: &mut Clients, now: Tick) -> Vec<(ClientId, u32)> {
        let all = core::iter::from_fn(|| clients.pop_forgotten(now));
        all.map(|one| (one.left.unwrap().id, one.channel)).collect()
    }

    #[test]
    fn a_client_takes_little_room_for_there_may_be_many() {
        assert!(size_of::<Client>() <= 56, "{} bytes", size_of::<Client>());
    }

    #[test]
    fn sessions_are_in_the_order_of_opening_also_after_one_has_left() {
        let mut clients = clients();
        let key = join(&mut clients, "alice", 0);
        (1..4).for_each(|slot| clients.add_session(key, session(slot)));
        assert_eq!(clients.leave(0, key, session(1)), Some(&id("alice")));
        let alice = clients.get(&id("alice")).unwrap();
        assert_eq!(alice.sessions(), [session(0), session(2), session(3)]);
        assert!(!alice.sessions().is_empty() && clients.next_timeout().is_none());
    }

    #[test]
    fn a_client_is_forgotten_when_its_grace_time_is_over_and_not_before() {
        let mut clients = clients();
        let key = join(&mut clients, "alice", 7);
        clients.leave(SECOND, key, session(7));
        assert!(clients.at(key).unwrap().sessions().is_empty());
        assert_eq!(clients.next_timeout(), Some(11 * SECOND));
        assert!(forgotten(&mut clients, 11 * SECOND - 1).is_empty());
        assert_eq!((clients.len(), clients.key_of(&id("alice"))), (1, Some(key)));
        assert_eq!(forgotten(&mut clients, 11 * SECOND), [(id("alice"), 7)]);
        assert_eq!((clients.len(), clients.key_of(&id("alice"))), (0, None));
        assert_eq!((clients.at(key).is_none(), clients.next_timeout()), (true, None));
        assert_eq!(clients.leave(0, key, session(7)), None);
    }

    #[test]
    fn a_client_that_comes_back_in_its_grace_time_stays() {
        let mut clients = clients();
        let key = join(&mut clients, "alice", 0);
        clients.at_mut(key).unwrap().metadata_mut().insert(1_u8);
        clients.leave(0, key, session(0));
        clients.rejoin(key);
        assert!(forgotten(&mut clients, Tick::MAX).is_empty());
        clients.add_session(key, session(1));
        assert_eq!(clients.at(key).unwrap().sessions(), [session(1)]);
        assert_eq!(clients.at(key).unwrap().id(), &id("alice"));
        assert_eq!(clients.at(key).unwrap().metadata().get(), Some(&1_u8));
        // It has another whole grace time after that.
        clients.leave(5 * SECOND, key, session(1));
        assert_eq!(clients.next_timeout(), Some(15 * SECOND));
        let alice = clients.pop_forgotten(15 * SECOND).unwrap();
        assert_eq!(alice.left.unwrap().metadata.get(), Some(&1_u8));
    }

    #[test]
    fn of_too_many_absent_clients_the_longest_absent_is_forgotten_early() {
        let mut clients = clients();
        let keys: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .zip(0..)
            .map(|(name, slot)| join(&mut clients, name, slot))
            .collect();
        for (now, slot) in [(1, 2), (2, 0), (3, 3)] {
            clients.leave(now, keys[slot], session(u32::try_from(slot).unwrap()));
        }
        assert_eq!(forgotten(&mut clients, 3), [(id("c"), 2)]);
        assert_eq!(clients.at(keys[3]).map(Client::channel), Some(3));
        // Without a limit at all, each is forgotten when it leaves.
        let mut clients = Clients::new(Duration::from_secs(10), 0);
        let key = join(&mut clients, "a", 0);
        clients.leave(0, key, session(0));
        assert_eq!(forgotten(&mut clients, 0), [(id("a"), 0)]);
    }

    #[test]
    fn those_that_are_not_known_count_with_the_absent_and_are_no_guests() {
        let mut clients = clients();
        let key = join(&mut clients, "alice", 0);
        clients.leave(SECOND, key, session(0));
        clients.keep(2 * SECOND, id("bob"), 1);
        assert_eq!((clients.len(), clients.kept()), (1, 1));
        assert!(clients.get(&id("bob")).is_none() && clients.is_kept(&id("bob")));
        assert_eq!(
            (clients.channel_of(&id("alice")), clients.channel_of(&id("bob"))),
            (Some(0), Some(1))
        );
        assert!(clients.pop_forgotten(2 * SECOND).is_none());
        clients.keep(3 * SECOND, id("carol"), 2);
        let alice = clients.pop_forgotten(3 * SECOND).unwrap();
        assert!(!alice.left.unwrap().is_over, "she makes room");
        clients.renew(4 * SECOND, &id("bob"));
        assert_eq!(clients.next_timeout(), Some(13 * SECOND));
        let carol = clients.pop_forgotten(13 * SECOND).unwrap();
        assert!(carol.channel == 2 && carol.left.is_none());
        assert_eq!(clients.take_kept(&id("bob")), Some(1));
        assert!(clients.next_timeout().is_none() && !clients.is_kept(&id("bob")));
    }

    #[test]
    fn what_is_forgotten_goes_forward_alone() {
        let mut clients = clients();
        clients.note_forgotten(7);
        clients.note_forgotten(5);
        assert_eq!(clients.forgotten_through(), 7);
    }

    #[test]
    fn pages_tell_of_absent_clients_too() {
        let mut clients = clients();
        let keys: Vec<_> = ["c", "a", "b"]
            .iter()
            .zip(0..)
            .map(|(name, slot)| join(&mut clients, name, slot))
            .collect();
        clients.add_session(keys[0], session(9));
        clients.leave(0, keys[1], session(1));

        let as_of = EventNumber::new(0, 17);
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            // A limit of nothing is one of one.
            let page = clients.page(after.as_ref(), pages.len(), |id, _| id.as_str().len(), as_of);
            assert_eq!(page.as_of(), as_of);
            let here = page.clients().iter();
            let here = here.map(|one| (one.client.clone(), one.sessions, one.details));
            pages.push(here.collect::<Vec<_>>());
            after = page.clients().last().map(|last| last.client.clone());
            if page.is_last() {
                break;
            }
        }
        let expected = [
            alloc::vec![(id("a"), 0, 1)],
            alloc::vec![(id("b"), 1, 1)],
            alloc::vec![(id("c"), 2, 1)],
        ];
        assert_eq!(pages, expected);
        // After the last there is an empty page.
        let page = clients.page(Some(&id("c")), 10, |_, _| (), as_of);
        assert!(page.is_last() && page.clients().is_empty());
    }
}
