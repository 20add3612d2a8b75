//! Answers that are no streams, as they are reported, and what else a peer can do wrong.

use crate::kit::client::{Bench, Seen, both, head, seconds, stream_head};
use sansse::client::{ClientConfig, ClientError, CloseReason, Timeout};
use sansse::net::FailureKind;
use sansse::{DecodeError, Fault, Limits};

/// A request that is answered with this head.
fn answered(config: ClientConfig, head: &http::Response<()>) -> (Bench, sansse::client::Attempt) {
    let mut bench = Bench::new(config);
    let (attempt, _) = bench.request();
    bench.respond(attempt, head);
    (bench, attempt)
}

#[track_caller]
fn body(bench: &mut Bench) -> Vec<u8> {
    match bench.closed() {
        CloseReason::Failed(error) => error.answer().unwrap().body.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_carries_status_headers_and_the_beginning_of_the_body() {
    for config in both() {
        let (mut bench, attempt) =
            answered(config, &head(401, &[("www-authenticate", "Bearer"), ("x-request-id", "7")]));
        assert!(bench.client.wants_data());
        for chunk in ["{\"error\":", "", "\"expired\"}"] {
            bench.data(attempt, chunk);
            assert_eq!((bench.event(), bench.client.attempt()), (None, Some(attempt)));
        }
        bench.end(attempt);
        let CloseReason::Failed(ClientError::Status(answer)) = bench.closed() else { panic!() };
        assert_eq!(answer.status, 401);
        assert_eq!(answer.url, crate::kit::client::URL);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.headers["x-request-id"], "7");
        assert_eq!(answer.body, "{\"error\":\"expired\"}");
    }
}

#[test]
fn what_is_kept_of_a_body_is_bounded_however_it_is_cut() {
    for config in both() {
        let limit = config.max_error_body;
        assert_eq!(limit, 8192);
        for size in [1, 100, limit - 1, limit, limit + 1, 10 * limit] {
            let (mut bench, attempt) = answered(config.clone(), &head(404, &[]));
            let mut sent = 0;
            while bench.client.attempt().is_some() {
                bench.data(attempt, vec![b'x'; size]);
                sent += size;
                assert!(sent < limit + size, "chunks of {size}");
            }
            assert!(!bench.client.wants_data());
            assert_eq!(body(&mut bench).len(), limit, "chunks of {size}");
        }
    }
}

#[test]
fn a_body_that_breaks_off_is_reported_as_far_as_it_came() {
    for config in both() {
        let (mut bench, attempt) = answered(config, &head(404, &[]));
        bench.data(attempt, "not h");
        bench.fail(attempt, FailureKind::Closed);
        assert_eq!(body(&mut bench), b"not h");
    }
}

#[test]
fn where_no_body_can_come_none_is_waited_for() {
    for config in both() {
        for head in [head(404, &[("content-length", "0")]), head(304, &[]), head(101, &[])] {
            let (mut bench, _) = answered(config.clone(), &head);
            assert_eq!(bench.client.attempt(), None);
            assert_eq!(body(&mut bench), b"");
        }
        let mut config = config;
        config.max_error_body = 0;
        let (mut bench, _) = answered(config, &head(404, &[]));
        assert_eq!(body(&mut bench), b"");
    }
}

#[test]
fn a_refusal_that_is_retried_carries_its_answer_too() {
    let (mut bench, attempt) =
        answered(ClientConfig::new(1), &head(503, &[("content-type", "text/html")]));
    bench.data(attempt, "<h1>Down</h1>");
    bench.end(attempt);
    let (error, _) = bench.retrying();
    assert_eq!(error.fault(), Fault::Peer);
    assert_eq!(error.answer().unwrap().body, "<h1>Down</h1>");
    assert_eq!(error.to_string(), "the server answered 503 Service Unavailable");
}

#[test]
fn a_restart_or_the_end_of_life_while_a_body_is_read_is_what_is_reported() {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.total = Some(seconds(1));
    let (mut bench, attempt) = answered(config.clone(), &head(404, &[]));
    bench.data(attempt, "not");
    bench.client.restart(bench.now);
    assert_eq!(bench.retrying().0, ClientError::Restarted);

    let (mut bench, _) = answered(config, &head(404, &[]));
    bench.pass(seconds(1));
    assert_eq!(bench.closed(), CloseReason::Failed(ClientError::Timeout(Timeout::Total)));
}

#[test]
fn an_event_beyond_a_limit_is_reported_as_dropped_and_the_stream_goes_on() {
    for mut config in both() {
        config.limits = Limits::default().with_max_line(20).with_max_event(20);
        let (mut bench, attempt) = Bench::open(config);
        bench.data(attempt, format!("id: 1\ndata: a\n\nid: 2\ndata: {}\n\n", "x".repeat(100)));
        bench.data(attempt, "data: b\n\n");
        let seen = bench.events();
        let dropped = Seen::Dropped(DecodeError::LineTooLong { limit: 20 });
        assert_eq!(seen[1], dropped);
        assert_eq!((seen[0].short(), seen[2].short()), ("data a".into(), "data b".into()));
        assert_eq!(bench.client.last_event_id(), "1");
    }
}

#[test]
fn an_id_beyond_its_limit_is_reported_and_goes_into_no_request() {
    for config in both() {
        let (mut bench, attempt) = Bench::open(config);
        let longest = "x".repeat(1024);
        bench.data(
            attempt,
            format!("id: {longest}\ndata: a\n\nid: {longest}y\ndata: b\n\ndata: c\n\n"),
        );
        let seen = bench.events();
        assert_eq!(seen[1], Seen::Dropped(DecodeError::IdTooLong { limit: 1024 }));
        assert_eq!((seen[0].short(), seen[2].short()), ("data a".into(), "data c".into()));
        assert_eq!(bench.client.last_event_id(), longest);
    }
}

#[test]
fn an_endless_line_does_not_grow() {
    for mut config in both() {
        config.limits = Limits::default().with_max_line(1000);
        let (mut bench, attempt) = Bench::open(config);
        for _ in 0..1000 {
            bench.data(attempt, [b'x'; 1000]);
            assert!(bench.events().len() <= 1);
            assert!(bench.client.wants_data());
        }
        assert_eq!(bench.client.attempt(), Some(attempt));
    }
}

#[test]
fn a_driver_that_disregards_wants_data_is_stopped_at_a_bound() {
    for mut config in both() {
        config.max_unread = 100;
        let (mut bench, attempt) = Bench::open(config);
        // One chunk may be of any size.
        let large = format!("data: {}\n\n", "x".repeat(1000));
        bench.data(attempt, &large);
        bench.events();
        bench.data(attempt, "data: 1\n\n");
        for _ in 0..9 {
            assert!(!bench.client.wants_data());
            bench.data(attempt, "data: 2\n\n");
        }
        assert_eq!(bench.client.attempt(), Some(attempt), "90 bytes of 100");
        bench.data(attempt, "data: 1234567\n\n");
        assert_eq!(bench.client.attempt(), None);
        let shorts = bench.shorts();
        assert_eq!((shorts.len(), shorts.last().unwrap().as_str()), (11, "closed"));
        let Some(CloseReason::Failed(error)) = bench.client.close_reason() else { panic!() };
        assert_eq!((error.fault(), error), (Fault::Caller, &ClientError::Overrun));
    }
}

#[test]
fn a_type_that_is_missing_or_unreadable_is_named_so_that_people_can_read_it() {
    let said = |content_type: Option<&str>| {
        let headers: Vec<_> =
            content_type.map(|value| ("content-type", value)).into_iter().collect();
        let mut config = ClientConfig::new(1);
        config.max_error_body = 0;
        let (mut bench, _) = answered(config, &head(200, &headers));
        let CloseReason::Failed(error) = bench.closed() else { panic!() };
        error.to_string()
    };
    assert!(said(None).starts_with("the server answered without a content type instead"));
    assert!(said(Some("")).starts_with("the server answered with nothing instead"));
    assert!(
        said(Some("text/é\"")).contains("with text/\\xc3\\xa9\\\" instead"),
        "{}",
        said(Some("é"))
    );
    assert!(said(Some(&"x".repeat(5000))).len() < 250);
}

#[test]
fn a_body_that_is_html_or_compressed_is_named_for_what_it_is() {
    let html = head(200, &[("content-type", "text/html; charset=utf-8")]);
    let (mut bench, attempt) = answered(ClientConfig::new(1), &html);
    bench.data(attempt, "<html>Sign in to the WiFi</html>");
    bench.end(attempt);
    let CloseReason::Failed(error) = bench.closed() else { panic!() };
    assert_eq!(
        error.to_string(),
        "the server answered with text/html; charset=utf-8 instead of text/event-stream: \
         is the path of the URL right?"
    );
    assert_eq!(error.answer().unwrap().body, "<html>Sign in to the WiFi</html>");

    let mut gzip = stream_head();
    gzip.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let (mut bench, attempt) = answered(ClientConfig::new(1), &gzip);
    bench.data(attempt, b"\x1f\x8b\x08");
    bench.end(attempt);
    let CloseReason::Failed(error) = bench.closed() else { panic!() };
    assert!(matches!(&error, ClientError::ContentEncoding(_)));
    assert_eq!(
        error.to_string(),
        "the server's answer has the content coding gzip, which was not asked for or not undone"
    );
    assert_eq!(error.answer().unwrap().body, &b"\x1f\x8b\x08"[..]);
}
