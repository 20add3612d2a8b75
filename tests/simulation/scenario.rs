//! What is drawn for one simulation.

use crate::filter::{ANSWER, CLIENTS, Filter, PATTERNS, TOPICS};
use crate::kit::random::Random;
use crate::network::NOTICES;
use sansse::broker::{
    BrokerConfig, Epoch, EventIds, Lag, LagPolicy, LimitPolicy, MaxAge, OnGap, OnUnknownId,
    Retention,
};
use std::time::Duration;

/// The keys of events.
pub(crate) const KEYS: [&str; 2] = ["gold", "tin"];

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A time up to and including `most`.
pub(crate) fn up_to(random: &mut Random, most: Duration) -> Duration {
    millis(random.next() % (u64::try_from(most.as_millis()).unwrap() + 1))
}

pub(crate) fn one_of<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

pub(crate) fn chance(random: &mut Random, percent: usize) -> bool {
    random.below(100) < percent
}

/// How a server comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// A new process that knows nothing.
    Anew,
    /// A new process that is given the last of what was published, from where it was kept.
    Restored,
    /// Only the connections are gone.
    Network,
    /// The old process ends its sessions properly, and the new one knows nothing.
    InGoodOrder,
    /// The same, but over some time.
    Drained,
}

/// What happens by itself, at some time.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Publish,
    Restart(Restart),
    /// The application reads no messages for a while.
    Sleep(Duration),
    /// The reader's machine slept, or so it is told.
    Wake,
    /// The application wants another connection.
    Reconnect,
    CloseSession,
    /// Somebody who is connected gets a topic more, or a pattern.
    Subscribe,
    Unsubscribe,
    /// A client loses all its sessions, and may listen to less when it comes back.
    Revoke,
    /// A client loses a topic.
    RevokeTopic,
    /// Nothing more is published to the topic that ends.
    EndAnswer,
}

/// How somebody reads.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) client: Option<&'static str>,
    /// What it begins with, topics and patterns.
    pub(crate) wants: Vec<Filter>,
    /// It reads a topic that ends, all of it, without the broadcast.
    pub(crate) is_of_answer: bool,
    /// For how long the reader may listen, if nobody says more.
    pub(crate) lease: Option<Duration>,
    /// Whether notices come to its application as messages, as they do to a page's.
    pub(crate) is_page: bool,
    /// The type of its notices, if not the usual one.
    pub(crate) notices: Option<&'static str>,
    pub(crate) starts_after: Duration,
    pub(crate) idle: Duration,
    pub(crate) response: Duration,
    pub(crate) lag: Option<Lag>,
    /// How often, in percent, the application pauses after a message.
    pub(crate) pauses: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) broker: BrokerConfig,
    pub(crate) shards: usize,
    /// How long after the first shard another may get an event.
    pub(crate) apply_delay: Duration,
    pub(crate) readers: Vec<Reading>,
    pub(crate) script: Vec<(Duration, Act)>,
    /// When everything is well again.
    pub(crate) healed: Duration,
    pub(crate) latency: Duration,
    /// How many bytes may be on their way to one reader.
    pub(crate) window: usize,
    /// How much goes into one write; `None` for a frame at a time.
    pub(crate) batch: Option<usize>,
    /// How many of 100 connections are cut.
    pub(crate) cuts: usize,
    /// How many of 100 events bring an id of their own.
    pub(crate) own_ids: usize,
    /// How many of 100 events have a key.
    pub(crate) keyed: usize,
    /// What holds for one topic.
    pub(crate) topic_lag: Option<(&'static str, Lag)>,
    /// After how many of 100 polls something happens before the write.
    pub(crate) busy: usize,
    pub(crate) padding: usize,
    pub(crate) opening_comment: bool,
}

