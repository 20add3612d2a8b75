//! Every deadline of the broker, kept by a driver that sleeps exactly until `poll_timeout` and calls
//! `handle_timeout` then. It never asks for ready ids: no deadline depends on that.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, event_id, event_type};
use std::time::Duration;

/// A shard whose sessions get no heartbeat and whose logs keep all for ever, so that nothing but
/// what is tested has a deadline.
fn quiet(change: impl FnOnce(&mut BrokerConfig)) -> Shard {
    let mut config = config();
    config.session.heartbeat = None;
    (config.retention.age, config.private_retention.age) = (None, None);
    change(&mut config);
    Shard::new(config)
}

/// Sleeps from one deadline to the next until something happens that the application is told of.
/// Gives how long that took, and what happened.
fn next_event(shard: &mut Shard) -> (Duration, Vec<BrokerEvent>) {
    let start = shard.now;
    for _ in 0..1_000 {
        let Some(deadline) = shard.broker.poll_timeout() else { break };
        shard.now = shard.now.max(deadline);
        shard.broker.handle_timeout(shard.now);
        let events = shard.events();
        if !events.is_empty() {
            return (shard.now - start, events);
        }
    }
    panic!("nothing happened until {:?}", shard.now - start);
}

/// When the session ends, and why.
fn end_of(shard: &mut Shard, session: SessionId) -> (Duration, EndReason) {
    let start = shard.now;
    loop {
        let (_, events) = next_event(shard);
        let end = events.iter().find_map(|event| match event {
            BrokerEvent::SessionEnded { session: one, reason, .. } if *one == session => {
                Some(*reason)
            }
            _ => None,
        });
        if let Some(reason) = end {
            return (shard.now - start, reason);
        }
    }
}

fn stalls_after(shard: &mut Shard, session: SessionId, time: Duration) {
    assert_eq!(end_of(shard, session), (time, EndReason::Stalled));
}

#[test]
fn a_session_stalls_when_it_had_output_for_the_stall_timeout() {
    // With heartbeats, which come due in between, and without.
    for heartbeat in [Some(secs(15)), Some(secs(50)), Some(secs(70)), None] {
        let mut shard = quiet(|config| config.session.heartbeat = heartbeat);
        let session = shard.parked(anyone());
        shard.events();
        shard.sleep(secs(7));
        shard.broadcast("a");
        stalls_after(&mut shard, session, secs(60));
    }
}

#[test]
fn a_driver_that_comes_a_little_late_finds_the_session_stalled() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.pass(secs(60) + Duration::from_millis(250));
    shard.broker.handle_timeout(shard.now);
    assert_eq!(shard.data(session), [END]);
}

#[test]
fn a_later_event_does_not_put_the_stall_off() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    for _ in 0..5 {
        shard.sleep(secs(10));
        shard.broadcast("b");
    }
    stalls_after(&mut shard, session, secs(10));
}

#[test]
fn coming_out_of_the_ready_queue_is_no_sign_of_life() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    shard.sleep(secs(40));
    assert_eq!(shard.ready(), [session]);
    stalls_after(&mut shard, session, secs(20));
}

#[test]
fn a_session_that_is_polled_and_gets_all_begins_anew() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone());
    shard.events();
    // The list that was handed over is still in the ready queue.
    shard.broadcast("a");
    shard.pass(secs(30));
    assert_eq!(shard.data(session), ["a"]);
    shard.sleep(secs(100));
    assert_eq!(shard.events(), [], "it has no output");
    shard.broadcast("b");
    shard.sleep(secs(50));
    shard.broadcast("c");
    stalls_after(&mut shard, session, secs(10));
}

#[test]
fn each_session_of_a_list_keeps_its_own_stall_timeout() {
    let mut shard = quiet(|_| ());
    let quick = shard.parked(anyone().with_stall_timeout(Some(secs(1))));
    let never = shard.parked(anyone().with_stall_timeout(None));
    let usual = shard.parked(anyone());
    let slow = shard.parked(anyone().with_stall_timeout(Some(secs(500))));
    shard.events();
    shard.broadcast("a");
    stalls_after(&mut shard, quick, secs(1));
    stalls_after(&mut shard, usual, secs(59));
    stalls_after(&mut shard, slow, secs(440));
    assert_eq!(shard.broker.poll_timeout(), None);
    assert_eq!(shard.data(never), ["a"]);
}

