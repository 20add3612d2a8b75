//! `Hub::accept`: an event stream, or the plain answer to what cannot be one.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::Probe;
use super::{config, data, drain, say, told_at, topic};
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, ORIGIN, RETRY_AFTER, SERVER,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::broker::{BrokerConfig, LagPolicy, Resumption, SessionConfig, TopicFilter, TopicName};
use sansse::http::{AcceptConfig, Cors, Hosts, LAST_EVENT_ID, ResponseHead};
use sansse::hub::{Answer, HubBuilder, Session};
use sansse::{EventId, Fault, Hub, LastEventId, Notice};
use std::time::Duration;

const PAGE: HeaderValue = HeaderValue::from_static("https://a.example");

fn get(uri: &str) -> Request<()> {
    let mut request = Request::get(uri).body(()).unwrap();
    request.headers_mut().insert(ORIGIN, PAGE);
    request
}

fn head() -> ResponseHead {
    ResponseHead::new().with_cors(Cors::origins(["https://a.example"]).unwrap())
}

fn hub_of(config: BrokerConfig) -> Hub {
    let builder = HubBuilder::new(config).with_response_head(head());
    builder.build_still(VirtualTimer::new())
}

fn hub() -> Hub {
    hub_of(config())
}

fn stream_of(answer: Answer) -> (Response<()>, Session) {
    match answer {
        Answer::Stream(head, session) => (head, session),
        other => panic!("{other:?}"),
    }
}

/// The plain answer, which the asking page may read.
fn refusal_of(answer: Answer) -> Response<Bytes> {
    let Answer::Response(response) = answer else { panic!("{answer:?}") };
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE, "{response:?}");
    response
}

/// The plain answer, which left no session behind.
fn response_of(hub: &Hub, answer: Answer) -> Response<Bytes> {
    let response = refusal_of(answer);
    assert_eq!(hub.counters().sessions, 0);
    response
}

#[test]
fn a_page_that_may_not_ask_opens_no_session_and_cannot_read_why() {
    let hosts = Hosts::new().with_name("app.example").unwrap();
    let accept = AcceptConfig::new().with_hosts(hosts).with_id_parameters(["since"]);
    let builder = HubBuilder::new(config()).with_response_head(head()).with_accept(accept);
    let hub = builder.build_still(VirtualTimer::new());
    let ask = |host: &str, origin: &str| {
        let request = Request::get("/?since=beef-0").header("host", host).header("origin", origin);
        let request = request.body(()).unwrap();
        let (parts, ()) = request.clone().into_parts();
        let answer = hub.accept(&request, SessionConfig::new());
        let again =
            hub.accept_parts(&parts.method, &parts.uri, &parts.headers, SessionConfig::new());
        (answer, again)
    };
    for (host, origin) in [
        ("app.example", "https://evil.example"),
        ("evil.example", "http://evil.example"),
        ("app.example", "null"),
        ("app.example, evil.example", "https://app.example"),
    ] {
        let (answer, again) = ask(host, origin);
        for answer in [answer, again] {
            let Answer::Response(response) = answer else { panic!("{host} {origin}") };
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{host} {origin}");
            assert_eq!(response.headers().get("access-control-allow-origin"), None);
        }
        assert_eq!(hub.counters().sessions, 0);
    }
    let (answer, again) = ask("app.example", "https://app.example");
    for answer in [answer, again] {
        let (_, session) = stream_of(answer);
        assert_eq!(session.resumption(), Resumption::Complete { replayed: 0 });
    }
}

#[test]
fn a_request_for_a_stream_opens_a_session() {
    let (hub, probe) = (hub(), Probe::new());
    let (response, mut session) = stream_of(hub.accept(&get("/events"), SessionConfig::new()));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    assert_eq!((hub.counters().sessions, session.resumption()), (1, Resumption::Live));
    say(&hub, "a");
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_post_opens_one_too_and_any_body_will_do() {
    let hub = hub();
    let request = Request::post("/").body("a question").unwrap();
    assert_eq!(stream_of(hub.accept(&request, SessionConfig::new())).0.status(), StatusCode::OK);
}

#[test]
fn a_method_that_asks_for_no_stream_is_refused_with_those_that_do() {
    let hub = hub();
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut request = get("/");
        *request.method_mut() = method;
        let answer = hub.accept(&request, SessionConfig::new());
        let response = response_of(&hub, answer);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, POST");
    }
}

#[test]
fn an_accept_header_that_rules_streams_out_is_refused() {
    let hub = hub();
    let mut request = get("/");
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html"));
    let answer = hub.accept(&request, SessionConfig::new());
    assert_eq!(response_of(&hub, answer).status(), StatusCode::NOT_ACCEPTABLE);
}

