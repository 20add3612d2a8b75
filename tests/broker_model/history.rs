//! Random histories: a configuration and what is done to a broker of it.

use super::model::Content;
use crate::common::*;
use sansse::EventType;
use sansse::broker::*;
use std::time::Duration;

/// A configuration and what is done to it; the session that an operation is about is counted from
/// the newest.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) config: BrokerConfig,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    /// How far the `now` that is passed lies behind the time, in milliseconds.
    pub(super) late: u64,
    pub(super) op: Op,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Open {
        client: Option<u64>,
        topics: Vec<u64>,
        patterns: Vec<u64>,
        permitted: Option<Vec<Filter>>,
        without_broadcast: bool,
        from_oldest: bool,
        from: From,
        heartbeat: u64,
        stall_timeout: u64,
        lag: Option<Lag>,
        announce: bool,
        tells_losses: Option<bool>,
        address: Option<u64>,
        /// In milliseconds from now; zero is over already.
        lease: Option<u64>,
    },
    Publish {
        to: To,
        content: Content,
        own_id: Option<u64>,
        key: Option<u64>,
    },
    Apply {
        to: To,
        content: Content,
        own_id: Option<u64>,
        key: Option<u64>,
        ahead: u64,
    },
    Poll {
        session: usize,
        times: u64,
    },
    Batch {
        session: usize,
        limit: usize,
        form: FrameForm,
    },
    /// Of the last batch; whose it is said to be, if not of the right session.
    PartialWrite {
        written: usize,
        claimed: Option<usize>,
    },
    Ready {
        times: u64,
    },
    Serve,
    Events,
    Disconnect {
        session: usize,
    },
    CloseSession {
        session: usize,
    },
    Renew {
        session: usize,
        lease: u64,
    },
    Revoke {
        client: u64,
    },
    RevokeTopic {
        client: u64,
        topic: u64,
    },
    Close,
    Drain {
        over: Duration,
        retry: Option<(Duration, Duration)>,
        farewell: bool,
        patience: Duration,
        lets_topics_end: bool,
    },
    Subscribe {
        session: usize,
        filter: Filter,
        from: From,
        from_oldest: bool,
    },
    Unsubscribe {
        session: usize,
        filter: Filter,
    },
    EndTopic {
        topic: u64,
    },
    ApplyEnd {
        topic: u64,
        ahead: u64,
    },
    SetRetention {
        topic: u64,
        retention: Option<Retention>,
    },
    SetLag {
        topic: u64,
        lag: Option<Lag>,
    },
    Pass {
        time: Duration,
    },
    Timeout,
    Sleep {
        time: Duration,
    },
}