#[test]
fn where_only_some_sessions_may_stall_the_others_wait_for_ever() {
    let mut shard = quiet(|config| config.session.stall_timeout = None);
    let usual = shard.parked(anyone());
    let own = shard.parked(anyone().with_stall_timeout(Some(secs(9))));
    shard.events();
    shard.broadcast("a");
    stalls_after(&mut shard, own, secs(9));
    shard.broadcast("b");
    assert_eq!(shard.broker.poll_timeout(), None, "nothing can be due");
    assert_eq!(shard.data(usual), ["a", "b"]);
}

#[test]
fn an_event_that_was_trimmed_counts_from_when_it_was_published() {
    for takes_first in [false, true] {
        let mut shard = quiet(|config| {
            config.retention.events = 2.try_into().unwrap();
            config.session.lag = LagPolicy::SkipToOldest.into();
        });
        let session = shard.parked(anyone());
        shard.events();
        if takes_first {
            // Served without a ready id, so that the handed over list is out of date.
            shard.broadcast("before");
            shard.pass(secs(20));
            shard.data(session);
            shard.pass(secs(20));
        }
        for _ in 0..10 {
            shard.broadcast("a");
            shard.sleep(secs(5));
        }
        stalls_after(&mut shard, session, secs(10));
    }
}

#[test]
fn an_event_that_grew_too_old_counts_from_when_it_was_published() {
    let mut shard = quiet(|config| config.retention.age = Some(secs(10)));
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    stalls_after(&mut shard, session, secs(60));
}

/// To whom is published what starts the clock of a session, and how that is opened.
type Case = (fn(SessionId) -> Audience, SessionConfig);

#[test]
fn output_by_any_kind_of_channel_starts_the_clock() {
    let request = || session_of("alice").with_topic(topic("news/uk"));
    let pattern = || session_of("alice").with_topic(TopicPattern::new("news/*").unwrap());
    let cases: [Case; 4] = [
        (|_| topic("news/uk").into(), request()),
        (|_| topic("news/uk").into(), pattern().topics_only()),
        (|_| client("alice").into(), request()),
        (Audience::from, request()),
    ];
    for (audience, request) in cases {
        let mut shard = quiet(|_| ());
        let session = shard.parked(request);
        shard.events();
        shard.sleep(secs(100));
        shard.publish(audience(session), "a");
        shard.sleep(secs(30));
        shard.publish(audience(session), "b");
        stalls_after(&mut shard, session, secs(30));
    }
}

#[test]
fn the_first_of_several_channels_counts_also_after_one_of_its_own() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone().with_topic(topic("news")));
    shard.events();
    shard.publish(topic("news"), "a");
    shard.sleep(secs(10));
    shard.publish(session, "b");
    shard.sleep(secs(10));
    shard.broadcast("c");
    stalls_after(&mut shard, session, secs(40));
}

#[test]
fn an_event_that_no_topic_keeps_starts_the_clock_of_a_pattern() {
    let mut shard = quiet(|config| config.limits.topics = 1);
    let pattern = TopicPattern::new("news/*").unwrap();
    let session = shard.parked(anyone().with_topic(pattern));
    shard.events();
    let mut other = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    let published = other.publish(topic("news/uk").into(), &Event::new("a"));
    shard.broker.shard_mut().apply(shard.now, &published).unwrap();
    stalls_after(&mut shard, session, secs(60));
}

#[test]
fn an_end_and_last_words_that_are_not_taken_stall() {
    let close: fn(&mut Shard, SessionId) = |shard, session| {
        assert!(shard.broker.session_mut(session).close(shard.now));
    };
    let shutdown: fn(&mut Shard, SessionId) = |shard, _| shard.broker.close(shard.now);
    let drain: fn(&mut Shard, SessionId) = |shard, _| {
        let drain =
            Drain::new(Duration::ZERO).with_farewell(Event::new("bye")).with_patience(secs(1_000));
        shard.broker.drain(shard.now, drain).unwrap();
    };
    for end in [close, shutdown, drain] {
        for has_output in [false, true] {
            let mut shard = quiet(|_| ());
            let session = shard.parked(anyone());
            shard.events();
            if has_output {
                // The clock runs already.
                shard.broadcast("a");
                shard.sleep(secs(25));
            }
            end(&mut shard, session);
            stalls_after(&mut shard, session, secs(if has_output { 35 } else { 60 }));
        }
    }
}

