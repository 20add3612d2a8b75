//! The differences between the default policy and that of the standard, as its documentation lists
//! them, and what can be set beside.

use crate::kit::client::{Answer, Bench, Life, Seen, URL, get, head, millis, seconds, standard};
use sansse::client::{ClientConfig, ClientError, CloseReason, Policy, RedirectError, Timeout};
use sansse::net::FailureKind;
use std::time::Duration;

fn default() -> ClientConfig {
    ClientConfig::new(1)
}

fn busy(retry_after: &str) -> Answer {
    Answer::of(head(503, &[("retry-after", retry_after)]), "busy")
}

#[test]
fn statuses_that_pass_are_retried_by_default_and_others_are_not() {
    for status in 400..600 {
        let is_retried = [408, 425, 429, 500, 502, 503, 504, 529, 530].contains(&status)
            || (520..=527).contains(&status);
        let life = Life::new(default(), [Answer::status(status)]);
        assert_eq!(life.shorts(), [if is_retried { "retrying" } else { "closed" }], "{status}");
        let life = Life::new(standard(), [Answer::status(status)]);
        assert_eq!(life.shorts(), ["closed"], "{status}");
    }
}

#[test]
fn which_statuses_are_retried_can_be_set_but_not_the_meaning_of_200_204_and_redirects() {
    let mut config = default();
    let statuses = [404, 200, 204, 301].map(|status| http::StatusCode::from_u16(status).unwrap());
    config.policy.retried_statuses = statuses.into();
    let answers = [
        Answer::status(404),
        Answer::redirect(301, "/elsewhere"),
        Answer::stream("data: a\n\n"),
        Answer::status(204),
    ];
    let life = Life::new(config, answers);
    assert_eq!(life.shorts(), ["retrying", "open", "data a", "retrying", "closed"]);
}

