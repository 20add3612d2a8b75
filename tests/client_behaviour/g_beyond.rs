//! G: beyond the standard.

use crate::driver::{Answer, Bench, Life, Seen, URL, both, get, head, millis, seconds, standard};
use bytes::Bytes;
use http::{Method, Request};
use sansse::client::{
    ClientConfig, ClientError, CloseReason, FailureKind, ReadyState, RedirectError, Timeout,
};

#[test]
fn g1_the_callers_headers_are_sent_at_first_and_on_reconnections() {
    for config in both() {
        let request = Request::get(URL)
            .header("x-one", "1")
            .header("x-two", "2")
            .header("x-two", "again")
            .header("authorization", "Bearer x")
            .body(Bytes::new())
            .unwrap();
        let life = Life::with(request, config, [Answer::stream(""), Answer::stream("")]);
        assert_eq!(life.requests.len(), 3);
        for request in &life.requests {
            assert_eq!(request.headers()["x-one"], "1");
            let two: Vec<_> = request.headers().get_all("x-two").iter().collect();
            assert_eq!(two, ["2", "again"]);
            assert_eq!(request.headers()["authorization"], "Bearer x");
        }
    }
}

/// Once the caller has declared that it is safe; see the tests of what is not repeatable.
#[test]
fn g2_method_body_and_content_type_are_sent_as_given_and_again() {
    for mut config in both() {
        config.repeatable = true;
        for method in ["POST", "REPORT"] {
            let request = Request::builder()
                .method(method)
                .uri(URL)
                .header("content-type", "text/plain; charset=utf-8")
                .body(Bytes::from_static(b"hello"))
                .unwrap();
            let life = Life::with(request, config.clone(), [Answer::stream("data: a\n\n")]);
            assert_eq!(life.requests.len(), 2);
            for request in &life.requests {
                assert_eq!(request.method(), &Method::from_bytes(method.as_bytes()).unwrap());
                assert_eq!(request.body(), "hello");
                assert_eq!(request.headers()["content-type"], "text/plain; charset=utf-8");
            }
        }
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
        assert_eq!(bench.client.state(), ReadyState::Connecting);
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
fn g6_an_initial_delay_of_zero_reconnects_at_once() {
    for mut config in both() {
        config.policy.reconnection.initial = seconds(0);
        config.policy.reconnection.stable_after = seconds(0);
        let life = Life::new(config, vec![Answer::stream("data: a\n\n"); 5]);
        assert_eq!(life.gaps(), [seconds(0); 5]);
    }
}

#[test]
fn g7_a_redirect_without_a_location_is_an_error_and_no_loop() {
    for config in both() {
        for status in [301, 307] {
            for headers in [&[][..], &[("location", "")]] {
                let answers = [Answer::stream(""), Answer::of(head(status, headers), "")];
                let life = Life::with(get(URL), config.clone(), answers);
                assert_eq!(life.shorts(), ["open", "retrying", "closed"]);
                let Some(CloseReason::Failed(ClientError::Redirect(error, answer))) =
                    life.close_reason()
                else {
                    panic!("{life:?}")
                };
                assert_eq!((*error, answer.status.as_u16()), (RedirectError::NoLocation, status));
            }
        }
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

/// What is said of a request that is not repeatable, for the row that says it is sent again.
#[test]
fn g2_a_post_is_not_sent_again_unless_that_is_declared_safe() {
    for config in [standard(), ClientConfig::new(1)] {
        let post = || Request::post(URL).body(Bytes::from_static(b"hello")).unwrap();
        let life = Life::with(post(), config.clone(), [Answer::stream("data: a\n\n")]);
        assert_eq!(life.shorts(), ["open", "data a", "closed"]);
        let reason = CloseReason::NotRepeatable(ClientError::EndOfStream);
        assert_eq!((life.requests.len(), life.close_reason()), (1, Some(&reason)));

        // It cannot have reached the server.
        let life = Life::with(post(), config, [Answer::none(FailureKind::Connect)]);
        assert_eq!((life.shorts(), life.requests.len()), (vec!["retrying".to_owned()], 2));
    }
}
