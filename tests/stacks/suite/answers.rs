//! What a request gets before its stream, or in its place.

use crate::peer::{End, Peer};
use crate::setup::{Served, Setup, Stack, is_said_by_the_core, session};
use crate::until;
use http::request::Builder;
use http::{HeaderMap, Method, Request, StatusCode};
use sansse::Event;
use sansse::broker::{Audience, TopicName};
use sansse::http::ResponseHead;
use sansse::hub::Answer;

/// A plain answer: status, headers, and body. Times to come back differ from one to the next.
type Plain = (StatusCode, Vec<(String, String)>, String);

fn without_times(headers: Vec<(String, String)>, body: &str) -> (Vec<(String, String)>, String) {
    let headers = headers.into_iter().map(|(name, value)| match &*name {
        "retry-after" => (name, format!("a number: {}", value.parse::<u64>().is_ok())),
        _ => (name, value),
    });
    let lines = body.lines().map(|line| match line.strip_prefix("retry: ") {
        Some(time) => format!("retry, a number: {}", time.parse::<u64>().is_ok()),
        None => line.to_owned(),
    });
    (headers.collect(), lines.collect::<Vec<_>>().join("\n"))
}

/// What the core answers to this request, which must be no stream.
fn of_core<S: Stack>(served: &Served, request: Builder) -> Plain {
    let host = |request: &Request<()>| request.headers().contains_key("host");
    let mut request = request.body(()).unwrap();
    if !host(&request) {
        request.headers_mut().insert("host", "sansse.example".parse().unwrap());
    }
    let Answer::Response(response) = served.hub.accept(&request, session(request.uri())) else {
        panic!("the core opens a stream for {request:?}");
    };
    let headers = headers_of::<S>(response.headers());
    let body = if request.method() == Method::HEAD { "" } else { text(response.body()) };
    let (headers, body) = without_times(headers, body);
    (response.status(), headers, body)
}

/// What a peer is to get of these.
fn headers_of<S: Stack>(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut headers: Vec<_> = headers
        .iter()
        .filter(|(name, _)| is_said_by_the_core(name))
        .filter(|(name, _)| !S::KEPT_BY_A_PROXY.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    headers
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asks the stack, whose answer must be that of the core.
async fn same_as_core<S: Stack>(served: &Served, request: impl Fn() -> Builder) -> Plain {
    let mut peer = Peer::ask::<S>(served, request()).await;
    assert_eq!(peer.end().await, End::InGoodOrder);
    let (headers, body) = without_times(core::mem::take(&mut peer.headers), &peer.text);
    let got = (peer.status, headers, body);
    assert_eq!(got, of_core::<S>(served, request()), "of a stack, and of the core");
    got
}

pub(crate) async fn an_event_arrives_at_once_with_the_head_of_an_event_stream<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peer = Peer::events::<S>(&served).await;
    let head = ResponseHead::new().response(&HeaderMap::new());
    assert_eq!(peer.headers, headers_of::<S>(head.headers()));
    for text in ["first", "second"] {
        served.hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
        peer.wait_for(&format!("data: {text}\n\n")).await;
    }
}

pub(crate) async fn what_asks_for_no_stream_gets_the_answer_of_the_core<S: Stack>() {
    let served = S::start(Setup::new()).await;
    for (method, accept, status) in [
        (Method::PUT, None, 405),
        (Method::OPTIONS, None, 405),
        (Method::DELETE, Some("text/event-stream"), 405),
        (Method::GET, Some("text/html"), 406),
        (Method::GET, Some("text/event-stream;q=0"), 406),
        (Method::HEAD, None, 200),
    ] {
        let request = || {
            let request = Request::builder().method(&method).uri("/events");
            accept.into_iter().fold(request, |request, accept| request.header("accept", accept))
        };
        let (got, ..) = same_as_core::<S>(&served, request).await;
        assert_eq!(got.as_u16(), status, "{method} {accept:?}");
    }
    assert_eq!(served.hub.counters().sessions, 0);
}

pub(crate) async fn the_head_of_a_stream_alone_says_nothing_of_a_length<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let peer = Peer::ask::<S>(&served, Request::head("/events")).await;
    assert_eq!((peer.status, peer.length), (StatusCode::OK, None));
    assert_eq!(peer.header("content-type"), Some("text/event-stream"));
    assert_eq!(served.hub.counters().sessions, 0);
}

