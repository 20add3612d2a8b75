//! Limits and evictions, of one shard and of several.

use super::super::config::{BrokerLimits, MaxAge};
use super::super::sequence::Epoch;
use super::*;
use crate::event::{Event, EventId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use core::num::NonZeroU32;

pub(super) fn key(slot: u32) -> Key {
    Key::new(slot, NonZeroU32::MIN)
}

pub(super) fn address(name: &str) -> AddressKey {
    AddressKey::new(name).unwrap()
}

pub(super) fn config() -> BrokerConfig {
    BrokerConfig::new(Epoch(1))
}

/// A door, and the sessions behind it, by their keys.
pub(super) struct Shard {
    pub(super) admission: Admission,
    pub(super) open: BTreeSet<Key>,
    addresses: BTreeMap<Key, Key>,
}

impl Shard {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        let admission = Admission::new(config);
        Self { admission, open: BTreeSet::new(), addresses: BTreeMap::new() }
    }

    /// Opens a session without evicting another.
    fn open(&mut self, slot: u32, from: Option<&AddressKey>, elsewhere: &Elsewhere) {
        let session = key(slot);
        self.open.insert(session);
        let address = from.map(|from| self.admission.address(from.clone()));
        self.addresses.extend(address.map(|address| (session, address)));
        let Self { admission, open, .. } = self;
        admission.enter(session, address, elsewhere, |key| open.contains(&key), open.len());
    }

    /// As [`open`](Self::open), with this number, which is that of the newest session of all.
    pub(super) fn open_numbered(&mut self, slot: u32, from: Option<&AddressKey>, number: u64) {
        self.admission.last_opened = number - 1;
        self.open(slot, from, &Elsewhere::default());
    }

    pub(super) fn end(&mut self, slot: u32) {
        let session = key(slot);
        self.open.remove(&session);
        let address = self.addresses.remove(&session);
        let Self { admission, open, .. } = self;
        admission.leave(session, address, |key| open.contains(&key));
    }

    /// Opens a session, and returns the slots of those that had to go, in order.
    fn open_and_evict(
        &mut self,
        slot: u32,
        clients: &mut Vec<Key>,
        from: Option<&AddressKey>,
        elsewhere: &Elsewhere,
    ) -> Vec<u32> {
        self.open(slot, from, elsewhere);
        clients.push(key(slot));
        let mut gone = Vec::new();
        loop {
            let of_client = clients.first().map(|oldest| (clients.len(), *oldest));
            let address = self.addresses.get(&key(slot)).copied();
            let evicted = self.admission.next_to_evict(
                key(slot),
                self.open.len(),
                of_client,
                address,
                elsewhere,
            );
            let Some(evicted) = evicted else { return gone };
            clients.retain(|one| *one != evicted);
            self.end(evicted.slot());
            gone.push(evicted.slot());
        }
    }
}

fn nobody_else() -> Elsewhere {
    Elsewhere::default()
}

/// Says for what there is no room, with so many sessions in all, of the client and from the address.
pub(crate) fn refused(
    limits: &BrokerLimits,
    sessions: usize,
    of_client: usize,
    from: usize,
) -> Result<(), OpenError> {
    let is_full = |limit: SessionLimit, open: usize| {
        limit.policy == LimitPolicy::Refuse && open >= limit.most.get() as usize
    };
    let (client, address) = (limits.sessions_per_client, limits.sessions_per_address);
    if is_full(limits.sessions, sessions) {
        return Err(OpenError::TooManySessions);
    }
    if is_full(client, of_client) {
        return Err(OpenError::TooManySessionsOfClient { limit: client.most.get() });
    }
    if is_full(address, from) {
        return Err(OpenError::TooManySessionsFromAddress { limit: address.most.get() });
    }
    Ok(())
}

