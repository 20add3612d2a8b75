//! Limits of several shards, as brokers keep them.

use super::*;
use crate::base_instant::base_instant;
use crate::broker::admission::tests::refused;
use crate::broker::{
    BrokerConfig, ClientId, Epoch, LimitPolicy, OpenError, SessionId, ShardNumber,
};
use alloc::format;
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// Shards whose sessions count together, and what there should be in them: all sessions in one
/// list, the oldest first.
struct Shards {
    now: Instant,
    config: BrokerConfig,
    brokers: Vec<Broker>,
    expected: Vec<(SessionId, Option<u64>, Option<u64>)>,
}

fn config() -> BrokerConfig {
    BrokerConfig::new(Epoch(0xe))
}

fn request(client: Option<u64>, address: Option<u64>) -> SessionConfig {
    let mut request = SessionConfig::new();
    if let Some(client) = client {
        request = request.with_client(ClientId::new(format!("{client}")).unwrap());
    }
    if let Some(address) = address {
        request = request.with_address(AddressKey::new(format!("{address}")).unwrap());
    }
    request
}

impl Shards {
    fn new(count: u16, config: BrokerConfig) -> Self {
        let now = base_instant();
        let brokers = ShardNumber::all(NonZeroU16::new(count).unwrap()).map(|shard| {
            let config = BrokerConfig { shard, ..config.clone() };
            Broker::new(now, config).unwrap()
        });
        Self { now, brokers: brokers.collect(), config, expected: Vec::new() }
    }

    /// As a hub does.
    fn open(&mut self, at: usize, request: SessionConfig) -> Result<SessionId, OpenError> {
        let census = |brokers: &[Broker], request: &SessionConfig| {
            let mut census = Census::default();
            for (shard, broker) in (0..).zip(brokers) {
                if usize::from(shard) != at {
                    census.add(shard, broker.occupancy(request));
                }
            }
            census
        };
        let mut before = census(&self.brokers, &request);
        if let Some(eviction) = self.brokers[at].eviction_for(self.now, &request, &before) {
            assert_ne!(usize::from(eviction.shard()), at);
            let broker = &mut self.brokers[usize::from(eviction.shard())];
            broker.evict_oldest(self.now, eviction.address());
            before = census(&self.brokers, &request);
            let more = self.brokers[at].eviction_for(self.now, &request, &before);
            assert_eq!(more, None, "one is enough");
            before.note_eviction();
        }
        let opened = self.brokers[at].open_beside(self.now, request, before.elsewhere());
        let sessions: usize = self.brokers.iter().map(|broker| broker.sessions.len()).sum();
        assert!(sessions <= self.config.limits.sessions.most.get() as usize, "{sessions} sessions");
        opened.map(|opened| opened.session)
    }

    /// What there is no room for, or else what has to go.
    fn expect(
        &mut self,
        client: Option<u64>,
        address: Option<u64>,
    ) -> Result<Vec<SessionId>, OpenError> {
        let config = &self.config;
        let of_client: Vec<_> =
            self.expected.iter().filter(|one| client.is_some() && one.1 == client).collect();
        let from: Vec<_> =
            self.expected.iter().filter(|one| address.is_some() && one.2 == address).collect();
        refused(&config.limits, self.expected.len(), of_client.len(), from.len())?;
        let mut gone = Vec::new();
        if of_client.len() >= config.limits.sessions_per_client.most.get() as usize {
            gone.push(of_client[0].0);
        }
        let mut from = from.into_iter().filter(|one| !gone.contains(&one.0));
        if from.clone().count() >= config.limits.sessions_per_address.most.get() as usize {
            gone.extend(from.next().map(|one| one.0));
        }
        if gone.is_empty() && self.expected.len() >= config.limits.sessions.most.get() as usize {
            gone.push(self.expected[0].0);
        }
        self.expected.retain(|one| !gone.contains(&one.0));
        Ok(gone)
    }

    fn check(&self) {
        for broker in &self.brokers {
            let of_shard = |one: &&(SessionId, _, _)| one.0.shard() == broker.config.shard.get();
            let expected: Vec<_> = self.expected.iter().filter(of_shard).collect();
            assert!(
                expected.iter().all(|one| broker.session(one.0).is_open()),
                "{:?}",
                self.expected
            );
            assert_eq!(broker.sessions.len(), expected.len(), "{:?}", self.expected);
        }
    }
}

/// `SplitMix64`.
fn below(state: &mut u64, limit: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % limit
}

