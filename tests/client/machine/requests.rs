//! Requests: what of the caller's goes into them, headers that are renewed, and repeating.

use crate::kit::client::{Answer, Bench, Life, Seen, URL, both, get, head, seconds};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use sansse::client::{Attempt, ClientConfig, ClientError, CloseReason, RequestError, Timeout};
use sansse::net::FailureKind;
use sansse::{EventId, Fault, LastEventId};

#[test]
fn what_belongs_to_the_connection_is_left_to_the_driver() {
    let mut request = get(URL);
    for (name, value) in [
        ("connection", "close"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("keep-alive", "1"),
        ("x-mine", "1"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request.extensions_mut().insert("extension");
    let life = Life::with(request, ClientConfig::new(1), [Answer::stream("")]);
    for request in &life.requests {
        let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "cache-control", "x-mine"]);
        assert_eq!(request.extensions().get::<&str>(), Some(&"extension"));
    }
}

#[test]
fn an_initial_id_may_stand_beside_the_headers() {
    let mut request = get(URL);
    request.extensions_mut().insert(LastEventId::Id(EventId::new("a\u{1}b").unwrap()));
    let life = Life::with(request, ClientConfig::new(1), [Answer::stream("id: 7\n\n")]);
    assert_eq!(life.ids(), [Some(&b"a\x01b"[..]), Some(b"7")]);
    let mut request = get(URL);
    request.extensions_mut().insert(LastEventId::Malformed);
    let life = Life::with(request, ClientConfig::new(1), []);
    let error = life.close_reason().and_then(CloseReason::error);
    assert_eq!(error, Some(&ClientError::Request(RequestError::LastEventId)));
}

#[test]
fn a_request_that_can_have_no_stream_is_the_callers_fault() {
    let mut with_bad_id = get(URL);
    let bad = HeaderValue::from_bytes(b"\xff").unwrap();
    with_bad_id.headers_mut().insert("last-event-id", bad);
    let mut with_two_ids = get(URL);
    with_two_ids.headers_mut().append("last-event-id", HeaderValue::from_static("1"));
    with_two_ids.headers_mut().append("last-event-id", HeaderValue::from_static("2"));
    for (request, error) in [
        (Request::head(URL).body(Bytes::new()).unwrap(), RequestError::Method),
        (Request::connect("http://a:1/").body(Bytes::new()).unwrap(), RequestError::Method),
        (with_bad_id, RequestError::LastEventId),
        (with_two_ids, RequestError::LastEventId),
    ] {
        for mut config in both() {
            config.renew_headers = true;
            let mut bench = Bench::with(request.clone(), config);
            bench.no_request();
            let CloseReason::Failed(actual) = bench.closed() else { panic!() };
            assert_eq!((actual.fault(), actual), (Fault::Caller, ClientError::Request(error)));
        }
    }
}

fn renewing() -> ClientConfig {
    let mut config = ClientConfig::new(1);
    config.renew_headers = true;
    config
}

#[track_caller]
fn wanted(bench: &mut Bench) -> Attempt {
    bench.no_request();
    match bench.events().pop() {
        Some(Seen::HeadersWanted(attempt, url)) => {
            assert_eq!(url, URL);
            attempt
        }
        other => panic!("no headers are wanted: {other:?}"),
    }
}

fn token(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static(value))])
}

#[test]
fn headers_are_asked_for_before_each_attempt_and_may_come_later() {
    let mut request = get(URL);
    request.headers_mut().insert("authorization", HeaderValue::from_static("stale"));
    request.headers_mut().insert("x-tenant", HeaderValue::from_static("one"));
    let mut bench = Bench::with(request, renewing());
    for value in ["first", "second", "third"] {
        let asked = wanted(&mut bench);
        assert_eq!(bench.client.attempt(), None, "there is no connection to keep");
        bench.pass(seconds(20));
        bench.no_request();
        bench.client.handle_headers(bench.now, asked, token(value));
        let (attempt, request) = bench.request();
        assert_eq!(attempt, asked);
        let sent: Vec<_> = request.headers().get_all("authorization").iter().collect();
        assert_eq!(sent, [value]);
        assert_eq!(request.headers()["x-tenant"], "one");
        bench.accept(attempt);
        bench.end(attempt);
        bench.retrying();
        bench.sleep();
    }
}