#[test]
fn the_end_of_the_last_topic_starts_the_clock() {
    let mut shard = quiet(|_| ());
    let request = anyone().topics_only().with_topic(topic("a")).with_topic(topic("b"));
    let session = shard.parked(request);
    shard.events();
    for name in ["a", "b"] {
        shard.broker.topic_mut(&topic(name)).end(shard.now).unwrap();
        shard.sleep(secs(40));
    }
    stalls_after(&mut shard, session, secs(20));
}

#[test]
fn a_subscription_that_is_gone_takes_its_output_along() {
    for revoked in [false, true] {
        let mut shard = quiet(|_| ());
        let request = session_of("alice").with_topic(topic("news")).with_topic(topic("chat"));
        let session = shard.parked(request);
        shard.events();
        shard.publish(topic("news"), "a");
        shard.sleep(secs(20));
        if revoked {
            let alice = client("alice");
            _ = shard.broker.client_mut(&alice).revoke_topic(shard.now, &topic("news"));
        } else {
            let handle = shard.broker.session_mut(session);
            assert!(handle.unsubscribe(shard.now, &topic("news").into()));
        }
        shard.sleep(secs(100));
        assert_eq!(shard.events(), []);
        // Another in the same place has its own time.
        let handle = shard.broker.session_mut(session);
        handle.subscribe(shard.now, topic("more"), StartAt::Now).unwrap();
        shard.publish(topic("more"), "b");
        stalls_after(&mut shard, session, secs(60));
    }
}

#[test]
fn a_subscription_that_comes_late_takes_the_end_of_a_session_back() {
    let mut shard = quiet(|config| config.session.heartbeat = Some(secs(15)));
    let session = shard.parked(anyone().topics_only().with_topic(topic("a")));
    shard.events();
    shard.broker.topic_mut(&topic("a")).end(shard.now).unwrap();
    // It is to end, so that no heartbeat is due.
    shard.sleep(secs(20));
    let handle = shard.broker.session_mut(session);
    handle.subscribe(shard.now, topic("b"), StartAt::Now).unwrap();
    shard.sleep(Duration::ZERO);
    assert_eq!(shard.take(session), [HEARTBEAT]);
    shard.sleep(secs(7));
    shard.publish(topic("b"), "b");
    stalls_after(&mut shard, session, secs(60));
}

#[test]
fn an_end_that_is_taken_back_beside_an_event_leaves_the_time_that_has_passed() {
    let mut shard = quiet(|_| ());
    let request = session_of("alice").topics_only().with_topic(topic("a"));
    let session = shard.parked(request);
    shard.events();
    shard.broker.topic_mut(&topic("a")).end(shard.now).unwrap();
    shard.sleep(secs(20));
    shard.publish(client("alice"), "x");
    let handle = shard.broker.session_mut(session);
    handle.subscribe(shard.now, topic("b"), StartAt::Now).unwrap();
    stalls_after(&mut shard, session, secs(40));
}

#[test]
fn a_heartbeat_that_was_held_back_by_output_comes_once_that_is_gone() {
    let mut shard = quiet(|config| config.session.heartbeat = Some(secs(15)));
    let session = shard.parked(anyone().with_topic(topic("news")));
    shard.events();
    shard.publish(topic("news"), "a");
    shard.sleep(secs(20));
    let handle = shard.broker.session_mut(session);
    assert!(handle.unsubscribe(shard.now, &topic("news").into()));
    shard.sleep(Duration::ZERO);
    assert_eq!(shard.take(session), [HEARTBEAT]);
}

#[test]
fn what_a_write_did_not_take_can_stall_and_progress_puts_it_off() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    let (batch, _) = shard.batch(session, 100, Framing::Plain);
    shard.broker.handle_partial_write(shard.now, session, &batch, 2);
    shard.sleep(secs(50));
    shard.broadcast("b");
    shard.broker.handle_progress(shard.now, session);
    stalls_after(&mut shard, session, secs(60));
    // Also while it waits, and has new output that nobody looked at.
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("c");
    shard.sleep(secs(30));
    shard.broker.handle_progress(shard.now, session);
    stalls_after(&mut shard, session, secs(60));
}

#[test]
fn a_heartbeat_is_due_at_the_interval_and_one_that_is_not_taken_stalls() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone().with_heartbeat(Some(secs(4))));
    shard.events();
    shard.sleep(secs(4));
    let (batch, _) = shard.batch(session, 100, Framing::Plain);
    assert_eq!(batch.as_slice(), HEARTBEAT.as_bytes());
    stalls_after(&mut shard, session, secs(64));
}

