//! Presence as an application keeps track of it: pages of a snapshot, and the changes since.

use super::super::error::RosterError;
use super::super::event::{BrokerEvent, EventNumber};
use super::super::names::ClientId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
#[cfg(feature = "cluster")]
use core::ops::Bound;

/// A part of the clients that are present, in the order of their ids, as it was at one moment.
///
/// A client is present from [`BrokerEvent::ClientJoined`] to [`BrokerEvent::ClientLeft`], also in
/// its grace time, when it has no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresencePage<T = ()> {
    as_of: EventNumber,
    after: Option<ClientId>,
    clients: Vec<PresentClient<T>>,
    is_last: bool,
}

/// A client that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentClient<T = ()> {
    /// Its id.
    pub client: ClientId,
    /// How many sessions it has; none in its grace time.
    pub sessions: usize,
    /// What was asked of its metadata.
    pub details: T,
}

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceCursor {
    shard: u16,
    after: Option<ClientId>,
}

impl PresenceCursor {
    /// Makes the cursor of the page after this client, or of the first page.
    pub(crate) const fn new(shard: u16, after: Option<ClientId>) -> Self {
        Self { shard, after }
    }

    pub(crate) const fn shard(&self) -> u16 {
        self.shard
    }

    /// Returns the client after which the page begins.
    pub(crate) const fn after(&self) -> Option<&ClientId> {
        self.after.as_ref()
    }
}

impl<T> PresencePage<T> {
    pub(crate) const fn new(
        as_of: EventNumber,
        after: Option<ClientId>,
        clients: Vec<PresentClient<T>>,
        is_last: bool,
    ) -> Self {
        Self { as_of, after, clients, is_last }
    }

    /// Returns the last event that it takes into account. Events with greater numbers came since.
    pub const fn as_of(&self) -> EventNumber {
        self.as_of
    }

    /// Returns the clients of this page.
    pub fn clients(&self) -> &[PresentClient<T>] {
        &self.clients
    }

    /// As [`clients`](Self::clients).
    pub fn into_clients(self) -> Vec<PresentClient<T>> {
        self.clients
    }

    /// Returns whether it is the last of its shard.
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// Returns where the next page of the shard begins, for
    /// [`Hub::presence_page`](crate::Hub::presence_page); `None` after the last.
    pub fn next_cursor(&self) -> Option<PresenceCursor> {
        let after = Some(self.next_after()?.clone());
        Some(PresenceCursor::new(self.as_of.shard(), after))
    }

    /// Returns after which client the next page begins, for
    /// [`Broker::presence_page`](crate::broker::Broker::presence_page); `None` after the last.
    pub fn next_after(&self) -> Option<&ClientId> {
        self.clients.last().filter(|_| !self.is_last).map(|last| &last.client)
    }
}

/// Keeps track of which clients are present, from a snapshot in pages and the events of the broker.
///
/// It is exact: no change is missed and none counted twice, in whatever order pages and events come
/// among each other. All events go to [`apply`](Self::apply), in the order in which they are
/// polled. The pages go to [`apply_page`](Self::apply_page), from the first on. An event whose page
/// has not come yet waits for it.
///
/// ```
/// use sansse::broker::{Broker, BrokerConfig, ClientId, Epoch, Roster, SessionConfig};
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
/// let of = |name| ClientId::new(name).map(|id| SessionConfig::new().with_client(id));
/// broker.open(now, of("alice")?)?;
///
/// let mut roster = Roster::new();
/// let mut after = None;
/// loop {
///     let page = broker.presence_page(after.as_ref(), 100, |_, _| ());
///     after = page.next_after().cloned();
///     roster.apply_page(page)?;
///     if after.is_none() {
///         break;
///     }
/// }
/// // From now on the events are enough.
/// broker.open(now, of("bob")?)?;
/// while let Some((number, event)) = broker.poll_event() {
///     roster.apply(number, &event)?;
/// }
/// let here: Vec<_> = roster.clients().map(|(id, sessions)| (id.as_str(), sessions)).collect();
/// assert_eq!(here, [("alice", 1), ("bob", 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Roster {
    clients: BTreeMap<ClientId, usize>,
    shards: BTreeMap<u16, Known>,
}

