//! Draining a hub: all shards together, and what those hear who come meanwhile.

use super::VirtualTimer;
use super::tasks::{Driver, Probe, next};
use super::{config, data_of, parked, say, seconds, sharded};
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use sansse::Event;
use sansse::broker::{BrokerEvent, Drain, DrainError, EndReason, OpenError, SessionConfig};
use sansse::hub::{Answer, Session};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// Takes what there is, and says whether the session has ended.
fn take(session: &mut Session, probe: &Probe) -> (Vec<String>, bool) {
    let mut data = Vec::new();
    loop {
        match next(session, probe) {
            Poll::Ready(Some(frame)) => data.extend(data_of(&frame)),
            Poll::Ready(None) => return (data, true),
            Poll::Pending => return (data, false),
        }
    }
}

#[test]
fn a_hub_lets_its_sessions_go_over_the_period_and_its_driver_is_done_with_the_last() {
    let timer = VirtualTimer::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let events = log.clone();
    let hub = sharded(config(), 3).on_event(move |_, event| events.lock().unwrap().push(event));
    let (hub, drive) = hub.build(timer.clone()).unwrap();
    let probe = Probe::new();
    let mut open: Vec<Session> =
        (0..12).map(|_| parked(&hub, SessionConfig::new(), &probe)).collect();
    let mut driver = Driver::new(drive);
    let drain = Drain::new(seconds(12)).with_farewell(Event::new("bye"));
    hub.drain(drain.clone()).unwrap();
    assert_eq!(hub.drain(drain), Err(DrainError::AlreadyDraining));
    say(&hub, "during the drain");
    // One goes each second, whatever its shard.
    for second in 0..12 {
        driver.run();
        let mut gone = 0;
        open.retain_mut(|session| {
            let (data, ended) = take(session, &probe);
            if ended {
                gone += 1;
                assert_eq!(data.last().map(String::as_str), Some("bye"));
                assert_eq!(session.end_reason(), Some(EndReason::Drained));
            }
            !ended
        });
        assert_eq!(gone, 1, "in second {second}");
        assert_eq!(hub.open(SessionConfig::new()).unwrap_err(), OpenError::Draining);
        timer.advance(seconds(1));
    }
    driver.run();
    assert!(driver.is_over());
    let log = log.lock().unwrap();
    let drained = log.iter().filter(|event| matches!(event, BrokerEvent::Drained { .. }));
    assert_eq!(drained.count(), 3, "one for each shard");
}

#[test]
fn those_who_come_during_a_drain_are_told_when_to_come_back() {
    let hub = sharded(config(), 2).build(VirtualTimer::new()).unwrap().0;
    let _session = hub.open(SessionConfig::new()).unwrap();
    hub.drain(Drain::new(seconds(10))).unwrap();
    let request = Request::get("/").body(()).unwrap();
    let Answer::Response(response) = hub.accept(&request, SessionConfig::new()) else {
        panic!("a stream during a drain")
    };
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "5");
}

#[test]
fn those_who_are_refused_are_told_different_times_in_whole_seconds() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.reconnect.per_second = 2.try_into().unwrap();
    // One rate for all shards, however many.
    let hub = sharded(config, 3).build(VirtualTimer::new()).unwrap().0;
    let _session = hub.open(SessionConfig::new()).unwrap();
    let request = Request::get("/").body(()).unwrap();
    let told: Vec<String> = (0..5)
        .map(|_| match hub.accept(&request, SessionConfig::new()) {
            Answer::Response(response) => {
                response.headers()[RETRY_AFTER].to_str().unwrap().to_owned()
            }
            other => panic!("a stream where there is no room: {other:?}"),
        })
        .collect();
    assert_eq!(told, ["5", "5", "6", "6", "7"]);
    // An application that answers by itself can ask.
    let error = hub.open(SessionConfig::new()).unwrap_err();
    assert_eq!(hub.retry_after(&error), Some(std::time::Duration::from_secs(7)));
    assert_eq!(hub.retry_after(&OpenError::ZeroHeartbeat), None);
}
