//! Deadlines, silence, waking, and what times the driver may tell.

use crate::kit::client::{Bench, Seen, get, head, millis, seconds, standard};
use http::HeaderMap;
use sansse::client::{Attempt, ClientConfig, ClientError, CloseReason, ReadyState, Timeout};
use sansse::net::FailureKind;
use std::time::Duration;

fn with_idle(idle: u64) -> ClientConfig {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.idle = Some(seconds(idle));
    config
}

#[test]
fn a_silent_and_then_dead_peer_wakes_the_client_at_exactly_the_deadline_and_not_before() {
    let (mut bench, attempt) = Bench::open(with_idle(60));
    let mut wakes = 0;
    for _ in 0..100 {
        // A keep-alive comes when it comes; nobody but the peer moves the client.
        bench.now += seconds(15);
        bench.data(attempt, ":\n");
        assert_eq!(bench.event(), None);
        assert_eq!(bench.timeout(), Some(seconds(60)));
    }
    while bench.client.attempt().is_some() {
        assert_eq!(bench.sleep(), seconds(60));
        wakes += 1;
    }
    assert_eq!(wakes, 1);
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));
}

#[test]
fn the_first_byte_may_have_less_time_than_the_next() {
    let mut config = with_idle(60);
    config.policy.timeouts.first_byte = Some(seconds(10));
    let (mut bench, _) = Bench::open(config.clone());
    assert_eq!(bench.sleep(), seconds(10));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::FirstByte));

    let (mut bench, attempt) = Bench::open(config.clone());
    bench.pass(seconds(9));
    bench.data(attempt, "d");
    bench.events();
    assert_eq!(bench.sleep(), seconds(60));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));

    // It cannot have more.
    config.policy.timeouts.first_byte = Some(seconds(100));
    let (mut bench, _) = Bench::open(config.clone());
    assert_eq!(bench.sleep(), seconds(60));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));

    config.policy.timeouts.idle = None;
    let (mut bench, _) = Bench::open(config);
    assert_eq!(bench.sleep(), seconds(100));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::FirstByte));
}

#[test]
fn each_redirect_has_the_time_for_a_response_anew() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.pass(seconds(29));
    bench.respond(attempt, &head(302, &[("location", "/elsewhere")]));
    let (second, _) = bench.request();
    assert_eq!(bench.client.attempt(), Some(second));
    assert_eq!(bench.sleep(), seconds(30));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Response));
}

#[test]
fn an_interim_response_does_not_stop_the_clock() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.pass(seconds(29));
    for status in [100, 102, 103] {
        bench.respond(attempt, &head(status, &[]));
    }
    assert_eq!(bench.event(), None);
    assert_eq!(bench.timeout(), Some(seconds(1)));
    bench.accept(attempt);
    assert_eq!(bench.shorts(), ["open"]);
}

fn with_total(total: u64) -> ClientConfig {
    let mut config = standard();
    config.policy.timeouts.total = Some(seconds(total));
    config
}

#[test]
fn the_whole_life_ends_in_whatever_state_it_is() {
    // What leads there, and what is reported on the way.
    type Way = fn(&mut Bench);
    let ready: Way = |bench| bench.client.handle_timeout(bench.now);
    let connecting: Way = |bench| _ = bench.request();
    let streaming: Way = |bench| {
        let attempt = bench.reopen();
        bench.data(attempt, "data: a\n\n");
    };
    let refused: Way = |bench| {
        let (attempt, _) = bench.request();
        bench.respond(attempt, &head(404, &[]));
    };
    let waiting: Way = |bench| {
        let (attempt, _) = bench.request();
        bench.end(attempt);
        bench.client.handle_timeout(bench.now);
    };
    for (name, way, total) in [
        ("ready", ready, 1),
        ("connecting", connecting, 1),
        ("streaming", streaming, 1),
        ("refused", refused, 1),
        ("waiting", waiting, 2),
    ] {
        let mut bench = Bench::new(with_total(total));
        way(&mut bench);
        let before = bench.events();
        bench.pass(seconds(total));
        assert_eq!(bench.client.attempt(), None, "{name}");
        let reason = CloseReason::Failed(ClientError::Timeout(Timeout::Total));
        assert_eq!(bench.closed(), reason, "{name} after {before:?}");
        bench.no_request();
    }
}

