//! What a configuration and an operation come to, choice by choice.

use super::choices::Choices;
use super::history::{Filter, From, Op, Step, To};
use super::kit::*;
use super::model::Content;
use super::signed::SECRETS;
use sansse::EventType;
use sansse::broker::*;
use std::num::NonZeroUsize;
use std::time::Duration;

pub(super) fn drawn_config(choices: &mut Choices<'_>) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(choices.pick(&[0, 0xe, u64::MAX])));
    let (number, of) = (choices.pick(&[0, 7]), choices.pick(&[1, 1, 8]));
    config.shard = ShardNumber::new(number, of.max(number + 1).try_into().unwrap()).unwrap();
    config.event_ids = choices.pick(&[EventIds::Assigned, EventIds::Assigned, EventIds::Own]);
    config.retention = drawn_retention(choices);
    config.private_retention = drawn_retention(choices);
    config.limits.topics = choices.pick(&[2, 4, 100]);
    config.limits.ended_topics = choices.pick(&[0, 1, 100]);
    config.limits.sessions.most = choices.pick(&[3, 8, 16]).try_into().unwrap();
    config.limits.sessions.policy = drawn_limit(choices);
    config.limits.sessions_per_client.most = choices.pick(&[1, 2, 3, 256]).try_into().unwrap();
    config.limits.sessions_per_client.policy = drawn_limit(choices);
    config.limits.sessions_per_address.most = choices.pick(&[1, 2, 4, 1000]).try_into().unwrap();
    config.limits.sessions_per_address.policy = drawn_limit(choices);
    config.limits.retained_bytes =
        choices.pick(&[80, 400, 3_000, 60_000, 1 << 28, 1 << 28]).try_into().unwrap();
    config.limits.topics_per_session = choices.pick(&[1, 3, 64]);
    config.limits.permitted_per_session = config.limits.topics;
    config.limits.absent_clients = choices.pick(&[0, 1, 3, 100]);
    config.limits.unread_events = choices.pick(&[1, 30, 1000, 1000]).try_into().unwrap();
    config.client_grace = choices.pick(&[0, 1_500, 30_000].map(millis));
    config.session.stall_timeout = choices.pick(&[None, None, Some(secs(2)), Some(secs(60))]);
    config.session.heartbeat = choices.pick(&[None, Some(secs(1)), Some(secs(15))]);
    config.session.lag = drawn_lag(choices);
    config.session.notices = match choices.below(10) {
        0..7 => config.session.notices,
        7 | 8 => None,
        _ => Some(EventType::new("about").unwrap()),
    };
    config.session.on_gap = choices.pick(&[OnGap::ReplayKept, OnGap::StartNow]);
    config.reconnect.retry = choices.pick(&[None, None, Some(millis(2_500))]);
    config.reconnect.spread_retry = choices.chance(20);
    config.reconnect.per_second = choices.pick(&[1, 7, 1_000]).try_into().unwrap();
    config.reconnect.retry_after = choices.pick(&[0, 800, 2_000].map(millis));
    let age = choices.pick(&[None, None, Some(secs(3)), Some(secs(90))]);
    let jitter = choices.pick(&[0, 2_999].map(millis));
    config.session.max_age = age.map(|age| MaxAge::new(age, jitter).unwrap());
    config.session.lease_lead = choices.pick(&[0, 500, 30_000].map(millis));
    config.seed = choices.below(1 << 16);
    let few = [[2, 2, 4], [100, 1, 3], [4, 100, 2], [100, 100, 100]];
    let limits = &mut config.limits;
    [limits.subscribed_topics, limits.subscriptions_per_client, limits.subscriptions_per_address] =
        few[(config.seed / 3 % 4) as usize];
    // It takes no choice of its own, so that histories that are kept as bytes stay what they are.
    config.session.on_unknown_id =
        [OnUnknownId::StartAnew, OnUnknownId::ReplayKept][(config.seed / 3 % 2) as usize];
    config.session.ahead_wait = [None, Some(700), Some(5_000)].map(|wait| wait.map(millis))
        [(config.seed / 12 % 3) as usize];
    config.keeps_for_absent = config.seed / 36 % 2 == 1;
    config.pace.patience = [0, 500, 3_000].map(millis)[(config.seed % 3) as usize];
    config
}