impl Scenario {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut broker = BrokerConfig::new(Epoch(0x10));
        broker.retention = retention(random);
        broker.private_retention = retention(random);
        broker.client_grace = one_of(random, &[millis(500), millis(30_000), millis(30_000)]);
        broker.session.stall_timeout = one_of(random, &[Some(millis(2_000)), Some(millis(60_000))]);
        let heartbeats = [None, Some(millis(700)), Some(millis(15_000)), Some(millis(15_000))];
        broker.session.heartbeat = one_of(random, &heartbeats);
        broker.session.lag = lag(random);
        broker.session.on_gap =
            one_of(random, &[OnGap::ReplayKept, OnGap::ReplayKept, OnGap::StartNow]);
        broker.session.on_unknown_id =
            one_of(random, &[OnUnknownId::StartAnew, OnUnknownId::ReplayKept]);
        broker.reconnect.retry =
            one_of(random, &[None, Some(millis(0)), Some(millis(200)), Some(millis(1_000))]);
        let mut own_ids = one_of(random, &[0, 0, 20]);
        if chance(random, 10) {
            broker.event_ids = EventIds::Own;
            own_ids = 100;
        }
        let readers: Vec<Reading> = (0..=random.below(3)).map(|_| reading(random)).collect();
        if chance(random, 15) {
            broker.limits.sessions.most = u32::try_from(readers.len()).unwrap().try_into().unwrap();
        }
        if chance(random, 10) {
            broker.limits.sessions.most =
                u32::try_from(1 + random.below(readers.len())).unwrap().try_into().unwrap();
            broker.limits.sessions.policy = LimitPolicy::EvictOldest;
        }
        if chance(random, 10) {
            broker.limits.sessions_per_client.most = 1.try_into().unwrap();
            broker.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
        }
        if chance(random, 15) {
            let age = millis(1_000) + up_to(random, millis(20_000));
            let jitter = up_to(random, millis(900));
            broker.session.max_age = Some(MaxAge::new(age, jitter).unwrap());
        }
        // Sessions that others end again and again, or time, are to be long enough for an event.
        let is_cut_short = evicts(&broker) || broker.session.max_age.is_some();
        let fast = usize::from(is_cut_short);
        let latencies = [millis(400), millis(0), millis(5), millis(80)];
        let windows = [40, 40, 200, 1_000, 4_000];
        broker.reconnect.retry_after = millis(1_000);
        let (script, healed) = script(random);
        Self {
            broker,
            shards: one_of(random, &[1, 1, 2, 4]),
            apply_delay: one_of(random, &[millis(0), millis(50), millis(1_000), millis(3_000)]),
            readers,
            script,
            healed,
            latency: one_of(random, &latencies[fast..]),
            window: one_of(random, &windows[fast * 3..]),
            batch: one_of(random, &[None, Some(1), Some(150), Some(2_000)]),
            cuts: one_of(random, &[0, 40, 80, 95]),
            own_ids,
            keyed: one_of(random, &[0, 0, 50, 100]),
            busy: one_of(random, &[0, 0, 0, 30]),
            topic_lag: chance(random, 20).then(|| (one_of(random, &TOPICS), lag(random))),
            padding: one_of(random, &[0, 10, 120]),
            opening_comment: chance(random, 20),
        }
    }
}

impl Scenario {
    /// Whether sessions make room for others.
    pub(crate) fn evicts(&self) -> bool {
        evicts(&self.broker)
    }

    /// Something that goes on for long, with the little kept that a bound needs to show.
    pub(crate) fn draw_long(random: &mut Random, events: usize) -> Self {
        let mut scenario = Self::draw(random);
        let little = Retention {
            events: 10.try_into().unwrap(),
            bytes: 4_096.try_into().unwrap(),
            age: None,
            compact: false,
        };
        scenario.broker.retention = little;
        scenario.broker.private_retention = little;
        scenario.broker.limits.pattern_events = 64.try_into().unwrap();
        scenario.script.retain(|(_, act)| !matches!(act, Act::Restart(_)));
        let mut now = Duration::ZERO;
        for number in 0..events {
            now += up_to(random, millis(60));
            scenario.script.push((now, Act::Publish));
            if number % 50 == 0 {
                let act = one_of(random, &[Act::CloseSession, Act::Reconnect, Act::Wake]);
                scenario.script.push((now, act));
                scenario.script.push((now, Act::Sleep(millis(500))));
                scenario.script.push((now, Act::Restart(Restart::Network)));
            }
        }
        scenario.healed = now.max(scenario.healed);
        scenario
    }
}

fn evicts(broker: &BrokerConfig) -> bool {
    let limits = [broker.limits.sessions, broker.limits.sessions_per_client];
    limits.iter().any(|limit| limit.policy == LimitPolicy::EvictOldest)
}

