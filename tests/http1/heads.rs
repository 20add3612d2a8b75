//! Which requests open an event stream, and with what heads it is answered.

use http::header::{HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Method, Request, StatusCode};
use sansse::http::{Cors, LAST_EVENT_ID, Refusal, ResponseHead, accept};
use sansse::{EventId, Frame, LastEventId};
use std::time::Duration;

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn with_header(mut request: Request<()>, name: HeaderName, value: &[u8]) -> Request<()> {
    request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    request
}

fn last_event_id(request: &Request<()>) -> LastEventId {
    accept(request).unwrap().last_event_id().clone()
}

fn id(text: &'static str) -> LastEventId {
    LastEventId::Id(EventId::new(text).unwrap())
}

#[test]
fn only_get_head_and_post_ask_for_a_stream() {
    for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get", "REPORT"] {
        let request = Request::builder().method(method).uri("/").body(()).unwrap();
        let refusal = accept(&request).unwrap_err();
        assert_eq!(refusal, Refusal::MethodNotAllowed, "{method}");
        let response = refusal.response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
    }
    assert!(!accept(&Request::post("/").body("a question").unwrap()).unwrap().is_head_only());
    assert!(!accept(&get("/")).unwrap().is_head_only());
    let head = Request::head("/events?lastEventId=1").body(()).unwrap();
    assert!(accept(&head).unwrap().is_head_only());
    assert_eq!(last_event_id(&head), id("1"));
}

