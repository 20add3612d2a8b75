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
fn an_event_without_a_blank_line_is_whole_where_the_caller_says_so_and_the_body_ended_properly() {
    for mut config in answers() {
        config.complete_last_event = true;
        for end in
            ["data: b", "data: b\n", "data: b\r", "data: b\r\n", "data: b\nid: 7", "data: b\n\n"]
        {
            let body = || Answer::stream(format!("data: a\n\n{end}")).in_chunks_of(3);
            let life = Life::new(config.clone(), [body()]);
            assert_eq!(life.shorts(), ["open", "data a", "data b", "closed"], "{end:?}");
            assert_eq!(life.close_reason(), Some(&CloseReason::Finished));

            let life = Life::new(config.clone(), [body().cut(FailureKind::Truncated)]);
            assert_eq!(life.messages().len(), if end.ends_with("\n\n") { 2 } else { 1 });
            assert!(matches!(truncated(&life), ClientError::Transport(_)));
        }
        for end in ["", "event: x", ": comment", "id: 7"] {
            let life = Life::new(config.clone(), [Answer::stream(format!("data: a\n\n{end}"))]);
            assert_eq!(life.shorts(), ["open", "data a", "closed"], "{end:?}");
            assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        }
        config.sentinel = Some(Sentinel::Data("[DONE]".into()));
        let life = Life::new(config.clone(), [Answer::stream("data: a\n\ndata: [DONE]\n")]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        let life = Life::new(config.clone(), [Answer::stream("data: a\n\ndata: b")]);
        assert_eq!(life.shorts(), ["open", "data a", "data b", "closed"]);
        assert_eq!(truncated(&life), ClientError::EndOfStream);

        // A stream that goes on is resumed, and gets the event again.
        (config.one_shot, config.sentinel) = (false, None);
        let life = Life::new(config, [Answer::stream("data: a\n\ndata: b")]);
        assert_eq!(life.shorts(), ["open", "data a", "retrying"]);
    }
}

/// A POST whose answers are as of a language model.
fn asked(answers: impl IntoIterator<Item = Answer>) -> Life {
    let request = http::Request::post(crate::kit::client::URL)
        .body(bytes::Bytes::from_static(b"{\"stream\":true}"))
        .unwrap();
    Life::with(request, ClientConfig::answer(1), answers)
}

fn refused(status: u16, headers: &[(&str, &str)]) -> Answer {
    Answer::of(head(status, headers), "")
}

#[test]
fn a_post_that_was_not_accepted_is_sent_again_after_the_time_that_is_asked_for() {
    let life = asked([
        refused(429, &[("retry-after", "20")]),
        refused(529, &[]),
        refused(503, &[("retry-after", "30")]),
        Answer::stream("data: a\n\n"),
    ]);
    assert_eq!(
        life.shorts(),
        ["retrying", "retrying", "retrying", "open", "data a", "closed"],
        "each wait is told"
    );
    let gaps = life.gaps();
    assert!(gaps[0] >= seconds(20) && gaps[1] >= seconds(1) && gaps[2] >= seconds(30), "{gaps:?}");
    assert!(life.requests.iter().all(|request| request.body() == "{\"stream\":true}"));
    assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
}

#[test]
fn a_post_that_may_have_been_accepted_is_not_sent_again() {
    for answer in
        [refused(500, &[]), refused(502, &[]), refused(503, &[]), Answer::none(FailureKind::Closed)]
    {
        let life = asked([answer]);
        assert_eq!(life.requests.len(), 1);
        assert!(matches!(life.close_reason(), Some(CloseReason::NotRepeatable(_))), "{life:?}");
    }
}

#[test]
fn an_answer_is_waited_for_within_a_bound() {
    let life = asked(vec![refused(429, &[("retry-after", "60")]); 20]);
    assert_eq!(life.requests.len(), 5);
    assert!(matches!(life.close_reason(), Some(CloseReason::WaitTooLong { .. })), "{life:?}");
    let life = asked([refused(429, &[("retry-after", "3600")])]);
    assert_eq!(life.requests.len(), 1, "an hour is not waited for at all");
}

#[test]
fn an_answer_has_the_time_that_models_take_which_reason() {
    let (mut bench, _) = Bench::open(ClientConfig::answer(1));
    assert_eq!(bench.timeout(), Some(seconds(300)));
    bench.client.wake(bench.now);
    assert_eq!(bench.sleep(), seconds(300), "silence is no fault after waking either");
    bench.closed();
    let mut bench = Bench::new(ClientConfig::answer(1));
    bench.request();
    assert_eq!(bench.timeout(), Some(seconds(600)));
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