#[test]
fn a_heartbeat_is_the_event_that_was_set_and_moves_no_place() {
    let beat = |data: &str| {
        Event::new(data).with_type(event_type!("beat")).with_id(event_id!("not a place"))
    };
    let mut shard = quiet(|config| {
        config.session.heartbeat = Some(secs(15));
        config.session.heartbeat_event = Some(beat("usual"));
    });
    for (config, expected) in [
        (anyone(), "event: beat\ndata: usual\n\n"),
        (anyone().with_heartbeat_event(Some(beat("own"))), "event: beat\ndata: own\n\n"),
        (anyone().with_heartbeat_event(None), HEARTBEAT),
    ] {
        let session = shard.parked(config);
        for _ in 0..2 {
            shard.sleep(secs(15));
            let (batch, _) = shard.batch(session, 1_000, Framing::Plain);
            assert_eq!(String::from_utf8_lossy(batch.as_slice()), expected);
        }
    }
}

#[test]
fn a_lease_is_asked_about_and_lapses() {
    let mut shard = quiet(|_| ());
    let session = shard.parked(anyone().with_lease(shard.now + secs(100)));
    // It has output that nobody takes, and no stall comes between.
    shard.events();
    shard.sleep(secs(50));
    shard.broadcast("a");
    let (time, events) = next_event(&mut shard);
    assert!(matches!(events[..], [BrokerEvent::LeaseExpiring { .. }]), "{events:?}");
    assert_eq!(time, secs(20));
    assert_eq!(end_of(&mut shard, session), (secs(30), EndReason::LeaseExpired));
}

#[test]
fn a_session_grows_no_older_than_it_may_and_then_stalls() {
    let age = MaxAge::new(secs(500), Duration::ZERO).unwrap();
    let mut shard = quiet(|config| config.session.max_age = Some(age));
    let session = shard.parked(anyone());
    shard.events();
    shard.sleep(just_before(secs(500)));
    let mut before = shard.broker.counters();
    assert_eq!(before.sessions, 1);
    // Its end is output, which is not taken.
    stalls_after(&mut shard, session, secs(60) + TICK);
    before = shard.broker.counters();
    assert_eq!(before.sessions, 0);
}

#[test]
fn an_absent_client_is_forgotten_after_its_grace_time() {
    let mut shard = quiet(|config| config.client_grace = secs(7));
    let session = shard.parked(session_of("alice"));
    shard.broker.handle_disconnect(shard.now, session);
    shard.events();
    let (time, events) = next_event(&mut shard);
    assert_eq!(
        (time, events),
        (secs(7), vec![BrokerEvent::ClientLeft { client: client("alice") }])
    );
}

#[test]
fn what_is_too_old_goes_from_every_kind_of_channel() {
    let audiences: [fn(SessionId) -> Audience; 4] = [
        |_| Audience::Everyone,
        |_| topic("news").into(),
        |_| client("alice").into(),
        Audience::from,
    ];
    for audience in audiences {
        let mut shard = quiet(|config| {
            (config.retention.age, config.private_retention.age) = (Some(secs(9)), Some(secs(9)));
            config.session.stall_timeout = None;
        });
        let session = shard.parked(session_of("alice"));
        shard.publish(audience(session), "a");
        shard.sleep(secs(2));
        shard.publish(audience(session), "b");
        let both = retained_bytes(&shard.broker);
        shard.sleep(just_before(secs(7)));
        assert_eq!(retained_bytes(&shard.broker), both);
        shard.sleep(TICK);
        assert_eq!(retained_bytes(&shard.broker), both / 2);
        shard.sleep(secs(2));
        assert_eq!(retained_bytes(&shard.broker), 0);
        assert_eq!(shard.broker.poll_timeout(), None);
    }
}

#[test]
fn a_topic_keeps_a_retention_age_of_its_own() {
    let mut shard = quiet(|_| ());
    shard.publish(topic("news"), "a");
    let retention = Retention { age: Some(secs(3)), ..config().retention };
    let news = topic("news");
    shard.broker.topic_mut(&news).set_retention(shard.now, Some(retention)).unwrap();
    shard.sleep(just_before(secs(3)));
    assert!(retained_bytes(&shard.broker) > 0);
    shard.sleep(TICK);
    assert_eq!(retained_bytes(&shard.broker), 0);
}

