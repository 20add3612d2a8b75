//! Notices: what a server says of its stream, which is never delivered as a message.

use crate::kit::client::{Answer, Bench, Life, Seen, both, get, millis, seconds};
use sansse::client::{ClientConfig, ClientError, CloseReason, Sentinel};
use sansse::net::FailureKind;
use sansse::{Event, Fault, Frame, LossReason, Notice, RefusalReason, event_type};
use std::time::Duration;

const GAP: Notice = Notice::Gap { replayed: 0, lost: Some(3), reason: LossReason::Lag };
const ENDING: Notice = Notice::Ending;
const FULL: Notice = Notice::Refused { reason: RefusalReason::Full };

fn block(notice: Notice, change: impl FnOnce(Event) -> Event) -> String {
    let frame = Frame::new(&change(notice.to_event(&Notice::EVENT_TYPE)));
    String::from_utf8(frame.payload().to_vec()).unwrap()
}

fn plain(notice: Notice) -> String {
    block(notice, |event| event)
}

fn with_id(notice: Notice, id: &'static str) -> String {
    block(notice, |event| event.with_id(sansse::EventId::new(id).unwrap()))
}

fn with_retry(notice: Notice, retry: Duration) -> String {
    block(notice, |event| event.with_retry(retry))
}

#[test]
fn a_notice_is_no_message_and_moves_the_last_event_id() {
    for config in both() {
        for notice in [Notice::Live, Notice::Kept { replayed: 2 }, Notice::Place] {
            let (mut bench, attempt) = Bench::open(config.clone());
            bench.data(attempt, with_id(notice, "7") + "data: a\n\n");
            assert_eq!(bench.shorts(), ["data a"]);
            assert_eq!(bench.client.last_event_id(), "7");
            bench.data(attempt, plain(Notice::Place));
            assert_eq!((bench.shorts().len(), bench.client.last_event_id()), (0, "7"));
        }
    }
}

#[test]
fn a_stream_that_is_cut_before_its_first_event_is_resumed_from_its_notice() {
    for config in both() {
        let opening = with_id(Notice::Live, "e-5");
        let life = Life::new(config, [Answer::stream(opening), Answer::status(204)]);
        assert_eq!(life.ids(), [None, Some(&b"e-5"[..])]);
    }
}

#[test]
fn what_is_missing_is_told_where_it_is_missing() {
    let unknown = Notice::Gap { replayed: 1, lost: None, reason: LossReason::Restart };
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        let stream = plain(unknown) + "data: a\n\n" + &with_id(GAP, "9") + "data: b\n\n";
        bench.data(attempt, stream);
        let lost = |events, reason| Seen::Lost { events, reason };
        let seen = bench.events();
        assert_eq!(seen[0], lost(None, LossReason::Restart));
        assert_eq!(seen[1].short(), "data a");
        assert_eq!(seen[2], lost(Some(3), LossReason::Lag));
        assert_eq!(seen[3].short(), "data b");
        assert_eq!((seen.len(), bench.client.last_event_id()), (4, "9"));
    }
}

#[test]
fn a_message_of_that_type_that_is_no_notice_is_a_message() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "event: sansse-notice\ndata: hello\n\n");
        assert_eq!(bench.shorts(), ["data hello"]);
    }
}

#[test]
fn the_type_of_notices_is_a_setting_and_without_one_there_are_none() {
    for mut config in both() {
        let data = GAP.to_event(&Notice::EVENT_TYPE).data().unwrap().to_owned();
        config.notices = Some(event_type!("about"));
        let (mut bench, attempt) = Bench::open(config.clone());
        bench.data(attempt, format!("event: about\ndata: {data}\n\n") + &plain(GAP));
        assert_eq!(bench.shorts(), ["lost".to_owned(), format!("data {data}")]);
        config.notices = None;
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, plain(GAP));
        assert_eq!(bench.shorts(), [format!("data {data}")]);
    }
}

#[test]
fn a_server_that_has_no_stream_now_is_asked_again_when_it_said_so() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, with_retry(FULL, seconds(7)));
        bench.end(attempt);
        let refused = ClientError::Refused(RefusalReason::Full);
        assert_eq!(refused.fault(), Fault::Peer);
        assert_eq!(bench.retrying(), (refused, seconds(7)), "without a back-off beyond that");
    }
}

#[test]
fn a_cut_that_the_server_has_announced_is_the_end_of_the_stream() {
    for mut config in both() {
        for one_shot in [false, true] {
            config.one_shot = one_shot;
            let (mut bench, attempt) = Bench::open(config.clone());
            bench.data(attempt, with_retry(Notice::Ending, seconds(7)));
            bench.fail(attempt, FailureKind::Closed);
            if one_shot {
                let reason = bench.closed();
                let error = reason.error().expect("it is not whole");
                assert!(matches!(error, ClientError::Truncated(_)), "{error:?}");
            } else {
                assert_eq!(bench.retrying().0, ClientError::EndOfStream);
            }
        }
    }
}

