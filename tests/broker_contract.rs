//! The contract of the machine: when outputs come, when they do not, and what is bounded.
#![cfg(feature = "broker")]

#[path = "common/broker.rs"]
mod common;

use common::*;
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
            let retention = Retention { events: 10, bytes: 1000, age: Some(secs(60)) };
            shard.broker.set_retention(shard.now, &topic("news"), Some(retention)).unwrap();
        }
        shard.size()
    };
    let (few, many) = (rounds(100), rounds(10_000));
    assert!(many < few + few / 10, "grew from {few} to {many}");
}

#[test]
fn a_session_that_is_polled_before_its_id_came_out_can_stall() {
    let mut config = config();
    config.heartbeat = None;
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
fn the_same_event_shared_by_all_is_encoded_once() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..3).map(|_| shard.parked(anyone())).collect();
    let published = shard.broker.publish(shard.now, Topic::Broadcast, &Event::new("x")).unwrap();
    for session in sessions {
        let Some(Transmit::Frame(frame)) = shard.broker.poll_transmit(shard.now, session) else {
            panic!("no frame");
        };
        assert_eq!(frame.chunk().as_ptr(), published.frame().chunk().as_ptr());
    }
}