fn retention(random: &mut Random) -> Retention {
    let compact = chance(random, 30);
    let mut retention = Retention {
        events: 8_192.try_into().unwrap(),
        bytes: (4 << 20).try_into().unwrap(),
        age: None,
        compact,
    };
    match random.below(6) {
        0 => retention.events = (1 + random.below(6)).try_into().unwrap(),
        1 => retention.bytes = (80 + random.below(500)).try_into().unwrap(),
        2 => retention.age = Some(millis(200) + up_to(random, millis(8_000))),
        _ => {}
    }
    retention
}

fn lag(random: &mut Random) -> Lag {
    use LagPolicy::{Close, KeepNewestPerKey, SkipToNewest, SkipToOldest};
    let lag = Lag::new(one_of(random, &[Close, SkipToOldest, SkipToNewest, KeepNewestPerKey]));
    match random.below(4) {
        0 => lag.with_events((1 + random.below(5)).try_into().unwrap()),
        1 => lag.with_bytes((60 + random.below(400)).try_into().unwrap()),
        _ => lag,
    }
}

fn reading(random: &mut Random) -> Reading {
    let latest = one_of(random, &[millis(0), millis(3_000)]);
    let is_of_answer = chance(random, 25);
    let topics =
        TOPICS.into_iter().filter(|topic| chance(random, if *topic == ANSWER { 15 } else { 40 }));
    let mut wants: Vec<Filter> = topics.map(Filter::Topic).collect();
    let patterns = PATTERNS.into_iter().filter(|_| chance(random, 15));
    wants.extend(patterns.map(Filter::Pattern));
    if is_of_answer {
        wants = vec![Filter::Topic(ANSWER)];
    }
    Reading {
        client: chance(random, 70).then(|| one_of(random, &CLIENTS)),
        wants,
        is_of_answer,
        lease: chance(random, 15).then(|| millis(400) + up_to(random, millis(5_000))),
        is_page: chance(random, 40),
        notices: chance(random, 30).then_some(NOTICES[1]),
        starts_after: up_to(random, latest),
        idle: one_of(random, &[millis(3_000), millis(20_000), millis(90_000)]),
        response: one_of(random, &[millis(1_000), millis(30_000)]),
        lag: chance(random, 30).then(|| lag(random)),
        pauses: one_of(random, &[0, 0, 10, 60]),
    }
}

/// All sessions of a client come to one shard.
pub(crate) fn shard_of(client: &str, shards: usize) -> usize {
    CLIENTS.iter().position(|one| *one == client).unwrap() % shards
}

fn script(random: &mut Random) -> (Vec<(Duration, Act)>, Duration) {
    let pace = one_of(random, &[millis(20), millis(400), millis(3_000)]);
    let mut now = Duration::ZERO;
    let mut script = Vec::new();
    for _ in 0..4 + random.below(26) {
        // Mostly in bursts.
        if !chance(random, 30) {
            now += up_to(random, pace);
        }
        script.push((now, Act::Publish));
    }
    let end = now + millis(1);
    for _ in 0..one_of(random, &[0, 0, 1, 2]) {
        use Restart::{Anew, Drained, InGoodOrder, Network, Restored};
        let restart = one_of(random, &[Anew, Restored, Network, InGoodOrder, Drained]);
        script.push((up_to(random, end), Act::Restart(restart)));
    }
    for _ in 0..random.below(5) {
        let longest = one_of(random, &[millis(300), millis(10_000)]);
        let act = match random.below(8) {
            0..5 => Act::Sleep(up_to(random, longest)),
            5 => Act::Wake,
            6 => Act::Reconnect,
            _ => Act::CloseSession,
        };
        script.push((up_to(random, end), act));
    }
    for _ in 0..one_of(random, &[0, 2, 7]) {
        let act = match random.below(12) {
            0..5 => Act::Subscribe,
            5..8 => Act::Unsubscribe,
            8 => Act::Revoke,
            9 => Act::RevokeTopic,
            _ => Act::EndAnswer,
        };
        script.push((up_to(random, end), act));
    }
    let healed = end + up_to(random, millis(5_000));
    (script, healed)
}
