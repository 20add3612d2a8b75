//! A: the request.

use super::{live, live_with};
use crate::kit::client::{Answer, URL, both, get};
use bytes::Bytes;
use http::{Method, Request};
use sansse::client::{ClientError, CloseReason, RequestError};

#[test]
fn a2_every_request_accepts_exactly_an_event_stream() {
    for config in both() {
        let life = live(config, [Answer::stream(""), Answer::stream("")]);
        assert_eq!(life.requests.len(), 3);
        for request in &life.requests {
            let accept: Vec<_> = request.headers().get_all("accept").iter().collect();
            assert_eq!(accept, ["text/event-stream"]);
        }
    }
}

#[test]
fn a3_an_accept_of_the_callers_is_sent_in_its_place() {
    for config in both() {
        let mut request = get(URL);
        request.headers_mut().insert("accept", "text/event-stream, */*;q=0.1".parse().unwrap());
        let life = live_with(request, config, [Answer::stream("")]);
        for request in &life.requests {
            let accept: Vec<_> = request.headers().get_all("accept").iter().collect();
            assert_eq!(accept, ["text/event-stream, */*;q=0.1"]);
        }
    }
}

/// Without `Pragma`, which browsers add for caches of HTTP/1.0.
#[test]
fn a4_every_request_asks_for_no_cache() {
    for config in both() {
        let life = live(config, [Answer::stream(""), Answer::stream("")]);
        for request in &life.requests {
            let control: Vec<_> = request.headers().get_all("cache-control").iter().collect();
            assert_eq!(control, ["no-cache"]);
        }
    }
}

#[test]
fn a6_a_reconnection_sends_the_same_request_but_for_the_last_event_id() {
    for mut config in both() {
        config.repeatable = true;
        let request = Request::post(URL)
            .header("x-tenant", "one")
            .header("content-type", "application/json")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let life = live_with(request, config, [Answer::stream("id: 7\n\n"), Answer::stream("")]);
        let [first, second, third] = &life.requests[..] else { panic!("{life:?}") };
        assert_eq!(life.ids(), [None, Some(&b"7"[..]), Some(b"7")]);
        for later in [second, third] {
            let mut headers = later.headers().clone();
            headers.remove("last-event-id");
            assert_eq!(&headers, first.headers());
            assert_eq!((later.method(), later.uri()), (first.method(), first.uri()));
            assert_eq!(later.body(), "{}");
        }
    }
}

/// A URL that does not parse is an error of [`http::Uri`]'s, before there is a client.
#[test]
fn a7_a_url_that_cannot_be_fetched_fails_without_a_request() {
    for (url, error) in [
        ("ftp://example.org/", RequestError::Scheme),
        ("ws://example.org/", RequestError::Scheme),
        ("/events", RequestError::Url),
        ("example.org", RequestError::Url),
    ] {
        for config in both() {
            let life = live_with(get(url), config, []);
            let reason = CloseReason::Failed(ClientError::Request(error));
            assert_eq!((life.seen.len(), life.close_reason()), (1, Some(&reason)), "{url}");
            assert!(life.requests.is_empty());
        }
    }
}

#[test]
fn a1_the_first_request_is_one_get_to_the_url() {
    for config in both() {
        let life = live(config, []);
        let [request] = &life.requests[..] else { panic!("{life:?}") };
        assert_eq!((request.method(), request.uri()), (&Method::GET, &URL.parse().unwrap()));
        assert!(request.body().is_empty());
    }
}

#[test]
fn a5_without_an_initial_id_the_first_request_has_no_last_event_id() {
    for config in both() {
        assert_eq!(live(config, []).ids(), [None]);
    }
}

#[test]
fn a8_before_an_answer_nothing_is_reported() {
    for config in both() {
        assert_eq!(live(config, []).seen, []);
    }
}