fn drawn_retention(choices: &mut Choices<'_>) -> Retention {
    Retention {
        events: choices.pick(&[1, 3, 8, 1000]).try_into().unwrap(),
        bytes: choices.pick(&[60, 300, 40_000]).try_into().unwrap(),
        age: choices.pick(&[None, Some(millis(700)), Some(secs(40))]),
        compact: choices.chance(40),
    }
}

fn drawn_lease(choices: &mut Choices<'_>) -> u64 {
    choices.pick(&[0, 100, 2_000, 10_000, 60_000]) + choices.below(2) * choices.below(1_000)
}

fn drawn_limit(choices: &mut Choices<'_>) -> LimitPolicy {
    choices.pick(&[LimitPolicy::Refuse, LimitPolicy::EvictOldest])
}

fn drawn_lag(choices: &mut Choices<'_>) -> Lag {
    let mut lag = Lag::new(choices.pick(&[
        LagPolicy::Close,
        LagPolicy::SkipToOldest,
        LagPolicy::SkipToNewest,
        LagPolicy::KeepNewestPerKey,
    ]));
    lag.events = NonZeroUsize::new(choices.pick(&[0, 0, 1, 3]));
    lag.bytes = NonZeroUsize::new(choices.pick(&[0, 0, 50, 400]));
    lag
}

fn drawn_filter(choices: &mut Choices<'_>) -> Filter {
    if choices.chance(50) {
        Filter::Topic(choices.below(5))
    } else {
        Filter::Pattern(choices.below(6))
    }
}

fn drawn_time(choices: &mut Choices<'_>) -> Duration {
    match choices.below(100) {
        0..60 => millis(choices.below(100)),
        60..97 => millis(choices.below(3_000)),
        _ => secs(choices.below(100)),
    }
}

fn drawn_error(choices: &mut Choices<'_>) -> OpenError {
    choices.pick(&[
        OpenError::Closed,
        OpenError::Draining,
        OpenError::TooManySessions,
        OpenError::TooManySessionsOfClient { limit: 1 },
        OpenError::TooManySessionsFromAddress { limit: 1 },
        OpenError::TooManyTopics,
        OpenError::TooManyTopicsOfSession { limit: 1 },
        OpenError::TopicsEnded,
        OpenError::UnreadEvents,
        OpenError::ZeroHeartbeat,
        OpenError::LeaseInThePast,
    ])
}

fn drawn_session(choices: &mut Choices<'_>) -> usize {
    // Mostly one that may still be open.
    let range = choices.pick(&[4, 4, 12, 40]);
    usize::try_from(choices.below(range)).unwrap()
}

fn drawn_to(choices: &mut Choices<'_>) -> To {
    match choices.below(8) {
        0..2 => To::All,
        2..4 => To::Client(choices.below(4)),
        4..6 => To::Session(drawn_session(choices)),
        _ => To::Topic(choices.below(5)),
    }
}

fn drawn_content(choices: &mut Choices<'_>) -> (Content, Option<u64>) {
    let own_id = choices.chance(25).then(|| choices.below(6));
    let length = match choices.below(100) {
        0..90 => choices.below(20),
        90..99 => choices.below(300),
        _ => 16_300 + choices.below(200),
    };
    match choices.below(10) {
        0 => (Content::Comment, own_id),
        1 => (Content::IdOnly, own_id.or(Some(3))),
        _ => (Content::Data("x".repeat(usize::try_from(length).unwrap())), own_id),
    }
}