#[test]
fn a_limit_refuses_one_more_and_none_before() {
    let mut config = config();
    config.limits.sessions.most = 3.try_into().unwrap();
    config.limits.sessions_per_client.most = 2.try_into().unwrap();
    config.limits.sessions_per_address.most = 1.try_into().unwrap();
    let mut shard = Shard::new(&config);
    let office = address("office");
    let check = |shard: &Shard, wants: Wants<'_>| shard.admission.check(&wants, &nobody_else());
    let wants = Wants::new(2);
    assert_eq!(check(&shard, wants.of_client(Some(1)).from(Some(&office))), Ok(()));
    assert_eq!(check(&shard, Wants::new(3)), Err(OpenError::TooManySessions));
    let refused = OpenError::TooManySessionsOfClient { limit: 2 };
    assert_eq!(check(&shard, wants.of_client(Some(2))), Err(refused));
    shard.open(0, Some(&office), &nobody_else());
    let refused = OpenError::TooManySessionsFromAddress { limit: 1 };
    assert_eq!(check(&shard, wants.from(Some(&office))), Err(refused));
    assert_eq!(check(&shard, wants.from(Some(&address("home")))), Ok(()));
    shard.end(0);
    assert_eq!(check(&shard, wants.from(Some(&office))), Ok(()));
}

#[test]
fn sessions_elsewhere_count_too() {
    let mut config = config();
    config.limits.sessions.most = 2.try_into().unwrap();
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    let (here, mut there) = (Shard::new(&config), Shard::new(&config));
    let office = address("office");
    let check = |there: &Shard, from| {
        let mut census = Census::default();
        census.add(1, there.admission.occupancy(there.open.len(), from));
        here.admission.check(&Wants::new(0).from(from), census.elsewhere())
    };
    there.open(0, Some(&office), &nobody_else());
    assert_eq!(check(&there, Some(&office)), Ok(()));
    there.open(1, Some(&office), &nobody_else());
    assert_eq!(check(&there, None), Err(OpenError::TooManySessions));
    config.limits.sessions.most = 3.try_into().unwrap();
    let here = Shard::new(&config);
    let mut census = Census::default();
    census.add(1, there.admission.occupancy(2, Some(&office)));
    let refused = here.admission.check(&Wants::new(0).from(Some(&office)), census.elsewhere());
    assert_eq!(refused, Err(OpenError::TooManySessionsFromAddress { limit: 2 }));
}

#[test]
fn a_session_of_the_client_goes_first_then_one_from_the_address_then_any() {
    let mut config = config();
    config.limits.sessions.most = 4.try_into().unwrap();
    config.limits.sessions_per_client.most = 2.try_into().unwrap();
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    let mut shard = Shard::new(&config);
    let office = address("office");
    let mut alice = Vec::new();
    for (slot, is_hers, is_in_office, gone) in [
        (0, false, false, &[][..]),
        (1, false, true, &[]),
        (2, true, true, &[]),
        (3, true, false, &[]),
        // Alice has two, and two are from the office, one of them hers: when that goes, there is
        // room for all.
        (4, true, true, &[2]),
        // When another one of hers goes, there still are too many from the office.
        (5, true, true, &[3, 1]),
        (6, false, false, &[]),
        (7, false, false, &[0]),
    ] {
        let from = is_in_office.then_some(&office);
        let of_client = if is_hers { &mut alice } else { &mut Vec::new() };
        assert_eq!(shard.open_and_evict(slot, of_client, from, &nobody_else()), gone, "{slot}");
    }
    assert_eq!(shard.admission.sessions_from(&office), 2);
    assert_eq!(shard.admission.oldest(None), Some(key(4)));
    assert_eq!(shard.admission.oldest(Some(&office)), Some(key(4)));
    assert_eq!(shard.admission.oldest(Some(&address("home"))), None);
}

#[test]
fn the_new_session_stays_where_other_shards_are_full() {
    let mut config = config();
    config.limits.sessions.most = 2.try_into().unwrap();
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    let (mut here, mut there) = (Shard::new(&config), Shard::new(&config));
    let office = address("office");
    here.open(0, Some(&office), &nobody_else());
    (0..2).for_each(|slot| there.open_numbered(slot, Some(&office), 7));
    let mut census = Census::default();
    census.add(1, there.admission.occupancy(2, Some(&office)));
    let none = &mut Vec::new();
    let gone = here.open_and_evict(1, none, Some(&office), census.elsewhere());
    assert_eq!(gone, [0]);
    assert_eq!(here.admission.last_opened, 8, "it is the newest of all");
}

