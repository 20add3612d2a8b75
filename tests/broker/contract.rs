//! The contract of the machine: when outputs come, when they do not, and what is bounded.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;

#[test]
fn the_ready_queue_stays_small_where_nobody_reads_it() {
    let mut shard = Shard::new(config());
    let alice = shard.parked(session_of("alice"));
    let news = shard.parked(anyone().with_topic(topic("news")));
    let mut rounds = |count| {
        for _ in 0..count {
            shard.publish(client("alice"), "to the client");
            shard.take(alice);
            shard.publish(alice, "to the session");
            shard.take(alice);
            shard.publish(topic("news"), "to the topic");
            shard.take(news);
            shard.broadcast("to all");
            shard.take(alice);
            shard.take(news);
            shard.sleep(secs(15));
            shard.take(alice);
            shard.take(news);
        }
        shard.size()
    };
    let (few, many) = (rounds(500), rounds(2_000));
    assert!(many < few + few / 10, "grew from {few} to {many}");
}

#[test]
fn a_retention_set_again_and_again_leaves_one_timer() {
    let mut shard = Shard::new(config());
    shard.parked(anyone().with_topic(topic("news")));
    shard.publish(topic("news"), "a");
    let mut rounds = |count: u64| {
        for _ in 0..count {
            let retention = Retention {
                events: 10.try_into().unwrap(),
                bytes: 1000.try_into().unwrap(),
                age: Some(secs(60)),
                compact: false,
            };
            shard
                .broker
                .topic_mut(&topic("news"))
                .set_retention(shard.now, Some(retention))
                .unwrap();
        }
        shard.size()
    };
    let (few, many) = (rounds(100), rounds(10_000));
    assert!(many < few + few / 10, "grew from {few} to {many}");
}

#[test]
fn a_session_that_is_polled_before_its_id_came_out_can_stall() {
    let mut config = config();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.broadcast("a");
    // Its driver looks by itself, gets the event, and cannot write it.
    assert!(shard.next(session).is_some());
    assert_eq!(shard.ready(), []);
    shard.events();
    shard.sleep(secs(59));
    assert_eq!(shard.events(), []);
    shard.sleep(secs(1));
    assert!(matches!(
        shard.events()[..],
        [BrokerEvent::SessionEnded { reason: EndReason::Stalled, .. }]
    ));
    assert_eq!(shard.ready(), [session]);
}

#[test]
fn an_id_comes_out_once_for_each_none() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice").with_topic(topic("news")));
    // However many reasons there are.
    for _ in 0..3 {
        shard.broadcast("a");
        shard.publish(topic("news"), "b");
        shard.publish(client("alice"), "c");
        shard.publish(session, "d");
    }
    assert_eq!(shard.ready(), [session]);
    // Not again before the next `None`.
    shard.broadcast("e");
    shard.publish(session, "f");
    assert_eq!(shard.ready(), []);
    assert_eq!(shard.take(session).len(), 14);
    assert_eq!(shard.ready(), []);
    shard.publish(session, "g");
    shard.broadcast("h");
    assert_eq!(shard.ready(), [session]);
}

#[test]
fn an_id_does_not_come_out_for_what_was_polled_already() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice").with_topic(topic("news")));
    for _ in 0..3 {
        shard.broadcast("a");
        shard.publish(topic("news"), "b");
        shard.publish(client("alice"), "c");
        assert_eq!(shard.take(session).len(), 3);
    }
    assert_eq!(shard.ready(), []);
    // And the next output brings it out once, in whichever order old and new entries stand.
    shard.publish(topic("news"), "d");
    shard.publish(session, "e");
    shard.broadcast("f");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session).len(), 3);
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_session_that_was_faster_than_its_id_waits_again_for_the_next_event() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("news")));
    shard.broadcast("a");
    shard.publish(topic("news"), "b");
    assert_eq!(shard.data(session), ["a", "b"]);
    assert_eq!(shard.ready(), []);
    shard.broadcast("c");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["c"]);
    shard.publish(topic("news"), "d");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["d"]);
}

#[test]
fn the_same_event_shared_by_all_is_encoded_once() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..3).map(|_| shard.parked(anyone())).collect();
    let published = shard.broker.publish(shard.now, Audience::Everyone, &Event::new("x")).unwrap();
    for session in sessions {
        let Some(Transmit::Frame(frame)) = shard.broker.poll_transmit(shard.now, session) else {
            panic!("no frame");
        };
        assert_eq!(frame.chunk().as_ptr(), published.frame().chunk().as_ptr());
    }
}