#[test]
fn what_came_before_the_end_of_life_is_still_delivered() {
    let (mut bench, attempt) = Bench::open(with_total(10));
    bench.pass(seconds(4));
    bench.data(attempt, "data: a\n\n");
    assert_eq!(bench.timeout(), Some(seconds(6)));
    bench.pass(seconds(6));
    assert_eq!(bench.shorts(), ["data a", "closed"]);
}

#[test]
fn the_clock_of_the_whole_life_runs_through_reconnections() {
    let mut bench = Bench::new(with_total(10));
    for _ in 0..3 {
        let attempt = bench.reopen();
        bench.end(attempt);
        bench.retrying();
        assert_eq!(bench.sleep(), seconds(3));
    }
    bench.reopen();
    assert_eq!(bench.sleep(), seconds(1));
    bench.closed();
}

#[test]
fn the_body_of_a_refusal_is_waited_for_only_so_long() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(404, &[]));
    bench.data(attempt, "not ");
    bench.pass(seconds(1));
    bench.data(attempt, "here");
    assert_eq!((bench.event(), bench.timeout()), (None, Some(seconds(1))));
    bench.sleep();
    let CloseReason::Failed(error) = bench.closed() else { panic!() };
    assert_eq!(&error.answer().unwrap().body[..], b"not here");
}

#[test]
fn silence_does_not_count_while_messages_wait_for_the_caller() {
    let (mut bench, attempt) = Bench::open(with_idle(10));
    bench.data(attempt, "data: a\n\ndata: b\n\n");
    assert!(!bench.client.wants_data());
    assert_eq!(bench.sleep(), seconds(10));
    assert_eq!(bench.timeout(), None, "nothing more to wake for");
    assert_eq!(bench.event().unwrap().short(), "data a");
    bench.pass(seconds(1000));
    assert_eq!(bench.timeout(), None);
    assert_eq!(bench.shorts(), ["data b"]);
    assert!(bench.client.wants_data());
    // The time counts anew from when the client learns what time it is.
    assert_eq!(bench.sleep(), seconds(0));
    assert_eq!(bench.sleep(), seconds(10));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));
}

#[test]
fn a_caller_that_holds_the_thread_does_not_make_the_peer_silent() {
    let (mut bench, attempt) = Bench::open(with_idle(10));
    bench.data(attempt, "data: a\n\n");
    assert_eq!(bench.event().unwrap().short(), "data a");
    bench.now += seconds(100);
    assert_eq!(bench.event(), None);
    // Before it could read, the driver sees that the deadline is past.
    bench.pass(seconds(0));
    assert_eq!(bench.client.attempt(), Some(attempt));
    bench.data(attempt, "data: b\n\n");
    assert_eq!(bench.shorts(), ["data b"]);
    assert_eq!(bench.sleep(), seconds(10));
    bench.retrying();
}

#[test]
fn waking_cuts_a_wait_down_to_what_was_asked_for_and_forgets_failures() {
    let mut bench = Bench::new(ClientConfig::new(1));
    let mut wait = seconds(0);
    while wait < seconds(20) {
        let (attempt, _) = bench.request();
        bench.fail(attempt, FailureKind::Resolve);
        wait = bench.retrying().1;
        if wait < seconds(20) {
            bench.sleep();
        }
    }
    bench.pass(seconds(1));
    bench.client.wake(bench.now);
    assert_eq!(bench.sleep(), seconds(2), "the reconnection time is 3 s");
    let (attempt, _) = bench.request();
    bench.fail(attempt, FailureKind::Resolve);
    assert!(matches!(bench.events()[..], [Seen::Retrying { attempts: 1, .. }]));

    // What the server asked for is waited out.
    bench.sleep();
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(503, &[("retry-after", "60"), ("content-length", "0")]));
    bench.retrying();
    bench.pass(seconds(10));
    bench.client.wake(bench.now);
    assert_eq!(bench.timeout(), Some(seconds(50)));
    bench.pass(seconds(60));
    bench.request();
}

#[test]
fn waking_gives_a_connection_little_time_for_a_sign_of_life() {
    let (mut bench, attempt) = Bench::open(ClientConfig::new(1));
    bench.client.wake(bench.now);
    bench.pass(seconds(19));
    bench.data(attempt, ":\n");
    bench.events();
    assert_eq!(bench.timeout(), Some(seconds(90)), "it lives");
    bench.client.wake(bench.now);
    assert_eq!(bench.sleep(), seconds(20));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));

    bench.sleep();
    bench.request();
    bench.client.wake(bench.now);
    assert_eq!(bench.sleep(), seconds(20));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Response));
    // It never gives more time than there was.
    bench.sleep();
    bench.request();
    bench.pass(seconds(25));
    bench.client.wake(bench.now);
    assert_eq!(bench.timeout(), Some(seconds(5)));
}

