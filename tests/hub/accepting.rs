//! `Hub::accept`: an event stream, or the plain answer to what cannot be one.

use super::tasks::Probe;
use super::{config, data, drain, hub, hub_of, request_of, say};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::Hub;
use sansse::broker::{AddressKey, LagPolicy, Resume, SessionRequest, TopicFilter, TopicName};
use sansse::http::{Cors, LAST_EVENT_ID, ResponseHead};
use sansse::hub::{Answer, Session};
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

fn stream_of(answer: Answer) -> (Response<()>, Session) {
    match answer {
        Answer::Stream(head, session) => (head, session),
        Answer::Response(response) => panic!("{response:?}"),
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
    assert_eq!(hub.session_count(), 0);
    response
}

#[test]
fn a_request_for_a_stream_opens_a_session() {
    let (hub, probe) = (hub(), Probe::new());
    let (response, mut session) =
        stream_of(hub.accept(&get("/events"), SessionRequest::new(), &head()));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    assert_eq!((hub.session_count(), session.resume()), (1, Resume::Live));
    say(&hub, "a");
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_post_opens_one_too_and_any_body_will_do() {
    let hub = hub();
    let request = Request::post("/").body("a question").unwrap();
    assert_eq!(
        stream_of(hub.accept(&request, SessionRequest::new(), &head())).0.status(),
        StatusCode::OK
    );
}

#[test]
fn a_method_that_asks_for_no_stream_is_refused_with_those_that_do() {
    let hub = hub();
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut request = get("/");
        *request.method_mut() = method;
        let answer = hub.accept(&request, SessionRequest::new(), &head());
        let response = response_of(&hub, answer);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, POST");
    }
}

#[test]
fn an_accept_header_that_rules_streams_out_is_refused() {
    let hub = hub();
    let mut request = get("/");
    request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static("text/html"));
    let answer = hub.accept(&request, SessionRequest::new(), &head());
    assert_eq!(response_of(&hub, answer).status(), StatusCode::NOT_ACCEPTABLE);
}

#[test]
fn a_hub_that_is_closed_or_full_says_when_to_come_back() {
    let mut one = config();
    one.max_sessions = 1;
    let (full, closed) = (hub_of(one).0, hub());
    let _session = full.open(SessionRequest::new()).unwrap();
    closed.close();
    for hub in [full, closed] {
        let answer = hub.accept(&get("/"), SessionRequest::new(), &head());
        let response = refusal_of(answer);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
    }
}

#[test]
fn a_client_or_an_address_with_too_many_sessions_is_told_so() {
    let mut one = config();
    one.max_sessions_per_client = 1;
    one.max_sessions_per_address = 1;
    let hub = hub_of(one).0;
    let address = AddressKey::new("somewhere").unwrap();
    for request in [request_of("alice"), SessionRequest::new().with_address(address)] {
        let _session = hub.open(request.clone()).unwrap();
        let response = refusal_of(hub.accept(&get("/"), request, &head()));
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
    }
}

#[test]
fn a_request_for_what_is_not_permitted_is_forbidden() {
    let hub = hub();
    let [own, others] = ["team/7/**", "team/*"].map(|text| TopicFilter::new(text).unwrap());
    let session = SessionRequest::new().with_permitted([own.clone()]);
    let answer = hub.accept(&get("/"), session.clone().with_filter(others), &head());
    let response = response_of(&hub, answer);
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key(RETRY_AFTER));
    assert_eq!(hub.counters().refused.not_permitted, 1);
    let (response, _session) = stream_of(hub.accept(&get("/"), session.with_filter(own), &head()));
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn what_the_application_asked_for_wrongly_is_its_own_fault() {
    let hub = hub();
    let names = (0..100).map(|number| TopicName::new(format!("topic {number}")).unwrap());
    let filters = (0..300).map(|number| TopicFilter::new(format!("topic {number}")).unwrap());
    for session in [
        names.fold(SessionRequest::new(), SessionRequest::with_topic),
        SessionRequest::new().with_heartbeat(Some(Duration::ZERO)),
        SessionRequest::new().with_stall_timeout(Some(Duration::ZERO)),
        SessionRequest::new().with_permitted(filters),
    ] {
        let answer = hub.accept(&get("/"), session, &head());
        let response = response_of(&hub, answer);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }
}

#[test]
fn a_preflight_is_answered_and_opens_nothing() {
    let hub = hub();
    let mut request = get("/");
    *request.method_mut() = Method::OPTIONS;
    let name = http::header::ACCESS_CONTROL_REQUEST_METHOD;
    request.headers_mut().insert(name, HeaderValue::from_static("GET"));
    let answer = hub.accept(&request, SessionRequest::new(), &head());
    let response = response_of(&hub, answer);
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-methods"], "GET, POST");
    let answer = hub.accept(&request, SessionRequest::new(), &ResponseHead::new());
    let Answer::Response(response) = answer else { panic!("{answer:?}") };
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "without CORS it is none");
}

#[test]
fn the_last_event_id_is_taken_from_the_request_and_no_bad_one_is_an_error() {
    let mut config = config();
    config.retention.events = 2;
    let (hub, probe) = (hub_of(config).0, Probe::new());
    for text in ["a", "b", "c"] {
        say(&hub, text);
    }
    let resume = |id: &[u8]| {
        let mut request = get("/");
        request.headers_mut().insert(LAST_EVENT_ID, HeaderValue::from_bytes(id).unwrap());
        // The application's own default does not outweigh what the peer says.
        let (_, mut session) = stream_of(hub.accept(&request, SessionRequest::new(), &head()));
        (session.resume(), data(&drain(&mut session, &probe)).concat())
    };
    let long = [b'x'; 2000];
    for (id, resumed) in [
        (&b"beef-2"[..], Resume::Complete { replayed: 1 }),
        (b"beef-3", Resume::Complete { replayed: 0 }),
        (b"beef-0", Resume::Gap { replayed: 2 }),
        (b"beef-4", Resume::Ahead { replayed: 2 }),
        (b"nonsense", Resume::UnknownId { replayed: 2 }),
        (b"feed-2", Resume::OtherEpoch { replayed: 2 }),
        (b"\xff\xfe", Resume::UnknownId { replayed: 2 }),
        (&long, Resume::UnknownId { replayed: 2 }),
        (b"", Resume::Live),
    ] {
        let expected = match resumed.replayed() {
            0 => "",
            1 => "c",
            _ => "bc",
        };
        assert_eq!(resume(id), (resumed, expected.to_owned()), "{id:?}");
    }
    let (_, session) =
        stream_of(hub.accept(&get("/?lastEventId=beef-1"), SessionRequest::new(), &head()));
    assert_eq!(session.resume(), Resume::Complete { replayed: 2 });
}

#[test]
fn a_polyfill_that_asks_for_padding_gets_it_before_anything_else() {
    let (hub, probe) = (hub(), Probe::new());
    let request = get("/?padding=true");
    // What the application asked for stays.
    let wanted = SessionRequest::new().with_lag(LagPolicy::SkipToNewest);
    let (_, mut session) = stream_of(hub.accept(&request, wanted, &head()));
    let frames = drain(&mut session, &probe);
    assert_eq!(frames.len(), 1);
    let text = std::str::from_utf8(frames[0].as_ref()).unwrap();
    let (padding, rest) = text.split_once('\n').unwrap();
    assert!(padding.starts_with(": ") && padding.len() > 2048);
    assert_eq!(rest, "id: beef-0\n\n");
}
