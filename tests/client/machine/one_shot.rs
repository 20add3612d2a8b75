//! Streams that end by themselves, and sentinels.

use crate::kit::client::{Answer, Bench, Life, both, head, seconds};
use sansse::client::{ClientConfig, ClientError, CloseReason, Sentinel, Timeout};
use sansse::net::FailureKind;
use sansse::{Fault, event_type};

/// One-shot under both policies, with `[DONE]` at the end.
fn completions() -> [ClientConfig; 2] {
    both().map(|mut config| {
        config.one_shot = true;
        config.sentinel = Some(Sentinel::Data("[DONE]".into()));
        config
    })
}

/// One-shot, with nothing but the end of the body at the end.
fn answers() -> [ClientConfig; 2] {
    both().map(|mut config| {
        config.one_shot = true;
        config
    })
}

#[track_caller]
fn truncated(life: &Life) -> ClientError {
    assert_eq!(life.requests.len(), 1, "it is not sent again");
    match life.close_reason() {
        Some(CloseReason::Failed(ClientError::Truncated(by))) => (**by).clone(),
        other => panic!("it is not truncated: {other:?}"),
    }
}

#[test]
fn the_sentinel_finishes_the_stream_and_is_not_delivered_nor_what_follows_it() {
    for config in completions() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: a\n\ndata: b\n\ndata: [DONE]\n\ndata: c\n\n");
        assert_eq!(bench.event().unwrap().short(), "data a");
        assert_eq!(bench.event().unwrap().short(), "data b");
        assert_eq!(bench.closed(), CloseReason::Finished);
        assert_eq!(bench.client.attempt(), None, "the connection is to be dropped");
        assert_eq!(bench.event(), None);
        bench.no_request();
    }
}

#[test]
fn only_the_whole_text_is_the_sentinel() {
    for config in completions() {
        let stream = "data: [DONE] \n\ndata: x[DONE]\n\ndata: [DONE]\ndata:\n\n";
        let life = Life::new(config, [Answer::stream(stream)]);
        assert_eq!(life.messages().len(), 3);
        assert_eq!(truncated(&life), ClientError::EndOfStream);
    }
}

#[test]
fn an_end_without_the_sentinel_is_truncated_whatever_ended_it() {
    for config in completions() {
        let life = Life::new(config.clone(), [Answer::stream("data: a\n\n")]);
        assert_eq!(life.shorts(), ["open", "data a", "closed"]);
        assert_eq!(truncated(&life), ClientError::EndOfStream);

        let cut = Answer::stream("data: a\n\ndata: [DONE]\n").cut(FailureKind::Closed);
        let life = Life::new(config.clone(), [cut]);
        assert_eq!(life.shorts(), ["open", "data a", "closed"]);
        assert_eq!(truncated(&life), ClientError::Transport(FailureKind::Closed.into()));
        let reason = life.close_reason().unwrap();
        assert_eq!(reason.error().unwrap().fault(), Fault::Transport);
        assert!(reason.to_string().contains("truncated"), "{reason}");
    }
}

#[test]
fn time_that_is_up_truncates_too() {
    for mut config in completions() {
        config.policy.timeouts.idle = Some(seconds(10));
        config.policy.timeouts.total = Some(seconds(15));
        let (mut bench, attempt) = Bench::open(config.clone());
        bench.sleep();
        let by = |timeout| {
            let by = Box::new(ClientError::Timeout(timeout));
            CloseReason::Failed(ClientError::Truncated(by))
        };
        assert_eq!(bench.closed(), by(Timeout::Idle));
        bench.data(attempt, "data: [DONE]\n\n");
        assert_eq!(bench.event(), None);

        let (mut bench, attempt) = Bench::open(config);
        bench.pass(seconds(8));
        bench.data(attempt, "data: a\n\n");
        bench.events();
        assert_eq!(bench.sleep(), seconds(7));
        assert_eq!(bench.closed(), by(Timeout::Total));
    }
}

#[test]
fn a_sentinel_that_came_before_the_loss_counts_although_it_is_polled_after() {
    for config in completions() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: a\n\ndata: [DONE]\n\n");
        bench.fail(attempt, FailureKind::Closed);
        assert_eq!(bench.event().unwrap().short(), "data a");
        assert_eq!(bench.closed(), CloseReason::Finished);
    }
}

#[test]
fn a_type_as_the_sentinel_is_delivered_and_then_the_stream_is_finished() {
    for mut config in answers() {
        config.sentinel = Some(Sentinel::EventType(event_type!("message_stop")));
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: message_stop\n\nevent: message_stop\ndata: {}\n\ndata: c\n\n");
        assert_eq!(bench.shorts(), ["data message_stop", "data {}", "closed"]);
        assert_eq!(bench.client.close_reason(), Some(&CloseReason::Finished));
    }
}

#[test]
fn without_a_sentinel_the_proper_end_of_the_body_is_the_end() {
    for config in answers() {
        let life = Life::new(config.clone(), [Answer::stream("data: a\n\n")]);
        assert_eq!(life.shorts(), ["open", "data a", "closed"]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));

        let cut = Answer::stream("data: a\n\n").cut(FailureKind::Truncated);
        let life = Life::new(config, [cut]);
        assert_eq!(truncated(&life), ClientError::Transport(FailureKind::Truncated.into()));
    }
}

#[test]
fn an_end_inside_an_event_is_truncated_even_if_the_body_ended_properly() {
    for config in answers() {
        for end in ["data: b", "data: b\n", "id: 7\n", "event: x\n", "da", "data: \u{e9}"] {
            let life = Life::new(config.clone(), [Answer::stream(format!("data: a\n\n{end}"))]);
            assert_eq!(life.shorts(), ["open", "data a", "closed"]);
            assert_eq!(truncated(&life), ClientError::EndOfStream, "{end:?}");
        }
        for end in ["", ": comment\n", "retry: 5\n", "id: 7\n\n", "\r", "\n\n\n"] {
            let life = Life::new(config.clone(), [Answer::stream(format!("data: a\n\n{end}"))]);
            assert_eq!(life.close_reason(), Some(&CloseReason::Finished), "{end:?}");
        }
    }
}

#[test]
fn before_a_stream_has_opened_it_is_tried_for_as_usual() {
    let [_, config] = completions();
    let life = Life::new(
        config,
        [
            Answer::none(FailureKind::Connect),
            Answer::of(head(429, &[("retry-after", "20")]), "slow down"),
            Answer::stream("data: a\n\ndata: [DONE]\n\n"),
        ],
    );
    assert_eq!(life.shorts(), ["retrying", "retrying", "open", "data a", "closed"]);
    assert!(life.gaps()[1] >= seconds(20));
    assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
}

#[test]
fn a_sentinel_in_a_stream_that_goes_on_is_resumed_for_and_then_ends_it() {
    for mut config in completions() {
        config.one_shot = false;
        let life = Life::new(
            config,
            [Answer::stream("id: 1\ndata: a\n\n"), Answer::stream("data: b\n\ndata: [DONE]\n\n")],
        );
        assert_eq!(life.shorts(), ["open", "data a", "retrying", "open", "data b", "closed"]);
        assert_eq!(life.ids(), [None, Some(&b"1"[..])]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
    }
}

#[test]
fn a_restart_that_is_asked_for_is_made() {
    for config in completions() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: a\n\n");
        bench.client.restart(bench.now);
        assert_eq!(bench.shorts(), ["data a", "retrying"]);
        bench.sleep();
        bench.reopen();
    }
}
