//! Who pays for names that exist only because somebody subscribed to them.
//!
//! A topic to which nothing was published, and a pattern, cost memory all the same. Each counts for
//! the client and for the address whose session brought it into being, until it is gone or
//! something is published to it. So no one peer can use up what there may be of them, also where
//! others subscribe to the same name later.

use crate::broker::config::BrokerLimits;
use crate::broker::error::{OpenError, SubscribeError};
use crate::broker::names::{AddressKey, ClientId};
use alloc::collections::BTreeMap;

/// Whose session subscribes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payer {
    client: Option<ClientId>,
    address: Option<AddressKey>,
}

/// Why there may be no more names that exist by subscriptions alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There are as many as there may be.
    Full,
    /// The client brought in as many as it may.
    Client { limit: u32 },
    /// The sessions from the address did.
    Address { limit: u32 },
}

#[derive(Debug)]
pub(super) struct Payers {
    /// By the slot of the name.
    names: BTreeMap<u32, Payer>,
    clients: BTreeMap<ClientId, u32>,
    addresses: BTreeMap<AddressKey, u32>,
    per_client: u32,
    per_address: u32,
}

impl Payer {
    pub(crate) const fn new(client: Option<ClientId>, address: Option<AddressKey>) -> Self {
        Self { client, address }
    }
}

impl Payers {
    pub(super) const fn new(limits: &BrokerLimits) -> Self {
        Self {
            names: BTreeMap::new(),
            clients: BTreeMap::new(),
            addresses: BTreeMap::new(),
            per_client: limits.subscribed_topics_per_client,
            per_address: limits.subscribed_topics_per_address,
        }
    }

    /// Checks whether a peer may bring in so many names more.
    pub(super) fn check(&self, payer: &Payer, more: usize) -> Result<(), NoRoom> {
        let has_room = |count: Option<&u32>, limit: u32| {
            let count = count.copied().unwrap_or(0) as usize;
            more == 0 || count + more <= limit as usize
        };
        if let Some(client) = &payer.client
            && !has_room(self.clients.get(client), self.per_client)
        {
            return Err(NoRoom::Client { limit: self.per_client });
        }
        if let Some(address) = &payer.address
            && !has_room(self.addresses.get(address), self.per_address)
        {
            return Err(NoRoom::Address { limit: self.per_address });
        }
        Ok(())
    }

    /// Lets a peer pay for the name in this slot.
    pub(super) fn pay(&mut self, slot: u32, payer: &Payer) {
        if *payer == Payer::default() {
            return;
        }
        if let Some(client) = &payer.client {
            *self.clients.entry(client.clone()).or_default() += 1;
        }
        if let Some(address) = &payer.address {
            *self.addresses.entry(address.clone()).or_default() += 1;
        }
        self.names.insert(slot, payer.clone());
    }

    /// Records that nobody is to pay for the name in this slot any more.
    pub(super) fn release(&mut self, slot: u32) {
        let Some(payer) = self.names.remove(&slot) else { return };
        if let Some(client) = &payer.client {
            release_one(&mut self.clients, client);
        }
        if let Some(address) = &payer.address {
            release_one(&mut self.addresses, address);
        }
    }
}

fn release_one<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl From<NoRoom> for OpenError {
    fn from(error: NoRoom) -> Self {
        match error {
            NoRoom::Full => Self::TooManyTopics,
            NoRoom::Client { limit } => Self::TooManyTopicsOfClient { limit },
            NoRoom::Address { limit } => Self::TooManyTopicsFromAddress { limit },
        }
    }
}

impl From<NoRoom> for SubscribeError {
    fn from(error: NoRoom) -> Self {
        match error {
            NoRoom::Full => Self::TooManyTopics,
            NoRoom::Client { limit } => Self::TooManyTopicsOfClient { limit },
            NoRoom::Address { limit } => Self::TooManyTopicsFromAddress { limit },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payers() -> Payers {
        let mut limits = BrokerLimits::default();
        (limits.subscribed_topics_per_client, limits.subscribed_topics_per_address) = (2, 3);
        Payers::new(&limits)
    }

    fn payer(client: &str, address: &str) -> Payer {
        Payer::new(ClientId::new(client).ok(), AddressKey::new(address).ok())
    }

    #[test]
    fn a_name_counts_for_its_client_and_its_address_until_it_is_released() {
        let mut payers = payers();
        let (alice, bob) = (payer("alice", "office"), payer("bob", "office"));
        payers.pay(1, &alice);
        payers.pay(2, &alice);
        assert_eq!(payers.check(&alice, 1), Err(NoRoom::Client { limit: 2 }));
        assert_eq!(payers.check(&alice, 0), Ok(()));
        assert_eq!(payers.check(&bob, 2), Err(NoRoom::Address { limit: 3 }));
        payers.pay(3, &bob);
        assert_eq!(payers.check(&bob, 1), Err(NoRoom::Address { limit: 3 }));
        payers.release(1);
        payers.release(1);
        assert_eq!(payers.check(&alice, 1), Ok(()));
        payers.release(2);
        payers.release(3);
        assert!(payers.names.is_empty() && payers.clients.is_empty());
        assert!(payers.addresses.is_empty(), "who pays for nothing is forgotten");
    }

    #[test]
    fn a_peer_without_client_and_address_pays_nothing() {
        let mut payers = payers();
        (0..100).for_each(|slot| payers.pay(slot, &Payer::default()));
        assert_eq!(payers.check(&Payer::default(), 1_000), Ok(()));
        assert!(payers.names.is_empty());
    }
}