#[test]
fn the_end_of_a_topic_is_forgotten_after_the_retention_age() {
    let mut shard = quiet(|config| config.retention.age = Some(secs(30)));
    let name = topic("answer");
    shard.broker.topic_mut(&name).end(shard.now).unwrap();
    shard.sleep(just_before(secs(30)));
    assert!(has_ended(&shard.broker, &name));
    shard.sleep(TICK);
    assert!(!has_ended(&shard.broker, &name));
    assert_eq!(shard.broker.poll_timeout(), None);
}

#[test]
fn a_drain_has_its_turns_and_its_last_call() {
    let mut shard = quiet(|config| config.session.stall_timeout = None);
    let sessions: Vec<_> = (0..4).map(|_| shard.parked(anyone())).collect();
    shard.events();
    shard.broker.drain(shard.now, Drain::new(secs(8)).with_patience(secs(5))).unwrap();
    let start = shard.now;
    // Who had a turn is told its end when it is polled.
    let mut ended = Vec::new();
    while ended.len() < 3 {
        for session in &sessions[..] {
            if !ended.contains(session) && shard.take(*session).last().is_some_and(|one| one == END)
            {
                ended.push(*session);
            }
        }
        if ended.len() < 3 {
            shard.now = shard.broker.poll_timeout().unwrap();
            shard.broker.handle_timeout(shard.now);
        }
    }
    assert_eq!(shard.now - start, secs(4), "the turns are at 0, 2, 4 and 6 s");
    shard.events();
    // The last one is not polled.
    let last = *sessions.iter().find(|session| !ended.contains(session)).unwrap();
    let (time, reason) = end_of(&mut shard, last);
    assert_eq!((shard.now - start, reason), (secs(13), EndReason::Aborted), "after {time:?}");
    assert_eq!((shard.broker.state(), shard.broker.poll_timeout()), (BrokerState::Drained, None));
}

#[test]
fn a_publish_moves_no_timer_however_many_sessions_have_output_by_it() {
    let mut shard = quiet(|_| ());
    for _ in 0..200 {
        shard.parked(anyone());
    }
    let timers = |shard: &Shard| format!("{:?}", shard.broker).matches("Timer {").count();
    shard.sleep(secs(60));
    shard.events();
    assert_eq!((timers(&shard), shard.broker.poll_timeout()), (0, None));
    shard.broadcast("a");
    let deadline = Some(shard.now + secs(60));
    assert_eq!(shard.broker.poll_timeout(), deadline);
    shard.pass(secs(1));
    shard.broadcast("b");
    assert_eq!((timers(&shard), shard.broker.poll_timeout()), (0, deadline));
    // They are looked at once, when the first may have stalled.
    shard.sleep(just_before(secs(59)));
    assert_eq!((timers(&shard), shard.events()), (0, vec![]));
    shard.sleep(TICK);
    assert_eq!(shard.events().len(), 200);
}

#[test]
fn a_driver_that_never_asks_for_ready_ids_lets_nothing_pile_up() {
    let mut shard = quiet(|_| ());
    let sessions: Vec<_> =
        (0..20).map(|_| shard.parked(anyone().with_topic(topic("news")))).collect();
    let mut most = 0;
    for round in 0..2_000 {
        shard.broadcast("a");
        if round % 3 == 0 {
            shard.publish(topic("news"), "b");
        }
        for session in &sessions {
            shard.take(*session);
        }
        shard.sleep(millis(10));
        if round % 100 == 0 {
            most = most.max(format!("{:?}", shard.broker).matches("Waiting {").count());
        }
    }
    // Each stands on two lists. The rest are void entries, of which some may always stay.
    assert!(most < 40 + 2 * 1_100, "{most}");
    // Each id still comes out once when there is output.
    shard.broadcast("c");
    let mut ready = shard.ready();
    ready.sort();
    assert_eq!(ready, sessions);
    assert_eq!(shard.ready(), []);
}

#[test]
fn an_id_that_came_out_for_later_output_hides_no_earlier_one() {
    let age = MaxAge::new(secs(20), Duration::ZERO).unwrap();
    let mut shard = quiet(|config| config.session.max_age = Some(age));
    let session = shard.parked(anyone());
    shard.publish(session, "own");
    // Served without its ready id, which is still in the queue.
    shard.data(session);
    shard.events();
    shard.broadcast("a");
    shard.sleep(secs(20));
    assert_eq!(shard.ready(), [session]);
    stalls_after(&mut shard, session, secs(40));
}