#[test]
fn retry_after_makes_the_wait_longer_by_default() {
    let life = Life::new(default(), [busy("120")]);
    assert!(life.gaps()[0] >= seconds(120) && life.gaps()[0] <= seconds(126), "{life:?}");
    // The reconnection time holds where it is longer.
    let life = Life::new(default(), [Answer::stream("retry: 20000\n\n"), busy("1")]);
    assert!(life.gaps()[1] >= seconds(20), "{life:?}");
    let mut config = standard();
    config.policy.retried_statuses.push(http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(Life::new(config, [busy("120")]).gaps(), [seconds(3)]);
}

#[test]
fn a_date_in_retry_after_is_counted_from_the_answers_own_date() {
    let at = |date: &[(&str, &str)]| {
        let mut headers = vec![("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")];
        headers.extend(date);
        Life::new(default(), [Answer::of(head(429, &headers), "")]).gaps()[0]
    };
    let wait = at(&[("date", "Wed, 21 Oct 2015 07:28:00 GMT")]);
    assert!(wait >= seconds(30) && wait <= seconds(36), "{wait:?}");
    assert!(at(&[("date", "Wed, 21 Oct 2015 09:00:00 GMT")]) <= seconds(6), "the date is past");
    assert!(at(&[]) <= seconds(6), "without Date it says nothing");
}

#[test]
fn waits_are_spread_and_grow_by_default_and_are_plain_in_the_standard() {
    let failures = vec![Answer::none(FailureKind::Connect); 12];
    assert_eq!(Life::new(standard(), failures.clone()).gaps(), [seconds(3); 12]);

    let mut lives = Vec::new();
    for seed in 0..20 {
        let gaps = Life::new(ClientConfig::new(seed), failures.clone()).gaps();
        for (gap, most) in gaps.iter().zip([6, 12, 24, 48, 60, 60, 60, 60, 60, 60, 60, 60]) {
            assert!(*gap >= seconds(3) && *gap <= seconds(most), "seed {seed}: {gaps:?}");
        }
        assert!(!lives.contains(&gaps), "seed {seed}: two seeds come back at the same times");
        assert_eq!(gaps, Life::new(ClientConfig::new(seed), failures.clone()).gaps());
        lives.push(gaps);
    }
    let late: Duration = lives.iter().flat_map(|gaps| &gaps[4..]).sum();
    let mean = late / (20 * 8);
    assert!(mean > seconds(28) && mean < seconds(35), "they fill the range evenly: {mean:?}");
}

#[test]
fn a_retry_of_zero_has_a_floor_by_default() {
    let answers = [Answer::stream("retry: 0\n\n"), Answer::stream("retry: 499\n\n")];
    for (gap, life) in [(millis(500), default()), (millis(0), standard())]
        .map(|(gap, config)| (gap, Life::new(config, answers.clone())))
    {
        assert!(life.gaps().iter().all(|actual| *actual >= gap), "{life:?}");
    }
    assert_eq!(Life::new(standard(), answers).gaps(), [millis(0), millis(499)]);
}

#[test]
fn the_peer_can_ask_for_an_hour_at_most_by_default() {
    let week = Answer::stream(format!("retry: {}\n\n", 7 * 24 * 3600 * 1000));
    let life = Life::new(default(), [week.clone()]);
    assert_eq!(life.reconnection_time, seconds(3600));
    assert!(life.gaps()[0] <= seconds(7200));
    assert!(Life::new(default(), [busy("604800")]).gaps()[0] <= seconds(3606));
    assert_eq!(Life::new(standard(), [week]).gaps(), [seconds(7 * 24 * 3600)]);
}

/// In the standard, waits do not grow, so that the end of back-off is put there by hand.
#[test]
fn back_off_ends_when_a_stream_was_stable_and_in_the_standard_when_it_was_good() {
    let attempts = |stable_after, open_for| {
        let mut config = default();
        config.policy.reconnection.stable_after = stable_after;
        let mut bench = Bench::new(config);
        for _ in 0..4 {
            let (attempt, _) = bench.request();
            bench.fail(attempt, FailureKind::Connect);
            bench.retrying();
            bench.sleep();
        }
        let attempt = bench.reopen();
        bench.pass(open_for);
        bench.end(attempt);
        match bench.events().pop() {
            Some(Seen::Retrying { attempts, .. }) => attempts,
            other => panic!("{other:?}"),
        }
    };
    let by_default = Policy::default().reconnection.stable_after;
    assert_eq!(attempts(by_default, by_default.saturating_sub(millis(1))), 5);
    assert_eq!(attempts(by_default, by_default), 0);
    assert_eq!(attempts(Policy::standard().reconnection.stable_after, millis(0)), 0);
}

#[test]
fn a_loop_ends_at_once_by_default_and_at_the_limit_in_the_standard() {
    let there_and_back = || {
        (0..30).map(|n| Answer::redirect(302, if n % 2 == 0 { "/elsewhere" } else { "/events" }))
    };
    for (config, requests, error) in
        [(default(), 2, RedirectError::Loop), (standard(), 21, RedirectError::TooMany)]
    {
        let life = Life::new(config, there_and_back().take(requests));
        assert_eq!(life.requests.len(), requests + 1);
        let [Seen::Retrying { error: ClientError::Redirect(actual, _), .. }] = &life.seen[..]
        else {
            panic!("{life:?}")
        };
        assert_eq!(*actual, error);
    }
}

#[test]
fn a_later_attempt_asks_the_original_url_by_default_and_the_target_in_the_standard() {
    let target = "http://example.org/elsewhere";
    for (config, next) in [(default(), URL), (standard(), target)] {
        let answers = [Answer::redirect(307, "/elsewhere"), Answer::stream("")];
        assert_eq!(Life::new(config, answers).urls(), [URL, target, next]);
    }
}

#[test]
fn the_target_is_kept_only_once_a_stream_opened_there() {
    let answers = [Answer::redirect(307, "/elsewhere"), Answer::none(FailureKind::Connect)];
    let life = Life::new(standard(), answers);
    assert_eq!(life.urls(), [URL, "http://example.org/elsewhere", URL]);
}

#[test]
fn a_response_that_does_not_come_is_an_error_after_30_seconds_by_default() {
    let mut bench = Bench::new(default());
    let (attempt, _) = bench.request();
    assert_eq!(bench.client.attempt(), Some(attempt));
    assert_eq!(bench.sleep(), seconds(30));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Response));
    let mut bench = Bench::new(standard());
    bench.request();
    assert_eq!(bench.timeout(), None);
}

