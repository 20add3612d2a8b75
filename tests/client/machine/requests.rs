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
        assert_eq!(names, ["accept", "accept-encoding", "cache-control", "user-agent", "x-mine"]);
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

#[test]
fn no_coding_is_asked_for_and_the_client_has_a_name_unless_the_caller_says_otherwise() {
    let life = Life::new(ClientConfig::new(1), [Answer::stream("")]);
    let name = concat!("sansse/", env!("CARGO_PKG_VERSION"));
    for request in &life.requests {
        assert_eq!(request.headers()["accept-encoding"], "identity");
        assert_eq!(request.headers()["user-agent"], name);
    }
    let mut request = get(URL);
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static("br"));
    request.headers_mut().insert("user-agent", HeaderValue::from_static("mine/1"));
    let life = Life::with(request, ClientConfig::new(1), [Answer::redirect(302, "/elsewhere")]);
    assert_eq!(life.requests.len(), 2);
    for request in &life.requests {
        for (name, value) in [("accept-encoding", "br"), ("user-agent", "mine/1")] {
            let values: Vec<_> = request.headers().get_all(name).iter().collect();
            assert_eq!(values, [value]);
        }
    }
}

#[test]
fn credentials_in_the_url_become_a_header_and_stay_with_their_origin() {
    let life = Life::with(
        get("http://Aladdin:open%20sesame@example.org/events"),
        ClientConfig::new(1),
        [
            Answer::redirect(302, "/elsewhere"),
            Answer::redirect(302, "http://other.example/"),
            Answer::stream(""),
        ],
    );
    let sent = |index: usize| life.requests[index].headers().get("authorization");
    let basic = HeaderValue::from_static("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!((sent(0), sent(1), sent(2)), (Some(&basic), Some(&basic), None));
    assert_eq!(sent(3), Some(&basic), "the next attempt begins anew");
    assert!(sent(0).unwrap().is_sensitive());
    assert_eq!(life.urls()[0], URL);
    assert_eq!(life.url, URL, "what is told to people has no password in it");

    let mut request = get("http://a:b@example.org/events");
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer c"));
    let life = Life::with(request, ClientConfig::new(1), []);
    assert_eq!(life.requests[0].headers()["authorization"], "Bearer c");
    assert_eq!(life.urls(), [URL]);
}

#[test]
fn credentials_that_no_header_can_say_are_the_callers_fault() {
    for url in ["http://a%3Ab:c@example.org/", "http://a:%0D%0Ab@example.org/"] {
        let life = Life::with(get(url), ClientConfig::new(1), []);
        let error = ClientError::Request(RequestError::Userinfo);
        assert_eq!(life.close_reason(), Some(&CloseReason::Failed(error)), "{url}");
        assert!(life.requests.is_empty());
    }
}

#[test]
fn an_id_with_control_characters_goes_along_for_a_driver_that_writes_headers_itself() {
    let id = "a\u{1}b\tc\u{1f}\u{7f}";
    let events = format!("id: {id}\ndata: x\n\n");
    let answers = [Answer::stream(events), Answer::stream("id: plain\n\n")];
    let life = Life::new(ClientConfig::new(1), answers);
    let [first, second, third] = &life.requests[..] else { panic!("{life:?}") };
    let carried = |request: &Request<Bytes>| request.extensions().get::<LastEventId>().cloned();
    assert_eq!(carried(first), None);
    assert_eq!(carried(second), Some(LastEventId::Id(EventId::new(id).unwrap())));
    assert!(!second.headers().contains_key("last-event-id"));
    assert_eq!(
        (carried(third), &third.headers()["last-event-id"]),
        (None, &"plain".parse().unwrap())
    );

    // And on from one process to another, also from what a server has read.
    let mut request = get(URL);
    request.extensions_mut().insert(LastEventId::Id(EventId::new(id).unwrap()));
    let life = Life::with(request, ClientConfig::new(1), []);
    assert_eq!(carried(&life.requests[0]), carried(second));
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
        Some(Seen::HeadersWanted { attempt, url, .. }) => {
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

/// Attempts with headers anew, each of which is answered with this status, and with which status
/// the headers were refused before.
fn answered(config: &ClientConfig, post: bool, statuses: &[u16]) -> (Vec<Option<u16>>, Bench) {
    let method = if post { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(URL).body(Bytes::new()).unwrap();
    let mut bench = Bench::with(request, config.clone());
    let mut refused = Vec::new();
    for status in statuses {
        bench.client.handle_timeout(bench.now);
        match bench.events().pop() {
            Some(Seen::HeadersWanted { attempt, refused: with, .. }) => {
                refused.push(with.map(|status| status.as_u16()));
                bench.client.handle_headers(bench.now, attempt, token("token"));
            }
            other => panic!("no headers are wanted: {other:?}"),
        }
        let (attempt, _) = bench.request();
        let kind = [("content-type", "text/event-stream"), ("content-length", "0")];
        bench.respond(attempt, &head(*status, &kind));
        if *status == 200 {
            bench.end(attempt);
        }
        bench.events();
        if bench.client.close_reason().is_none() && *status != 401 {
            bench.sleep();
        }
    }
    (refused, bench)
}

#[test]
fn a_401_gets_one_attempt_with_new_headers_at_once_and_then_is_final() {
    for post in [false, true] {
        let (refused, bench) = answered(&renewing(), post, &[401, 401]);
        assert_eq!(refused, [None, Some(401)]);
        assert_eq!(bench.now, bench.start, "at once");
        let Some(CloseReason::Failed(ClientError::Status(answer))) = bench.client.close_reason()
        else {
            panic!("{:?}", bench.client.close_reason())
        };
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn a_stream_forgets_that_headers_were_refused_and_another_failure_does_not() {
    let (refused, bench) = answered(&renewing(), false, &[401, 200, 401, 503, 503, 401]);
    assert_eq!(refused, [None, Some(401), None, Some(401), Some(401), Some(401)]);
    assert!(matches!(bench.client.close_reason(), Some(CloseReason::Failed(_))));
}

#[test]
fn a_renewal_is_no_failed_attempt() {
    let mut config = renewing();
    config.policy.max_attempts = Some(1);
    let (refused, bench) = answered(&config, false, &[401, 401]);
    assert_eq!(refused, [None, Some(401)], "one attempt with new headers, whatever the limit");
    assert!(matches!(bench.client.close_reason(), Some(CloseReason::Failed(_))));
}

#[test]
fn which_statuses_ask_for_new_headers_is_a_choice_and_without_renewal_there_is_none() {
    let (refused, bench) = answered(&renewing(), false, &[403]);
    assert_eq!(refused, [None]);
    assert!(matches!(bench.client.close_reason(), Some(CloseReason::Failed(_))));

    let mut config = renewing();
    config.renewed_statuses.push(http::StatusCode::FORBIDDEN);
    let (refused, _) = answered(&config, false, &[401, 403]);
    assert_eq!(refused, [None, Some(401)], "one attempt, whatever the two answers");
    let mut bench = answered(&config, false, &[]).1;
    let attempt = wanted(&mut bench);
    bench.client.handle_headers(bench.now, attempt, token("token"));
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(403, &[("content-length", "0")]));
    assert_eq!(bench.retrying().1, seconds(0));

    let life = Life::new(ClientConfig::new(1), [Answer::of(head(401, &[]), "")]);
    assert_eq!(life.shorts(), ["closed"]);
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
fn what_cannot_have_reached_the_server_or_was_not_accepted_is_sent_again_in_any_case() {
    let post = || Request::post(URL).body(Bytes::from_static(b"x")).unwrap();
    for kind in [FailureKind::Resolve, FailureKind::Connect, FailureKind::Tls] {
        let life = Life::with(post(), ClientConfig::new(1), [Answer::none(kind)]);
        assert_eq!((life.close_reason(), life.requests.len()), (None, 2), "{kind:?}");
        assert_eq!(life.requests[1].body(), "x");
    }
    for (status, headers) in
        [(425, &[][..]), (429, &[]), (529, &[]), (503, &[("retry-after", "1")])]
    {
        let answer = Answer::of(head(status, headers), "");
        let life = Life::with(post(), ClientConfig::new(1), [answer]);
        assert_eq!((life.close_reason(), life.requests.len()), (None, 2), "{status}");
    }
    // A driver that says so after the answer has begun is not believed.
    let answer = Answer::stream("").cut(FailureKind::Connect);
    let life = Life::with(post(), ClientConfig::new(1), [answer]);
    assert!(matches!(life.close_reason(), Some(CloseReason::NotRepeatable(_))));
}
