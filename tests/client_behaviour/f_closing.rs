//! F: closing and reporting.

use crate::driver::{Answer, Bench, Life, Seen, both, millis, seconds};
use sansse::client::ReadyState::{Closed, Connecting, Open};
use sansse::client::{CloseReason, FailureKind};

/// Nothing is reported and nothing asked for, whatever happens from now on.
#[track_caller]
fn is_closed_for_good(mut bench: Bench) {
    assert_eq!(bench.client.close_reason(), Some(&CloseReason::Requested));
    for _ in 0..3 {
        assert_eq!(bench.client.state(), Closed);
        assert_eq!(bench.event(), None);
        assert_eq!((bench.client.poll_timeout(), bench.client.attempt()), (None, None));
        assert!(!bench.client.wants_data());
        bench.no_request();
        bench.pass(seconds(1000));
        bench.client.wake(bench.now);
        bench.client.restart(bench.now);
    }
}

#[test]
fn f1_close_while_connecting_aborts_the_request_or_never_sends_it() {
    for config in both() {
        let mut bench = Bench::new(config.clone());
        bench.client.close(bench.now);
        is_closed_for_good(bench);

        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        assert_eq!(bench.client.attempt(), Some(attempt));
        bench.client.close(bench.now);
        bench.accept(attempt);
        bench.data(attempt, "data: a\n\n");
        bench.fail(attempt, FailureKind::Closed);
        is_closed_for_good(bench);
    }
}

#[test]
fn f2_close_while_open_drops_the_connection_and_reports_nothing_more() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.client.close(bench.now);
        assert_eq!(bench.client.attempt(), None);
        bench.data(attempt, "data: a\n\n");
        bench.end(attempt);
        is_closed_for_good(bench);
    }
}

#[test]
fn f3_close_with_events_waiting_delivers_none_of_them() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "data: a\n\ndata: b\n\nid: c\ndata: c\n\n");
        assert_eq!(bench.event().unwrap().short(), "data a");
        bench.client.close(bench.now);
        assert_eq!(bench.client.last_event_id(), "", "what was not delivered does not count");
        is_closed_for_good(bench);
    }
}

#[test]
fn f4_close_when_the_opening_is_reported_delivers_no_event() {
    for config in both() {
        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        bench.accept(attempt);
        bench.data(attempt, "data: a\n\n");
        assert_eq!(bench.event().unwrap().short(), "open");
        bench.client.close(bench.now);
        is_closed_for_good(bench);
    }
}

#[test]
fn f5_close_while_waiting_cancels_the_wait() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.end(attempt);
        bench.retrying();
        bench.pass(millis(1));
        bench.client.close(bench.now);
        is_closed_for_good(bench);
    }
}

#[test]
fn f6_close_twice_or_when_closed_has_no_effect() {
    for config in both() {
        let (mut bench, _) = Bench::open(config.clone());
        bench.client.close(bench.now);
        bench.client.close(bench.now);
        is_closed_for_good(bench);

        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        bench.respond(attempt, &crate::driver::head(204, &[]));
        assert_eq!(bench.closed(), CloseReason::NoContent);
        bench.client.close(bench.now);
        assert_eq!(bench.client.close_reason(), Some(&CloseReason::NoContent));
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn f7_one_open_a_connection_before_its_first_event() {
    for config in both() {
        let streams = ["data: a\n\ndata: b\n\n", "data: c\n\n", ""].map(Answer::stream);
        assert_eq!(
            Life::new(config.clone(), streams).shorts(),
            [
                "open", "data a", "data b", "retrying", "open", "data c", "retrying", "open",
                "retrying"
            ],
        );
        // The head, told twice, is one.
        let (mut bench, attempt) = Bench::open(config);
        bench.accept(attempt);
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn f8_one_error_a_loss_while_connecting() {
    for config in both() {
        let losses = [
            Answer::stream("data: a\n\n"),
            Answer::stream("data: a").cut(FailureKind::Truncated),
            Answer::none(FailureKind::Connect),
            Answer::none(FailureKind::Protocol),
        ];
        let life = Life::new(config.clone(), losses);
        let mut retries = 0;
        for (seen, state) in life.seen.iter().zip(&life.states) {
            if let Seen::Retrying { .. } = seen {
                retries += 1;
                assert_eq!(*state, Connecting);
            }
        }
        assert_eq!(retries, 4);

        // The loss, told twice, is one.
        let (mut bench, attempt) = Bench::open(config);
        bench.end(attempt);
        bench.fail(attempt, FailureKind::Closed);
        assert_eq!(bench.shorts(), ["retrying"]);
        bench.end(attempt);
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn f9_one_error_at_the_end_and_nothing_after_it() {
    for config in both() {
        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        bench.respond(attempt, &crate::driver::head(404, &[("content-length", "0")]));
        bench.closed();
        bench.end(attempt);
        bench.pass(seconds(1000));
        assert_eq!((bench.event(), bench.client.poll_timeout()), (None, None));
        bench.no_request();
    }
}

#[test]
fn f10_a_whole_life() {
    for mut config in both() {
        config.policy.reconnection.floor = millis(0);
        let is_plain = config.policy.reconnection.max_backoff.is_none();
        let life = Life::new(
            config,
            [
                Answer::stream("retry: 2\ndata: a\n\n"),
                Answer::stream("data: b\n\n"),
                Answer::status(204),
            ],
        );
        assert_eq!(
            life.shorts(),
            ["open", "data a", "retrying", "open", "data b", "retrying", "closed"],
        );
        assert_eq!(life.states, [Open, Open, Connecting, Open, Open, Connecting, Closed]);
        assert_eq!(life.requests.len(), 3);
        assert!(!is_plain || life.gaps() == [millis(2); 2]);
    }
}

#[test]
fn f11_messages_come_in_stream_order_each_once_however_they_are_cut() {
    let blocks: Vec<String> = (0..500).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
    let stream = blocks.concat();
    for config in both() {
        for size in [1, 7, 1000, stream.len()] {
            let answer = Answer::stream(&stream).in_chunks_of(size).held();
            let life = Life::new(config.clone(), [answer]);
            let numbers: Vec<usize> =
                life.messages().iter().map(|message| message.data.parse().unwrap()).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>(), "chunks of {size}");
        }
    }
}