#[test]
fn nothing_has_to_be_drained_before_the_next_input() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..3).map(|_| shard.open(anyone())).collect();
    // Neither events nor ready sessions nor frames are taken, and time passes.
    for round in 0..10 {
        shard.broadcast(&format!("{round}"));
        shard.pass(secs(1));
        shard.broker.handle_timeout(shard.now);
        shard.broker.poll_timeout();
    }
    shard.broker.session_mut(sessions[1]).close(shard.now);
    shard.broker.handle_disconnect(shard.now, sessions[2]);
    assert_eq!(shard.take(sessions[0]).len(), 1 + 10);
    assert_eq!(shard.take(sessions[1]).len(), 1 + 10 + 1);
    assert_eq!(shard.events().len(), 3 + 2);
}

#[test]
fn a_session_that_is_still_polled_does_not_come_out() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone());
    shard.broadcast("a");
    shard.publish(session, "b");
    assert_eq!(shard.ready(), [], "it was never told `None`");
    assert!(shard.next(session).is_some());
    shard.broadcast("c");
    shard.broker.session_mut(session).close(shard.now);
    assert_eq!(shard.ready(), []);
    assert_eq!(shard.data(session), ["a", "b", "c", END]);
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_session_asked_twice_is_still_parked_once() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("a")));
    for _ in 0..10 {
        assert_eq!(shard.next(session), None);
        let (batch, end) = shard.batch(session, 100, Framing::Chunked);
        assert_eq!((batch.is_empty(), end), (true, Filled::All));
    }
    shard.broadcast("x");
    shard.publish(topic("a"), "y");
    assert_eq!(shard.ready(), [session]);
}

#[test]
fn only_those_who_get_something_come_out() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..1_000)
        .map(|number| match number % 100 {
            0 => shard.parked(session_of("alice").with_topic(topic("news"))),
            1 => shard.parked(session_of("bob")),
            _ => shard.parked(anyone()),
        })
        .collect();
    let every = |remainder| -> Vec<SessionId> {
        sessions.iter().copied().skip(remainder).step_by(100).collect()
    };
    shard.publish(topic("news"), "a");
    assert_eq!(shard.ready(), every(0));
    shard.publish(client("bob"), "b");
    assert_eq!(shard.ready(), every(1));
    shard.publish(sessions[7], "c");
    assert_eq!(shard.ready(), [sessions[7]]);
    shard.publish(topic("nobody"), "d");
    assert_eq!(shard.ready(), []);
    shard.broadcast("e");
    // The others were not polled yet, and so they know.
    assert_eq!(shard.ready().len(), 1_000 - 21);
}

#[test]
fn sessions_that_end_while_they_wait_to_come_out_do_not() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> =
        (0..6).map(|_| shard.parked(anyone().with_topic(topic("news")))).collect();
    shard.broadcast("a");
    shard.publish(sessions[1], "b");
    shard.publish(topic("news"), "c");
    for gone in [0, 3, 5] {
        shard.broker.handle_disconnect(shard.now, sessions[gone]);
    }
    let mut ready = shard.ready();
    ready.sort();
    assert_eq!(ready, [sessions[1], sessions[2], sessions[4]]);
    // One that left the middle of a parked list leaves the others on it.
    for session in ready {
        shard.take(session);
    }
    shard.broker.handle_disconnect(shard.now, sessions[1]);
    shard.publish(topic("news"), "d");
    let mut ready = shard.ready();
    ready.sort();
    assert_eq!(ready, [sessions[2], sessions[4]]);
}

/// How the broker grows when something is done again and again.
fn grows(mut shard: Shard, mut round: impl FnMut(&mut Shard, u64)) {
    let mut sizes = Vec::new();
    for rounds in [0..2_000, 2_000..10_000] {
        for number in rounds {
            round(&mut shard, number);
        }
        sizes.push(shard.size());
    }
    assert!(sizes[1] < sizes[0] + sizes[0] / 5, "grew from {} to {}", sizes[0], sizes[1]);
}