#[test]
fn headers_that_are_not_given_in_time_are_a_failed_attempt() {
    let mut config = ClientConfig::new(1);
    config.renew_headers = true;
    let mut bench = Bench::new(config);
    assert_eq!(bench.timeout(), None, "the client was told no time yet");
    bench.no_request();
    assert_eq!(bench.timeout(), Some(seconds(30)));
    let Some(Seen::HeadersWanted { attempt, .. }) = bench.event() else { panic!() };
    assert_eq!(bench.sleep(), seconds(30));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Headers));
    bench.client.handle_headers(bench.now, attempt, HeaderMap::new());
    bench.no_request();
    bench.sleep();
    assert!(
        matches!(bench.event(), Some(Seen::HeadersWanted { attempt: next, .. }) if next != attempt)
    );
    assert_eq!(bench.timeout(), Some(seconds(30)));
}

#[test]
fn times_may_come_early_late_twice_and_out_of_order() {
    let (mut bench, attempt) = Bench::open(with_idle(10));
    let early = bench.now;
    for _ in 0..3 {
        bench.pass(seconds(3));
    }
    bench.client.handle_timeout(early);
    bench.client.handle_data(early, attempt, b"data: a\n\n");
    bench.events();
    // The latest time counts: the byte came now.
    assert_eq!(bench.timeout(), Some(seconds(10)));
    bench.no_request();
    bench.pass(seconds(500));
    assert_eq!(bench.sleep(), seconds(10), "it was slept through");
    let wait = bench.retrying().1;
    assert_eq!(bench.timeout(), Some(wait), "the wait begins when the loss is noticed");
    bench.client.handle_timeout(early);
    bench.no_request();
    bench.pass(wait * 2);
    bench.pass(seconds(0));
    bench.request();
    bench.no_request();
}

#[test]
fn telling_the_time_at_the_deadline_always_moves_it() {
    let mut config = ClientConfig::new(3);
    config.renew_headers = true;
    let mut bench = Bench::new(config);
    let mut asked: Option<Attempt> = None;
    for _ in 0..200 {
        let mut stood_still = 0;
        while let Some(seen) = bench.event() {
            if let Seen::HeadersWanted { attempt, .. } = seen {
                asked = Some(attempt);
            }
        }
        if let Some(attempt) = asked.take_if(|attempt| attempt.to_string().ends_with('3')) {
            bench.client.handle_headers(bench.now, attempt, HeaderMap::new());
        }
        _ = bench.client.poll_request(bench.now);
        while let Some(before) = bench.client.poll_timeout() {
            bench.now = bench.now.max(before);
            bench.client.handle_timeout(bench.now);
            if bench.client.poll_timeout() != Some(before) {
                break;
            }
            stood_still += 1;
            assert!(stood_still < 2, "it spins: {:?}", bench.client);
        }
    }
}

#[test]
fn times_beyond_what_an_instant_can_express_are_never() {
    let mut config = standard();
    let never = Some(Duration::MAX);
    config.policy.timeouts.response = never;
    config.policy.timeouts.idle = never;
    config.policy.timeouts.wake = never;
    config.policy.timeouts.total = never;
    config.policy.timeouts.error_body = never;
    config.policy.reconnection.initial = Duration::MAX;
    let (mut bench, attempt) = Bench::open(config);
    bench.client.wake(bench.now);
    assert_eq!(bench.timeout(), None);
    bench.end(attempt);
    bench.retrying();
    assert_eq!((bench.timeout(), bench.client.state()), (None, ReadyState::Connecting));
    // The caller can still have its way.
    bench.client.restart(bench.now);
    bench.sleep();
    bench.request();
}

#[test]
fn a_time_of_zero_is_up_at_once_and_is_no_spin() {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.response = Some(seconds(0));
    let mut bench = Bench::with(get(crate::kit::client::URL), config);
    for _ in 0..5 {
        bench.request();
        assert_eq!(bench.sleep(), seconds(0));
        let (error, wait) = bench.retrying();
        assert_eq!(error, ClientError::Timeout(Timeout::Response));
        assert!(wait >= seconds(3));
        bench.sleep();
    }
    bench.pass(millis(1));
}