fn drawn_key(choices: &mut Choices<'_>) -> Option<u64> {
    choices.chance(60).then(|| choices.below(3))
}

fn drawn_from(choices: &mut Choices<'_>) -> From {
    match choices.below(10) {
        0..3 => From::Nothing,
        3..6 => From::Behind(choices.below(12)),
        7 => From::Own(choices.below(6)),
        6 | 8 => From::Ahead(1 + choices.below(3)),
        9 if choices.chance(60) => From::Signed {
            secret: choices.below(SECRETS),
            behind: choices.below(12),
            spoilt: choices.chance(30).then(|| usize::try_from(choices.below(40)).unwrap()),
            cut: choices.pick(&[0, 0, 0, 1, 22, 23]),
        },
        _ if choices.chance(50) => From::Malformed,
        _ => From::Text(choices.pick(&[
            "",
            "-",
            "e-",
            "e-01",
            "d-1",
            "+e-1",
            "x",
            "e-18446744073709551616",
        ])),
    }
}

/// How many of the newest events, all of them, or none.
fn drawn_newest(choices: &mut Choices<'_>, percent: u64) -> Option<u64> {
    choices.chance(percent).then(|| choices.pick(&[u64::MAX, u64::MAX, 0, 1, 2, 3, 7]))
}

fn drawn_opening(choices: &mut Choices<'_>, has_terms: bool) -> Op {
    let permitted = has_terms.then(|| drawn_permission(choices)).flatten();
    let stall_timeout = if has_terms { choices.below(10) } else { u64::MAX };
    Op::Open {
        client: choices.chance(60).then(|| choices.below(4)),
        topics: (0..choices.below(4)).map(|_| choices.below(5)).collect(),
        patterns: (0..choices.below(9) / 4).map(|_| choices.below(6)).collect(),
        permitted,
        topics_only: choices.chance(40),
        newest: drawn_newest(choices, 25),
        from: drawn_from(choices),
        heartbeat: choices.below(20),
        stall_timeout,
        lag: choices.chance(50).then(|| drawn_lag(choices)),
        notices: choices.chance(20).then(|| choices.pick(&[None, Some("own")])),
        comment: choices.chance(10),
        metadata: choices.chance(30).then(|| choices.below(4)),
        address: choices.chance(50).then(|| choices.below(3)),
        lease: choices.chance(25).then(|| drawn_lease(choices)),
    }
}

/// Often one that permits much.
fn drawn_permission(choices: &mut Choices<'_>) -> Option<Vec<Filter>> {
    match choices.below(10) {
        0 | 1 => None,
        2..6 => Some(vec![Filter::Pattern(0)]),
        _ => Some((0..choices.below(5)).map(|_| drawn_filter(choices)).collect()),
    }
}