#[test]
fn refusals_in_a_row_do_not_lengthen_the_wait_and_count_as_attempts() {
    let mut config = ClientConfig::new(1);
    config.policy.max_attempts = Some(6);
    let refused = || Answer::stream(with_retry(FULL, seconds(7)));
    let life = Life::new(config, (0..6).map(|_| refused()));
    assert_eq!(life.gaps(), [seconds(7); 5]);
    let error = ClientError::Refused(RefusalReason::Full);
    assert_eq!(life.close_reason(), Some(&CloseReason::TooManyAttempts { attempts: 6, error }));
}

#[test]
fn a_refused_request_is_sent_again_whatever_its_method_also_for_one_shot() {
    for mut config in both() {
        config.one_shot = true;
        let request = http::Request::post(crate::kit::client::URL);
        let request = request.body(bytes::Bytes::from_static(b"question")).unwrap();
        let answers = [Answer::stream(with_retry(FULL, seconds(2))), Answer::stream("data: a\n\n")];
        let life = Life::with(request, config, answers);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        assert_eq!((life.requests.len(), life.messages().len()), (2, 1));
    }
}

#[test]
fn a_stream_that_was_said_to_end_is_asked_for_again_in_order() {
    let config = ClientConfig::new(1);
    let ending = || Answer::stream(with_retry(ENDING, millis(1_500)));
    let life = Life::new(config, (0..20).map(|_| ending()));
    assert_eq!(life.gaps(), [millis(1_500); 20], "no matter how often");
    let (mut bench, attempt) = Bench::open(ClientConfig::new(1));
    bench.data(attempt, with_retry(ENDING, millis(1_500)));
    bench.fail(attempt, FailureKind::Closed);
    let (error, wait) = bench.retrying();
    // It was announced, so that it is no fault of the connection.
    assert_eq!((error, wait), (ClientError::EndOfStream, millis(1_500)));
}

#[test]
fn without_a_time_that_is_told_the_wait_is_that_of_a_first_loss() {
    for seed in 0..50 {
        let mut config = ClientConfig::new(seed);
        config.policy.reconnection.initial = seconds(3);
        let life = Life::new(config, (0..6).map(|_| Answer::stream(plain(ENDING))));
        let waits = life.gaps();
        assert!(waits.iter().all(|wait| (seconds(3)..=seconds(6)).contains(wait)), "{waits:?}");
    }
}

#[test]
fn an_answer_that_is_read_once_is_not_disturbed() {
    for mut config in both() {
        config.one_shot = true;
        let stream = plain(Notice::Live) + "data: a\n\n:\n" + &plain(Notice::Place) + ":\n";
        let life = Life::new(config.clone(), [Answer::stream(&stream)]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        assert_eq!(life.messages().len(), 1);
        config.sentinel = Some(Sentinel::Data("[DONE]".into()));
        let life = Life::new(config.clone(), [Answer::stream(stream + "data: [DONE]\n\n")]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        assert_eq!(life.messages().len(), 1);
    }
}

#[test]
fn an_answer_that_the_server_ends_early_ends_as_its_body_does() {
    for mut config in both() {
        config.one_shot = true;
        let answer = Answer::stream("data: a\n\n".to_owned() + &plain(ENDING));
        let life = Life::new(config.clone(), [answer.clone()]);
        assert_eq!(life.close_reason(), Some(&CloseReason::Finished));
        let life = Life::new(config, [answer.cut(FailureKind::Truncated)]);
        let cut = ClientError::Transport(FailureKind::Truncated.into());
        let truncated = ClientError::Truncated(Box::new(cut));
        assert_eq!(life.close_reason(), Some(&CloseReason::Failed(truncated)));
    }
}

#[test]
fn a_notice_may_be_split_anywhere() {
    let stream = with_id(GAP, "9") + "data: a\n\n" + &with_retry(ENDING, seconds(1));
    for size in 1..stream.len() {
        let config = ClientConfig::new(1);
        let life = Life::with(
            get(crate::kit::client::URL),
            config,
            [Answer::stream(&stream).in_chunks_of(size), Answer::status(204)],
        );
        let expected = ["open", "lost", "data a", "retrying", "closed"];
        assert_eq!(life.shorts(), expected, "in chunks of {size}");
        assert_eq!(life.ids(), [None, Some(&b"9"[..])]);
    }
}