/// What a roster has been told of a shard.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last client of each page, and the last event that the page took into account.
    pages: Vec<(Option<ClientId>, u64)>,
    is_complete: bool,
    /// Changes of clients that no page has told of yet.
    waiting: Vec<(u64, ClientId, Change)>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Joined,
    Opened,
    Ended,
    Left,
}

/// How many changes may wait for their page.
const MAX_WAITING: usize = 100_000;

impl Roster {
    /// Makes a roster that has been told nothing.
    pub const fn new() -> Self {
        Self { clients: BTreeMap::new(), shards: BTreeMap::new() }
    }

    /// Returns the clients that are known to be present, in the order of their ids, each with the
    /// number of its sessions.
    pub fn clients(&self) -> impl Iterator<Item = (&ClientId, usize)> {
        self.clients.iter().map(|(client, sessions)| (client, *sessions))
    }

    /// Returns the clients behind one of them, as [`clients`](Self::clients) does.
    #[cfg(feature = "cluster")]
    pub(crate) fn clients_after(
        &self,
        after: Option<&ClientId>,
    ) -> impl Iterator<Item = (&ClientId, usize)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.clients.range::<ClientId, _>((start, Bound::Unbounded));
        rest.map(|(client, sessions)| (client, *sessions))
    }

    /// Returns how many clients are present.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether no client is present.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Returns how many sessions a client has; `None` if it is not present.
    pub fn sessions(&self, client: &ClientId) -> Option<usize> {
        self.clients.get(client).copied()
    }

    /// Records what happened. Events that are about no client change nothing.
    ///
    /// # Errors
    ///
    /// [`RosterError`]; the roster is to be begun anew.
    pub fn apply(&mut self, number: EventNumber, event: &BrokerEvent) -> Result<(), RosterError> {
        let (client, change) = match event {
            BrokerEvent::ClientJoined { client } => (client, Change::Joined),
            BrokerEvent::SessionOpened { client: Some(client), .. } => (client, Change::Opened),
            BrokerEvent::SessionEnded { client: Some(client), .. } => (client, Change::Ended),
            BrokerEvent::ClientLeft { client } => (client, Change::Left),
            _ => return Ok(()),
        };
        let known = self.shards.entry(number.shard()).or_default();
        match known.as_of(client) {
            Some(as_of) if number.get() <= as_of => {}
            Some(_) => change.apply(&mut self.clients, client),
            None if known.waiting.len() >= MAX_WAITING => return Err(RosterError::TooManyWaiting),
            None => known.waiting.push((number.get(), client.clone(), change)),
        }
        Ok(())
    }

    /// Records a page.
    ///
    /// # Errors
    ///
    /// [`RosterError`]; the roster is to be begun anew.
    pub fn apply_page<T>(&mut self, page: PresencePage<T>) -> Result<(), RosterError> {
        let known = self.shards.entry(page.as_of.shard()).or_default();
        let before = known.pages.last().and_then(|(through, _)| through.as_ref());
        if known.is_complete || before != page.after.as_ref() {
            return Err(RosterError::OutOfOrder);
        }
        known.is_complete = page.is_last;
        known.pages.push((page.next_after().cloned(), page.as_of.get()));
        for present in page.clients {
            self.clients.insert(present.client, present.sessions);
        }
        for (number, client, change) in core::mem::take(&mut known.waiting) {
            match known.as_of(&client) {
                Some(as_of) if number <= as_of => {}
                Some(_) => change.apply(&mut self.clients, &client),
                None => known.waiting.push((number, client, change)),
            }
        }
        Ok(())
    }
}

impl Known {
    /// Returns the last event that is in what was told of this client; `None` if nothing was.
    fn as_of(&self, client: &ClientId) -> Option<u64> {
        // The last page, once there is one, tells of all the rest.
        let page = self.pages.partition_point(|(through, _)| {
            through.as_ref().is_some_and(|through| through < client)
        });
        self.pages.get(page).map(|(_, as_of)| *as_of)
    }
}

impl Change {
    fn apply(self, clients: &mut BTreeMap<ClientId, usize>, client: &ClientId) {
        match self {
            Self::Joined => {
                clients.insert(client.clone(), 0);
            }
            Self::Left => {
                clients.remove(client);
            }
            Self::Opened | Self::Ended => {
                if let Some(sessions) = clients.get_mut(client) {
                    let more = usize::from(matches!(self, Self::Opened));
                    *sessions = (*sessions + more).saturating_sub(1 - more);
                }
            }
        }
    }
}