pub(super) fn drawn_step(choices: &mut Choices<'_>) -> Step {
    let op = match choices.below(128) {
        0..8 => drawn_opening(choices, false),
        97 | 98 => drawn_opening(choices, true),
        8..12 => Op::Subscribe {
            session: drawn_session(choices),
            filter: drawn_filter(choices),
            from: drawn_from(choices),
            newest: drawn_newest(choices, 40),
        },
        12..14 => {
            Op::Unsubscribe { session: drawn_session(choices), filter: drawn_filter(choices) }
        }
        14 if choices.chance(70) => Op::EndTopic { topic: choices.below(5) },
        14 if choices.chance(30) => {
            Op::ApplyEnd { topic: choices.below(5), ahead: choices.below(3) }
        }
        14..33 | 110..119 => {
            let (content, own_id) = drawn_content(choices);
            Op::Publish { to: drawn_to(choices), content, own_id, key: drawn_key(choices) }
        }
        33..36 => {
            let (content, own_id) = drawn_content(choices);
            let (to, key) = (drawn_to(choices), drawn_key(choices));
            Op::Apply { to, content, own_id, key, ahead: choices.below(3) }
        }
        36..52 | 119..122 => {
            Op::Poll { session: drawn_session(choices), times: 1 + choices.below(6) }
        }
        52..62 => Op::Batch {
            session: drawn_session(choices),
            limit: choices.pick(&[0, 30, 100, 65_536]),
            form: choices.pick(&[Framing::Chunked, Framing::Plain]),
        },
        62..68 => Op::PartialWrite {
            written: usize::try_from(choices.below(1 << 16)).unwrap(),
            claimed: choices.chance(5).then(|| drawn_session(choices)),
        },
        68 => match choices.below(6) {
            0 => Op::Revoke { client: choices.below(4) },
            1 | 2 => Op::RevokeTopic { client: choices.below(4), topic: choices.below(5) },
            _ => Op::Renew { session: drawn_session(choices), lease: drawn_lease(choices) },
        },
        69..73 => Op::Ready { times: 1 + choices.below(4) },
        73..80 => Op::Serve,
        80..84 | 122..126 => Op::Events,
        84 => Op::Disconnect { session: drawn_session(choices) },
        85 => Op::GiveWay { session: drawn_session(choices) },
        86 => Op::CloseSession { session: drawn_session(choices) },
        87 if choices.chance(10) => Op::Close,
        87 if choices.chance(40) => Op::SetLag {
            topic: choices.below(5),
            lag: choices.chance(70).then(|| drawn_lag(choices)),
        },
        87 if choices.chance(6) => Op::Drain {
            over: choices.pick(&[0, 700, 20_000].map(millis)),
            retry: choices.pick(&[None, Some((secs(1), secs(0))), Some((secs(2), millis(3_333)))]),
            farewell: choices.chance(50),
            patience: choices.pick(&[0, 10_000].map(millis)),
            lets_topics_end: choices.chance(50),
        },
        87..89 => Op::SetRetention {
            topic: choices.below(5),
            retention: choices.chance(50).then(|| drawn_retention(choices)),
        },
        89..94 => Op::Pass { time: drawn_time(choices) },
        94..97 => Op::Timeout,
        99 if choices.chance(20) => Op::WaitForRoom { to: drawn_to(choices) },
        99 => {
            let mut pace = Pace::new().with_patience(choices.pick(&[0, 400, 3_000].map(millis)));
            pace.events = NonZeroUsize::new(choices.pick(&[0, 1, 2, 5]));
            pace.bytes = NonZeroUsize::new(choices.pick(&[0, 0, 100]));
            Op::WaitForReaders { to: drawn_to(choices), pace }
        }
        100..103 => Op::Page { limit: choices.pick(&[0, 1, 2, 100]), anew: choices.chance(20) },
        103 if choices.chance(30) => Op::SetKeys {
            secret: choices.below(SECRETS),
            accepts: choices.chance(60).then(|| choices.below(SECRETS)),
        },
        104 => Op::RetryAfter { error: drawn_error(choices) },
        105 => Op::Progress { session: drawn_session(choices) },
        106 if choices.chance(4) => Op::Abort,
        108 if choices.chance(40) => Op::Cut { ahead: choices.below(4) },
        108 if choices.chance(50) => Op::Skip { ahead: choices.below(4) },
        109 if choices.chance(80) => {
            let (content, own_id) = drawn_content(choices);
            let age = choices.pick(&[0, 999, 1_000, 1_500, 4_000, 400_000].map(millis));
            Op::ApplyAged { to: drawn_to(choices), content, own_id, ahead: choices.below(3), age }
        }
        106..110 => Op::CatchUp,
        126 => Op::RevokeTopic { client: choices.below(4), topic: choices.below(5) },
        127 if choices.chance(40) => Op::EndTopic { topic: choices.below(5) },
        _ => Op::Sleep { time: drawn_time(choices) },
    };
    let late = if choices.chance(10) { choices.below(2_000) } else { 0 };
    Step { shard: choices.pick(&[0, 1]), late, op }
}
