//! Draining a hub: all shards together, and what those hear who come meanwhile.

use super::VirtualTimer;
use super::tasks::{Driver, Probe, next};
use super::{config, data_of, parked, say, seconds, sharded};
use sansse::Event;
use sansse::broker::{BrokerEvent, Drain, DrainError, EndReason, OpenError, SessionConfig};
use sansse::hub::Session;
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
