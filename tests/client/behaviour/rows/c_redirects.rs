//! C: redirects.

use super::{live, live_with};
use crate::kit::client::{Answer, URL, both, get, head, standard};
use bytes::Bytes;
use http::{Method, Request};
use sansse::client::{
    ClientConfig, ClientError, CloseReason, NextAttempt, ReadyState, RedirectError,
};
use std::time::Duration;

const ALL: [u16; 5] = [301, 302, 303, 307, 308];
const TARGET: &str = "http://example.org/elsewhere";

#[test]
fn c1_a_redirect_is_followed_without_a_report_and_its_target_judged() {
    for config in both() {
        for status in ALL {
            let redirect = Answer::redirect(status, "/elsewhere");
            let good = [redirect.clone(), Answer::stream("data: a\n\n").held()];
            let life = live(config.clone(), good);
            assert_eq!(life.urls(), [URL, TARGET]);
            assert_eq!(life.shorts(), ["open", "data a"]);

            let life = live(config.clone(), [redirect, Answer::status(404)]);
            assert_eq!((life.shorts(), life.requests.len()), (vec!["closed".to_owned()], 2));
        }
    }
}

#[test]
fn c2_the_client_still_reports_the_url_it_was_created_with() {
    for config in both() {
        let life = live(config, [Answer::redirect(301, TARGET), Answer::stream("").held()]);
        assert_eq!(life.url, URL);
        let crate::kit::client::Seen::Open { url, .. } = &life.seen[0] else { panic!("{life:?}") };
        assert_eq!(url, TARGET, "where the stream comes from is told too");
    }
}

#[test]
fn c3_a_redirect_without_a_location_or_with_an_empty_one_fails() {
    for config in both() {
        for status in ALL {
            for headers in [&[][..], &[("location", "")], &[("location", "#here")]] {
                let life = live(config.clone(), [Answer::of(head(status, headers), "")]);
                let reason = life.close_reason().and_then(CloseReason::error);
                assert!(
                    matches!(reason, Some(ClientError::Redirect(RedirectError::NoLocation, _))),
                    "{status} {headers:?} {life:?}"
                );
                assert_eq!((life.requests.len(), life.seen.len()), (1, 1));
            }
        }
    }
}

/// Of the two outcomes that are allowed, the client has the first: it reconnects after the delay,
/// as Chromium does.
#[test]
fn c4_a_loop_stops_after_20_redirects_and_the_client_reconnects() {
    let loops = vec![Answer::redirect(302, URL); 21];
    let life = live(standard(), loops);
    assert_eq!(life.requests.len(), 21 + 1, "a round, and the first of the next");
    assert_eq!(life.shorts(), ["retrying"]);
    assert_eq!(life.states, [ReadyState::Connecting]);
    assert!(life.times[..21].iter().all(Duration::is_zero));
    assert_eq!(life.times[21], life.reconnection_time);
}

#[test]
fn c5_headers_go_along_and_credentials_stay_with_their_origin() {
    for mut config in both() {
        config.last_event_id = Some(sansse::EventId::new("7").unwrap());
        for status in ALL {
            let mut request = get(URL);
            let headers = request.headers_mut();
            headers.insert("authorization", "Bearer x".parse().unwrap());
            headers.insert("cookie", "a=b".parse().unwrap());
            headers.insert("x-tenant", "one".parse().unwrap());
            let answers = [
                Answer::redirect(status, "/elsewhere"),
                Answer::redirect(status, "http://other.example/"),
            ];
            let life = live_with(request, config.clone(), answers);
            let [_, same, other] = &life.requests[..] else { panic!("{life:?}") };
            for request in [same, other] {
                assert_eq!(request.method(), Method::GET);
                assert_eq!(request.headers()["accept"], "text/event-stream");
                assert_eq!(request.headers()["cache-control"], "no-cache");
                assert_eq!(request.headers()["last-event-id"], "7");
                assert_eq!(request.headers()["x-tenant"], "one");
            }
            for name in ["authorization", "cookie"] {
                assert!(same.headers().contains_key(name));
                assert!(!other.headers().contains_key(name));
            }
        }
    }
}

#[test]
fn c6_307_and_308_keep_method_and_body_and_the_others_turn_a_post_into_a_get() {
    for config in both() {
        let redirected = |method: &str, status| {
            let request = Request::builder()
                .method(method)
                .uri(URL)
                .header("content-type", "text/plain")
                .body(Bytes::from_static(b"query"))
                .unwrap();
            let mut life =
                live_with(request, config.clone(), [Answer::redirect(status, "/elsewhere")]);
            life.requests.pop().unwrap()
        };
        for status in [307, 308] {
            let request = redirected("POST", status);
            assert_eq!((request.method(), &request.body()[..]), (&Method::POST, &b"query"[..]));
            assert_eq!(request.headers()["content-type"], "text/plain");
        }
        for (method, status) in [("POST", 301), ("POST", 302), ("POST", 303), ("PUT", 303)] {
            let request = redirected(method, status);
            assert_eq!((request.method(), request.body().len()), (&Method::GET, 0), "{status}");
            assert!(!request.headers().contains_key("content-type"));
        }
        for status in [301, 302] {
            let request = redirected("PUT", status);
            assert_eq!((request.method().as_str(), request.body().len()), ("PUT", 5));
        }
    }
}

/// A setting: the text's way is that of the standard policy, and the default asks the original URL.
#[test]
fn c7_which_url_a_later_attempt_asks_is_a_setting_and_the_id_goes_along() {
    for status in ALL {
        for (config, next) in [(standard(), TARGET), (ClientConfig::new(1), URL)] {
            let is_target = config.policy.redirects.next_attempt == NextAttempt::Target;
            assert_eq!(is_target, next == TARGET);
            let life =
                live(config, [Answer::redirect(status, "/elsewhere"), Answer::stream("id: 7\n\n")]);
            assert_eq!(life.urls(), [URL, TARGET, next]);
            assert_eq!(life.ids(), [None, None, Some(&b"7"[..])]);
        }
    }
}

#[test]
fn c8_no_content_behind_a_redirect_ends_it() {
    for config in both() {
        let life = live(config, [Answer::redirect(302, "/elsewhere"), Answer::status(204)]);
        assert_eq!(life.close_reason(), Some(&CloseReason::NoContent));
        assert_eq!((life.requests.len(), life.seen.len()), (2, 1));
    }
}