#[test]
fn sessions_that_come_and_go_leave_nothing() {
    // Nobody asks who is ready, and nobody lets time pass.
    let mut config = config();
    config.retention.events = 10.try_into().unwrap();
    grows(Shard::new(config), |shard, number| {
        let session = shard.parked(session_of("alice").with_topic(topic("news")));
        shard.publish(topic("news"), "a");
        shard.publish(session, "b");
        if number % 2 == 0 {
            shard.take(session);
        }
        shard.broker.handle_disconnect(shard.now, session);
        shard.events();
    });
}

#[test]
fn sessions_that_come_and_go_while_others_stay_leave_nothing() {
    let mut config = config();
    config.retention.events = 10.try_into().unwrap();
    let mut shard = Shard::new(config);
    for _ in 0..10 {
        shard.parked(anyone());
    }
    grows(shard, |shard, _| {
        let session = shard.parked(anyone());
        shard.broadcast("a");
        shard.broker.session_mut(session).close(shard.now);
        shard.take(session);
        shard.events();
        shard.pass(millis(100));
        shard.broker.handle_timeout(shard.now);
    });
}

#[test]
fn clients_that_come_and_go_leave_nothing() {
    let mut config = config();
    config.limits.absent_clients = 50;
    grows(Shard::new(config), |shard, number| {
        let session = shard.open(session_of(&format!("client {number}")));
        shard.publish(client(&format!("client {number}")), "a");
        shard.broker.handle_disconnect(shard.now, session);
        shard.events();
    });
}

#[test]
fn topics_are_no_more_than_may_be_and_go_with_what_they_keep() {
    let mut config = config();
    config.limits.topics = 50;
    config.retention.age = Some(secs(10));
    grows(Shard::new(config), |shard, number| {
        let name = topic(&format!("topic {number}"));
        let result = shard.broker.publish(shard.now, name, &Event::new("a"));
        // Every tenth of a second one that is kept for ten seconds: half of them have no room.
        if let Err(error) = result {
            assert_eq!(error, PublishError::TooManyTopics);
        }
        shard.sleep(millis(100));
    });
}

#[test]
fn timers_are_no_more_than_owners() {
    let mut config = config();
    config.session.stall_timeout = Some(secs(100_000));
    config.session.heartbeat = Some(secs(1));
    let mut shard = Shard::new(config);
    for _ in 0..10 {
        shard.parked(anyone());
    }
    // Each heartbeat arms the far stall timeout and then the near heartbeat again.
    grows(shard, |shard, _| {
        shard.sleep(secs(1));
        let ready = shard.ready();
        assert_eq!(ready.len(), 10);
        for session in ready {
            shard.take(session);
        }
    });
}

#[test]
fn unread_events_of_a_session_do_not_pile_up() {
    let mut config = config();
    config.retention.events = 1.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    grows(shard, |shard, _| {
        shard.broadcast("a");
        shard.broadcast("b");
        shard.take(session);
    });
}

#[test]
fn any_call_with_any_session_at_any_time_is_harmless() {
    let mut shard = Shard::new(config());
    let start = shard.now;
    let session = shard.parked(session_of("alice").with_topic(topic("news")));
    shard.publish(session, "a");
    let (batch, _) = shard.batch(session, 100, Framing::Chunked);
    shard.broker.handle_disconnect(shard.now, session);
    let far = start + secs(1 << 33);
    for now in [far, start] {
        assert!(!shard.broker.session_mut(session).close(now));
        shard.broker.handle_disconnect(now, session);
        for written in [0, 1, batch.len(), usize::MAX] {
            shard.broker.handle_partial_write(now, session, &batch, written);
        }
        let empty = Batch::new(Framing::Plain);
        assert!(shard.broker.handle_partial_write(now, session, &empty, 7).is_empty());
        shard.broker.handle_timeout(now);
        assert_eq!(shard.broker.poll_transmit(now, session), Some(Transmit::Ended(None)));
        let fresh = shard.broker.open(now, anyone()).unwrap().session;
        for written in [0, 1, batch.len(), usize::MAX] {
            shard.broker.handle_partial_write(now, fresh, &batch, written);
        }
        shard.broker.close(now);
        shard.broker.close(now);
        assert!(shard.broker.poll_transmit(now, fresh).is_some());
        shard = Shard { broker: Broker::new(start, config()).unwrap(), now: start };
    }
}

#[test]
fn a_deadline_that_was_slept_through_is_not_taken_for_the_silence_of_the_peer() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.publish(session, "a");
    shard.pass(secs(70));
    shard.broker.handle_timeout(shard.now);
    assert_eq!(shard.data(session), ["a"]);
}
