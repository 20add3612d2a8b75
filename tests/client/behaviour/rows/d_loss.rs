//! D: losing the connection.

use super::live;
use crate::kit::client::{Answer, Seen, both, millis, seconds, standard};
use sansse::Fault;
use sansse::client::{ClientConfig, ClientError, CloseReason, ReadyState};
use sansse::net::FailureKind;

/// After these answers the client reconnects, reporting one error while it is connecting.
#[track_caller]
fn reconnects(config: ClientConfig, answer: Answer, expected: &[&str]) -> ClientError {
    let life = live(config, [answer]);
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

/// Reconnects, as Chromium does; the standard policy every 3 s for ever.
#[test]
fn d5_a_refused_connection_reconnects_at_the_first_attempt_too() {
    let life = live(standard(), vec![Answer::none(FailureKind::Connect); 50]);
    assert_eq!(life.shorts(), ["retrying"; 50]);
    assert!(life.gaps().iter().all(|gap| *gap == seconds(3)));
    reconnects(ClientConfig::new(1), Answer::none(FailureKind::Connect), &["retrying"]);
}

#[test]
fn d7_each_failed_reconnection_is_one_more_error_until_one_is_good() {
    for config in both() {
        let life = live(
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
fn d9_the_wait_is_never_shorter_than_the_reconnection_time() {
    for config in both() {
        let answers = (0..20).map(|n| match n % 3 {
            0 => Answer::stream("retry: 1234\n\n"),
            1 => Answer::none(FailureKind::Connect),
            _ => Answer::stream("data: a\n\n"),
        });
        let is_standard = config == standard();
        let life = live(config, answers);
        assert_eq!(life.gaps().len(), 20);
        for gap in life.gaps() {
            assert!(gap >= millis(1234), "{gap:?}");
            assert!(!is_standard || gap == millis(1234), "{gap:?}");
        }
    }
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
        let life = live(config, answers);
        assert_eq!(life.reconnection_time, millis(700));
        assert!(!is_standard || life.gaps() == [millis(700); 4]);
    }
}

/// The standard policy does not, as browsers do not; the default backs off.
#[test]
fn d12_the_wait_is_longer_after_failures_in_the_default_policy_alone() {
    let failures = vec![Answer::none(FailureKind::Connect); 8];
    let plain = live(standard(), failures.clone()).gaps();
    assert!(plain.iter().all(|gap| *gap == seconds(3)));
    let backed_off = live(ClientConfig::new(1), failures).gaps();
    assert!(backed_off[4..].iter().max().unwrap() > &seconds(20), "{backed_off:?}");
}

#[test]
fn d14_an_empty_retry_is_ignored() {
    for config in both() {
        for empty in ["retry:", "retry", "retry: "] {
            let stream = format!("retry: 1500\n{empty}\ndata: a\n\n");
            let life = live(config.clone(), [Answer::stream(stream)]);
            assert_eq!(life.reconnection_time, millis(1500));
            assert_eq!(life.messages().len(), 1);
        }
    }
}

#[test]
fn d15_an_event_that_the_end_of_the_stream_cuts_off_never_comes() {
    for config in both() {
        let life = live(
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
        let life = live(
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
        let life = live(config, [Answer::none(FailureKind::Unsupported)]);
        let futile = ClientError::Transport(FailureKind::Unsupported.into());
        assert_eq!(life.close_reason(), Some(&CloseReason::Failed(futile)));
    }
}

/// Reconnects, as Chromium does.
#[test]
fn d6_an_answer_that_is_not_http_reconnects() {
    for config in both() {
        let error = reconnects(config, Answer::none(FailureKind::Protocol), &["retrying"]);
        let expected = ClientError::Transport(FailureKind::Protocol.into());
        assert_eq!((error.fault(), error), (Fault::Peer, expected));
    }
}

#[test]
fn d8_the_state_changes_then_the_error_is_reported_then_the_wait_begins() {
    let life = live(standard(), [Answer::stream("retry: 100\ndata: a\n\n"), Answer::stream("")]);
    assert_eq!(life.shorts(), ["open", "data a", "retrying", "open", "retrying"]);
    let (connecting, open) = (ReadyState::Connecting, ReadyState::Open);
    assert_eq!(life.states, [open, open, connecting, open, connecting]);
    assert_eq!(life.gaps(), [millis(100); 2]);
}

#[test]
fn d10_without_retry_the_reconnection_time_is_3_seconds() {
    for config in both() {
        assert_eq!(live(config, []).reconnection_time, seconds(3));
    }
    assert_eq!(live(standard(), [Answer::stream("")]).gaps(), [seconds(3)]);
}
