//! What the calls are made with: names, events, requests and configurations.

use super::start;
use super::world::World;
use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, EventId, EventType, LastEventId};
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::{Duration, Instant};

impl World {
    pub(super) fn session(&mut self) -> SessionId {
        let newest = self.sessions.len().saturating_sub(1);
        let back = usize::try_from(self.rng.below(6)).unwrap();
        // An id of another shard, where there was no session yet.
        let foreign = || {
            let mut config = config();
            config.shard = ShardNumber::new(9, NonZeroU16::MAX).unwrap();
            let mut other = Broker::new(start(), config).unwrap();
            other.open(start(), anyone()).unwrap().session
        };
        self.sessions.get(newest.saturating_sub(back)).copied().unwrap_or_else(foreign)
    }

    pub(super) fn topic(&mut self) -> Audience {
        match self.rng.below(8) {
            0..3 => Audience::Everyone,
            3 => Audience::Client(self.client()),
            4 => self.session().into(),
            _ => self.name().into(),
        }
    }

    pub(super) fn name(&mut self) -> TopicName {
        topic(self.rng.pick(&["news", "news/uk", "news/é \"quoted\" \\", "a/b/c"]))
    }

    pub(super) fn filter(&mut self) -> TopicFilter {
        match self.rng.pick(&["", "news/*", "**", "a/*/c"]) {
            "" => self.name().into(),
            pattern => TopicFilter::new(pattern).unwrap(),
        }
    }

    pub(super) fn client(&mut self) -> ClientId {
        client(self.rng.pick(&["alice", "bob", "*\n\u{1}…"]))
    }

    pub(super) fn event(&mut self) -> Event {
        let long = "é\n".repeat(usize::try_from(self.rng.below(40)).unwrap());
        let mut event = match self.rng.below(6) {
            0 => Event::comment("a\nb"),
            1 => Event::id_only(id("own 1")),
            2 => Event::retry_only(Duration::from_micros(1_234_567)),
            3 => Event::new("x".repeat(16_500)),
            4 => Event::new(format!("{long}\u{2028}\0\r\n\"")),
            _ => Event::new("small"),
        };
        if self.rng.chance(20) {
            event = event.with_type(EventType::new("note\0\"").unwrap());
        }
        if self.rng.chance(20) {
            event = event.with_id(id(self.rng.pick(&["own 1", "own 2", "", "…"])));
        }
        if self.rng.chance(10) {
            event = event.with_retry(millis(777)).with_comment("beside");
        }
        event
    }

    pub(super) fn place(&mut self) -> Option<EventId> {
        let last = self.broker.shard().last_position();
        match self.rng.below(6) {
            0 => Some(id(self.rng.pick(&["own 1", "own 2", "x", "d-1"]))),
            1..4 => Some(id(&format!("e-{}", last.saturating_sub(self.rng.below(9))))),
            4 => Some(id(&format!("e-{}", last + self.rng.below(9)))),
            _ => None,
        }
    }

    pub(super) fn request(&mut self, now: Instant) -> SessionConfig {
        let mut request = SessionConfig::new().with_metadata("nobody sees it");
        if self.rng.chance(60) {
            request = request.with_client(self.client());
        }
        for _ in 0..self.rng.below(4) {
            request = request.with_topic(self.filter());
        }
        if self.rng.chance(20) {
            let most = self.rng.below(4);
            request = request.with_permitted((0..most).map(|_| self.filter()));
        }
        if self.rng.chance(40) {
            request = request.topics_only();
        }
        if self.rng.chance(30) {
            let start = self.rng.pick(&[u64::MAX, 0, 1, 3]);
            request = request.with_start(match start {
                u64::MAX => StartAt::Oldest,
                count => StartAt::Last(count),
            });
        }
        request = match self.place() {
            Some(id) => request.with_last_event_id(LastEventId::Id(id)),
            None if self.rng.chance(20) => request.with_last_event_id(LastEventId::Malformed),
            None => request,
        };
        if self.rng.chance(50) {
            let interval = self.rng.pick(&[None, None, Some(millis(700)), Some(Duration::ZERO)]);
            request = request.with_heartbeat(interval);
        }
        if self.rng.chance(20) {
            let timeout = self.rng.pick(&[None, Some(millis(900)), Some(Duration::ZERO)]);
            request = request.with_stall_timeout(timeout);
        }
        if self.rng.chance(50) {
            request = request.with_lag(random_lag(&mut self.rng));
        }
        if self.rng.chance(20) {
            let told = self.rng.chance(50).then(|| EventType::new("about").unwrap());
            request = request.with_notices(told);
        }
        if self.rng.chance(20) {
            request = request.with_opening_comment("padding\n\"");
        }
        if self.rng.chance(50) {
            let text = self.rng.pick(&["192.0.2.1", "2001:db8::1", "tenant"]);
            request = request.with_address(AddressKey::new(text).unwrap());
        }
        if self.rng.chance(25) {
            request = request.with_lease(now + self.rng.pick(&[0, 300, 5_000].map(millis)));
        }
        request
    }
}

