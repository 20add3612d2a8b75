//! The future that makes time pass: it sleeps until a deadline and no longer, and knows when it is
//! no longer needed.

use super::VirtualTimer;
use super::tasks::{Driver, Probe, next, poll_ended};
use super::{client, config, data, drain, driven, parked, request_of, say, seconds};
use sansse::broker::{BrokerConfig, BrokerEvent, EndReason, SessionConfig};
use sansse::hub::HubBuilder;
use sansse::{Frame, Hub};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

const HEARTBEAT: &[u8] = b":\n";

fn every(interval: u64) -> SessionConfig {
    SessionConfig::new().with_heartbeat(Some(seconds(interval)))
}

/// Lets time pass as an executor does: up to each deadline that somebody sleeps for.
pub(super) fn pass(timer: &VirtualTimer, driver: &mut Driver, time: Duration) {
    driver.run();
    let end = timer.elapsed() + time;
    while !driver.is_over()
        && let Some(next) = timer.sleeps().into_iter().min().filter(|next| *next <= end)
    {
        timer.advance(next.saturating_sub(timer.elapsed()));
        assert!(driver.run() > 0, "a sleep that is over wakes the driver");
    }
    timer.advance(end.saturating_sub(timer.elapsed()));
    driver.run();
}

#[test]
fn it_sleeps_until_exactly_the_deadline() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let mut session = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    assert_eq!(timer.sleeps(), [seconds(10)]);
    timer.advance(Duration::from_nanos(9_999_999_999));
    assert_eq!(driver.run(), 0);
    assert_eq!(probe.take_wakes(), 0);
    timer.advance(Duration::from_nanos(1));
    assert_eq!(driver.run(), 1);
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(drain(&mut session, &probe), [Frame::new(&sansse::Event::heartbeat())]);
}

#[test]
fn it_sleeps_without_an_end_while_nothing_waits_for_a_time() {
    let mut config = config();
    config.session.stall_timeout = None;
    config.session.heartbeat = None;
    let (hub, drive, timer) = driven(config);
    let mut driver = Driver::new(drive);
    assert_eq!(timer.begun(), 0);
    let probe = Probe::new();
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    assert_eq!(driver.run(), 0);
    // What is published has an age at which it is forgotten.
    say(&hub, "a");
    assert_eq!(driver.run(), 1);
    assert_eq!(timer.sleeps(), [seconds(300)]);
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_deadline_that_moves_forward_wakes_it() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let _slow = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    let quick = parked(&hub, every(3), &probe);
    assert!(driver.run() > 0);
    assert_eq!(timer.sleeps(), [seconds(3)]);
    pass(&timer, &mut driver, seconds(3));
    assert_eq!(probe.take_wakes(), 1);
    drop(quick);
}

#[test]
fn a_deadline_that_moves_back_does_not() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let mut session = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    for _ in 0..5 {
        timer.advance(seconds(1));
        say(&hub, "a");
        assert_eq!(drain(&mut session, &probe).len(), 1);
        assert_eq!(driver.run(), 0);
    }
    assert_eq!(timer.begun(), 1);
}

#[test]
fn a_sleep_that_ends_early_is_not_trusted() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let mut session = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    timer.advance(seconds(9));
    timer.end_sleeps_early();
    assert_eq!(driver.run(), 1);
    assert_eq!(probe.take_wakes(), 0);
    assert_eq!(timer.sleeps(), [seconds(10)], "it goes on sleeping");
    pass(&timer, &mut driver, seconds(1));
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(drain(&mut session, &probe).len(), 1);
}

#[test]
fn a_driver_that_is_polled_for_nothing_goes_on_with_its_sleep() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let _session = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    hub.close_session(hub.open(every(10)).unwrap().id());
    driver.run();
    assert_eq!((timer.begun(), timer.sleeps()), (1, vec![seconds(10)]));
}

#[test]
fn heartbeats_come_where_nothing_else_came_and_before_the_first_event_too() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    let mut driver = Driver::new(drive);
    let mut heard = Vec::new();
    for second in 1..=60 {
        pass(&timer, &mut driver, seconds(1));
        if second == 20 {
            say(&hub, "a");
        }
        let woken = probe.take_wakes();
        let frames = drain(&mut session, &probe);
        assert_eq!(woken, frames.len().min(1), "at {second} s");
        heard.extend(frames.iter().map(|frame| (second, frame.as_ref() == HEARTBEAT)));
    }
    assert_eq!(heard, [(15, true), (20, false), (35, true), (50, true)]);
}

