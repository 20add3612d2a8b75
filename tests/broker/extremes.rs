//! Each setting of a broker at its extremes: nothing panics, and no time wraps.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LastEventId};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

const TIMES: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 40), Duration::MAX];
const NUMBERS: [u32; 3] = [0, 1, u32::MAX];

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn sizes() -> [NonZeroUsize; 2] {
    [NonZeroUsize::MIN, NonZeroUsize::MAX]
}

/// A setting, and each of the values that it is set to.
type Change = Box<dyn Fn(&mut BrokerConfig)>;

fn times(set: fn(&mut BrokerConfig, Duration)) -> Vec<Change> {
    let change = |time| Box::new(move |config: &mut BrokerConfig| set(config, time)) as Change;
    TIMES.map(change).into()
}

fn numbers(set: fn(&mut BrokerConfig, u32)) -> Vec<Change> {
    let change = |number| Box::new(move |config: &mut BrokerConfig| set(config, number)) as Change;
    NUMBERS.map(change).into()
}

fn counts(set: fn(&mut BrokerConfig, NonZeroUsize)) -> Vec<Change> {
    let change = |count| Box::new(move |config: &mut BrokerConfig| set(config, count)) as Change;
    sizes().map(change).into()
}

/// Every setting with a time or a number.
fn settings() -> Vec<(&'static str, Vec<Change>)> {
    vec![
        ("retention.events", counts(|c, count| c.retention.events = count)),
        ("retention.bytes", counts(|c, count| c.retention.bytes = count)),
        ("retention.age", times(|c, time| c.retention.age = Some(time))),
        ("private_retention.age", times(|c, time| c.private_retention.age = Some(time))),
        ("private_retention.events", counts(|c, count| c.private_retention.events = count)),
        ("pace.events", counts(|c, count| c.pace.events = Some(count))),
        ("pace.bytes", counts(|c, count| c.pace.bytes = Some(count))),
        ("pace.patience", times(|c, time| c.pace.patience = time)),
        ("sessions.most", numbers(|c, n| c.limits.sessions.most = nonzero(n))),
        (
            "sessions_per_client.most",
            numbers(|c, n| c.limits.sessions_per_client.most = nonzero(n)),
        ),
        (
            "sessions_per_address.most",
            numbers(|c, n| c.limits.sessions_per_address.most = nonzero(n)),
        ),
        ("topics", numbers(|c, n| c.limits.topics = n)),
        ("subscribed_topics", numbers(|c, n| c.limits.subscribed_topics = n)),
        ("subscriptions_per_client", numbers(|c, n| c.limits.subscriptions_per_client = n)),
        ("subscriptions_per_address", numbers(|c, n| c.limits.subscriptions_per_address = n)),
        ("pattern_events", numbers(|c, n| c.limits.pattern_events = nonzero(n))),
        ("ended_topics", numbers(|c, n| c.limits.ended_topics = n)),
        ("topics_per_session", numbers(|c, n| c.limits.topics_per_session = n)),
        ("permitted_per_session", numbers(|c, n| c.limits.permitted_per_session = n)),
        ("absent_clients", numbers(|c, n| c.limits.absent_clients = n)),
        ("unread_events", numbers(|c, n| c.limits.unread_events = nonzero(n))),
        ("retained_bytes", counts(|c, count| c.limits.retained_bytes = count)),
        ("client_grace", times(|c, time| c.client_grace = time)),
        ("heartbeat", times(|c, time| c.session.heartbeat = Some(time))),
        ("stall_timeout", times(|c, time| c.session.stall_timeout = Some(time))),
        (
            "lag.events",
            counts(|c, count| c.session.lag = Lag::new(LagPolicy::Close).with_events(count)),
        ),
        (
            "lag.bytes",
            counts(|c, count| c.session.lag = Lag::new(LagPolicy::Close).with_bytes(count)),
        ),
        ("max_age", times(|c, time| c.session.max_age = MaxAge::new(time, Duration::ZERO).ok())),
        ("ahead_wait", times(|c, time| c.session.ahead_wait = Some(time))),
        ("lease_lead", times(|c, time| c.session.lease_lead = time)),
        ("retry", times(|c, time| c.reconnect.retry = Some(time))),
        ("retry_after", times(|c, time| c.reconnect.retry_after = time)),
        ("per_second", numbers(|c, n| c.reconnect.per_second = nonzero(n))),
        ("seed", numbers(|c, n| c.seed = u64::from(n).wrapping_neg())),
    ]
}

/// The fields of the configuration that are neither times nor numbers.
const OTHERS: [&str; 19] = [
    "epoch",
    "shard",
    "event_ids",
    "cursor_keys",
    "retention",
    "private_retention",
    "pace",
    "limits",
    "session",
    "reconnect",
    "keeps_for_absent",
    "heartbeat_event",
    "lag",
    "notices",
    "on_gap",
    "on_unknown_id",
    "policy",
    "spread_retry",
    "compact",
];