#[test]
fn a_request_for_what_is_not_permitted_is_forbidden() {
    let hub = hub();
    let [own, others] = ["team/7/**", "team/*"].map(|text| TopicFilter::new(text).unwrap());
    let session = SessionConfig::new().with_permitted([own.clone()]);
    let answer = hub.accept(&get("/"), session.clone().with_topic(others));
    let response = response_of(&hub, answer);
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key(RETRY_AFTER));
    assert_eq!(hub.counters().refused.not_permitted, 1);
    let (response, _session) = stream_of(hub.accept(&get("/"), session.with_topic(own)));
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn what_the_application_asked_for_wrongly_is_its_own_fault() {
    let hub = hub();
    let filters = (0..300).map(|number| TopicFilter::new(format!("topic {number}")).unwrap());
    for session in [
        SessionConfig::new().with_heartbeat(Some(Duration::ZERO)),
        SessionConfig::new().with_stall_timeout(Some(Duration::ZERO)),
        SessionConfig::new().with_permitted(filters),
    ] {
        let answer = hub.accept(&get("/"), session);
        let response = response_of(&hub, answer);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }
}

#[test]
fn a_peer_that_asks_for_too_many_topics_is_at_fault() {
    let hub = hub();
    let names = (0..100).map(|number| TopicName::new(format!("topic {number}")).unwrap());
    let session = names.fold(SessionConfig::new(), SessionConfig::with_topic);
    let error = hub.open(session.clone()).unwrap_err();
    assert_eq!(error.fault(), Fault::Peer);
    let answer = hub.accept(&get("/"), session);
    let response = response_of(&hub, answer);
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(!response.headers().contains_key(RETRY_AFTER));
}

#[test]
fn a_request_for_the_head_alone_gets_it_and_opens_nothing() {
    let hub = hub();
    let head = |uri: &str| {
        let mut request = get(uri);
        *request.method_mut() = Method::HEAD;
        request
    };
    let response = response_of(&hub, hub.accept(&head("/"), SessionConfig::new()));
    let (stream, session) = stream_of(hub.accept(&get("/"), SessionConfig::new()));
    drop(session);
    assert_eq!((response.status(), response.headers()), (stream.status(), stream.headers()));
    assert!(response.body().is_empty());

    // What GET would not get, it does not get either.
    let mut other = head("/");
    other.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html"));
    let forbidden = SessionConfig::new().with_permitted([]).with_topic(topic("a"));
    let refused = |request, session| response_of(&hub, hub.accept(request, session)).status();
    assert_eq!(refused(&other, SessionConfig::new()), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(refused(&head("/"), forbidden), StatusCode::FORBIDDEN);
    assert_eq!(hub.counters().resumed.total(), 1, "by GET");
    assert_eq!(hub.counters().refused.total(), 0);
}

#[test]
fn a_preflight_is_answered_and_opens_nothing() {
    let hub = hub();
    let mut request = get("/");
    *request.method_mut() = Method::OPTIONS;
    request.headers_mut().insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    let answer = hub.accept(&request, SessionConfig::new());
    let response = response_of(&hub, answer);
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-methods"], "GET, POST");
    let answer = hub.accept_with(&request, SessionConfig::new(), &ResponseHead::new());
    let Answer::Response(response) = answer else { panic!("{answer:?}") };
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "without CORS it is none");
}

#[test]
fn a_call_may_bring_a_head_of_its_own() {
    let hub = hub();
    let own = ResponseHead::new().with_header(SERVER, HeaderValue::from_static("own"));
    let answer = hub.accept_with(&get("/"), SessionConfig::new(), &own);
    let (response, _session) = stream_of(answer);
    assert_eq!(response.headers()[SERVER], "own");
    assert!(!response.headers().contains_key("access-control-allow-origin"), "it is not the hub's");
    let (response, _session) = stream_of(hub.accept(&get("/"), SessionConfig::new()));
    assert!(!response.headers().contains_key(SERVER), "the next call has the hub's again");
}

#[test]
fn a_request_that_was_taken_apart_is_answered_as_the_whole_one_is() {
    let hub = hub();
    say(&hub, "a");
    let ask = |request: &Request<()>| {
        let whole = hub.accept(request, SessionConfig::new());
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let parts = hub.accept_parts(method, uri, headers, SessionConfig::new());
        (whole, parts)
    };
    let mut with_header = get("/");
    with_header.headers_mut().insert(LAST_EVENT_ID, HeaderValue::from_static("beef-0"));
    for request in [get("/"), get("/?lastEventId=beef-0"), with_header] {
        let (whole, parts) = ask(&request);
        let ((whole, session), (parts, other)) = (stream_of(whole), stream_of(parts));
        assert_eq!(whole.headers(), parts.headers());
        assert_eq!(session.resumption(), other.resumption(), "{request:?}");
    }
    let mut refused = [get("/"), get("/"), get("/")];
    *refused[0].method_mut() = Method::PUT;
    refused[1].headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html"));
    *refused[2].method_mut() = Method::OPTIONS;
    refused[2].headers_mut().insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
    let mut statuses = Vec::new();
    for request in refused {
        let (whole, parts) = ask(&request);
        let (whole, parts) = (refusal_of(whole), refusal_of(parts));
        assert_eq!((whole.status(), whole.headers()), (parts.status(), parts.headers()));
        statuses.push(parts.status().as_u16());
    }
    assert_eq!(statuses, [405, 406, 204]);
}

