//! From which addresses there are sessions.

use super::super::arena::{Arena, Key};
use super::super::names::AddressKey;
use super::opening::Numbered;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The addresses from which there are sessions, each once.
#[derive(Debug)]
pub(super) struct Addresses {
    addresses: Arena<Address>,
    keys: BTreeMap<AddressKey, Key>,
}

#[derive(Debug)]
struct Address {
    name: AddressKey,
    /// The oldest first.
    sessions: Vec<Numbered>,
    /// How many topics and patterns these are subscribed to, each counted for each session.
    subscriptions: u32,
}

impl Addresses {
    pub(super) const fn new() -> Self {
        Self { addresses: Arena::new(), keys: BTreeMap::new() }
    }

    /// Returns the key of an address, from which there is about to be a session.
    pub(super) fn intern(&mut self, name: AddressKey) -> Key {
        if let Some(&key) = self.keys.get(&name) {
            return key;
        }
        let key = self.addresses.insert(Address {
            name: name.clone(),
            sessions: Vec::new(),
            subscriptions: 0,
        });
        self.keys.insert(name, key);
        key
    }

    /// Returns how many topics and patterns the sessions from an address are subscribed to.
    pub(super) fn subscriptions(&self, key: Key) -> usize {
        self.addresses.get(key).map_or(0, |address| address.subscriptions as usize)
    }

    /// As [`subscriptions`](Self::subscriptions), by the name of the address.
    pub(super) fn subscriptions_from(&self, name: &AddressKey) -> usize {
        self.keys.get(name).map_or(0, |&key| self.subscriptions(key))
    }

    /// Changes how many there are.
    pub(super) fn count_subscriptions(&mut self, key: Key, count: impl FnOnce(u32) -> u32) {
        if let Some(address) = self.addresses.get_mut(key) {
            address.subscriptions = count(address.subscriptions);
        }
    }

    /// Returns the sessions from an address, the oldest first.
    pub(super) fn sessions(&self, key: Key) -> &[Numbered] {
        self.addresses.get(key).map_or(&[], |address| &address.sessions)
    }

    /// As [`sessions`](Self::sessions), by the name of the address.
    pub(super) fn sessions_from(&self, name: &AddressKey) -> &[Numbered] {
        self.keys.get(name).map_or(&[], |&key| self.sessions(key))
    }

    /// Adds a session, which is newer than all before.
    pub(super) fn add(&mut self, key: Key, session: Numbered) {
        if let Some(address) = self.addresses.get_mut(key) {
            address.sessions.push(session);
        }
    }

    /// Takes a session out, and forgets the address if that was its last.
    pub(super) fn remove(&mut self, key: Key, session: Key) {
        let Some(address) = self.addresses.get_mut(key) else { return };
        address.sessions.retain(|&(_, other)| other != session);
        if address.sessions.is_empty()
            && let Some(address) = self.addresses.remove(key)
        {
            self.keys.remove(&address.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;

    #[test]
    fn an_address_is_known_as_long_as_it_has_sessions() {
        let name = AddressKey::new("office").unwrap();
        let mut addresses = Addresses::new();
        let office = addresses.intern(name.clone());
        for slot in 0..3 {
            addresses.add(office, (slot.into(), key(slot)));
        }
        assert_eq!(addresses.intern(name.clone()), office);
        addresses.remove(office, key(1));
        assert_eq!(addresses.sessions_from(&name), [(0, key(0)), (2, key(2))]);
        addresses.remove(office, key(0));
        // One that is not there.
        addresses.remove(office, key(1));
        assert_eq!(addresses.sessions(office), [(2, key(2))]);
        addresses.remove(office, key(2));
        assert!(addresses.sessions(office).is_empty() && addresses.keys.is_empty());
        assert_ne!(addresses.intern(name.clone()), office);
        assert!(addresses.sessions_from(&name).is_empty());
    }
}
