//! Each setting of a client at its extremes: nothing panics, and no time wraps.

use crate::kit::client::{Answer, Bench, Life};
use sansse::Limits;
use sansse::client::ClientConfig;
use sansse::net::FailureKind;
use std::time::Duration;

const TIMES: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 40), Duration::MAX];

type Set = fn(&mut ClientConfig, Duration);

/// Every setting with a time.
const SETTINGS: [(&str, Set); 13] = [
    ("max_waiting", |c, time| c.policy.max_waiting = Some(time)),
    ("initial", |c, time| c.policy.reconnection.initial = time),
    ("floor", |c, time| c.policy.reconnection.floor = time),
    ("max_backoff", |c, time| c.policy.reconnection.max_backoff = Some(time)),
    ("max_asked", |c, time| c.policy.reconnection.max_asked = Some(time)),
    ("stable_after", |c, time| c.policy.reconnection.stable_after = time),
    ("headers", |c, time| c.policy.timeouts.headers = Some(time)),
    ("response", |c, time| c.policy.timeouts.response = Some(time)),
    ("first_byte", |c, time| c.policy.timeouts.first_byte = Some(time)),
    ("idle", |c, time| c.policy.timeouts.idle = Some(time)),
    ("wake", |c, time| c.policy.timeouts.wake = Some(time)),
    ("error_body", |c, time| c.policy.timeouts.error_body = Some(time)),
    ("total", |c, time| c.policy.timeouts.total = Some(time)),
];

#[test]
fn no_time_is_forgotten_here() {
    let source = include_str!("../../../src/client/config.rs");
    let mut fields = 0;
    for line in source.lines() {
        let field = line.strip_prefix("    pub ").and_then(|rest| rest.split_once(": "));
        let Some((field, kind)) = field.filter(|(_, kind)| kind.contains("Duration")) else {
            continue;
        };
        fields += 1;
        let is_set = SETTINGS.iter().any(|(name, _)| *name == field);
        assert!(is_set, "{field}: {kind} is not set here");
    }
    assert_eq!(fields, SETTINGS.len());
}

fn answers() -> [Answer; 5] {
    [
        Answer::none(FailureKind::Connect),
        Answer::status(503),
        Answer::stream("retry: 18446744073709551615\n\ndata: a\n\n"),
        Answer::redirect(302, "/elsewhere"),
        Answer::stream("data: b\n\n").cut(FailureKind::Closed),
    ]
}

#[test]
fn a_client_lives_through_each_time_at_its_extremes() {
    for (name, set) in SETTINGS {
        for time in TIMES {
            let mut config = ClientConfig::new(7);
            config.policy.max_attempts = Some(20);
            set(&mut config, time);
            let mut bench = Bench::new(config);
            for pause in [0, 1, 60, 1 << 32] {
                bench.pass(Duration::from_secs(pause));
                bench.client.handle_timeout(bench.now);
                if let Some((attempt, _)) = bench.client.poll_request(bench.now) {
                    bench.fail(attempt, FailureKind::Connect);
                }
                let _ = (bench.events(), bench.client.poll_timeout(), name);
            }
            bench.client.wake(bench.now);
            bench.client.restart(bench.now);
            bench.client.close(bench.now);
        }
    }
}

#[test]
fn a_client_lives_through_each_number_at_its_extremes() {
    for number in [0, 1, usize::MAX] {
        let limits = Limits::DEFAULT;
        for changed in [
            limits.with_max_line(number),
            limits.with_max_event(number),
            limits.with_max_id(number),
        ] {
            let mut config = ClientConfig::new(7);
            config.policy.max_attempts = Some(9);
            config.limits = changed;
            assert!(!Life::new(config, answers()).seen.is_empty());
        }
        let mut config = ClientConfig::new(u64::MAX);
        (config.max_unread, config.max_error_body) = (number, number);
        config.policy.max_attempts = Some(u32::try_from(number.min(9)).unwrap());
        config.policy.redirects.limit = u8::try_from(number.min(255)).unwrap();
        assert!(!Life::new(config, answers()).seen.is_empty());
    }
}
