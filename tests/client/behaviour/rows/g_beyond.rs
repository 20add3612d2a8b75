//! G: beyond the standard.

use super::{live, live_with};
use crate::kit::client::{Answer, URL, both, get, head, seconds, standard};
use bytes::Bytes;
use http::{Method, Request};
use sansse::client::{ClientConfig, ClientError, CloseReason, RedirectError};
use sansse::net::FailureKind;

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
        let life = live_with(request, config, [Answer::stream(""), Answer::stream("")]);
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
            let life = live_with(request, config.clone(), [Answer::stream("data: a\n\n")]);
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
fn g6_an_initial_delay_of_zero_reconnects_at_once() {
    for mut config in both() {
        config.policy.reconnection.initial = seconds(0);
        config.policy.reconnection.stable_after = seconds(0);
        let life = live(config, vec![Answer::stream("data: a\n\n"); 5]);
        assert_eq!(life.gaps(), [seconds(0); 5]);
    }
}

#[test]
fn g7_a_redirect_without_a_location_is_an_error_and_no_loop() {
    for config in both() {
        for status in [301, 307] {
            for headers in [&[][..], &[("location", "")]] {
                let answers = [Answer::stream(""), Answer::of(head(status, headers), "")];
                let life = live_with(get(URL), config.clone(), answers);
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

/// What is said of a request that is not repeatable, for the row that says it is sent again.
#[test]
fn g2_a_post_is_not_sent_again_unless_that_is_declared_safe() {
    for config in [standard(), ClientConfig::new(1)] {
        let post = || Request::post(URL).body(Bytes::from_static(b"hello")).unwrap();
        let life = live_with(post(), config.clone(), [Answer::stream("data: a\n\n")]);
        assert_eq!(life.shorts(), ["open", "data a", "closed"]);
        let reason = CloseReason::NotRepeatable(ClientError::EndOfStream);
        assert_eq!((life.requests.len(), life.close_reason()), (1, Some(&reason)));

        // It cannot have reached the server.
        let life = live_with(post(), config, [Answer::none(FailureKind::Connect)]);
        assert_eq!((life.shorts(), life.requests.len()), (vec!["retrying".to_owned()], 2));
    }
}

/// One space after the colon is not kept, as in the fields.
#[test]
fn g5_comments_are_reported_when_their_line_ends() {
    for mut config in both() {
        let stream = Answer::stream(":Hello\n: Hello\r:\ndata: a\n\n:last\n").held();
        let without = live(config.clone(), [stream.clone()]);
        assert_eq!(without.shorts(), ["open", "data a"]);
        config.comments = true;
        let life = live(config, [stream]);
        let expected =
            ["open", "comment Hello", "comment Hello", "comment ", "data a", "comment last"];
        assert_eq!(life.shorts(), expected);
    }
}

#[test]
fn g8_large_events_are_delivered_whole() {
    let large = "x".repeat(7 << 20);
    for config in both() {
        let stream = format!("data: {large}\n\ndata: {large}{large}\n\n");
        let life = live(config, [Answer::stream(stream).held()]);
        let lengths: Vec<_> = life.messages().iter().map(|message| message.data.len()).collect();
        assert_eq!(lengths, [7 << 20, 14 << 20]);
    }
}
