//! Wakers, values and clocks of the application that panic, and drivers that are gone: each costs
//! what is its own, and is told.

use super::tasks::{Driver, Probe, next};
use super::{BuildStill, VirtualTimer};
use super::{client_on, config, data, drain, driven, parked, say, seconds, sharded};
use sansse::broker::{
    Audience, BrokerConfig, Drain, EndReason, OpenError, PublishError, SessionConfig,
};
use sansse::hub::{Health, Session};
use sansse::{Event, Timer};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A waker that panics when it wakes.
struct PanicsAtWake;

impl Wake for PanicsAtWake {
    fn wake(self: Arc<Self>) {
        panic_any("as it was asked to");
    }
}

/// A waker that panics when its last clone is dropped.
struct PanicsAtDrop;

impl Wake for PanicsAtDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsAtDrop {
    fn drop(&mut self) {
        panic_any("as it was asked to");
    }
}

/// Polls a session that has nothing, so that it keeps this waker.
fn park_with(session: &mut Session, waker: &Waker) {
    let polled =
        futures_core::Stream::poll_next(Pin::new(session), &mut Context::from_waker(waker));
    assert!(polled.is_pending());
}

#[test]
fn a_waker_that_panics_leaves_no_other_task_unwoken() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let panics: Waker = Arc::new(PanicsAtWake).into();
    let mut sessions: Vec<(Session, Probe)> = (0..12)
        .map(|number| {
            let probe = Probe::new();
            let mut session = parked(&hub, SessionConfig::new(), &probe);
            if number % 4 == 0 {
                park_with(&mut session, &panics);
            }
            (session, probe)
        })
        .collect();
    // Who waits for an end is woken as well.
    let mut ended: Vec<_> =
        sessions.iter().map(|(session, _)| Box::pin(hub.ended(session.id()))).collect();
    for (number, ended) in ended.iter_mut().enumerate() {
        let waker = if number == 0 { panics.clone() } else { sessions[number].1.waker() };
        assert!(ended.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }

    say(&hub, "a");
    for (number, (_, probe)) in sessions.iter().enumerate() {
        assert_eq!(probe.take_wakes(), usize::from(number % 4 != 0), "{number}");
    }
    assert_eq!(hub.counters().panics.wakers, 3);
    for (session, probe) in &mut sessions {
        assert_eq!(data(&drain(session, probe)), ["a"], "it has its event all the same");
    }
    park_with(&mut sessions[5].0, &panics);
    hub.abort();
    for (number, (session, probe)) in sessions.iter_mut().enumerate() {
        // One wake by the session and one by its end, but for those that panicked.
        let expected = 2 - usize::from(number == 5) - usize::from(number == 0);
        assert_eq!(probe.take_wakes(), expected, "{number}");
        assert_eq!(next(session, probe), Poll::Ready(None));
        assert_eq!(session.end_reason(), Some(EndReason::Aborted));
    }
    assert_eq!(hub.counters().panics.wakers, 5);
}

