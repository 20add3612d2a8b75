//! Which sessions are opened, and which have to go for others: limits, evictions, maximum ages and
//! drains; and when those that were refused are to come back.
//!
//! It is told numbers and keys, and knows nothing of what a session is.

mod addresses;
mod census;
mod drain;
mod opening;
mod random;
mod returns;
#[cfg(test)]
pub(crate) mod tests;

pub use census::{Census, Eviction, Occupancy};

pub(crate) use census::Elsewhere;
pub(crate) use drain::{DrainStep, LastWords};
pub(crate) use returns::ReturnsOfAll;

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::config::{BrokerConfig, Drain, LimitPolicy, SessionLimit, ShardNumber};
use super::error::{DrainError, OpenError};
use super::names::AddressKey;
use addresses::Addresses;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use drain::Draining;
use opening::Opening;
use random::Random;
use returns::{RetryTimes, Returns};

/// The door of one shard: which sessions come in, and which have to go.
#[derive(Debug)]
pub(crate) struct Admission {
    in_all: SessionLimit,
    per_client: SessionLimit,
    per_address: SessionLimit,
    addresses: Addresses,
    /// All sessions, where the oldest may be evicted; else none.
    opening: Opening,
    /// The number of the newest session, though it may have ended.
    last_opened: u64,
    /// The maximum age, and by how much less it may be.
    max_age: Option<(Tick, Tick)>,
    retry_times: RetryTimes,
    returns: Returns,
    random: Random,
    is_closed: bool,
    draining: Option<Box<Draining>>,
    shard: ShardNumber,
}

/// What a session is to be opened beside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants<'a> {
    sessions: usize,
    of_client: Option<usize>,
    from: Option<&'a AddressKey>,
}

impl<'a> Wants<'a> {
    /// A session without a client and without an address, beside so many of this shard.
    pub(crate) const fn new(sessions: usize) -> Self {
        Self { sessions, of_client: None, from: None }
    }

    /// It is of a client that has so many sessions now.
    pub(crate) const fn of_client(mut self, sessions: Option<usize>) -> Self {
        self.of_client = sessions;
        self
    }

    /// It comes from this address.
    pub(crate) const fn from(mut self, address: Option<&'a AddressKey>) -> Self {
        self.from = address;
        self
    }
}