#[test]
fn no_headers_at_all_are_an_answer_and_those_of_an_attempt_do_not_stay() {
    let mut bench = Bench::new(renewing());
    let asked = wanted(&mut bench);
    bench.client.handle_headers(bench.now, asked, token("once"));
    let (attempt, _) = bench.request();
    bench.fail(attempt, FailureKind::Connect);
    bench.retrying();
    bench.sleep();
    let asked = wanted(&mut bench);
    bench.client.handle_headers(bench.now, asked, HeaderMap::new());
    let (_, request) = bench.request();
    assert!(!request.headers().contains_key("authorization"));
}

#[test]
fn an_answer_for_an_attempt_that_is_over_is_ignored() {
    let mut bench = Bench::new(renewing());
    let first = wanted(&mut bench);
    bench.sleep();
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Headers));
    bench.sleep();
    let second = wanted(&mut bench);
    bench.client.handle_headers(bench.now, first, token("late"));
    bench.no_request();
    bench.client.handle_headers(bench.now, second, token("right"));
    bench.client.handle_headers(bench.now, second, token("twice"));
    assert_eq!(bench.request().1.headers()["authorization"], "right");
}

#[test]
fn a_token_that_cannot_be_had_is_a_failed_attempt_even_of_what_must_not_be_repeated() {
    let post = Request::post(URL).body(Bytes::from_static(b"x")).unwrap();
    let mut bench = Bench::with(post, renewing());
    let asked = wanted(&mut bench);
    bench.fail(asked, FailureKind::Headers);
    let (error, _) = bench.retrying();
    assert_eq!(
        (error.fault(), error),
        (Fault::Caller, ClientError::Transport(FailureKind::Headers.into()))
    );
    bench.sleep();
    wanted(&mut bench);
}

#[test]
fn renewed_headers_cannot_set_what_is_the_clients_or_the_connections() {
    let mut config = renewing();
    config.last_event_id = Some(EventId::new("mine").unwrap());
    let mut bench = Bench::new(config);
    let asked = wanted(&mut bench);
    let mut headers = HeaderMap::new();
    headers.insert("last-event-id", HeaderValue::from_static("theirs"));
    headers.insert("content-length", HeaderValue::from_static("7"));
    headers.insert("accept", HeaderValue::from_static("text/event-stream;q=1"));
    bench.client.handle_headers(bench.now, asked, headers);
    let (_, request) = bench.request();
    assert_eq!(request.headers()["last-event-id"], "mine");
    assert!(!request.headers().contains_key("content-length"));
    assert_eq!(request.headers()["accept"], "text/event-stream;q=1");
}

#[test]
fn what_may_have_reached_the_server_is_sent_again_only_if_it_is_safe() {
    let of = |method: &str, body: &'static str| {
        Request::builder()
            .method(method)
            .uri(URL)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap()
    };
    let lost = [
        ("end", Answer::stream("")),
        ("reset", Answer::none(FailureKind::Closed)),
        ("status", Answer::of(head(503, &[]), "")),
    ];
    for (method, body, is_safe) in [
        ("GET", "", true),
        ("OPTIONS", "", true),
        ("GET", "query", false),
        ("POST", "", false),
        ("PUT", "x", false),
        ("REPORT", "", false),
    ] {
        for (name, answer) in &lost {
            let mut config = ClientConfig::new(1);
            let life = Life::with(of(method, body), config.clone(), [answer.clone()]);
            let is_stopped = matches!(life.close_reason(), Some(CloseReason::NotRepeatable(_)));
            assert_eq!(is_stopped, !is_safe, "{method} {body} {name}");
            assert_eq!(life.requests.len(), 1 + usize::from(is_safe));

            config.repeatable = true;
            let life = Life::with(of(method, body), config, [answer.clone()]);
            assert_eq!((life.close_reason(), life.requests.len()), (None, 2));
        }
    }
}

#[test]
fn what_cannot_have_reached_the_server_is_sent_again_in_any_case() {
    let post = || Request::post(URL).body(Bytes::from_static(b"x")).unwrap();
    for kind in [FailureKind::Resolve, FailureKind::Connect, FailureKind::Tls] {
        let life = Life::with(post(), ClientConfig::new(1), [Answer::none(kind)]);
        assert_eq!((life.close_reason(), life.requests.len()), (None, 2), "{kind:?}");
        assert_eq!(life.requests[1].body(), "x");
    }
    // A driver that says so after the answer has begun is not believed.
    let answer = Answer::stream("").cut(FailureKind::Connect);
    let life = Life::with(post(), ClientConfig::new(1), [answer]);
    assert!(matches!(life.close_reason(), Some(CloseReason::NotRepeatable(_))));
}
