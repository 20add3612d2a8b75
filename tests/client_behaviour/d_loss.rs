//! D: losing the connection.

use crate::driver::{Answer, Bench, Life, Seen, both, millis, seconds, standard};
use sansse::client::{
    ClientConfig, ClientError, CloseReason, Failure, FailureKind, Fault, ReadyState,
};

/// After these answers the client reconnects, reporting one error while it is connecting.
#[track_caller]
fn reconnects(config: ClientConfig, answer: Answer, expected: &[&str]) -> ClientError {
    let life = Life::new(config, [answer]);
    assert_eq!(life.shorts(), expected);
    assert_eq!(life.states.last(), Some(&ReadyState::Connecting));
    assert_eq!(life.requests.len(), 2);
    match life.seen.last() {
        Some(Seen::Retrying { error, .. }) => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn d1_the_end_of_the_body_reconnects() {
    for config in both() {
        let answer = Answer::stream("data: a\n\n");
        let error = reconnects(config, answer, &["open", "data a", "retrying"]);
        assert_eq!(error, ClientError::EndOfStream);
    }
}

#[test]
fn d2_an_empty_body_opens_and_reconnects() {
    for config in both() {
        let error = reconnects(config, Answer::stream(""), &["open", "retrying"]);
        assert_eq!(error, ClientError::EndOfStream);
    }
}

/// As all browsers do: a reset while reading is reconnected too.
#[test]
fn d3_a_stream_that_is_cut_off_delivers_what_was_complete_and_reconnects() {
    for config in both() {
        for kind in [FailureKind::Closed, FailureKind::Truncated, FailureKind::Protocol] {
            let answer = Answer::stream("data: a\n\ndata: b\n\ndata: c\n").cut(kind);
            let expected = ["open", "data a", "data b", "retrying"];
            let error = reconnects(config.clone(), answer, &expected);
            assert_eq!(error, ClientError::Transport(kind.into()));
        }
    }
}

/// Reconnects, as Chromium does, but for what is known to be futile: what the driver cannot do.
#[test]
fn d4_no_response_reconnects() {
    for config in both() {
        for kind in [FailureKind::Closed, FailureKind::Resolve, FailureKind::Tls] {
            let error = reconnects(config.clone(), Answer::none(kind), &["retrying"]);
            assert_eq!(
                (error.fault(), error),
                (Fault::Transport, ClientError::Transport(kind.into()))
            );
        }
        let life = Life::new(config, [Answer::none(FailureKind::Unsupported)]);
        let futile = ClientError::Transport(FailureKind::Unsupported.into());
        assert_eq!(life.close_reason(), Some(&CloseReason::Failed(futile)));
    }
    // The end of the connection before a head is no response either.
    let mut bench = Bench::new(standard());
    let (attempt, _) = bench.request();
    bench.end(attempt);
    assert_eq!(bench.retrying().0, ClientError::Transport(FailureKind::Closed.into()));
}

/// Reconnects, as Chromium does; the standard policy every 3 s for ever.
#[test]
fn d5_a_refused_connection_reconnects_at_the_first_attempt_too() {
    let life = Life::new(standard(), vec![Answer::none(FailureKind::Connect); 50]);
    assert_eq!(life.shorts(), ["retrying"; 50]);
    assert!(life.gaps().iter().all(|gap| *gap == seconds(3)));
    reconnects(ClientConfig::new(1), Answer::none(FailureKind::Connect), &["retrying"]);
}

/// Reconnects, as Chromium does.
#[test]
fn d6_an_answer_that_is_not_http_reconnects() {
    for config in both() {
        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        let failure = Failure::new(FailureKind::Protocol).with_detail("SSH-2.0");
        bench.client.handle_failure(bench.now, attempt, failure.clone());
        let (error, _) = bench.retrying();
        assert_eq!((error.fault(), error), (Fault::Peer, ClientError::Transport(failure)));
        assert_eq!(bench.client.state(), ReadyState::Connecting);
    }
}

#[test]
fn d7_each_failed_reconnection_is_one_more_error_until_one_is_good() {
    for config in both() {
        let life = Life::new(
            config,
            [
                Answer::stream("id: 7\ndata: a\n\n"),
                Answer::none(FailureKind::Connect),
                Answer::none(FailureKind::Closed),
                Answer::stream("data: b\n\n").held(),
            ],
        );
        let expected = ["open", "data a", "retrying", "retrying", "retrying", "open", "data b"];
        assert_eq!(life.shorts(), expected);
        assert_eq!(life.states[2..5], [ReadyState::Connecting; 3]);
        assert_eq!(life.ids(), [None, Some(&b"7"[..]), Some(b"7"), Some(b"7")]);
    }
}

#[test]
fn d8_the_state_changes_then_the_error_is_reported_then_the_wait_begins() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: a\n\n");
        bench.end(attempt);
        // Nothing is sent before the error is reported, however long that takes.
        bench.pass(seconds(1000));
        bench.no_request();
        assert_eq!(bench.event().unwrap().short(), "data a");
        assert_eq!(bench.client.state(), ReadyState::Open);
        bench.no_request();
        assert_eq!(bench.event().unwrap().short(), "retrying");
        assert_eq!(bench.client.state(), ReadyState::Connecting);

        bench.pass(seconds(1));
        let attempt = bench.reopen();
        bench.end(attempt);
        let (_, wait) = bench.retrying();
        bench.pass(wait.saturating_sub(millis(1)));
        bench.no_request();
        bench.pass(millis(1));
        bench.request();
    }
}