#[test]
fn an_id_that_no_header_value_can_hold_is_seen_in_the_whole_request() {
    let hub = hub();
    let mut request = get("/");
    request.extensions_mut().insert(LastEventId::Malformed);
    let (_, session) = stream_of(hub.accept(&request, SessionConfig::new()));
    assert_eq!(session.resumption(), Resumption::UnknownId { replayed: 0 });
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let parts = hub.accept_parts(method, uri, headers, SessionConfig::new());
    assert_eq!(stream_of(parts).1.resumption(), Resumption::Live);
}

#[test]
fn the_last_event_id_is_taken_from_the_request_and_no_bad_one_is_an_error() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let (hub, probe) = (hub_of(config), Probe::new());
    for text in ["a", "b", "c"] {
        say(&hub, text);
    }
    let resume = |id: &[u8]| {
        let mut request = get("/");
        request.headers_mut().insert(LAST_EVENT_ID, HeaderValue::from_bytes(id).unwrap());
        // The application's own default does not outweigh what the peer says.
        let (_, mut session) = stream_of(hub.accept(&request, SessionConfig::new()));
        (session.resumption(), data(&drain(&mut session, &probe)).concat())
    };
    let long = [b'x'; 2000];
    for (id, resumed) in [
        (&b"beef-2"[..], Resumption::Complete { replayed: 1 }),
        (b"beef-3", Resumption::Complete { replayed: 0 }),
        (b"beef-0", Resumption::Gap { replayed: 2 }),
        (b"beef-4", Resumption::Ahead { replayed: 0 }),
        (b"nonsense", Resumption::UnknownId { replayed: 0 }),
        (b"feed-2", Resumption::OtherEpoch { replayed: 0 }),
        (b"\xff\xfe", Resumption::UnknownId { replayed: 0 }),
        (&long, Resumption::UnknownId { replayed: 0 }),
        (b"", Resumption::Live),
    ] {
        let expected = match resumed.replayed() {
            0 => "",
            1 => "c",
            _ => "bc",
        };
        assert_eq!(resume(id), (resumed, expected.to_owned()), "{id:?}");
    }
    let (_, session) = stream_of(hub.accept(&get("/?lastEventId=beef-1"), SessionConfig::new()));
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 2 });
}

#[test]
fn a_place_that_the_application_set_holds_and_the_header_comes_before_the_query() {
    let hub = hub();
    for text in ["a", "b", "c", "d"] {
        say(&hub, text);
    }
    let replayed = |own: Option<LastEventId>, uri: &str, header: Option<&'static str>| {
        let mut request = get(uri);
        if let Some(header) = header {
            request.headers_mut().insert(LAST_EVENT_ID, HeaderValue::from_static(header));
        }
        let mut config = SessionConfig::new();
        if let Some(own) = own {
            config = config.with_last_event_id(own);
        }
        stream_of(hub.accept(&request, config)).1.resumption()
    };
    let complete = |replayed| Resumption::Complete { replayed };
    let own = || Some(LastEventId::Id(EventId::new("beef-3").unwrap()));
    let (query, header) = ("/?lastEventId=beef-1", Some("beef-2"));
    assert_eq!(replayed(own(), query, header), complete(1));
    assert_eq!(replayed(own(), query, None), complete(1));
    assert_eq!(replayed(own(), "/", None), complete(1));
    assert_eq!(replayed(None, query, header), complete(2));
    assert_eq!(replayed(None, query, Some("")), complete(3));
    assert_eq!(replayed(None, query, None), complete(3));
    assert_eq!(replayed(None, "/", None), Resumption::Live);
    // Nothing is not a place, and what cannot be read is one.
    assert_eq!(replayed(Some(LastEventId::Absent), query, header), complete(2));
    let malformed = replayed(Some(LastEventId::Malformed), query, header);
    assert!(matches!(malformed, Resumption::UnknownId { .. }), "{malformed:?}");
}

#[test]
fn a_polyfill_that_asks_for_padding_gets_it_before_anything_else() {
    let (hub, probe) = (hub(), Probe::new());
    let request = get("/?padding=true");
    // What the application asked for stays.
    let wanted = SessionConfig::new().with_lag(LagPolicy::SkipToNewest);
    let (_, mut session) = stream_of(hub.accept(&request, wanted));
    let frames = drain(&mut session, &probe);
    assert_eq!(frames.len(), 1);
    let text = std::str::from_utf8(frames[0].as_ref()).unwrap();
    let (padding, rest) = text.split_once('\n').unwrap();
    assert!(padding.starts_with(": ") && padding.len() > 2048);
    assert_eq!(rest, told_at(0, Notice::Live));
}