#[test]
fn a_clock_that_jumps_makes_one_heartbeat() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let mut session = parked(&hub, every(10), &probe);
    let mut driver = Driver::new(drive);
    timer.advance(seconds(3600));
    driver.run();
    assert_eq!(drain(&mut session, &probe).len(), 1);
    driver.run();
    assert_eq!(timer.sleeps(), [seconds(3610)]);
}

#[test]
fn a_session_that_takes_nothing_is_ended_as_stalled() {
    let (hub, drive, timer) = driven(config());
    let (probe, other) = (Probe::new(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    let mut well = parked(&hub, SessionConfig::new(), &other);
    let mut driver = Driver::new(drive);
    say(&hub, "a");
    assert!(poll_ended(&mut session, &probe).is_pending());
    probe.take_wakes();
    for _ in 0..59 {
        pass(&timer, &mut driver, seconds(1));
        drain(&mut well, &other);
        assert_eq!(probe.take_wakes(), 0);
    }
    pass(&timer, &mut driver, seconds(1));
    assert_eq!(probe.take_wakes(), 1);
    assert!(poll_ended(&mut session, &probe).is_ready());
    assert_eq!(session.end_reason(), Some(EndReason::Stalled));
    assert_eq!(hub.counters().sessions, 1);
}

#[test]
fn a_client_leaves_when_its_grace_time_is_over() {
    let timer = VirtualTimer::new();
    let left = Arc::new(Mutex::new(Vec::new()));
    let heard = left.clone();
    let (hub, drive) = HubBuilder::new(config())
        .on_event(move |_, event| {
            if let BrokerEvent::ClientLeft { client } = event {
                heard.lock().unwrap().push(client);
            }
        })
        .build(timer.clone())
        .unwrap();
    let mut driver = Driver::new(drive);
    drop(parked(&hub, request_of("alice"), &Probe::new()));
    assert!(driver.run() > 0);
    pass(&timer, &mut driver, seconds(29));
    assert!(left.lock().unwrap().is_empty());
    pass(&timer, &mut driver, seconds(1));
    assert_eq!(*left.lock().unwrap(), [client("alice")]);
}

/// What a hub holds that is closed, at the moment at which nothing is left of it.
fn ends_with_the_last_session(config: BrokerConfig) {
    let (hub, drive, timer) = driven(config);
    let probe = Probe::new();
    let mut first = parked(&hub, SessionConfig::new(), &probe);
    let second = parked(&hub, SessionConfig::new(), &probe);
    let mut driver = Driver::new(drive);
    hub.close();
    driver.run();
    assert!(!driver.is_over(), "two sessions have not taken their end");
    assert_eq!(next(&mut first, &probe), Poll::Ready(None));
    driver.run();
    assert!(!driver.is_over(), "one session has not taken its end");
    drop(second);
    driver.run();
    assert!(driver.is_over());
    assert_eq!(timer.elapsed(), Duration::ZERO);
}

#[test]
fn it_is_over_at_once_when_a_closed_hub_loses_its_last_session() {
    ends_with_the_last_session(config());
}

#[test]
fn it_is_over_also_where_nothing_waits_for_a_time() {
    let mut config = config();
    config.session.stall_timeout = None;
    config.session.heartbeat = None;
    ends_with_the_last_session(config);
}

#[test]
fn it_is_over_at_once_when_a_hub_without_sessions_is_closed() {
    for end in [Hub::close, Hub::abort] {
        let (hub, drive, _) = driven(config());
        let mut driver = Driver::new(drive);
        end(&hub);
        driver.run();
        assert!(driver.is_over());
    }
}

#[test]
fn it_is_over_when_a_hub_is_aborted_whatever_its_sessions_do() {
    let (hub, drive, _) = driven(config());
    let probe = Probe::new();
    let _session = parked(&hub, SessionConfig::new(), &probe);
    let mut driver = Driver::new(drive);
    hub.abort();
    driver.run();
    assert!(driver.is_over());
}

#[test]
fn it_is_over_when_nobody_has_a_handle_to_the_hub() {
    let (hub, drive, timer) = driven(config());
    let probe = Probe::new();
    let session = parked(&hub, SessionConfig::new(), &probe);
    let mut driver = Driver::new(drive);
    drop(hub);
    driver.run();
    assert!(!driver.is_over(), "the session is a handle too");
    pass(&timer, &mut driver, seconds(15));
    assert_eq!(probe.take_wakes(), 1);
    drop(session);
    driver.run();
    assert!(driver.is_over());
}