#[test]
fn limits_hold_for_all_shards_as_they_would_for_one() {
    let policies = [LimitPolicy::Refuse, LimitPolicy::EvictOldest];
    let (mut refused, mut evicted_elsewhere) = (0, 0);
    for seed in 0..300 {
        let mut state = seed;
        let mut pick = |limit| below(&mut state, limit);
        let policy = |number: u64| policies[usize::try_from(number).unwrap()];
        let mut config = config();
        config.limits.sessions.most = u32::try_from(1 + pick(8)).unwrap().try_into().unwrap();
        config.limits.sessions_per_client.most =
            u32::try_from(1 + pick(3)).unwrap().try_into().unwrap();
        config.limits.sessions_per_address.most =
            u32::try_from(1 + pick(4)).unwrap().try_into().unwrap();
        config.limits.sessions.policy = policy(pick(2));
        config.limits.sessions_per_client.policy = policy(pick(2));
        config.limits.sessions_per_address.policy = policy(pick(2));
        let count = u16::try_from(1 + pick(4)).unwrap();
        let mut shards = Shards::new(count, config);
        for _ in 0..200 {
            if pick(4) == 0 && !shards.expected.is_empty() {
                let index = usize::try_from(pick(shards.expected.len() as u64)).unwrap();
                let (gone, ..) = shards.expected.remove(index);
                let broker = &mut shards.brokers[usize::from(gone.shard())];
                broker.handle_disconnect(shards.now, gone);
                shards.check();
                continue;
            }
            let client = Some(pick(12)).filter(|client| *client < 6);
            let address = Some(pick(5)).filter(|address| *address < 3);
            // A client's sessions share a shard.
            let at = client.unwrap_or_else(|| pick(u64::MAX)) % u64::from(count);
            let at = usize::try_from(at).unwrap();
            let opened = shards.open(at, request(client, address));
            match (opened, shards.expect(client, address)) {
                (Ok(session), Ok(gone)) => {
                    shards.expected.push((session, client, address));
                    let is_elsewhere = |one: &&SessionId| usize::from(one.shard()) != at;
                    evicted_elsewhere += gone.iter().filter(is_elsewhere).count();
                }
                (opened, expected) => {
                    assert_eq!(opened.map(|_| ()), expected.map(|_| ()), "seed {seed}");
                    refused += 1;
                }
            }
            shards.check();
            for broker in &mut shards.brokers {
                while broker.poll_event().is_some() || broker.poll_ready().is_some() {}
            }
        }
    }
    assert!(refused > 1_000 && evicted_elsewhere > 1_000, "{refused}, {evicted_elsewhere}");
}

#[test]
fn who_is_refused_for_another_reason_evicts_nobody_elsewhere() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    let mut shards = Shards::new(2, config);
    let first = shards.open(0, request(None, None)).unwrap();
    let wrong = SessionConfig::new().with_heartbeat(Some(Duration::ZERO));
    assert_eq!(shards.open(1, wrong), Err(OpenError::ZeroHeartbeat));
    assert!(shards.brokers[0].session(first).is_open());
    // Nothing is named twice, or it would be too much here.
    shards.brokers[1].config.limits.topics_per_session = 1;
    let topic = super::super::TopicName::new("news").unwrap();
    let twice = SessionConfig::new().with_topic(topic.clone()).with_topic(topic);
    let second = shards.open(1, twice).unwrap();
    assert!(
        !shards.brokers[0].session(first).is_open() && shards.brokers[1].session(second).is_open()
    );
}

#[test]
fn a_session_for_which_room_was_made_is_opened_whatever_has_come_up_since() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    let mut shards = Shards::new(2, config);
    shards.open(0, request(None, None)).unwrap();
    let until = shards.now + Duration::from_secs(1);
    let leased = request(None, None).with_lease(until);
    let mut census = Census::default();
    census.add(0, shards.brokers[0].occupancy(&leased));
    let eviction = shards.brokers[1].eviction_for(shards.now, &leased, &census).unwrap();
    assert_eq!((eviction.shard(), eviction.address()), (0, None));
    shards.brokers[0].evict_oldest(shards.now, None);
    // The lease lapses before it is the session's turn.
    let mut census = Census::default();
    census.add(0, shards.brokers[0].occupancy(&leased));
    census.note_eviction();
    let alone = shards.brokers[0].occupancy(&leased);
    let broker = &mut shards.brokers[1];
    let opened = broker.open_beside(until, leased.clone(), census.elsewhere()).unwrap();
    broker.handle_timeout(until);
    assert!(!broker.session(opened.session).is_open());
    assert_eq!(broker.counters().ended.lease_expired, 1);
    let mut census = Census::default();
    census.add(0, alone);
    let refused = broker.open_beside(until, leased, census.elsewhere());
    assert_eq!(refused, Err(OpenError::LeaseInThePast));
}