#[test]
fn without_an_eviction_of_the_oldest_there_is_no_order_to_keep() {
    let mut shard = Shard::new(&config());
    (0..9).for_each(|slot| shard.open(slot, None, &nobody_else()));
    assert_eq!(shard.admission.oldest(None), None);
}

#[test]
fn ages_are_less_by_no_more_than_the_jitter() {
    let mut config = config();
    assert_eq!(Admission::new(&config).expiry(7), None);
    config.session.max_age = MaxAge::new(Duration::from_nanos(100), Duration::ZERO).ok();
    assert_eq!(Admission::new(&config).expiry(7), Some(107));
    config.session.max_age = MaxAge::new(Duration::from_nanos(100), Duration::from_nanos(3)).ok();
    let mut admission = Admission::new(&config);
    let mut seen: Vec<_> = (0..100).filter_map(|_| admission.expiry(7)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [104, 105, 106, 107]);
    assert_eq!(admission.expiry(Tick::MAX), Some(Tick::MAX));
}

#[test]
fn a_closed_shard_lets_nobody_in_and_a_draining_one_says_so() {
    let mut admission = Admission::new(&config());
    let drain = || Drain::new(Duration::ZERO);
    assert_eq!((admission.check_state(), admission.is_draining()), (Ok(()), false));
    let id = EventId::new("1").unwrap();
    let farewell = drain().with_farewell(Event::new("bye").with_id(id));
    assert_eq!(admission.drain(0, farewell, Vec::new()), Err(DrainError::FarewellWithId));
    assert_eq!(admission.drain(0, drain(), alloc::vec![key(0)]), Ok(()));
    assert_eq!((admission.check_state(), admission.is_draining()), (Ok(()), true));
    assert_eq!(admission.check_drain(&drain()), Err(DrainError::AlreadyDraining));
    assert_eq!(admission.next_turn(1), Some(0));
    assert!(admission.close());
    assert!(!admission.close() && admission.is_closed() && admission.is_draining());
    assert_eq!((admission.next_turn(1), admission.pop_due(Tick::MAX, 1)), (None, None));
    assert_eq!(admission.check_state(), Err(OpenError::Closed));
    assert_eq!(admission.check_drain(&drain()), Err(DrainError::Closed));
}

