//! Rows of the table, step by step: what is asked and told between one call and the next.

use crate::kit::client::{Bench, Seen, URL, both, head, millis, seconds, standard, stream_head};
use http::Method;
use sansse::Fault;
use sansse::client::ReadyState::{Closed, Connecting, Open};
use sansse::client::{ClientError, CloseReason, Timeout};
use sansse::net::{Failure, FailureKind};

#[test]
fn a1_the_first_request_is_one_get_to_the_url() {
    for config in both() {
        let mut bench = Bench::new(config);
        let (_, request) = bench.request();
        assert_eq!((request.method(), request.uri()), (&Method::GET, &URL.parse().unwrap()));
        assert!(request.body().is_empty());
        bench.no_request();
    }
}

#[test]
fn a8_right_after_construction_it_is_connecting_and_reports_nothing() {
    for config in both() {
        let mut bench = Bench::new(config);
        assert_eq!(bench.client.state(), Connecting);
        assert_eq!(bench.event(), None);
        bench.request();
        assert_eq!(bench.client.state(), Connecting);
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn b1_a_good_head_opens_before_any_byte_of_the_body() {
    for config in both() {
        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        bench.respond(attempt, &stream_head());
        assert_eq!(bench.shorts(), ["open"]);
        assert_eq!(bench.client.state(), Open);
    }
}

/// The beginning of the body is kept for the report, and is not decoded.
#[test]
fn b15_the_body_of_a_failed_response_is_not_decoded_and_the_connection_given_up() {
    for config in both() {
        let limit = config.max_error_body;
        let mut bench = Bench::new(config);
        let (attempt, _) = bench.request();
        bench.respond(attempt, &head(404, &[("content-type", "text/event-stream")]));
        bench.data(attempt, "data: never\n\n");
        assert_eq!((bench.event(), bench.client.attempt()), (None, Some(attempt)));
        bench.data(attempt, vec![b'x'; limit]);
        assert_eq!(bench.client.attempt(), None, "the connection is to be dropped");
        let CloseReason::Failed(ClientError::Status(answer)) = bench.closed() else { panic!() };
        assert!(answer.body.starts_with(b"data: never\n\nxxx") && answer.body.len() == limit);
    }
}

/// Reconnects, as Chromium does, but for what is known to be futile: what the driver cannot do.
#[test]
fn d4_the_end_of_the_connection_before_a_head_is_no_response() {
    let mut bench = Bench::new(standard());
    let (attempt, _) = bench.request();
    bench.end(attempt);
    assert_eq!(bench.retrying().0, ClientError::Transport(FailureKind::Closed.into()));
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
        assert_eq!(bench.client.state(), Connecting);
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
        assert_eq!(bench.client.state(), Open);
        bench.no_request();
        assert_eq!(bench.event().unwrap().short(), "retrying");
        assert_eq!(bench.client.state(), Connecting);

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
        bench.respond(attempt, &head(204, &[]));
        assert_eq!(bench.closed(), CloseReason::NoContent);
        bench.client.close(bench.now);
        assert_eq!(bench.client.close_reason(), Some(&CloseReason::NoContent));
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn f7_the_head_told_twice_is_one() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.accept(attempt);
        assert_eq!(bench.event(), None);
    }
}

#[test]
fn f8_the_loss_told_twice_is_one() {
    for config in both() {
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
        bench.respond(attempt, &head(404, &[("content-length", "0")]));
        bench.closed();
        bench.end(attempt);
        bench.pass(seconds(1000));
        assert_eq!((bench.event(), bench.client.poll_timeout()), (None, None));
        bench.no_request();
    }
}

#[test]
fn g3_silence_is_an_error_and_reconnects_and_any_byte_is_life() {
    for mut config in both() {
        config.policy.timeouts.idle = Some(seconds(10));
        let (mut bench, attempt) = Bench::open(config);
        for bytes in ["data: a\n\n", ": comment\n", "da", "\n", ":", "\u{feff}"] {
            bench.pass(millis(9_999));
            assert!(!bench.shorts().contains(&"retrying".into()), "before {bytes:?}");
            bench.data(attempt, bytes);
        }
        bench.events();
        assert_eq!(bench.sleep(), seconds(10));
        let (error, _) = bench.retrying();
        assert_eq!(error, ClientError::Timeout(Timeout::Idle));
        assert_eq!(bench.client.attempt(), None, "the connection is to be dropped");
        bench.sleep();
        bench.request();
    }
}

#[test]
fn g4_restart_drops_the_connection_and_asks_again_at_once() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, "retry: 60000\nid: 7\ndata: a\n\ndata: b\n");
        bench.client.restart(bench.now);
        assert_eq!(bench.client.attempt(), None);
        assert_eq!(bench.event().unwrap().short(), "data a");
        assert_eq!(bench.retrying(), (ClientError::Restarted, seconds(0)));
        assert_eq!(bench.client.state(), Connecting);
        assert_eq!(bench.sleep(), seconds(0));
        let (second, request) = bench.request();
        assert!(second != attempt);
        assert_eq!(request.headers()["last-event-id"], "7");
        bench.accept(second);
        bench.data(second, "data: c\n\n");
        assert_eq!(bench.shorts(), ["open", "data c"]);
    }
}

/// One space after the colon is not kept, as in the fields.
#[test]
fn g5_comments_are_reported_when_their_line_ends() {
    for mut config in both() {
        config.comments = true;
        let (mut bench, attempt) = Bench::open(config.clone());
        for (bytes, text) in [(":Hello\n", "Hello"), (": Hello\r", "Hello"), ("\n:\n", "")] {
            bench.data(attempt, bytes);
            assert_eq!(bench.events(), [Seen::Comment(text.into())]);
        }
        config.comments = false;
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, ":Hello\ndata: a\n\n");
        assert_eq!(bench.shorts(), ["data a"]);
    }
}

#[test]
fn g8_large_events_are_delivered_whole() {
    let large = "x".repeat(7 << 20);
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, format!("data: {large}\n\n"));
        let event = bench.event();
        assert!(matches!(&event, Some(Seen::Message(message)) if message.data == large));
        assert_eq!(bench.event(), None);

        bench.data(attempt, format!("data: {large}"));
        assert_eq!(bench.event(), None);
        bench.data(attempt, format!("{large}\n\n"));
        let event = bench.event();
        assert!(matches!(&event, Some(Seen::Message(message)) if message.data.len() == 14 << 20),);
    }
}
