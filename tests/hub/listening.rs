//! What the listener hears: everything, once, in order, one at a time, and never under a lock.

use super::BuildStill;
use super::VirtualTimer;
use super::driving::pass;
use super::tasks::{Driver, Probe, without_deadlock};
use super::{
    client, client_on, config, data, drain, parked, request_of, say, seconds, sharded, topic,
};
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, EndReason, LagPolicy, Resumption, SessionConfig, SessionId,
};
use sansse::hub::{Drive, Health, Session};
use sansse::{Event, Hub};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

type Heard = Arc<Mutex<Vec<BrokerEvent>>>;

fn listened(config: BrokerConfig, shards: u16) -> (Hub, Drive, VirtualTimer, Heard) {
    let timer = VirtualTimer::new();
    let heard = Heard::default();
    let all = heard.clone();
    let builder = sharded(config, shards).on_event(move |_, event| all.lock().unwrap().push(event));
    let (hub, drive) = builder.build(timer.clone()).unwrap();
    (hub, drive, timer, heard)
}

fn take(heard: &Heard) -> Vec<BrokerEvent> {
    std::mem::take(&mut heard.lock().unwrap())
}

fn ends(events: &[BrokerEvent]) -> Vec<(SessionId, EndReason)> {
    let end = |event: &BrokerEvent| match event {
        BrokerEvent::SessionEnded { session, reason, .. } => Some((*session, *reason)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

#[test]
fn it_hears_what_happens_when_it_happens() {
    let (hub, _drive, _, heard) = listened(config(), 1);
    let probe = Probe::new();
    let session = parked(&hub, request_of("alice"), &probe);
    let (id, alice) = (session.id(), client("alice"));
    let [joined, opened] = &take(&heard)[..] else { panic!() };
    assert_eq!(*joined, BrokerEvent::ClientJoined { client: alice.clone() });
    let expected = BrokerEvent::SessionOpened {
        session: id,
        client: Some(alice),
        resumption: Resumption::Live,
    };
    assert_eq!(*opened, expected);
    say(&hub, "a");
    assert_eq!(take(&heard), []);
    drop(session);
    assert_eq!(ends(&take(&heard)), [(id, EndReason::Disconnected)]);
}

#[test]
fn each_session_has_exactly_one_end_whatever_happens_to_it_afterwards() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let (hub, drive, timer, heard) = listened(config, 3);
    let mut driver = Driver::new(drive);
    let probe = Probe::new();
    let open = |policy| parked(&hub, SessionConfig::new().with_lag(policy), &probe);
    let dropped = open(LagPolicy::Close);
    let mut closed = open(LagPolicy::Close);
    let stalled = open(LagPolicy::Close);
    let mut lagged = open(LagPolicy::Close);
    let mut aborted = [(); 2].map(|()| open(LagPolicy::SkipToNewest));
    let mut expected = Vec::new();
    let mut ended = |session, reason| {
        expected.push((session, reason));
        assert_eq!(ends(&heard.lock().unwrap()), expected);
    };

    let id = dropped.id();
    drop(dropped);
    ended(id, EndReason::Disconnected);

    hub.close_session(closed.id());
    drain(&mut closed, &probe);
    ended(closed.id(), EndReason::Closed);

    say(&hub, "a");
    drain(&mut lagged, &probe);
    for session in &mut aborted {
        drain(session, &probe);
    }
    pass(&timer, &mut driver, seconds(60));
    ended(stalled.id(), EndReason::Stalled);

    for text in ["b", "c", "d"] {
        say(&hub, text);
    }
    drain(&mut lagged, &probe);
    ended(lagged.id(), EndReason::Lagged { lost: 1 });
    for session in &mut aborted {
        drain(session, &probe);
    }

    take(&heard);
    hub.abort();
    let reasons = ends(&take(&heard));
    let of = |session: &Session| reasons.contains(&(session.id(), EndReason::Aborted));
    assert!(reasons.len() == 2 && aborted.iter().all(of), "{reasons:?}");

    hub.close();
    hub.abort();
    for mut session in [closed, stalled, lagged].into_iter().chain(aborted) {
        hub.close_session(session.id());
        drain(&mut session, &probe);
    }
    timer.advance(seconds(600));
    driver.run();
    assert_eq!(ends(&take(&heard)), []);
}

#[test]
fn a_listener_may_call_the_hub_and_is_not_called_inside_its_own_call() {
    without_deadlock(|| {
        let hub: Arc<OnceLock<Hub>> = Arc::default();
        let heard = Heard::default();
        let (calls, all, inside) = (hub.clone(), heard.clone(), AtomicBool::new(false));
        let builder = sharded(config(), 2).on_event(move |_, event| {
            assert!(!inside.swap(true, Ordering::SeqCst), "one at a time");
            all.lock().unwrap().push(event.clone());
            let hub = calls.get().unwrap();
            if let BrokerEvent::SessionOpened { session, client: Some(_), .. } = event {
                hub.publish(session, &Event::new("hello")).unwrap();
                hub.publish(Audience::Everyone, &Event::new("somebody came")).unwrap();
                assert_eq!(hub.counters().clients, 1);
                // Sessions that come and go meanwhile, on both shards.
                for _ in 0..2 {
                    hub.open(SessionConfig::new()).unwrap();
                }
                hub.close_session(session);
            }
            inside.store(false, Ordering::SeqCst);
        });
        let probe = Probe::new();
        hub.set(builder.build_still(VirtualTimer::new())).unwrap();
        let hub = hub.get().unwrap();
        let mut session = hub.open(request_of("alice")).unwrap();
        assert_eq!(data(&drain(&mut session, &probe)), ["hello", "somebody came"]);
        assert_eq!(session.end_reason(), Some(EndReason::Closed));
        let events = take(&heard);
        assert_eq!(ends(&events).len(), 3);
        assert_eq!(events.len(), 1 + 2 * 3, "{events:?}");
    });
}

#[test]
fn what_happens_meanwhile_on_a_shard_that_was_looked_at_already_is_heard_at_once() {
    let hub: Arc<OnceLock<Hub>> = Arc::default();
    let heard = Heard::default();
    let (calls, all, first) = (hub.clone(), heard.clone(), client_on(0, 2));
    let builder = sharded(config(), 2).on_event(move |_, event| {
        if let BrokerEvent::SessionOpened { session, .. } = event
            && session.shard() == 1
        {
            calls.get().unwrap().open(first.clone()).unwrap();
        }
        all.lock().unwrap().push(event);
    });
    hub.set(builder.build_still(VirtualTimer::new())).unwrap();
    let session = hub.get().unwrap().open(client_on(1, 2)).unwrap();
    let ended = ends(&take(&heard));
    assert!(matches!(ended[..], [(id, EndReason::Disconnected)] if id.shard() == 0), "{ended:?}");
    drop(session);
}

/// A hub whose listener panics over these events, and what was told before it did.
fn panicking(over: fn(&BrokerEvent) -> bool) -> (Hub, Drive, VirtualTimer, Heard) {
    let (timer, heard) = (VirtualTimer::new(), Heard::default());
    let all = heard.clone();
    let builder = sharded(config(), 2).on_event(move |_, event| {
        let panics = over(&event);
        all.lock().unwrap().push(event);
        assert!(!panics, "as it was asked to");
    });
    let (hub, drive) = builder.build(timer.clone()).unwrap();
    (hub, drive, timer, heard)
}

fn is_end(event: &BrokerEvent) -> bool {
    matches!(event, BrokerEvent::SessionEnded { .. })
}

#[test]
fn a_panic_of_the_listener_costs_its_event_alone() {
    let (hub, _drive, _, heard) = panicking(is_end);
    let (probe, other) = (Probe::new(), Probe::new());
    let session = parked(&hub, SessionConfig::new(), &probe);
    let mut second = parked(&hub, SessionConfig::new(), &other);
    take(&heard);

    let id = session.id();
    drop(session);
    assert_eq!(ends(&take(&heard)), [(id, EndReason::Disconnected)]);
    assert_eq!(hub.counters().panics.listener, 1);
    say(&hub, "a");
    assert_eq!(other.take_wakes(), 1);
    assert_eq!(data(&drain(&mut second, &other)), ["a"]);
    hub.abort();
    assert_eq!(other.take_wakes(), 1, "for its end");
    assert_eq!(ends(&take(&heard)), [(second.id(), EndReason::Aborted)]);
    assert_eq!(hub.counters().panics.listener, 2);
    drop(second);
    assert_eq!(take(&heard), [], "neither lost nor told twice");
}

#[test]
fn a_session_opens_though_the_listener_panics_over_it() {
    let (hub, _drive, _, heard) = panicking(|_| true);
    let probe = Probe::new();
    let mut session = hub.open(request_of("alice")).unwrap();
    let told = take(&heard);
    assert!(
        matches!(told[..], [BrokerEvent::ClientJoined { .. }, BrokerEvent::SessionOpened { .. }]),
        "the second is told though the first was lost: {told:?}"
    );
    assert_eq!(hub.counters().panics.listener, 2);
    say(&hub, "a");
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_panic_of_the_listener_leaves_the_driver_alive() {
    let (hub, drive, timer, heard) = panicking(is_end);
    let (mut driver, probe) = (Driver::new(drive), Probe::new());
    // Both stall, on two shards, and the driver tells it.
    let _sessions = [0, 1].map(|shard| parked(&hub, client_on(shard, 2), &probe));
    say(&hub, "not taken");
    take(&heard);
    pass(&timer, &mut driver, seconds(61));
    let ended = ends(&take(&heard));
    assert!(matches!(ended[..], [(_, EndReason::Stalled), (_, EndReason::Stalled)]), "{ended:?}");
    assert_eq!(hub.counters().panics.listener, 2);
    assert_eq!(hub.health(), Health::Ready);

    // Time passes on.
    let mut next = parked(&hub, SessionConfig::new(), &probe);
    timer.advance(seconds(15));
    driver.run();
    assert!(!drain(&mut next, &probe).is_empty(), "a heartbeat");
}

#[test]
fn on_many_threads_it_still_hears_one_thing_at_a_time_and_in_order() {
    const THREADS: usize = 4;
    const SESSIONS: usize = 300;
    let (calls, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let heard = Heard::default();
    let (count, all) = (calls.clone(), heard.clone());
    let builder = sharded(config(), 3).on_event(move |_, event| {
        assert!(!inside.swap(true, Ordering::SeqCst), "one at a time");
        count.fetch_add(1, Ordering::SeqCst);
        all.lock().unwrap().push(event);
        std::thread::yield_now();
        inside.store(false, Ordering::SeqCst);
    });
    let hub = builder.build_still(VirtualTimer::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let hub = &hub;
            scope.spawn(move || {
                let probe = Probe::new();
                for number in 0..SESSIONS {
                    let name = format!("client {}", (thread + number) % 7);
                    let request = request_of(&name).with_topic(topic("news"));
                    let mut session = parked(hub, request, &probe);
                    if number % 3 == 0 {
                        hub.close_session(session.id());
                        drain(&mut session, &probe);
                    }
                }
            });
        }
    });
    let events = take(&heard);
    assert_eq!(calls.load(Ordering::SeqCst), events.len());
    let mut open = std::collections::BTreeSet::new();
    let mut opened = 0;
    for event in &events {
        match event {
            BrokerEvent::SessionOpened { session, .. } => {
                opened += 1;
                assert!(open.insert(*session), "{session} was opened twice");
            }
            BrokerEvent::SessionEnded { session, .. } => {
                assert!(open.remove(session), "{session} ended before it began, or twice");
            }
            _ => {}
        }
    }
    assert_eq!((opened, open.len()), (THREADS * SESSIONS, 0));
}