#[test]
fn no_setting_is_forgotten_here() {
    let sources = [
        include_str!("../../src/broker/config/mod.rs"),
        include_str!("../../src/broker/config/defaults.rs"),
        include_str!("../../src/broker/config/lag.rs"),
        include_str!("../../src/broker/config/limits.rs"),
        include_str!("../../src/broker/config/pace.rs"),
        include_str!("../../src/broker/config/reconnect.rs"),
        include_str!("../../src/broker/config/retention.rs"),
    ];
    let settings = settings();
    let mut fields = 0;
    for line in sources.iter().flat_map(|source| source.lines()) {
        let field = line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(": "));
        let is_field = |line: &str| line.starts_with("    ") && !line.contains("fn ");
        let Some((field, _)) = field.filter(|_| is_field(line)) else { continue };
        fields += 1;
        let is_set = |(name, _): &(&str, _)| name.split('.').any(|part| part == field);
        assert!(OTHERS.contains(&field) || settings.iter().any(is_set), "{field} is not set here");
    }
    assert!(fields > 40, "only {fields} fields were found");
}

#[test]
fn a_broker_lives_through_each_setting_at_its_extremes() {
    for (name, changes) in settings() {
        for (number, change) in changes.into_iter().enumerate() {
            let mut settings = config();
            change(&mut settings);
            let start = base();
            match Broker::new(start, settings) {
                Ok(broker) => live(broker, start),
                // A setting that cannot hold is refused when the broker is made.
                Err(error) => assert!(!error.to_string().is_empty(), "{name} {number}"),
            }
        }
    }
}

#[test]
fn a_session_and_a_drain_live_through_their_settings_at_their_extremes() {
    for time in TIMES {
        for changed in [
            anyone().with_heartbeat(Some(time)),
            anyone().with_stall_timeout(Some(time)),
            anyone().with_start(StartAt::Last(u64::MAX)),
            anyone().with_start(StartAt::Last(0)),
        ] {
            let start = base();
            let mut broker = Broker::new(start, config()).unwrap();
            if let Ok(opened) = broker.open(start, changed) {
                broker.publish(start, Audience::Everyone, &Event::new("x")).unwrap();
                let _ = broker.poll_transmit(start, opened.session);
                live(broker, start);
            }
        }
        for drain in [
            Drain::new(time),
            Drain::new(Duration::ZERO).with_patience(time),
            Drain::new(time).with_retry(time, time),
        ] {
            let start = base();
            let mut broker = Broker::new(start, config()).unwrap();
            broker.open(start, anyone()).unwrap();
            if broker.drain(start, drain).is_ok() {
                live(broker, start);
            }
        }
    }
}

fn base() -> std::time::Instant {
    crate::kit::base_instant()
}

/// What a broker goes through, with times from none to centuries between.
fn live(mut broker: Broker, start: std::time::Instant) {
    let mut now = start;
    for pause in [0, 1, 3, 100, 100_000, 1 << 32] {
        let named = session_of("alice")
            .with_address(AddressKey::new("here").unwrap())
            .with_topic(topic("news/a"))
            .with_topic(TopicPattern::new("news/**").unwrap())
            .with_last_event_id(LastEventId::from_header(b"e-0"))
            .with_lease(now + Duration::from_secs(1 << 33));
        let mut sessions = Vec::new();
        let ahead = anyone().with_last_event_id(LastEventId::from_header(b"e-99999"));
        for request in [anyone(), named, session_of("bob").with_permitted([]), ahead] {
            match broker.open(now, request) {
                Ok(opened) => sessions.push(opened.session),
                Err(error) => _ = broker.retry_after(now, &error),
            }
        }
        for audience in [
            Audience::Everyone,
            topic("news/a").into(),
            Audience::Client(ClientId::new("alice").unwrap()),
        ] {
            let _ = broker.publish(now, audience.clone(), &Event::new("x".repeat(50)));
            let _ = broker.wait_for_readers(now, &audience, Pace::default());
            let _ = broker.wait_for_room(now, &audience);
        }
        for session in &sessions {
            for _ in 0..20 {
                if !matches!(broker.poll_transmit(now, *session), Some(Transmit::Frame(_))) {
                    break;
                }
            }
            let until = now.checked_add(Duration::from_secs(1 << 34)).unwrap_or(now);
            let _ = broker.session_mut(*session).renew_lease(now, until);
        }
        let _ = broker.topic_mut(&topic("news/b")).end(now);
        while broker.poll_event().is_some() {}
        while broker.poll_ready().is_some() {}
        while broker.poll_wait().is_some() {}
        if let Some(deadline) = broker.poll_timeout() {
            broker.handle_timeout(deadline.max(now).min(now + Duration::from_secs(1 << 34)));
        }
        now += Duration::from_secs(pause);
        broker.handle_timeout(now);
    }
    broker.abort(now);
    let _ = broker.counters();
}
