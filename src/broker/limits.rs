//! How many sessions there may be: in all, of one client, and from one address.

use super::arena::Key;
use super::config::LimitPolicy;
use super::error::OpenError;
use super::event::EndReason;
use super::names::AddressKey;
use super::state::Session;
use super::{Broker, SessionRequest, Told};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use std::time::Instant;

/// What the broker keeps of an address from which there are sessions.
#[derive(Debug)]
pub(super) struct AddressState {
    key: AddressKey,
    /// In the order in which they were opened, by which they are numbered.
    sessions: Vec<(u64, Key)>,
}

/// What other shards have whose sessions count as well; nothing where there are none.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elsewhere {
    pub(crate) sessions: usize,
    /// Of these, how many are from the address of the one to be opened.
    pub(crate) from_address: usize,
    /// The highest number that a session there got. Sessions are numbered in the order in which they
    /// are opened, whatever the shard, so that one of two is always the older.
    pub(crate) last_opened: u64,
    /// One of them was evicted for the session, which therefore is no longer refused.
    pub(crate) has_made_room: bool,
}

/// The order in which sessions are opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The number of the newest.
    last: u64,
    /// All sessions, where the oldest may be evicted; the first is open.
    ///
    /// Others that have ended stay in it until they come to the front or are the greater part.
    order: VecDeque<(u64, Key)>,
}

impl Opened {
    /// The number of the newest session, though it may have ended.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Nothing where the oldest is not to be evicted.
    pub(super) fn oldest(&self) -> Option<(u64, Key)> {
        self.order.front().copied()
    }

    fn push(&mut self, session: (u64, Key), open: usize, is_open: impl Fn(Key) -> bool) {
        self.order.push_back(session);
        if self.order.len() > 2 * open + 64 {
            self.order.retain(|&(_, key)| is_open(key));
        }
    }

    fn pass_ended(&mut self, is_open: impl Fn(Key) -> bool) {
        while let Some((_, key)) = self.order.front()
            && !is_open(*key)
        {
            self.order.pop_front();
        }
    }
}

impl Broker {
    /// How many sessions there are from this address.
    pub fn sessions_from(&self, address: &AddressKey) -> usize {
        let key = self.address_keys.get(address);
        key.and_then(|&key| self.addresses.get(key)).map_or(0, |address| address.sessions.len())
    }

    /// The number of the oldest session from this address, but for one.
    pub(super) fn oldest_from(&self, address: &AddressKey, except: Option<Key>) -> Option<u64> {
        let mut numbered = self.numbered_from(address);
        numbered.find(|(_, key)| Some(*key) != except).map(|(number, _)| number)
    }

    pub(super) fn is_from(&self, session: Key, address: &AddressKey) -> bool {
        let from = self.sessions.get(session).and_then(Session::address);
        from.is_some() && from == self.address_keys.get(address).copied()
    }

    fn numbered_from(&self, address: &AddressKey) -> impl Iterator<Item = (u64, Key)> {
        let state = self.address_keys.get(address).and_then(|&key| self.addresses.get(key));
        state.into_iter().flat_map(|state| state.sessions.iter().copied())
    }

    /// Whether there is room for the session, or may be made.
    pub(super) fn check_room(
        &self,
        request: &SessionRequest,
        elsewhere: &Elsewhere,
    ) -> Result<(), OpenError> {
        let config = &self.config;
        let refuses = |policy, open: usize, limit: u32| {
            policy == LimitPolicy::Refuse && open >= limit as usize
        };
        let open = self.sessions.len() + elsewhere.sessions;
        if refuses(config.at_max_sessions, open, config.max_sessions) {
            return Err(OpenError::TooManySessions);
        }
        let client = request.client().and_then(|client| self.client(client));
        let open = client.map_or(0, |client| client.sessions.len());
        let limit = config.max_sessions_per_client;
        if refuses(config.at_max_sessions_per_client, open, limit) {
            return Err(OpenError::TooManySessionsOfClient { limit });
        }
        let open = request.address().map_or(0, |address| self.sessions_from(address));
        let open = open + elsewhere.from_address;
        let limit = config.max_sessions_per_address;
        if refuses(config.at_max_sessions_per_address, open, limit) {
            return Err(OpenError::TooManySessionsFromAddress { limit });
        }
        Ok(())
    }