#[derive(Clone, Debug)]
pub(super) enum From {
    Nothing,
    Malformed,
    Text(&'static str),
    Own(u64),
    /// An id of the broker's making, so far behind the newest position.
    Behind(u64),
    Ahead(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Filter {
    Topic(u64),
    Pattern(u64),
}

#[derive(Clone, Debug)]
pub(super) enum To {
    All,
    Client(u64),
    Session(usize),
    Topic(u64),
}

impl History {
    pub(super) fn random(seed: u64, steps: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = random_config(&mut rng);
        let steps = (0..steps).map(|_| random_step(&mut rng)).collect();
        Self { config, steps }
    }

    pub(super) fn lines(&self) -> String {
        let line = |step: &Step| format!("{} ms late: {:?}\n", step.late, step.op);
        self.steps.iter().map(line).collect()
    }
}

fn random_config(rng: &mut Rng) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(rng.pick(&[0, 0xe, u64::MAX])));
    config.shard = rng.pick(&[0, 7]);
    config.event_ids = rng.pick(&[EventIds::Assigned, EventIds::Assigned, EventIds::Own]);
    config.retention = random_retention(rng);
    config.private_retention = random_retention(rng);
    config.max_topics = rng.pick(&[2, 4, 100]);
    config.max_ended_topics = rng.pick(&[0, 1, 100]);
    config.max_sessions = rng.pick(&[3, 8, 16]);
    config.at_max_sessions = random_limit(rng);
    config.max_sessions_per_client = rng.pick(&[1, 2, 3, 256]);
    config.at_max_sessions_per_client = random_limit(rng);
    config.max_sessions_per_address = rng.pick(&[1, 2, 4, 1000]);
    config.at_max_sessions_per_address = random_limit(rng);
    config.max_retained_bytes = rng.pick(&[80, 400, 3_000, 60_000, 1 << 28, 1 << 28]);
    config.max_topics_per_session = rng.pick(&[1, 3, 64]);
    config.max_permitted_per_session = rng.pick(&[2, 4, 256]);
    config.max_absent_clients = rng.pick(&[0, 1, 3, 100]);
    config.max_unread_events = rng.pick(&[1, 30, 1000, 1000]);
    config.client_grace = rng.pick(&[0, 1_500, 30_000].map(millis));
    config.stall_timeout = rng.pick(&[None, None, Some(secs(2)), Some(secs(60))]);
    config.heartbeat = rng.pick(&[None, Some(secs(1)), Some(secs(15))]);
    config.lag = random_lag(rng);
    config.loss_announcement = rng.chance(30).then(|| EventType::new("lost").unwrap());
    config.unresumable = rng.pick(&[StartAt::Oldest, StartAt::Newest]);
    config.retry = rng.pick(&[None, None, Some(millis(2_500))]);
    config.spread_retry = rng.chance(20);
    config.reconnects_per_second = rng.pick(&[1, 7, 1_000]).try_into().unwrap();
    config.max_session_age = rng.pick(&[None, None, Some(secs(3)), Some(secs(90))]);
    config.max_session_age_jitter = rng.pick(&[0, 2_999].map(millis));
    config.lease_lead = rng.pick(&[0, 500, 30_000].map(millis));
    config.seed = rng.next();
    config
}

fn random_retention(rng: &mut Rng) -> Retention {
    Retention {
        events: rng.pick(&[1, 3, 8, 1000]),
        bytes: rng.pick(&[60, 300, 40_000]),
        age: rng.pick(&[None, Some(millis(700)), Some(secs(40))]),
        compact: rng.chance(40),
    }
}

fn random_lease(rng: &mut Rng) -> u64 {
    rng.pick(&[0, 100, 2_000, 10_000, 60_000]) + rng.below(2) * rng.below(1_000)
}

fn random_limit(rng: &mut Rng) -> LimitPolicy {
    rng.pick(&[LimitPolicy::Refuse, LimitPolicy::EvictOldest])
}

fn random_lag(rng: &mut Rng) -> Lag {
    let mut lag = Lag::new(rng.pick(&[
        LagPolicy::Close,
        LagPolicy::SkipToOldest,
        LagPolicy::SkipToNewest,
        LagPolicy::KeepNewestPerKey,
    ]));
    lag.events = rng.pick(&[None, None, Some(1), Some(3)]);
    lag.bytes = rng.pick(&[None, None, Some(50), Some(400)]);
    lag
}

/// Sometimes one that cannot hold.
fn random_wished_lag(rng: &mut Rng) -> Lag {
    let lag = random_lag(rng);
    match rng.below(40) {
        0 => lag.with_events(0),
        1 => lag.with_bytes(0),
        _ => lag,
    }
}

fn random_filter(rng: &mut Rng) -> Filter {
    if rng.chance(50) { Filter::Topic(rng.below(5)) } else { Filter::Pattern(rng.below(6)) }
}

/// Often one that permits much.
fn random_permission(rng: &mut Rng) -> Option<Vec<Filter>> {
    let all = Filter::Pattern(0);
    match rng.below(10) {
        0..5 => None,
        5..8 => Some(vec![all]),
        _ => Some((0..rng.below(5)).map(|_| random_filter(rng)).collect()),
    }
}

fn random_time(rng: &mut Rng) -> Duration {
    match rng.below(100) {
        0..60 => millis(rng.below(100)),
        60..97 => millis(rng.below(3_000)),
        _ => secs(rng.below(100)),
    }
}

fn random_session(rng: &mut Rng) -> usize {
    // Mostly one that may still be open.
    let range = rng.pick(&[4, 4, 12, 40]);
    usize::try_from(rng.below(range)).unwrap()
}

fn random_to(rng: &mut Rng) -> To {
    match rng.below(8) {
        0..2 => To::All,
        2..4 => To::Client(rng.below(4)),
        4..6 => To::Session(random_session(rng)),
        _ => To::Topic(rng.below(5)),
    }
}

fn random_content(rng: &mut Rng) -> (Content, Option<u64>) {
    let own_id = rng.chance(25).then(|| rng.below(6));
    let length = match rng.below(100) {
        0..90 => rng.below(20),
        90..99 => rng.below(300),
        _ => 16_300 + rng.below(200),
    };
    match rng.below(10) {
        0 => (Content::Comment, own_id),
        1 => (Content::IdOnly, own_id.or(Some(0))),
        _ => (Content::Data("x".repeat(usize::try_from(length).unwrap())), own_id),
    }
}

fn random_key(rng: &mut Rng) -> Option<u64> {
    rng.chance(60).then(|| rng.below(3))
}

fn random_from(rng: &mut Rng) -> From {
    match rng.below(10) {
        0..3 => From::Nothing,
        3..7 => From::Behind(rng.below(12)),
        7 => From::Own(rng.below(6)),
        8 => From::Ahead(1 + rng.below(3)),
        _ if rng.chance(50) => From::Malformed,
        _ => From::Text(rng.pick(&[
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

fn random_step(rng: &mut Rng) -> Step {
    let op = match rng.below(100) {
        0..8 => Op::Open {
            client: rng.chance(60).then(|| rng.below(4)),
            topics: (0..rng.below(4)).map(|_| rng.below(5)).collect(),
            patterns: (0..rng.below(9) / 4).map(|_| rng.below(6)).collect(),
            permitted: random_permission(rng),
            without_broadcast: rng.chance(40),
            from_oldest: rng.chance(25),
            from: random_from(rng),
            heartbeat: rng.below(20),
            stall_timeout: rng.below(20),
            lag: rng.chance(50).then(|| random_wished_lag(rng)),
            announce: rng.chance(20),
            tells_losses: rng.chance(20).then(|| rng.chance(50)),
            address: rng.chance(50).then(|| rng.below(3)),
            lease: rng.chance(25).then(|| random_lease(rng)),
        },
        8..12 => Op::Subscribe {
            session: random_session(rng),
            filter: random_filter(rng),
            from: random_from(rng),
            from_oldest: rng.chance(40),
        },
        12..14 => Op::Unsubscribe { session: random_session(rng), filter: random_filter(rng) },
        14 if rng.chance(70) => Op::EndTopic { topic: rng.below(5) },
        14 if rng.chance(30) => Op::ApplyEnd { topic: rng.below(5), ahead: rng.below(3) },
        14..33 => {
            let (content, own_id) = random_content(rng);
            Op::Publish { to: random_to(rng), content, own_id, key: random_key(rng) }
        }
        33..36 => {
            let (content, own_id) = random_content(rng);
            let (to, key) = (random_to(rng), random_key(rng));
            Op::Apply { to, content, own_id, key, ahead: rng.below(3) }
        }
        36..52 => Op::Poll { session: random_session(rng), times: 1 + rng.below(6) },
        52..62 => Op::Batch {
            session: random_session(rng),
            limit: rng.pick(&[0, 30, 100, 65_536]),
            form: rng.pick(&[FrameForm::Chunk, FrameForm::Payload]),
        },
        62..68 => Op::PartialWrite {
            written: usize::try_from(rng.pick(&[0, 1, 40, 100, 17_000]) + rng.below(40)).unwrap(),
            claimed: rng.chance(5).then(|| random_session(rng)),
        },
        68 => match rng.below(6) {
            0 => Op::Revoke { client: rng.below(4) },
            1 | 2 => Op::RevokeTopic { client: rng.below(4), topic: rng.below(5) },
            _ => Op::Renew { session: random_session(rng), lease: random_lease(rng) },
        },
        69..73 => Op::Ready { times: 1 + rng.below(4) },
        73..80 => Op::Serve,
        80..84 => Op::Events,
        84..86 => Op::Disconnect { session: random_session(rng) },
        86 => Op::CloseSession { session: random_session(rng) },
        87 if rng.chance(10) => Op::Close,
        87 if rng.chance(40) => {
            Op::SetLag { topic: rng.below(5), lag: rng.chance(70).then(|| random_wished_lag(rng)) }
        }
        87 if rng.chance(6) => Op::Drain {
            over: rng.pick(&[0, 700, 20_000].map(millis)),
            retry: rng.pick(&[None, Some((secs(1), secs(0))), Some((secs(2), millis(3_333)))]),
            farewell: rng.chance(50),
            patience: rng.pick(&[0, 10_000].map(millis)),
            lets_topics_end: rng.chance(50),
        },
        87..89 => Op::SetRetention {
            topic: rng.below(5),
            retention: rng.chance(50).then(|| random_retention(rng)),
        },
        89..94 => Op::Pass { time: random_time(rng) },
        94..97 => Op::Timeout,
        _ => Op::Sleep { time: random_time(rng) },
    };
    Step { late: if rng.chance(10) { rng.below(2_000) } else { 0 }, op }
}