#[test]
fn an_accept_header_that_rules_streams_out_gets_a_406() {
    let request = |value: &str| with_header(get("/"), http::header::ACCEPT, value.as_bytes());
    assert!(accept(&request("text/event-stream")).is_ok());
    assert!(accept(&request("*/*")).is_ok());
    let refusal = accept(&request("text/html,application/json")).unwrap_err();
    assert_eq!(refusal, Refusal::NotAcceptable);
    assert_eq!(refusal.response().status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(refusal.response().headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        accept(&request("*/*, text/event-stream;q=0")),
        Err(Refusal::NotAcceptable),
        "the more specific range counts"
    );
    let two_lines = with_header(request("text/html"), http::header::ACCEPT, b"text/*;q=0.1");
    assert!(accept(&two_lines).is_ok());
}

#[test]
fn ranges_and_conditions_are_ignored() {
    let mut request = get("/");
    for (name, value) in
        [("range", "bytes=0-10"), ("if-none-match", "*"), ("if-range", "\"a\""), ("if-match", "*")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    assert!(accept(&request).is_ok());
    let head = ResponseHead::new().response(request.headers());
    assert_eq!(head.status(), StatusCode::OK);
}

#[test]
fn the_last_event_id_comes_from_the_header_as_utf_8() {
    assert_eq!(last_event_id(&get("/")), LastEventId::Absent);
    let sent = |value: &[u8]| last_event_id(&with_header(get("/"), LAST_EVENT_ID, value));
    assert_eq!(sent(b""), LastEventId::Absent);
    assert_eq!(sent(b" \t "), LastEventId::Absent);
    assert_eq!(sent("\t…😀é ".as_bytes()), id("…😀é"));
    assert_eq!(sent(b"\xff\xfe"), LastEventId::Malformed);
    assert_eq!(sent(&[b'a'; 1024]).id().unwrap().as_str().len(), 1024);
    assert_eq!(sent(&[b'a'; 1025]), LastEventId::Malformed);
}

#[test]
fn header_lines_that_contradict_each_other_are_malformed() {
    let one = with_header(get("/"), LAST_EVENT_ID, b"1");
    assert_eq!(last_event_id(&with_header(one, LAST_EVENT_ID, b"2")), LastEventId::Malformed);
}

#[test]
fn polyfills_say_it_in_the_query_where_no_header_does() {
    assert_eq!(last_event_id(&get("/events?lastEventId=42")), id("42"));
    assert_eq!(last_event_id(&get("/events?a=b&evs_last_event_id=42&c")), id("42"));
    assert_eq!(last_event_id(&get("/?lastEventId=a%20b+c%26%E2%80%A6")), id("a b c&…"));
    assert_eq!(last_event_id(&get("/?lastEventId=")), LastEventId::Absent);
    assert_eq!(last_event_id(&get("/?lastEventId")), LastEventId::Absent);
    assert_eq!(last_event_id(&get("/?lasteventid=1")), LastEventId::Absent);
    assert_eq!(last_event_id(&get("/?lastEventId=old&lastEventId=new")), id("new"));
    assert_eq!(last_event_id(&get("/?lastEventId=%ff")), LastEventId::Malformed);
    assert_eq!(last_event_id(&get("/?lastEventId=a%00b")), LastEventId::Malformed);
    assert_eq!(last_event_id(&get("/?lastEventId=a%0Ab")), LastEventId::Malformed);
    let long = format!("/?lastEventId={}", "x".repeat(1025));
    assert_eq!(last_event_id(&get(&long)), LastEventId::Malformed);
}

#[test]
fn the_header_wins_over_the_query_unless_it_is_empty() {
    let both = |value| with_header(get("/?lastEventId=query"), LAST_EVENT_ID, value);
    assert_eq!(last_event_id(&both(b"header")), id("header"));
    assert_eq!(last_event_id(&both(b"")), id("query"));
    assert_eq!(last_event_id(&both(b"\xff")), LastEventId::Malformed);
}

#[test]
fn polyfills_that_ask_for_padding_get_2_kib_of_comment() {
    assert_eq!(accept(&get("/?lastEventId=1")).unwrap().padding(), None);
    for uri in ["/?padding=true", "/?evs_preamble"] {
        let frame = Frame::new(&accept(&get(uri)).unwrap().padding().unwrap());
        assert!(frame.len() > 2048);
        assert!(frame.as_ref().starts_with(b": "));
        assert!(frame.as_ref().ends_with(b" \n"));
    }
}

#[test]
fn a_response_head_has_the_headers_that_streams_need() {
    let response = ResponseHead::new().response(&HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().len(), 3);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
}

#[test]
fn headers_of_the_caller_replace_the_defaults_or_remove_them() {
    let cookie = |value| (http::header::SET_COOKIE, HeaderValue::from_static(value));
    let (name, first) = cookie("a=1");
    let response = ResponseHead::new()
        .with_header(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .without_header(HeaderName::from_static("x-accel-buffering"))
        .with_appended_header(name.clone(), first)
        .with_appended_header(name, cookie("b=2").1)
        .response(&HeaderMap::new());
    let values: Vec<_> = response.headers().get_all("cache-control").iter().collect();
    assert_eq!(values, ["no-store"]);
    assert!(!response.headers().contains_key("x-accel-buffering"));
    let values: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(values, ["a=1", "b=2"]);
}

#[test]
fn headers_of_the_connection_never_get_into_a_head() {
    let mut head = ResponseHead::new();
    for name in ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"] {
        let value = HeaderValue::from_static("x");
        head = head.with_header(HeaderName::from_static(name), value.clone());
        head = head.with_appended_header(HeaderName::from_static(name), value);
    }
    head = head.with_header(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    assert_eq!(head, ResponseHead::new());
}

fn asking(origin: &'static str) -> HeaderMap {
    [(http::header::ORIGIN, HeaderValue::from_static(origin))].into_iter().collect()
}

#[test]
fn cors_is_off_by_default() {
    let head = ResponseHead::new();
    let response = head.response(&asking("https://a.example"));
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    assert!(head.preflight(&preflight("https://a.example")).is_none());
}

#[test]
fn any_origin_is_admitted_with_a_star_and_without_credentials() {
    let head = ResponseHead::new().with_cors(Cors::any_origin());
    let response = head.response(&asking("https://a.example"));
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    assert!(!response.headers().contains_key(VARY));
}

#[test]
fn a_listed_origin_is_mirrored_and_another_is_not() {
    let cors = Cors::origins_with_credentials(["https://A.example", "http://b.example:8000"]);
    let head = ResponseHead::new()
        .with_header(VARY, HeaderValue::from_static("Accept"))
        .with_cors(cors.unwrap());
    for origin in ["https://a.example", "http://b.example:8000"] {
        let response = head.response(&asking(origin));
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
        assert_eq!(response.headers()["access-control-allow-credentials"], "true");
    }
    for origin in ["http://a.example", "https://a.example:8000", "null", "https://a.example.evil"] {
        let response = head.response(&asking(origin));
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
        let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
        assert_eq!(vary, ["Accept", "Origin"], "a cache must not mix them up");
    }
}

#[test]
fn a_refusal_can_be_read_by_the_pages_that_can_read_the_stream() {
    let head = ResponseHead::new().with_cors(Cors::origins(["https://a.example"]).unwrap());
    let response = head.refusal(&asking("https://a.example"), Refusal::NotAcceptable);
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://a.example");
    let mut plain = http::Response::new("ok");
    head.apply_cors(&asking("https://a.example"), plain.headers_mut());
    assert_eq!(plain.headers()["access-control-allow-origin"], "https://a.example");
}

fn preflight(origin: &'static str) -> Request<()> {
    let mut request = Request::options("/events").body(()).unwrap();
    *request.headers_mut() = asking(origin);
    let method = HeaderValue::from_static("GET");
    request.headers_mut().insert("access-control-request-method", method);
    let names = HeaderValue::from_static("last-event-id");
    request.headers_mut().insert("access-control-request-headers", names);
    request
}

#[test]
fn a_preflight_for_last_event_id_is_answered() {
    let cors = Cors::origins(["https://a.example"])
        .unwrap()
        .with_allowed_header(http::header::AUTHORIZATION)
        .with_max_age(Duration::from_secs(600));
    let head = ResponseHead::new().with_cors(cors);
    let response = head.preflight(&preflight("https://a.example")).unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(response.body().is_empty());
    assert_eq!(response.headers()["access-control-allow-origin"], "https://a.example");
    assert_eq!(response.headers()["access-control-allow-methods"], "GET, POST");
    assert_eq!(response.headers()["access-control-max-age"], "600");
    let allowed: Vec<_> =
        response.headers().get_all("access-control-allow-headers").iter().collect();
    assert_eq!(allowed, ["last-event-id", "content-type", "cache-control", "authorization"]);
}

#[test]
fn a_preflight_from_elsewhere_learns_nothing() {
    let head = ResponseHead::new().with_cors(Cors::origins(["https://a.example"]).unwrap());
    let response = head.preflight(&preflight("https://b.example")).unwrap();
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()[VARY], "Origin");
}

#[test]
fn an_options_request_that_is_no_preflight_is_not_taken_for_one() {
    let head = ResponseHead::new().with_cors(Cors::any_origin());
    let mut request = preflight("https://a.example");
    request.headers_mut().remove("access-control-request-method");
    assert!(head.preflight(&request).is_none());
    let mut request = preflight("https://a.example");
    *request.method_mut() = Method::GET;
    assert!(head.preflight(&request).is_none());
    let mut request = preflight("https://a.example");
    request.headers_mut().remove("origin");
    assert!(head.preflight(&request).is_none());
}