#[test]
fn a_silent_stream_is_an_error_after_90_seconds_by_default() {
    let (mut bench, _) = Bench::open(default());
    assert_eq!(bench.sleep(), seconds(90));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));
    let (bench, _) = Bench::open(standard());
    assert_eq!(bench.timeout(), None);
}

#[test]
fn after_waking_a_sign_of_life_is_wanted_in_20_seconds_by_default() {
    let (mut bench, _) = Bench::open(default());
    bench.client.wake(bench.now);
    assert_eq!(bench.timeout(), Some(seconds(20)));
    let (mut bench, _) = Bench::open(standard());
    bench.client.wake(bench.now);
    assert_eq!(bench.timeout(), None);
}

#[test]
fn the_client_gives_up_after_the_attempts_that_it_may_make() {
    for (most, made) in [(1, 1), (3, 3), (0, 1)] {
        let mut config = default();
        config.policy.max_attempts = Some(most);
        let life = Life::new(config, vec![Answer::none(FailureKind::Connect); 10]);
        assert_eq!(life.requests.len(), made);
        let error = ClientError::Transport(FailureKind::Connect.into());
        let attempts = u32::try_from(made).unwrap();
        let reason = CloseReason::TooManyAttempts { attempts, error };
        assert_eq!(life.close_reason(), Some(&reason));
    }
}

#[test]
fn the_waits_may_take_so_long_and_no_longer_and_a_stable_stream_gives_the_time_back() {
    let mut config = standard();
    config.policy.max_waiting = Some(seconds(7));
    let life = Life::new(config.clone(), vec![Answer::none(FailureKind::Connect); 10]);
    assert_eq!(life.gaps(), [seconds(3), seconds(3)]);
    let error = ClientError::Transport(FailureKind::Connect.into());
    let reason = CloseReason::WaitTooLong { wait: seconds(3), error };
    assert_eq!(life.close_reason(), Some(&reason));

    let failed = Answer::none(FailureKind::Connect);
    let answers = [failed.clone(), failed.clone(), Answer::stream(""), failed.clone(), failed];
    let life = Life::new(config.clone(), answers);
    assert_eq!(life.gaps(), [seconds(3); 4]);
    assert!(matches!(life.close_reason(), Some(CloseReason::WaitTooLong { .. })));

    // What the server asks for is not waited for in vain.
    let mut config = default();
    config.policy.max_waiting = Some(seconds(60));
    let life = Life::new(config, [busy("120")]);
    assert_eq!(life.requests.len(), 1);
    let Some(reason @ CloseReason::WaitTooLong { wait, .. }) = life.close_reason() else {
        panic!("{life:?}")
    };
    assert!(*wait >= seconds(120), "{wait:?}");
    assert!(reason.to_string().contains("503"), "{reason}");
}

#[test]
fn a_stable_stream_gives_all_attempts_back_and_redirects_are_none() {
    let mut config = standard();
    config.policy.max_attempts = Some(2);
    let answers = [
        Answer::none(FailureKind::Connect),
        Answer::redirect(302, "/a"),
        Answer::redirect(302, "/b"),
        Answer::stream(""),
        Answer::none(FailureKind::Connect),
        Answer::none(FailureKind::Connect),
    ];
    let life = Life::with(get(URL), config, answers);
    assert_eq!(life.requests.len(), 6);
    assert!(matches!(life.close_reason(), Some(CloseReason::TooManyAttempts { attempts: 2, .. })));
}
