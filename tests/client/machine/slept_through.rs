//! Deadlines that were slept through, because the process was stopped or the machine slept. The
//! driver sees that the time is past before it sees what lies in the socket.

use crate::kit::client::{Bench, Seen, head, millis, seconds, standard, stream_head};
use http::HeaderMap;
use sansse::client::{ClientConfig, ClientError, CloseReason, Timeout};

#[test]
fn bytes_that_came_meanwhile_are_a_sign_of_life() {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.idle = Some(seconds(2));
    let (mut bench, attempt) = Bench::open(config);
    for _ in 0..5 {
        bench.pass(seconds(7));
        assert_eq!(bench.client.attempt(), Some(attempt));
        bench.data(attempt, ":\n");
        assert_eq!((bench.event(), bench.timeout()), (None, Some(seconds(2))));
    }
}

#[test]
fn a_peer_that_is_gone_is_noticed_after_the_time_that_waking_gives() {
    for (wake, grace) in [(Some(seconds(5)), 5), (Some(seconds(500)), 90), (None, 20)] {
        let mut config = ClientConfig::new(1);
        config.policy.timeouts.wake = wake;
        let (mut bench, _) = Bench::open(config);
        bench.pass(seconds(1000));
        assert_eq!(bench.event(), None);
        assert_eq!(bench.sleep(), seconds(grace), "{wake:?}");
        assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));
    }
}

#[test]
fn a_deadline_that_is_told_as_late_as_timers_are_is_not_put_off() {
    for late in [0, 1, 16, 50] {
        let (mut bench, _) = Bench::open(ClientConfig::new(1));
        bench.pass(seconds(90) + millis(late));
        assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle), "{late} ms");
    }
    let (mut bench, attempt) = Bench::open(ClientConfig::new(1));
    bench.pass(seconds(90) + millis(51));
    assert_eq!(bench.client.attempt(), Some(attempt));
}

#[test]
fn a_grace_that_is_slept_through_is_given_again() {
    let (mut bench, attempt) = Bench::open(ClientConfig::new(1));
    bench.pass(seconds(3600));
    bench.pass(seconds(3600));
    bench.data(attempt, "data: a\n\n");
    assert_eq!(bench.shorts(), ["data a"]);
}

/// With the time told once a second, or once a minute, it is always late.
#[test]
fn a_driver_that_is_always_late_notices_a_dead_peer_all_the_same() {
    for (tick, most) in [(millis(700), 140), (seconds(1), 140), (seconds(60), 400)] {
        let (mut bench, _) = Bench::open(ClientConfig::new(1));
        while bench.client.attempt().is_some() {
            bench.pass(tick);
            assert!(bench.now - bench.start <= seconds(most), "{tick:?}");
        }
        assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Idle));
    }
}

#[test]
fn a_one_shot_answer_is_not_lost() {
    let mut config = ClientConfig::new(1);
    config.one_shot = true;
    let (mut bench, attempt) = Bench::open(config);
    bench.data(attempt, "data: a\n\n");
    bench.events();
    bench.pass(seconds(95));
    bench.data(attempt, "data: b\n\n");
    bench.end(attempt);
    assert_eq!(bench.shorts(), ["data b", "closed"]);
    assert_eq!(bench.client.close_reason(), Some(&CloseReason::Finished));
}

#[test]
fn the_first_byte_and_the_head_of_a_response_are_awaited_so_too() {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.first_byte = Some(seconds(10));
    let mut bench = Bench::new(config.clone());
    let (attempt, _) = bench.request();
    bench.pass(seconds(100));
    bench.respond(attempt, &stream_head());
    assert_eq!(bench.shorts(), ["open"]);
    bench.pass(seconds(100));
    assert_eq!(bench.timeout(), Some(seconds(10)));
    bench.data(attempt, "data: a\n\n");
    assert_eq!(bench.shorts(), ["data a"]);

    let mut bench = Bench::new(config);
    bench.request();
    bench.pass(seconds(100));
    assert_eq!(bench.sleep(), seconds(20));
    assert_eq!(bench.retrying().0, ClientError::Timeout(Timeout::Response));
}

#[test]
fn headers_and_the_body_of_a_refusal_are_awaited_so_too() {
    let mut config = ClientConfig::new(1);
    config.renew_headers = true;
    let mut bench = Bench::new(config);
    bench.no_request();
    let Some(Seen::HeadersWanted { attempt, .. }) = bench.event() else { panic!() };
    bench.pass(seconds(100));
    bench.client.handle_headers(bench.now, attempt, HeaderMap::new());
    let (attempt, _) = bench.request();
    bench.respond(attempt, &head(404, &[]));
    bench.pass(seconds(100));
    bench.data(attempt, "not here");
    bench.end(attempt);
    let CloseReason::Failed(error) = bench.closed() else { panic!() };
    assert_eq!(&error.answer().unwrap().body[..], b"not here");
}

#[test]
fn the_clients_whole_life_ends_also_if_it_was_slept_through() {
    let mut config = standard();
    config.policy.timeouts.total = Some(seconds(10));
    let (mut bench, _) = Bench::open(config);
    bench.pass(seconds(1000));
    assert_eq!(bench.closed(), CloseReason::Failed(ClientError::Timeout(Timeout::Total)));
}

#[test]
fn a_wait_that_was_slept_through_is_over() {
    let (mut bench, attempt) = Bench::open(ClientConfig::new(1));
    bench.end(attempt);
    bench.retrying();
    bench.pass(seconds(1000));
    bench.request();
}