#[test]
fn sessions_go_in_an_order_that_the_seed_decides() {
    let order = |seed| {
        let mut admission = Admission::new(&BrokerConfig { seed, ..config() });
        admission.drain(0, Drain::new(Duration::ZERO), (0..20).map(key).collect()).unwrap();
        let steps = core::iter::from_fn(|| admission.pop_due(0, 1));
        let slot = |step| match step {
            DrainStep::Turn { session, .. } => session.slot(),
            DrainStep::LastCall => panic!("there is patience"),
        };
        steps.map(slot).collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut all = order(1);
    all.sort_unstable();
    assert!(all.into_iter().eq(0..20));
}

#[test]
fn a_refused_peer_and_a_new_session_are_told_when_to_come_back() {
    let mut config = config();
    config.reconnect.retry = Some(Duration::from_secs(2));
    let mut admission = Admission::new(&config);
    assert_eq!(admission.retry_in(0, (true, true)), config.reconnect.retry);
    let five = Some(Duration::from_secs(5));
    assert_eq!(admission.retry_after(0, OpenError::TooManySessions), five);
}

#[test]
fn sessions_that_may_be_evicted_are_told_times_that_are_drawn_for_each() {
    let told = |change: fn(&mut BrokerConfig), retry: Option<Duration>, is_counted| {
        let mut config = config();
        config.reconnect.retry = retry;
        change(&mut config);
        let mut admission = Admission::new(&config);
        core::iter::repeat_with(|| admission.retry_in(0, is_counted)).take(100).collect::<Vec<_>>()
    };
    let in_all: fn(&mut BrokerConfig) =
        |config| config.limits.sessions.policy = LimitPolicy::EvictOldest;
    for (retry, least) in
        [(None, 3_000), (Some(0), 1_000), (Some(200), 1_000), (Some(2_000), 2_000)]
    {
        let retry = retry.map(Duration::from_millis);
        let mut all: Vec<u128> = told(in_all, retry, (false, false))
            .into_iter()
            .map(|told| told.map_or(0, |told| told.as_millis()))
            .collect();
        assert_eq!(told(in_all, retry, (false, false)), told(in_all, retry, (true, true)));
        assert!(all.iter().all(|told| (least..2 * least).contains(told)), "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 50, "they do not come back in step: {all:?}");
    }
    let forever = told(in_all, Some(Duration::MAX), (false, false));
    assert_eq!(forever[0], Some(Duration::MAX));
    // No other limit ends a session that it does not count.
    let of_client: fn(&mut BrokerConfig) =
        |config| config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    let of_address: fn(&mut BrokerConfig) =
        |config| config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    assert_eq!(told(of_client, None, (false, true))[0], None);
    assert_eq!(told(of_address, None, (true, false))[0], None);
    assert!(told(of_client, None, (true, false))[0].is_some());
    assert!(told(of_address, None, (false, true))[0].is_some());
}

/// Several shards whose sessions count together, and what there should be in them: all sessions in
/// one list, the oldest first.
struct Shards {
    config: BrokerConfig,
    shards: Vec<Shard>,
    next_slot: u32,
    expected: Vec<Expected>,
}

/// The name of a session, whatever the shard, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    slot: u32,
    at: usize,
    client: Option<u64>,
    from: Option<u64>,
}

impl Shards {
    fn new(count: usize, config: BrokerConfig) -> Self {
        let shards = (0..count).map(|_| Shard::new(&config)).collect();
        Self { config, shards, next_slot: 0, expected: Vec::new() }
    }

    /// The sessions of a client, which share a shard, the oldest first.
    fn of_client(&self, client: Option<u64>) -> Vec<Key> {
        let all = self.expected.iter().filter(|one| client.is_some() && one.client == client);
        all.map(|one| key(one.slot)).collect()
    }

    fn census(&self, except: usize, from: Option<&AddressKey>) -> Census {
        let mut census = Census::default();
        for (number, shard) in (0..).zip(&self.shards) {
            if usize::from(number) != except {
                census.add(number, shard.admission.occupancy(shard.open.len(), from));
            }
        }
        census
    }

    /// Opens a session as a hub does, and returns its slot and the slots of those that had to go.
    fn open(
        &mut self,
        at: usize,
        client: Option<u64>,
        from: Option<u64>,
    ) -> Result<(u32, BTreeSet<u32>), OpenError> {
        let from = from.map(|from| address(&from.to_string()));
        let mut of_client = self.of_client(client);
        let mut census = self.census(at, from.as_ref());
        let shard = &self.shards[at];
        let wants = Wants::new(shard.open.len())
            .of_client(client.map(|_| of_client.len()))
            .from(from.as_ref());
        shard.admission.check(&wants, census.elsewhere())?;
        let mut gone = BTreeSet::new();
        let oldest = of_client.first().map(|oldest| (of_client.len(), *oldest));
        let eviction = |shards: &Self, census: &Census| {
            let shard = &shards.shards[at];
            shard.admission.eviction_for(shard.open.len(), oldest, from.as_ref(), census)
        };
        if let Some(eviction) = eviction(self, &census) {
            assert_ne!(usize::from(eviction.shard()), at);
            let other = &mut self.shards[usize::from(eviction.shard())];
            let evicted = other.admission.oldest(eviction.address()).unwrap().slot();
            other.end(evicted);
            gone.insert(evicted);
            census = self.census(at, from.as_ref());
            assert_eq!(
                self.shards[at].admission.eviction_for(
                    self.shards[at].open.len(),
                    oldest,
                    from.as_ref(),
                    &census,
                ),
                None,
                "one is enough"
            );
            census.note_eviction();
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        let shard = &mut self.shards[at];
        let mut nobody = Vec::new();
        let of_client = if client.is_some() { &mut of_client } else { &mut nobody };
        gone.extend(shard.open_and_evict(slot, of_client, from.as_ref(), census.elsewhere()));
        Ok((slot, gone))
    }

    /// Returns what has to go for a session, if there is room for it.
    fn expect(&self, client: Option<u64>, from: Option<u64>) -> Result<BTreeSet<u32>, OpenError> {
        let config = &self.config;
        let of_client = self.of_client(client);
        let from: Vec<_> =
            self.expected.iter().filter(|one| from.is_some() && one.from == from).collect();
        refused(&config.limits, self.expected.len(), of_client.len(), from.len())?;
        let mut gone = BTreeSet::new();
        if of_client.len() >= config.limits.sessions_per_client.most.get() as usize {
            gone.insert(of_client[0].slot());
        }
        let left: Vec<_> = from.iter().filter(|one| !gone.contains(&one.slot)).collect();
        if left.len() >= config.limits.sessions_per_address.most.get() as usize {
            gone.insert(left[0].slot);
        }
        if gone.is_empty() && self.expected.len() >= config.limits.sessions.most.get() as usize {
            gone.insert(self.expected[0].slot);
        }
        Ok(gone)
    }

    fn check(&self) {
        for (at, shard) in self.shards.iter().enumerate() {
            let expected = self.expected.iter().filter(|one| one.at == at);
            let expected: BTreeSet<_> = expected.map(|one| key(one.slot)).collect();
            assert_eq!(shard.open, expected, "shard {at} of {:?}", self.expected);
        }
    }
}

#[test]
fn limits_hold_for_all_shards_as_they_would_for_one() {
    let policies = [LimitPolicy::Refuse, LimitPolicy::EvictOldest];
    let (mut refused, mut evicted_elsewhere) = (0, 0);
    for seed in 0..300 {
        let mut random = Random::new(seed, 0);
        let mut pick = |limit: u32| u32::try_from(random.below(limit.into())).unwrap();
        let policy = |number: u32| policies[number as usize];
        let mut config = config();
        config.limits.sessions.most = (1 + pick(8)).try_into().unwrap();
        config.limits.sessions_per_client.most = (1 + pick(3)).try_into().unwrap();
        config.limits.sessions_per_address.most = (1 + pick(4)).try_into().unwrap();
        config.limits.sessions.policy = policy(pick(2));
        config.limits.sessions_per_client.policy = policy(pick(2));
        config.limits.sessions_per_address.policy = policy(pick(2));
        let count = 1 + pick(4);
        let mut shards = Shards::new(count as usize, config);
        for _ in 0..200 {
            if pick(4) == 0 && !shards.expected.is_empty() {
                let index = pick(u32::try_from(shards.expected.len()).unwrap());
                let Expected { slot, at, .. } = shards.expected.remove(index as usize);
                shards.shards[at].end(slot);
                shards.check();
                continue;
            }
            let client = Some(pick(12)).filter(|client| *client < 6);
            let from = Some(u64::from(pick(5))).filter(|from| *from < 3);
            // A client's sessions share a shard.
            let at = (client.unwrap_or_else(|| pick(u32::MAX)) % count) as usize;
            let client = client.map(u64::from);
            let expected = shards.expect(client, from);
            match (shards.open(at, client, from), expected) {
                (Ok((slot, gone)), Ok(expected)) => {
                    assert_eq!(gone, expected, "seed {seed}");
                    let is_elsewhere = |one: &&Expected| one.at != at && gone.contains(&one.slot);
                    evicted_elsewhere += shards.expected.iter().filter(is_elsewhere).count();
                    shards.expected.retain(|one| !gone.contains(&one.slot));
                    shards.expected.push(Expected { slot, at, client, from });
                }
                (opened, expected) => {
                    let opened = opened.map(|(_, gone)| gone);
                    assert_eq!(opened, expected, "seed {seed}");
                    refused += 1;
                }
            }
            shards.check();
        }
    }
    assert!(refused > 1_000 && evicted_elsewhere > 1_000, "{refused}, {evicted_elsewhere}");
}
