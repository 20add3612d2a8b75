//! Whose task is woken, when, and how often.

use super::tasks::{Calling, Driver, Probe, next, poll_ended, without_deadlock};
use super::{client, config, data, drain, driven, hub, parked, request_of, say, seconds, topic};
use futures_core::Stream;
use sansse::Event;
use sansse::broker::{Audience, SessionConfig};
use sansse::hub::Session;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[test]
fn a_parked_session_is_woken_once_however_much_is_published() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    assert_eq!(probe.take_wakes(), 0);
    say(&hub, "a");
    assert_eq!(probe.take_wakes(), 1);
    say(&hub, "b");
    say(&hub, "c");
    assert_eq!(probe.take_wakes(), 0, "it knows already");
    assert_eq!(drain(&mut session, &probe).len(), 3);
    assert_eq!(probe.take_wakes(), 0);
    say(&hub, "d");
    assert_eq!(probe.take_wakes(), 1);
}

#[test]
fn a_session_that_did_not_take_everything_is_not_woken() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    assert_eq!(probe.take_wakes(), 1);
    assert!(next(&mut session, &probe).is_ready());
    // It has not said yet that there is no more, and so it will ask again.
    say(&hub, "b");
    assert_eq!(probe.take_wakes(), 0);
    assert!(next(&mut session, &probe).is_ready());
}

#[test]
fn what_is_for_others_wakes_nobody_else() {
    let hub = hub();
    let probes = [(); 4].map(|()| Probe::new());
    let requests = [
        SessionConfig::new(),
        request_of("alice"),
        request_of("bob").with_topic(topic("news")),
        request_of("alice").with_topic(topic("news")),
    ];
    let sessions: Vec<Session> = requests
        .into_iter()
        .zip(&probes)
        .map(|(request, probe)| parked(&hub, request, probe))
        .collect();
    let event = Event::new("x");
    for (topic, expected) in [
        (Audience::from(client("alice")), [0, 1, 0, 1]),
        (topic("sport").into(), [0, 0, 0, 0]),
        (sessions[0].id().into(), [1, 0, 0, 0]),
        (topic("news").into(), [0, 0, 1, 0]),
    ] {
        hub.publish(topic.clone(), &event).unwrap();
        assert_eq!(probes.each_ref().map(Probe::take_wakes), expected, "{topic:?}");
    }
    // Alice's second session was woken by what was hers, and has not asked since.
    hub.publish(Audience::Everyone, &event).unwrap();
    assert_eq!(probes.each_ref().map(Probe::take_wakes), [0; 4]);
}

#[test]
fn only_the_task_that_asked_last_is_woken() {
    let (hub, first, second) = (hub(), Probe::new(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &first);
    assert!(next(&mut session, &second).is_pending());
    say(&hub, "a");
    assert_eq!((first.take_wakes(), second.take_wakes()), (0, 1));
}

#[test]
fn every_kind_of_end_wakes() {
    let ways: [fn(&sansse::Hub, &Session); 3] = [
        |hub, session| assert!(hub.close_session(session.id())),
        |hub, _| hub.close(),
        |hub, _| hub.abort(),
    ];
    for end in ways {
        let (hub, probe) = (hub(), Probe::new());
        let mut session = parked(&hub, SessionConfig::new(), &probe);
        end(&hub, &session);
        assert_eq!(probe.take_wakes(), 1);
        assert_eq!(next(&mut session, &probe), Poll::Ready(None));
    }
}

#[test]
fn a_session_that_is_gone_is_not_woken_and_nor_is_the_next_in_its_place() {
    let (hub, old, new) = (hub(), Probe::new(), Probe::new());
    let session = parked(&hub, SessionConfig::new(), &old);
    drop(session);
    // It has asked for nothing yet.
    let mut next_one = hub.open(SessionConfig::new()).unwrap();
    say(&hub, "a");
    assert_eq!((old.take_wakes(), new.take_wakes()), (0, 0));
    assert_eq!(drain(&mut next_one, &new).len(), 2);
    say(&hub, "b");
    assert_eq!((old.take_wakes(), new.take_wakes()), (0, 1));
}

#[test]
fn a_blocked_session_is_woken_when_it_is_over_and_not_before() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    assert_eq!(probe.take_wakes(), 1);
    assert!(poll_ended(&mut session, &probe).is_pending());
    say(&hub, "b");
    assert_eq!(probe.take_wakes(), 0, "output is no news to it");
    // It may still take what there is.
    assert!(hub.close_session(session.id()));
    assert!(poll_ended(&mut session, &probe).is_pending());
    hub.abort();
    assert_eq!(probe.take_wakes(), 1);
    assert!(poll_ended(&mut session, &probe).is_ready());
}

#[test]
fn a_waker_may_call_the_hub() {
    without_deadlock(|| {
        let (hub, drive, timer) = driven(config());
        let mut driver = Driver::new(drive);
        let probe = Probe::new();
        let mut other = parked(&hub, SessionConfig::new(), &probe);
        let mut session = hub.open(SessionConfig::new()).unwrap();
        let calls = hub.clone();
        let waker = Waker::from(Arc::new(Calling(move || {
            let _ = calls.publish(Audience::Everyone, &Event::new("from a waker"));
            let _ = calls.open(SessionConfig::new());
        })));
        let poll = |session: &mut Session| {
            let mut context = Context::from_waker(&waker);
            while let Poll::Ready(Some(_)) = Pin::new(&mut *session).poll_next(&mut context) {}
        };
        poll(&mut session);
        say(&hub, "a");
        assert_eq!(data(&drain(&mut other, &probe)), ["a", "from a waker"]);
        poll(&mut session);
        timer.advance(seconds(15));
        driver.run();
        assert_eq!(data(&drain(&mut other, &probe)), ["from a waker"], "woken for a heartbeat");
        poll(&mut session);
        hub.close();
    });
}

/// The last handle to a task can be a waker, and dropping it then drops all that the task owns.
#[test]
fn a_waker_that_is_dropped_may_call_the_hub() {
    without_deadlock(|| {
        let (hub, probe) = (hub(), Probe::new());
        let calling = || {
            let calls = hub.clone();
            Waker::from(Arc::new(Calling(move || calls.abort())))
        };
        let poll = |session: &mut Session| {
            let _ = session.poll_ended(&mut Context::from_waker(&calling()));
        };
        let mut session = hub.open(SessionConfig::new()).unwrap();
        poll(&mut session);
        // Another task asks in its place.
        let _ = poll_ended(&mut session, &probe);
    });
    without_deadlock(|| {
        let hub = hub();
        let calls = hub.clone();
        let waker = Waker::from(Arc::new(Calling(move || calls.abort())));
        let mut session = hub.open(SessionConfig::new()).unwrap();
        assert!(session.poll_ended(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        drop(session);
        assert!(hub.open(SessionConfig::new()).is_err(), "the waker was dropped with it");
    });
    without_deadlock(|| {
        let (hub, drive, _) = driven(config());
        let probe = Probe::new();
        let calls = hub.clone();
        let waker = Waker::from(Arc::new(Calling(move || calls.abort())));
        let mut drive = Box::pin(drive);
        let mut poll = |waker: &Waker| drive.as_mut().poll(&mut Context::from_waker(waker));
        assert!(poll(&waker).is_pending());
        drop(waker);
        assert!(poll(&probe.waker()).is_ready(), "the waker was dropped and closed the hub");
    });
}