#[test]
fn d9_the_wait_is_never_shorter_than_the_reconnection_time() {
    for config in both() {
        let answers = (0..20).map(|n| match n % 3 {
            0 => Answer::stream("retry: 1234\n\n"),
            1 => Answer::none(FailureKind::Connect),
            _ => Answer::stream("data: a\n\n"),
        });
        let is_standard = config == standard();
        let life = Life::new(config, answers);
        assert_eq!(life.gaps().len(), 20);
        for gap in life.gaps() {
            assert!(gap >= millis(1234), "{gap:?}");
            assert!(!is_standard || gap == millis(1234), "{gap:?}");
        }
    }
}

#[test]
fn d10_without_retry_the_reconnection_time_is_3_seconds() {
    for config in both() {
        let bench = Bench::new(config);
        assert_eq!(bench.client.reconnection_time(), seconds(3));
    }
    assert_eq!(Life::new(standard(), [Answer::stream("")]).gaps(), [seconds(3)]);
}

#[test]
fn d11_a_retry_holds_from_then_on_across_connections_and_without_an_event() {
    for config in both() {
        let answers = [
            Answer::stream("retry: 700\n"),
            Answer::stream("data: a\n\n"),
            Answer::none(FailureKind::Connect),
            Answer::stream("retry: bogus\nretry: 800 \nretry: -1\n\n"),
        ];
        let is_standard = config == standard();
        let life = Life::new(config, answers);
        assert_eq!(life.reconnection_time, millis(700));
        assert!(!is_standard || life.gaps() == [millis(700); 4]);
    }
}

/// The standard policy does not, as browsers do not; the default backs off.
#[test]
fn d12_the_wait_is_longer_after_failures_in_the_default_policy_alone() {
    let failures = vec![Answer::none(FailureKind::Connect); 8];
    let plain = Life::new(standard(), failures.clone()).gaps();
    assert!(plain.iter().all(|gap| *gap == seconds(3)));
    let backed_off = Life::new(ClientConfig::new(1), failures).gaps();
    assert!(backed_off[4..].iter().max().unwrap() > &seconds(20), "{backed_off:?}");
}

/// At once in the standard policy, for which there is no back-off either; in the default, as soon as
/// the stream has been stable.
#[test]
fn d13_back_off_ends_with_a_good_response() {
    for mut config in both() {
        if let Some(max) = &mut config.policy.reconnection.max_backoff {
            *max = seconds(600);
        }
        let stable_after = config.policy.reconnection.stable_after;
        let mut bench = Bench::new(config);
        let mut longest = seconds(0);
        for _ in 0..8 {
            let (attempt, _) = bench.request();
            bench.fail(attempt, FailureKind::Connect);
            longest = longest.max(bench.retrying().1);
            bench.sleep();
        }
        let attempt = bench.reopen();
        bench.pass(stable_after);
        bench.end(attempt);
        let (_, wait) = bench.retrying();
        assert!(wait <= seconds(6), "{wait:?}");
        assert!(longest == seconds(3) || longest > seconds(60), "{longest:?}");
    }
}

#[test]
fn d14_an_empty_retry_is_ignored() {
    for config in both() {
        for empty in ["retry:", "retry", "retry: "] {
            let stream = format!("retry: 1500\n{empty}\ndata: a\n\n");
            let life = Life::new(config.clone(), [Answer::stream(stream)]);
            assert_eq!(life.reconnection_time, millis(1500));
            assert_eq!(life.messages().len(), 1);
        }
    }
}

#[test]
fn d15_an_event_that_the_end_of_the_stream_cuts_off_never_comes() {
    for config in both() {
        let life = Life::new(
            config,
            [Answer::stream("event: x\ndata: a\n"), Answer::stream("data: b\n\n").held()],
        );
        assert_eq!(life.shorts(), ["open", "retrying", "open", "data b"]);
        assert_eq!(life.messages()[0].event_type.as_str(), "message");
    }
}

#[test]
fn d16_each_connection_has_a_fresh_decoder() {
    for config in both() {
        let life = Life::new(
            config,
            [
                Answer::stream("\u{feff}data: a\n\nevent: x\ndata: lost\r"),
                Answer::stream("\u{feff}data: b\n\n"),
                // After the CR at the end of the last stream this LF is a line of its own.
                Answer::stream("\n\u{feff}data: no field\n\ndata: c\n\n").held(),
            ],
        );
        let data: Vec<_> = life.messages().iter().map(|message| &message.data[..]).collect();
        assert_eq!(data, ["a", "b", "c"]);
        assert!(life.messages().iter().all(|message| message.event_type.as_str() == "message"));
    }
}

#[test]
fn d17_after_several_losses_it_still_works_with_no_connection_left_over() {
    for config in both() {
        let mut bench = Bench::new(config);
        let mut old = Vec::new();
        for round in 0..5 {
            let attempt = bench.reopen();
            bench.data(attempt, format!("data: {round}\n\ndata: {round} more\n\n"));
            let expected = [format!("data {round}"), format!("data {round} more")];
            assert_eq!(bench.shorts(), expected);
            assert_eq!(bench.client.attempt(), Some(attempt));
            // What comes of a connection that is over is not mixed in.
            for old in &old {
                bench.data(*old, "data: late\n\n");
                bench.end(*old);
            }
            assert_eq!(bench.event(), None);
            bench.end(attempt);
            assert_eq!(bench.client.attempt(), None);
            assert_eq!(bench.shorts(), ["retrying"]);
            bench.sleep();
            old.push(attempt);
        }
    }
}
