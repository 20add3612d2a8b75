//! Attempts, what comes late, backpressure, restarting, and calls in any order.

use crate::kit::client::{Bench, Seen, head, millis, seconds, standard};
use sansse::client::{ClientConfig, ClientError, CloseReason, ReadyState};
use sansse::net::FailureKind;

#[test]
fn what_comes_of_an_old_attempt_is_ignored() {
    let (mut bench, old) = Bench::open(ClientConfig::new(1));
    bench.end(old);
    bench.retrying();
    bench.sleep();
    let (new, _) = bench.request();
    let deadline = bench.timeout();
    bench.respond(old, &head(204, &[]));
    bench.accept(old);
    bench.data(old, "data: late\n\n");
    bench.end(old);
    bench.fail(old, FailureKind::Closed);
    assert_eq!((bench.event(), bench.client.attempt()), (None, Some(new)));
    assert_eq!(bench.timeout(), deadline);
    bench.accept(new);
    bench.data(old, "data: late\n\n");
    bench.data(new, "data: a\n\n");
    assert_eq!(bench.shorts(), ["open", "data a"]);
}

#[test]
fn each_request_is_an_attempt_of_its_own_and_redirects_too() {
    let mut bench = Bench::new(standard());
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (attempt, _) = bench.request();
        assert_eq!(bench.client.attempt(), Some(attempt));
        bench.respond(attempt, &head(302, &[("location", "/elsewhere")]));
        assert_eq!(bench.client.attempt(), None, "the old connection is to be dropped");
        let (next, _) = bench.request();
        bench.respond(attempt, &head(204, &[]));
        assert_eq!(bench.client.attempt(), Some(next));
        bench.fail(next, FailureKind::Closed);
        bench.retrying();
        bench.sleep();
        seen.extend([attempt, next]);
    }
    assert!(seen.is_sorted_by(|one, other| one < other), "{seen:?}");
}

#[test]
fn what_makes_no_sense_is_ignored() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.data(attempt, "data: before the head\n\n");
    assert_eq!(bench.event(), None);
    bench.accept(attempt);
    bench.respond(attempt, &head(404, &[]));
    bench.respond(attempt, &head(302, &[("location", "/x")]));
    bench.data(attempt, "");
    assert_eq!(bench.shorts(), ["open"]);
    bench.end(attempt);
    bench.data(attempt, "data: after the end\n\n");
    bench.accept(attempt);
    assert_eq!(bench.shorts(), ["retrying"]);
}

#[test]
fn data_is_wanted_once_all_is_polled() {
    let mut bench = Bench::new(ClientConfig::new(1));
    assert!(!bench.client.wants_data());
    let (attempt, _) = bench.request();
    assert!(!bench.client.wants_data());
    bench.accept(attempt);
    assert!(bench.client.wants_data(), "one chunk is read ahead of the opening");
    bench.data(attempt, "data: a\n\ndata: b\n\n");
    for _ in 0..3 {
        assert!(!bench.client.wants_data());
        bench.event();
    }
    assert!(!bench.client.wants_data(), "nothing was said yet of what follows b");
    assert_eq!(bench.event(), None);
    assert!(bench.client.wants_data());
    bench.data(attempt, "da");
    assert_eq!(bench.event(), None);
    assert!(bench.client.wants_data());
    bench.end(attempt);
    assert!(!bench.client.wants_data());
}

#[test]
fn a_caller_that_polls_nothing_holds_everything_up_and_loses_nothing() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.accept(attempt);
    bench.data(attempt, "id: 1\ndata: a\n\n");
    bench.end(attempt);
    for _ in 0..10 {
        assert_eq!((bench.timeout(), bench.client.state()), (None, ReadyState::Connecting));
        bench.pass(seconds(100));
        bench.no_request();
    }
    assert_eq!(bench.event().unwrap().short(), "open");
    assert_eq!(bench.client.state(), ReadyState::Open);
    assert_eq!(bench.shorts(), ["data a", "retrying"]);
    // The wait has begun when the stream ended, and is long over.
    assert_eq!(bench.sleep(), seconds(0));
    assert_eq!(bench.request().1.headers()["last-event-id"], "1");
}