#[test]
fn a_waker_of_the_driver_that_panics_costs_the_caller_nothing() {
    let (hub, drive, _) = driven(config());
    let mut drive = pin!(drive);
    let panics: Waker = Arc::new(PanicsAtWake).into();
    assert!(drive.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    let probe = Probe::new();
    let mut session = hub.open(SessionConfig::new()).unwrap();
    assert_eq!(hub.counters().panics.wakers, 1, "its heartbeat is a new deadline");
    say(&hub, "a");
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_costs_nothing() {
    let hub = super::hub();
    let probe = Probe::new();
    let park = |session: &mut Session| park_with(session, &Arc::new(PanicsAtDrop).into());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    park(&mut session);
    assert!(next(&mut session, &probe).is_pending(), "which replaces it");
    assert_eq!(hub.counters().panics.values, 1);
    park(&mut session);
    drop(session);
    assert_eq!(hub.counters().panics.values, 2);
    assert_eq!(hub.counters().sessions, 0);
    // In the place of one that wakes, it is dropped by waking.
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    park(&mut session);
    say(&hub, "a");
    assert_eq!(hub.counters().panics.wakers, 1);
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

/// What is kept for one session is one event.
fn little() -> BrokerConfig {
    let mut config = config();
    config.private_retention.events = 1.try_into().unwrap();
    config
}

#[test]
fn a_hub_whose_driver_is_dropped_closes_and_says_so() {
    let timer = VirtualTimer::new();
    let (hub, drive) = sharded(little(), 2).build(timer).unwrap();
    assert_eq!(hub.health(), Health::Starting);
    let driver = Driver::new(drive);
    assert_eq!(hub.health(), Health::Ready);
    let probes = [(); 2].map(|()| Probe::new());
    let mut sessions =
        [0, 1].map(|shard| parked(&hub, client_on(shard, 2), &probes[usize::from(shard)]));
    hub.publish(sessions[0].id(), &Event::new("before")).unwrap();
    let (waits, event) = (Probe::new(), Event::new("waits"));
    let mut publisher = pin!(hub.publish_when_room(sessions[0].id(), &event));
    let waker = waits.waker();
    assert!(publisher.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(probes[0].take_wakes(), 1);

    drop(driver);
    assert_eq!(hub.health(), Health::NotDriven);
    assert_eq!(hub.counters().lost_drivers, 1);
    let refused = hub.publish(Audience::Everyone, &Event::new("after"));
    assert_eq!(refused, Err(PublishError::NotDriven));
    assert_eq!(waits.take_wakes(), 1);
    let polled = publisher.as_mut().poll(&mut Context::from_waker(&waker));
    assert_eq!(polled, Poll::Ready(Err(PublishError::NotDriven)));
    assert_eq!(hub.open(SessionConfig::new()).unwrap_err(), OpenError::Closed);
    assert_eq!(probes[1].take_wakes(), 1);
    assert_eq!(data(&drain(&mut sessions[0], &probes[0])), ["before"]);
    for (session, probe) in sessions.iter_mut().zip(&probes) {
        drain(session, probe);
        assert_eq!(session.end_reason(), Some(EndReason::Shutdown));
    }
    hub.close();
    drop(sessions);
    assert_eq!(hub.health(), Health::NotDriven, "it does not heal");
    assert_eq!(hub.counters().lost_drivers, 1);
}

#[test]
fn a_driver_that_was_never_polled_is_lost_as_well() {
    let (hub, drive, _) = driven(config());
    say(&hub, "a");
    drop(drive);
    assert_eq!(hub.health(), Health::NotDriven);
    let refused = hub.publish(Audience::Everyone, &Event::new("b"));
    assert_eq!(refused, Err(PublishError::NotDriven));
}

#[test]
fn a_driver_that_is_dropped_when_the_hub_is_over_is_not_lost() {
    let (hub, drive, _) = driven(config());
    let mut driver = Driver::new(drive);
    hub.close();
    driver.run();
    assert!(driver.is_over());
    drop(driver);
    assert_eq!((hub.health(), hub.counters().lost_drivers), (Health::Closed, 0));

    // One that did not see the end yet.
    let (hub, drive, _) = driven(config());
    let driver = Driver::new(drive);
    hub.drain(Drain::new(Duration::ZERO)).unwrap();
    assert_eq!(hub.health(), Health::Draining);
    drop(driver);
    assert_eq!((hub.health(), hub.counters().lost_drivers), (Health::Draining, 0));

    let (hub, drive, _) = driven(config());
    drop(hub);
    drop(Driver::new(drive));
}

/// A clock that tells the time while it is not broken.
#[derive(Clone)]
struct Fragile {
    timer: VirtualTimer,
    is_broken: Arc<AtomicBool>,
}

impl Fragile {
    fn new() -> Self {
        Self { timer: VirtualTimer::new(), is_broken: Arc::default() }
    }

    fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }
}

impl Timer for Fragile {
    fn now(&self) -> Instant {
        assert!(!self.is_broken.load(Ordering::SeqCst), "as it was asked to");
        self.timer.now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.timer.sleep_until(deadline)
    }
}

#[test]
fn a_clock_that_panics_in_the_driver_closes_the_hub() {
    let timer = Fragile::new();
    let (hub, drive) = sharded(config(), 2).build(timer.clone()).unwrap();
    let mut drive = Box::pin(drive);
    let (probe, task) = (Probe::new(), Probe::new());
    let mut sessions = [0, 1].map(|shard| parked(&hub, client_on(shard, 2), &probe));
    let waker = task.waker();
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    say(&hub, "before");
    probe.take_wakes();
    for session in &mut sessions {
        assert_eq!(data(&drain(session, &probe)), ["before"]);
    }

    timer.timer.advance(seconds(15));
    timer.set_broken(true);
    // As an executor does it with a task that panics.
    let poll = AssertUnwindSafe(|| drive.as_mut().poll(&mut Context::from_waker(&waker)));
    assert!(catch_unwind(poll).is_err());
    drop(drive);
    assert_eq!(hub.health(), Health::NotDriven);
    assert_eq!(probe.take_wakes(), 2, "though the clock does not tell the time of it");
    timer.set_broken(false);
    for session in &mut sessions {
        drain(session, &probe);
        assert_eq!(session.end_reason(), Some(EndReason::Shutdown));
    }
}

#[test]
fn a_clock_that_panics_in_a_call_leaves_the_hub_as_it_was() {
    let timer = Fragile::new();
    let (hub, _drive) = sharded(config(), 2).build(timer.clone()).unwrap();
    let probe = Probe::new();
    let mut sessions = [0, 1].map(|shard| parked(&hub, client_on(shard, 2), &probe));
    timer.set_broken(true);
    assert!(catch_unwind(AssertUnwindSafe(|| say(&hub, "lost"))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| hub.open(SessionConfig::new()))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| hub.close())).is_err());
    timer.set_broken(false);
    say(&hub, "next");
    assert_eq!((hub.counters().sessions, hub.counters().published), (2, 1));
    for session in &mut sessions {
        assert_eq!(data(&drain(session, &probe)), ["next"], "and no hole before it");
    }
}