pub(crate) async fn a_page_of_another_origin_is_refused_before_anything_is_opened<S: Stack>() {
    let served = S::start(Setup::for_pages()).await;
    for (name, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let request = || Request::get("/events").header(name, value);
        let (status, ..) = same_as_core::<S>(&served, request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(served.hub.counters().sessions, 0);
}

pub(crate) async fn what_a_page_may_read_says_so<S: Stack>() {
    let served = S::start(Setup::for_pages()).await;
    let origin = "https://app.example";
    let allowed = Some(origin);
    let peer = Peer::ask::<S>(&served, Request::get("/events").header("origin", origin)).await;
    assert_eq!(peer.status, StatusCode::OK);
    assert_eq!(peer.header("access-control-allow-origin"), allowed);
    let preflight = || {
        let request = Request::options("/events").header("origin", origin);
        request.header("access-control-request-method", "GET")
    };
    let (status, ..) = same_as_core::<S>(&served, preflight).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let other = || Request::get("/events").header("origin", origin).header("accept", "text/html");
    let (status, headers, _) = same_as_core::<S>(&served, other).await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    assert!(headers.iter().any(|(name, _)| name == "access-control-allow-origin"));
}

pub(crate) async fn a_full_hub_says_when_to_come_back<S: Stack>() {
    let served = S::start(Setup::for_one_session()).await;
    let first = Peer::events::<S>(&served).await;
    // A reader that reconnects is told by a stream, any other by a status.
    let by_name = || Request::get("/events").header("accept", "text/event-stream");
    let (status, _, body) = same_as_core::<S>(&served, by_name).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("retry, a number: true"), "{body}");
    let (status, headers, _) = same_as_core::<S>(&served, || Request::post("/events")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains(&("retry-after".into(), "a number: true".into())), "{headers:?}");
    drop(first);
    until("room again", || served.hub.counters().sessions == 0).await;
    Peer::events::<S>(&served).await;
}

pub(crate) async fn a_topic_that_is_over_ends_a_reader_for_good<S: Stack>() {
    let served = S::start(Setup::new()).await;
    served.hub.end_topic(&TopicName::new("a").unwrap()).unwrap();
    let (status, ..) = same_as_core::<S>(&served, || Request::get("/events?topic=a")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let mut peer = Peer::ask::<S>(&served, Request::get("/events?topic=a&over=done")).await;
    assert_eq!((peer.status, peer.end().await), (StatusCode::OK, End::InGoodOrder));
    assert!(peer.text.contains("data: done\n\n"), "{}", peer.text);
}

pub(crate) async fn a_stream_is_not_compressed<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let request = Request::get("/events").header("accept-encoding", "gzip, br");
    let mut peer = Peer::ask::<S>(&served, request).await;
    peer.wait_for("sansse-notice").await;
    assert_eq!(peer.header("content-encoding"), None);
}

pub(crate) async fn a_handler_that_panics_costs_its_own_request_alone<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut reader = Peer::events::<S>(&served).await;
    // No answer, or an error of the server's.
    if let Ok(peer) = Peer::try_ask::<S>(served.address, Request::get("/panics")).await {
        assert!(peer.status.is_server_error(), "{}", peer.status);
    }
    served.hub.publish(Audience::Everyone, &Event::new("after")).unwrap();
    reader.wait_for("data: after\n\n").await;
    Peer::events::<S>(&served).await;
}

pub(crate) async fn a_last_event_id_that_leads_nowhere_is_told<S: Stack>() {
    let served = S::start(Setup::new()).await;
    for (id, reason) in [("beef-1", "restart"), ("x", "unknown-id"), ("feed-99", "ahead")] {
        for request in [
            Request::get("/events").header("last-event-id", id),
            Request::get(format!("/events?lastEventId={id}")),
        ] {
            let mut peer = Peer::ask::<S>(&served, request).await;
            peer.wait_for(&format!(
                "\"stream\":\"gap\",\"replayed\":0,\"lost\":null,\"reason\":\"{reason}\""
            ))
            .await;
        }
    }
}