impl Admission {
    /// Makes the door of a shard in which there are no sessions.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let BrokerConfig { shard, limits, session, reconnect, .. } = config;
        Self {
            in_all: limits.sessions,
            per_client: limits.sessions_per_client,
            per_address: limits.sessions_per_address,
            addresses: Addresses::new(),
            opening: Opening::default(),
            last_opened: 0,
            max_age: session.max_age.map(|max| (ticks(max.age()), ticks(max.jitter()))),
            retry_times: RetryTimes::new(*shard, reconnect),
            returns: Returns::of_shard(*shard, reconnect),
            random: Random::new(config.seed, shard.get()),
            is_closed: false,
            draining: None,
            shard: *shard,
        }
    }

    /// Checks that sessions are opened at all, before anything is looked at that a session asks
    /// for. Whether the shard [drains](Self::is_draining) is asked later, so that a peer that may
    /// not come in at all is told so.
    pub(crate) const fn check_state(&self) -> Result<(), OpenError> {
        if self.is_closed { Err(OpenError::Closed) } else { Ok(()) }
    }

    /// Checks that there is room for a session, or that room may be made.
    pub(crate) fn check(&self, wants: &Wants<'_>, elsewhere: &Elsewhere) -> Result<(), OpenError> {
        if self.in_all.refuses(wants.sessions + elsewhere.sessions()) {
            return Err(OpenError::TooManySessions);
        }
        if self.per_client.refuses(wants.of_client.unwrap_or(0)) {
            return Err(OpenError::TooManySessionsOfClient { limit: self.per_client.most.get() });
        }
        let from = wants.from.map_or(0, |from| self.sessions_from(from));
        if self.per_address.refuses(from + elsewhere.of_address()) {
            return Err(OpenError::TooManySessionsFromAddress {
                limit: self.per_address.most.get(),
            });
        }
        Ok(())
    }

    /// Returns how many sessions there are from this address.
    pub(crate) fn sessions_from(&self, address: &AddressKey) -> usize {
        self.addresses.sessions_from(address).len()
    }

    /// Returns the key of an address, from which there is about to be one session more.
    pub(crate) fn address(&mut self, address: AddressKey) -> Key {
        self.addresses.intern(address)
    }

    /// Returns how many topics and patterns the sessions from an address are subscribed to.
    pub(crate) fn subscriptions(&self, address: Key) -> usize {
        self.addresses.subscriptions(address)
    }

    /// As [`subscriptions`](Self::subscriptions), by the name of the address.
    pub(crate) fn subscriptions_from(&self, address: &AddressKey) -> usize {
        self.addresses.subscriptions_from(address)
    }

    /// Counts so many subscriptions from an address more.
    pub(crate) fn subscribe(&mut self, address: Key, count: u32) {
        self.addresses.count_subscriptions(address, |before| before + count);
    }

    /// Counts so many subscriptions from an address less.
    pub(crate) fn unsubscribe(&mut self, address: Key, count: u32) {
        self.addresses.count_subscriptions(address, |before| before - count);
    }

    /// Records a session that was opened, and where it is from. `open` is how many there
    /// are with it.
    pub(crate) fn enter(
        &mut self,
        session: Key,
        address: Option<Key>,
        elsewhere: &Elsewhere,
        is_open: impl Fn(Key) -> bool,
        open: usize,
    ) {
        let number = self.last_opened.max(elsewhere.last_opened()) + 1;
        self.last_opened = number;
        if self.in_all.policy == LimitPolicy::EvictOldest {
            self.opening.push((number, session), open, is_open);
        }
        if let Some(address) = address {
            self.addresses.add(address, (number, session));
        }
    }

    /// Records that a session has ended, and where it was from.
    pub(crate) fn leave(
        &mut self,
        session: Key,
        address: Option<Key>,
        is_open: impl Fn(Key) -> bool,
    ) {
        self.opening.pass_ended(|key| key != session && is_open(key));
        if let Some(address) = address {
            self.addresses.remove(address, session);
        }
    }

    /// Returns the session that has to go next for one that was just opened; it is to be asked
    /// again after that one has [left](Self::leave), until none has to.
    ///
    /// `of_client` is how many sessions the client has with the new one, and the oldest of these.
    /// A client's session goes first, then one from the address, then any. The new session is never
    /// the one to go: no limit is so small, and where another shard has filled up, it stays.
    pub(crate) fn next_to_evict(
        &self,
        new: Key,
        sessions: usize,
        of_client: Option<(usize, Key)>,
        address: Option<Key>,
        elsewhere: &Elsewhere,
    ) -> Option<Key> {
        let of_client = of_client.filter(|(count, _)| self.per_client.is_exceeded(*count));
        let from = address.map_or(&[][..], |address| self.addresses.sessions(address));
        let is_full = self.per_address.is_exceeded(from.len() + elsewhere.of_address());
        let from = from.first().filter(|_| is_full);
        let is_full = self.in_all.is_exceeded(sessions + elsewhere.sessions());
        let any = self.opening.oldest().filter(|_| is_full);
        let oldest = [of_client.map(|(_, key)| key), from.map(|one| one.1), any.map(|one| one.1)];
        oldest.into_iter().flatten().find(|oldest| *oldest != new)
    }

    /// Returns the oldest session, or the oldest from this address, which is to go for one that
    /// another shard opens.
    pub(crate) fn oldest(&self, address: Option<&AddressKey>) -> Option<Key> {
        let oldest = match address {
            Some(address) => self.addresses.sessions_from(address).first().copied(),
            None => self.opening.oldest(),
        };
        oldest.map(|(_, key)| key)
    }

    /// Returns when a session that is opened now has the maximum age.
    pub(crate) fn expiry(&mut self, now: Tick) -> Option<Tick> {
        let (age, jitter) = self.max_age?;
        let less = self.random.below(jitter.saturating_add(1));
        Some(now.saturating_add(age - less))
    }

    /// Returns the reconnection time that a new session in this slot is told. `is_counted` says
    /// whether it has a client, and an address: whether a limit of these may evict it.
    pub(crate) fn retry_in(&mut self, slot: u32, is_counted: (bool, bool)) -> Option<Duration> {
        let evicts = |limit: SessionLimit| limit.policy == LimitPolicy::EvictOldest;
        let (of_client, from_address) = is_counted;
        let may_be_evicted = evicts(self.in_all)
            || (of_client && evicts(self.per_client))
            || (from_address && evicts(self.per_address));
        if may_be_evicted {
            Some(self.retry_times.of_evictable(slot, &mut self.random))
        } else {
            self.retry_times.of_slot(slot)
        }
    }

    /// Returns how long a peer that is refused with this error is to wait, in whole seconds; `None`
    /// where waiting does not help.
    pub(crate) fn retry_after(&mut self, now: Tick, error: OpenError) -> Option<Duration> {
        self.returns.retry_after(now, error)
    }

    /// Lets no session in any more, and ends a drain. Returns whether it was open until now.
    pub(crate) fn close(&mut self) -> bool {
        self.stop_draining();
        !core::mem::replace(&mut self.is_closed, true)
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Checks that [`drain`](Self::drain) may be called with this.
    pub(crate) fn check_drain(&self, drain: &Drain) -> Result<(), DrainError> {
        if self.is_closed {
            Err(DrainError::Closed)
        } else if self.draining.is_some() {
            Err(DrainError::AlreadyDraining)
        } else if drain.farewell().is_some_and(|event| event.id().is_some()) {
            Err(DrainError::FarewellWithId)
        } else {
            Ok(())
        }
    }

    /// Lets no session in any more, and these go, in an order that is drawn.
    pub(crate) fn drain(
        &mut self,
        now: Tick,
        drain: Drain,
        mut sessions: Vec<Key>,
    ) -> Result<(), DrainError> {
        self.check_drain(&drain)?;
        self.random.shuffle(&mut sessions);
        let draining = Draining::new(now, drain, sessions, self.shard);
        self.draining = Some(Box::new(draining));
        Ok(())
    }

    /// Returns whether sessions are let go, or were.
    pub(crate) const fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Ends all turns of a drain. It still is one.
    pub(crate) fn stop_draining(&mut self) {
        if let Some(draining) = &mut self.draining {
            draining.stop();
        }
    }

    /// Returns when the next turn of a drain is, where so many sessions are open.
    pub(crate) fn next_turn(&self, open: usize) -> Option<Tick> {
        self.draining.as_ref()?.next_turn(open)
    }

    /// Takes the next step of a drain that is due.
    pub(crate) fn pop_due(&mut self, now: Tick, open: usize) -> Option<DrainStep> {
        self.draining.as_mut()?.pop_due(now, open)
    }
}