#[test]
fn a_restart_makes_a_request_due_in_every_state_but_closed() {
    // While connecting.
    let mut bench = Bench::new(ClientConfig::new(1));
    let (first, _) = bench.request();
    bench.client.restart(bench.now);
    assert_eq!(bench.client.attempt(), None);
    assert_eq!(bench.retrying(), (ClientError::Restarted, seconds(0)));
    bench.sleep();
    let (second, _) = bench.request();
    assert!(second > first);

    // While waiting, without a further report, however long the wait.
    bench.respond(second, &head(503, &[("retry-after", "900"), ("content-length", "0")]));
    bench.retrying();
    bench.pass(seconds(1));
    bench.client.restart(bench.now);
    assert_eq!((bench.event(), bench.timeout()), (None, Some(seconds(0))));
    bench.sleep();
    let (third, _) = bench.request();

    // After a loss that was not polled yet.
    bench.fail(third, FailureKind::Closed);
    bench.client.restart(bench.now);
    assert_eq!(bench.retrying().1, seconds(0));
    bench.sleep();
    let (fourth, _) = bench.request();

    // The next loss has its wait again.
    bench.fail(fourth, FailureKind::Closed);
    assert!(bench.retrying().1 >= seconds(3));
    bench.sleep();

    // While a request is due anyway.
    bench.client.restart(bench.now);
    assert_eq!(bench.event(), None);
    bench.reopen();

    bench.client.close(bench.now);
    bench.client.restart(bench.now);
    assert_eq!((bench.event(), bench.timeout()), (None, None));
    bench.no_request();
}

#[test]
fn a_restart_is_made_even_of_what_must_not_be_repeated_by_itself() {
    let request = http::Request::post(crate::kit::client::URL).body("x".into()).unwrap();
    let mut bench = Bench::with(request, ClientConfig::new(1));
    bench.reopen();
    bench.client.restart(bench.now);
    bench.retrying();
    bench.sleep();
    assert_eq!(bench.request().1.body(), "x");
}

#[test]
fn polls_may_come_in_any_order_and_as_often_as_one_likes() {
    let mut bench = Bench::new(ClientConfig::new(1));
    assert_eq!(bench.event(), None);
    assert_eq!(bench.timeout(), None);
    bench.client.handle_timeout(bench.now);
    let (attempt, _) = bench.request();
    for _ in 0..3 {
        bench.no_request();
        assert_eq!(bench.event(), None);
        assert_eq!(bench.timeout(), Some(seconds(30)));
    }
    bench.accept(attempt);
    bench.no_request();
    assert_eq!(bench.shorts(), ["open"]);
}

#[test]
fn what_is_lent_says_when_and_where_from() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(200, &[("content-type", "text/event-stream"), ("x-server", "7")]));
    let Some(Seen::Open { url, head }) = bench.event() else { panic!() };
    assert_eq!((url.as_str(), head["x-server"].to_str().unwrap()), (crate::kit::client::URL, "7"));
    bench.pass(millis(10));
    bench.end(attempt);
    let Some(Seen::Retrying { error, wait, attempts }) = bench.event() else { panic!() };
    assert_eq!((error, attempts), (ClientError::EndOfStream, 1));
    assert_eq!(bench.timeout(), Some(wait));
}

#[test]
fn debug_output_tells_no_secrets() {
    let request = http::Request::get("http://example.org/?token=hidden")
        .header("authorization", "hidden")
        .body("hidden".into())
        .unwrap();
    let bench = Bench::with(request, ClientConfig::new(1));
    let debug = format!("{:?}", bench.client);
    assert!(debug.contains("Ready") && !debug.contains("hidden"), "{debug}");
}

#[test]
fn the_reason_of_the_end_stays_to_be_asked_for() {
    let mut bench = Bench::new(ClientConfig::new(1));
    assert_eq!(bench.client.close_reason(), None);
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(204, &[]));
    assert_eq!(bench.client.close_reason(), None, "nobody was told yet");
    bench.events();
    assert_eq!(bench.client.close_reason(), Some(&CloseReason::NoContent));
}