    /// The address, from which there is about to be one session more.
    pub(super) fn address_key(&mut self, address: AddressKey) -> Key {
        if let Some(&key) = self.address_keys.get(&address) {
            return key;
        }
        let state = AddressState { key: address.clone(), sessions: Vec::new() };
        let key = self.addresses.insert(state);
        self.address_keys.insert(address, key);
        key
    }

    /// Takes note of a session that was opened, and ends those that have to make room for it.
    pub(super) fn count_in(&mut self, key: Key, elsewhere: &Elsewhere) {
        let number = self.opened.last.max(elsewhere.last_opened) + 1;
        self.opened.last = number;
        if self.config.at_max_sessions == LimitPolicy::EvictOldest {
            let sessions = &self.sessions;
            self.opened.push((number, key), sessions.len(), |key| sessions.get(key).is_some());
        }
        let Some(session) = self.sessions.get(key) else { return };
        let (client, address) = (session.client, session.address());
        if let Some(state) = address.and_then(|address| self.addresses.get_mut(address)) {
            state.sessions.push((number, key));
        }
        // The new session is the last of each list, and no limit is so small, nor any other shard so
        // full by now, that it would have to go itself.
        while let Some(state) = client.and_then(|client| self.clients.get(client))
            && state.sessions.len() > self.config.max_sessions_per_client as usize
            && let Some(&oldest) = state.sessions.first()
        {
            self.evict(oldest);
        }
        while let Some(state) = address.and_then(|address| self.addresses.get(address))
            && state.sessions.len() + elsewhere.from_address
                > self.config.max_sessions_per_address as usize
            && let Some(&(_, oldest)) = state.sessions.first()
            && oldest != key
        {
            self.evict(oldest);
        }
        while self.sessions.len() + elsewhere.sessions > self.config.max_sessions as usize
            && let Some((_, oldest)) = self.opened.oldest()
            && oldest != key
        {
            self.opened.order.pop_front();
            self.evict(oldest);
        }
    }

    /// Ends the oldest session, or the oldest from this address, for one that another shard opens.
    pub(crate) fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>) {
        self.clock.advance(now);
        let oldest = match address {
            Some(address) => self.numbered_from(address).next(),
            None => self.opened.oldest(),
        };
        if let Some((_, oldest)) = oldest {
            self.evict(oldest);
        }
    }

    /// Takes note of a session's end.
    pub(super) fn count_out(&mut self, key: Key, address: Option<Key>) {
        let sessions = &self.sessions;
        self.opened.pass_ended(|key| sessions.get(key).is_some());
        let Some(address) = address else { return };
        let Some(state) = self.addresses.get_mut(address) else { return };
        state.sessions.retain(|&(_, other)| other != key);
        if state.sessions.is_empty()
            && let Some(state) = self.addresses.remove(address)
        {
            self.address_keys.remove(&state.key);
        }
    }

    fn evict(&mut self, key: Key) {
        self.end(key, EndReason::Evicted, Told::ByReady);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroU32;

    #[test]
    fn what_stays_in_the_order_of_opening_is_bounded() {
        let mut opened = Opened::default();
        let key = |slot| Key::new(slot, NonZeroU32::MIN);
        for slot in 0..10_000 {
            opened.push((slot.into(), key(slot)), 1, |key| key.slot() == 0);
            assert!(opened.order.len() <= 66, "{}", opened.order.len());
        }
        assert_eq!(opened.oldest(), Some((0, key(0))));
    }
}
