//! What is printed of errors, events and clients, as logs do: nothing that is secret in a URL, a
//! header or a body.

use crate::kit::client::{Answer, Bench, Life, head};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use sansse::client::{ClientConfig, ClientEvent};
use sansse::net::{FailureKind, Proxies, Proxy};
use std::fmt::Debug;

/// What must not be seen.
const MARK: &str = "hunter2";

fn hides(what: &str, value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains(MARK), "{what}: {text}");
    }
}

fn request() -> Request<Bytes> {
    Request::post(format!("https://user:{MARK}@a.example/events?token={MARK}"))
        .header("authorization", format!("Bearer {MARK}"))
        .header("x-api-key", MARK)
        .body(Bytes::from(MARK))
        .unwrap()
}

#[test]
fn no_failure_and_no_event_shows_what_is_secret() {
    let with_secrets = |status, location: Option<&str>| {
        let mut answer = head(status, &[("set-cookie", MARK), ("content-type", MARK)]);
        if let Some(location) = location {
            let location = HeaderValue::from_str(location).unwrap();
            answer.headers_mut().insert("location", location);
        }
        answer
    };
    for (status, location) in [
        (200, None),
        (401, None),
        (500, None),
        (302, Some(format!("ftp://b.example/?token={MARK}"))),
        (302, Some(format!("https://user:{MARK}@b.example/"))),
        (307, Some(format!("https://b.example/?token={MARK}"))),
    ] {
        let mut config = ClientConfig::new(1);
        config.repeatable = true;
        let mut bench = Bench::with(request(), config);
        let (attempt, _) = bench.request();
        bench.respond(attempt, &with_secrets(status, location.as_deref()));
        bench.client.handle_data(bench.now, attempt, MARK.as_bytes());
        bench.client.handle_eof(bench.now, attempt);
        let mut events = 0;
        while let Some(event) = bench.client.poll_event() {
            hides("an event", &event);
            if let ClientEvent::Retrying { error, .. } = event {
                assert!(!error.to_string().contains(MARK), "{error}");
            }
            if let ClientEvent::Closed(reason) = event {
                assert!(!reason.to_string().contains(MARK) || status == 200, "{reason}");
            }
            events += 1;
        }
        assert!(events > 0, "{status} {location:?} was no event");
        hides("a client", &bench.client);
    }
}

#[test]
fn an_open_stream_and_a_wish_for_headers_show_no_secret() {
    let mut config = ClientConfig::new(1);
    config.renew_headers = true;
    let mut bench = Bench::with(request(), config);
    let Some(ClientEvent::HeadersWanted { attempt, url, refused }) = bench.client.poll_event()
    else {
        panic!("no headers are wanted")
    };
    let url = url.clone();
    hides("a wish", &ClientEvent::HeadersWanted { attempt, url: &url, refused });
    let mut headers = HeaderMap::new();
    headers.insert("x-fresh", HeaderValue::from_static(MARK));
    bench.client.handle_headers(bench.now, attempt, headers);
    let (attempt, _) = bench.request();
    let answer = head(200, &[("content-type", "text/event-stream"), ("set-cookie", MARK)]);
    bench.respond(attempt, &answer);
    let open = bench.client.poll_event().expect("a stream is open");
    assert!(matches!(open, ClientEvent::Open(_)), "{open:?}");
    hides("an open stream", &open);
    hides("a client", &bench.client);
}

#[test]
fn proxies_show_no_password() {
    let url = format!("http://user:{MARK}@proxy.example:3128");
    let proxy = Proxy::new(&url).unwrap();
    hides("a proxy", &proxy);
    let proxies = Proxies::from_variables(|name| (name == "http_proxy").then(|| url.clone()));
    hides("proxies", &proxies.unwrap());
    let wrong = format!("gopher://user:{MARK}@proxy.example");
    let error = Proxy::new(&wrong).unwrap_err();
    hides("an error", &error);
    assert!(!error.to_string().contains(MARK), "{error}");
}

#[test]
fn a_life_that_ends_is_told_without_secrets() {
    let life = Life::with(request(), ClientConfig::new(1), [Answer::none(FailureKind::Connect)]);
    hides("what was seen", &life.seen);
}
