//! Waiting for the end of a session that somebody else serves.

use super::BuildStill;
use super::tasks::{Driver, Probe};
use super::{config, drain, driven, hub, parked, say, seconds, sharded};
use crate::kit::time::VirtualTimer;
use sansse::broker::{BrokerEvent, EndReason, SessionConfig, SessionId};
use sansse::{Event, Hub};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

type Ended = Pin<Box<dyn Future<Output = Option<EndReason>> + Send>>;

/// A task that waits for the end of a session.
struct Waiting {
    ended: Ended,
    probe: Probe,
}

impl Waiting {
    fn new(hub: &Hub, session: SessionId) -> Self {
        Self { ended: Box::pin(hub.ended(session)), probe: Probe::new() }
    }

    fn poll(&mut self) -> Poll<Option<EndReason>> {
        self.ended.as_mut().poll(&mut Context::from_waker(&self.probe.waker()))
    }
}

#[test]
fn the_reason_comes_to_all_who_wait_and_once_the_session_has_ended() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    let mut waiting = [(); 3].map(|()| Waiting::new(&hub, session.id()));
    for waiting in &mut waiting {
        assert_eq!(waiting.poll(), Poll::Pending);
    }
    say(&hub, "last");
    hub.close_session(session.id());
    drain(&mut session, &probe);
    for waiting in &mut waiting {
        assert!(waiting.probe.take_wakes() > 0);
        assert_eq!(waiting.poll(), Poll::Ready(Some(EndReason::Closed)));
    }
    assert_eq!(session.end_reason(), Some(EndReason::Closed), "its own reader is told as well");
    assert_eq!(Waiting::new(&hub, session.id()).poll(), Poll::Ready(None), "it is over");
}

#[test]
fn an_end_before_the_first_poll_is_not_missed() {
    let hub = hub();
    let session = hub.open(SessionConfig::new()).unwrap();
    let mut waiting = Waiting::new(&hub, session.id());
    drop(session);
    assert_eq!(waiting.poll(), Poll::Ready(Some(EndReason::Disconnected)));
}

#[test]
fn one_who_takes_nothing_is_told_of_by_time_alone() {
    let mut config = config();
    config.session.stall_timeout = Some(seconds(60));
    let (hub, drive, timer) = driven(config);
    let mut driver = Driver::new(drive);
    let session = hub.open(SessionConfig::new()).unwrap();
    let mut waiting = Waiting::new(&hub, session.id());
    assert_eq!(waiting.poll(), Poll::Pending);
    hub.publish(session.id(), &Event::new("not taken")).unwrap();
    // Nothing of the session is polled.
    for _ in 0..4 {
        timer.advance(seconds(30));
        driver.run();
    }
    assert!(waiting.probe.take_wakes() > 0);
    assert_eq!(waiting.poll(), Poll::Ready(Some(EndReason::Stalled)));
}

#[test]
fn a_listener_and_those_who_wait_are_both_told() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    let builder = sharded(config(), 3).on_event(move |_, event| {
        if let BrokerEvent::SessionEnded { session, reason, .. } = event {
            listener.lock().unwrap().push((session, reason));
        }
    });
    let hub = builder.build_still(VirtualTimer::new());
    let sessions = [(); 6].map(|()| hub.open(SessionConfig::new()).unwrap());
    let ids = sessions.each_ref().map(sansse::hub::Session::id);
    let mut waiting = ids.map(|id| Waiting::new(&hub, id));
    for waiting in &mut waiting {
        assert_eq!(waiting.poll(), Poll::Pending);
    }
    drop(sessions);
    assert_eq!(*heard.lock().unwrap(), ids.map(|id| (id, EndReason::Disconnected)));
    for waiting in &mut waiting {
        assert_eq!(waiting.probe.take_wakes(), 1);
        assert_eq!(waiting.poll(), Poll::Ready(Some(EndReason::Disconnected)));
    }
}

#[test]
fn sessions_that_are_not_known_are_over_and_waiting_keeps_no_hub() {
    let other = sharded(config(), 7).build_still(VirtualTimer::new());
    let foreign: Vec<_> = (0..7).map(|_| other.open(SessionConfig::new()).unwrap()).collect();
    let (hub, drive, _) = driven(config());
    let mut driver = Driver::new(drive);
    for session in &foreign {
        assert_eq!(Waiting::new(&hub, session.id()).poll(), Poll::Ready(None));
    }
    let session = hub.open(SessionConfig::new()).unwrap();
    let mut waiting = Waiting::new(&hub, session.id());
    assert_eq!(waiting.poll(), Poll::Pending);
    drop(hub);
    drop(session);
    driver.run();
    assert!(driver.is_over());
    assert_eq!(waiting.poll(), Poll::Ready(Some(EndReason::Disconnected)));
}