pub(super) fn random_config(rng: &mut Rng) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(0xe));
    let (number, of) = (rng.pick(&[0, 7]), rng.pick(&[1, 8]));
    config.shard = ShardNumber::new(number, of.max(number + 1).try_into().unwrap()).unwrap();
    config.event_ids = rng.pick(&[EventIds::Assigned, EventIds::Assigned, EventIds::Own]);
    config.retention = random_retention(rng);
    config.private_retention = random_retention(rng);
    config.limits.topics = rng.pick(&[2, 6, 100]);
    config.limits.ended_topics = rng.pick(&[1, 100]);
    config.limits.sessions.most = rng.pick(&[3, 8, 16]).try_into().unwrap();
    config.limits.sessions.policy = random_limit(rng);
    config.limits.sessions_per_client.most = rng.pick(&[1, 3, 256]).try_into().unwrap();
    config.limits.sessions_per_client.policy = random_limit(rng);
    config.limits.sessions_per_address.most = rng.pick(&[1, 4, 1000]).try_into().unwrap();
    config.limits.sessions_per_address.policy = random_limit(rng);
    config.limits.retained_bytes = rng.pick(&[400, 60_000, 1 << 28, 1 << 28]).try_into().unwrap();
    config.limits.topics_per_session = rng.pick(&[2, 64]);
    config.limits.absent_clients = rng.pick(&[0, 1, 100]);
    config.limits.unread_events = rng.pick(&[30, 1000, 1000]).try_into().unwrap();
    config.client_grace = rng.pick(&[0, 1_500, 30_000].map(millis));
    config.session.stall_timeout = rng.pick(&[None, Some(secs(2)), Some(secs(60))]);
    config.session.heartbeat = rng.pick(&[None, Some(secs(1)), Some(secs(15))]);
    config.session.lag = random_lag(rng);
    config.session.on_gap = rng.pick(&[OnGap::ReplayKept, OnGap::StartNow]);
    config.reconnect.retry = rng.pick(&[None, Some(millis(2_500))]);
    config.reconnect.spread_retry = rng.chance(20);
    config.reconnect.per_second = rng.pick(&[7, 1_000]).try_into().unwrap();
    config.reconnect.retry_after = rng.pick(&[1, 5].map(secs));
    let age = rng.pick(&[None, None, Some(secs(3)), Some(secs(90))]);
    let jitter = rng.pick(&[0, 2_999].map(millis));
    config.session.max_age = age.map(|age| MaxAge::new(age, jitter).unwrap());
    config.session.ahead_wait = rng.pick(&[None, Some(millis(900)), Some(secs(5))]);
    config.keeps_for_absent = rng.chance(50);
    config.session.lease_lead = rng.pick(&[0, 500, 30_000].map(millis));
    config.seed = rng.next();
    config
}

pub(super) fn random_retention(rng: &mut Rng) -> Retention {
    Retention {
        events: rng.pick(&[1, 8, 1000]).try_into().unwrap(),
        bytes: rng.pick(&[300, 40_000, 1 << 20]).try_into().unwrap(),
        age: rng.pick(&[None, Some(millis(700)), Some(secs(40))]),
        compact: rng.chance(30),
    }
}

pub(super) fn random_limit(rng: &mut Rng) -> LimitPolicy {
    rng.pick(&[LimitPolicy::Refuse, LimitPolicy::EvictOldest])
}

pub(super) fn random_lag(rng: &mut Rng) -> Lag {
    let mut lag = Lag::new(rng.pick(&[
        LagPolicy::Close,
        LagPolicy::SkipToOldest,
        LagPolicy::SkipToNewest,
        LagPolicy::KeepNewestPerKey,
    ]));
    lag.events = NonZeroUsize::new(rng.pick(&[0, 0, 1, 4]));
    lag.bytes = NonZeroUsize::new(rng.pick(&[0, 0, 100]));
    lag
}
