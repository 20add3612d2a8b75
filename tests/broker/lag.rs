//! How much is kept, and what a session meets that is further behind.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;

fn three(lag: LagPolicy) -> BrokerConfig {
    let mut config = config();
    config.retention.events = 3.try_into().unwrap();
    config.private_retention.events = 3.try_into().unwrap();
    config.session.lag = lag.into();
    config
}

fn skipped(session: SessionId, lost: u64) -> BrokerEvent {
    BrokerEvent::SessionSkipped { session, client: None, lost }
}

fn lagged(session: SessionId, lost: u64) -> BrokerEvent {
    let reason = EndReason::Lagged { lost };
    BrokerEvent::SessionEnded { session, client: None, reason, undelivered: 0 }
}

#[test]
fn a_session_as_far_behind_as_is_kept_loses_nothing() {
    for lag in [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest] {
        let mut shard = Shard::new(three(lag));
        let session = shard.parked(anyone());
        shard.events();
        for data in ["a", "b", "c"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), ["a", "b", "c"]);
        assert_eq!(shard.events(), []);
    }
}

#[test]
fn a_session_further_behind_is_closed_and_the_loss_is_exact() {
    for lost in [1, 2, 3, 4, 100] {
        let mut shard = Shard::new(three(LagPolicy::Close));
        let session = shard.parked(anyone());
        shard.events();
        for _ in 0..3 + lost {
            shard.broadcast("x");
        }
        assert_eq!(shard.ready(), [session]);
        assert_eq!(shard.take(session), [END]);
        assert_eq!(shard.events(), [lagged(session, lost)]);
        assert_eq!((shard.ready(), shard.broker.counters().sessions), (vec![], 0));
    }
}

#[test]
fn a_session_that_skips_to_the_oldest_goes_on_with_what_is_kept() {
    let mut shard = Shard::new(three(LagPolicy::SkipToOldest));
    let session = shard.parked(anyone());
    shard.events();
    for data in ["a", "b", "c", "d", "e"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.data(session), ["c", "d", "e"]);
    assert_eq!(shard.events(), [skipped(session, 2)]);
}

#[test]
fn a_session_that_skips_to_the_newest_goes_on_with_what_comes() {
    let mut shard = Shard::new(three(LagPolicy::SkipToNewest));
    let session = shard.parked(anyone());
    shard.events();
    for data in ["a", "b", "c", "d", "e"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.data(session), [""; 0]);
    assert_eq!(shard.events(), [skipped(session, 5)]);
    shard.broadcast("f");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["f"]);
}

#[test]
fn a_session_has_a_policy_of_its_own() {
    let mut shard = Shard::new(three(LagPolicy::Close));
    let session = shard.parked(anyone().with_lag(LagPolicy::SkipToOldest));
    let usual = shard.parked(anyone());
    for data in ["a", "b", "c", "d"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.data(session), ["b", "c", "d"]);
    assert_eq!(shard.data(usual), [END]);
}

#[test]
fn skips_that_nobody_has_read_of_are_added_up() {
    let mut shard = Shard::new(three(LagPolicy::SkipToOldest));
    let [one, two] = [(); 2].map(|()| shard.parked(anyone()));
    shard.events();
    for round in 1..=3 {
        for _ in 0..3 + round {
            shard.broadcast("x");
        }
        shard.take(one);
        shard.take(two);
    }
    assert_eq!(shard.events(), [skipped(one, 1 + 2 + 3), skipped(two, 1 + 2 + 3)]);
    for _ in 0..4 {
        shard.broadcast("x");
    }
    shard.take(two);
    shard.take(one);
    assert_eq!(shard.events(), [skipped(two, 1), skipped(one, 1)], "read, and so a new one");
}

#[test]
fn a_loss_is_of_all_topics_together_and_each_keeps_what_it_has() {
    let request = || session_of("alice").with_topic(topic("quick")).with_topic(topic("slow"));
    let publish = |shard: &mut Shard, session: SessionId| {
        shard.publish(topic("slow"), "slow");
        for number in 0..5 {
            shard.publish(topic("quick"), &format!("quick {number}"));
        }
        for number in 0..4 {
            shard.apply(client("alice"), &format!("alice {number}"));
        }
        for number in 0..7 {
            shard.apply(session, &format!("session {number}"));
        }
        shard.events();
    };
    let lost = 2 + 1 + 4;
    let who = || Some(client("alice"));

    let mut shard = Shard::new(three(LagPolicy::SkipToOldest));
    let session = shard.parked(request());
    publish(&mut shard, session);
    assert_eq!(
        shard.data(session),
        [
            "slow",
            "quick 2",
            "quick 3",
            "quick 4",
            "alice 1",
            "alice 2",
            "alice 3",
            "session 4",
            "session 5",
            "session 6",
        ]
    );
    assert_eq!(shard.events(), [BrokerEvent::SessionSkipped { session, client: who(), lost }]);

    let mut shard = Shard::new(three(LagPolicy::SkipToNewest));
    let session = shard.parked(request());
    publish(&mut shard, session);
    assert_eq!(shard.data(session), ["slow"], "the only one that it is not too far behind in");
    let lost_all = 5 + 4 + 7;
    let event = BrokerEvent::SessionSkipped { session, client: who(), lost: lost_all };
    assert_eq!(shard.events(), [event]);

    let mut shard = Shard::new(three(LagPolicy::Close));
    let session = shard.parked(request());
    publish(&mut shard, session);
    assert_eq!(shard.data(session), [END]);
    let reason = EndReason::Lagged { lost };
    let event = BrokerEvent::SessionEnded { session, client: who(), reason, undelivered: 7 };
    assert_eq!(shard.events(), [event]);
}

#[test]
fn a_closed_lagging_session_comes_back_to_a_gap() {
    let mut shard = Shard::new(three(LagPolicy::Close));
    let session = shard.parked(anyone());
    for data in ["a", "b", "c", "d"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.data(session), [END]);
    let opened = shard.broker.open(shard.now, after("e-0")).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 3 });
    assert_eq!(shard.data(opened.session), ["b", "c", "d"]);
}

#[test]
fn the_log_keeps_no_more_bytes_than_it_may() {
    let mut config = config();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let size = Shard::new(config.clone()).publish(Audience::Everyone, "a").frame().chunk().len();
    config.retention.bytes = (3 * size).try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    for data in ["a", "b", "c"] {
        shard.broadcast(data);
    }
    let opened = shard.broker.open(shard.now, after("e-0")).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 3 });
    shard.broadcast("d");
    assert_eq!(shard.data(session), ["b", "c", "d"]);
    // One that needs the room of three.
    shard.broadcast(&"e".repeat(2 * size));
    let opened = shard.broker.open(shard.now, after("e-1")).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 1 });
}

#[test]
fn the_log_keeps_nothing_older_than_it_may() {
    let mut config = config();
    config.retention.age = Some(secs(10));
    config.private_retention.age = Some(secs(5));
    config.session.lag = LagPolicy::SkipToOldest.into();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(session_of("alice"));
    shard.events();
    shard.broadcast("a");
    shard.publish(client("alice"), "b");
    shard.publish(session, "c");
    shard.sleep(secs(4));
    shard.broadcast("d");
    shard.publish(session, "e");
    shard.sleep(secs(1));
    // "b" and "c" are five seconds old.
    assert_eq!(shard.data(session), ["a", "d", "e"]);
    let who = Some(client("alice"));
    assert_eq!(shard.events(), [BrokerEvent::SessionSkipped { session, client: who, lost: 2 }]);
    let replayed = |shard: &mut Shard| {
        shard.broker.open(shard.now, after("e-0")).unwrap().resumption.replayed()
    };
    assert_eq!(replayed(&mut shard), 2);
    shard.sleep(secs(5));
    assert_eq!(replayed(&mut shard), 1);
    shard.sleep(secs(4));
    assert_eq!(replayed(&mut shard), 0);
}

#[test]
fn a_topic_keeps_as_much_as_was_said_for_it() {
    let mut shard = Shard::new(config());
    let news = topic("news");
    let keep = |events: usize| {
        Some(Retention {
            events: events.try_into().unwrap(),
            bytes: (1 << 20).try_into().unwrap(),
            age: None,
            compact: false,
        })
    };
    shard.broker.topic_mut(&news).set_retention(shard.now, keep(2)).unwrap();
    for data in ["a", "b", "c"] {
        shard.publish(news.clone(), data);
    }
    let replayed = |shard: &mut Shard| {
        let opened = shard.broker.open(shard.now, after("e-0").with_topic(topic("news")));
        let opened = opened.unwrap();
        shard.broker.handle_disconnect(shard.now, opened.session);
        opened.resumption.replayed()
    };
    assert_eq!(replayed(&mut shard), 2);
    // Less takes effect at once, and what it says is remembered where nobody listens.
    shard.broker.topic_mut(&news).set_retention(shard.now, keep(1)).unwrap();
    assert_eq!(replayed(&mut shard), 1);
    shard.sleep(secs(100_000));
    assert_eq!(replayed(&mut shard), 1);
    for data in ["d", "e"] {
        shard.publish(news.clone(), data);
    }
    assert_eq!(replayed(&mut shard), 1);
    // And back to what holds for all.
    shard.broker.topic_mut(&news).set_retention(shard.now, None).unwrap();
    for data in ["f", "g"] {
        shard.publish(news.clone(), data);
    }
    assert_eq!(replayed(&mut shard), 3);
    shard.sleep(secs(300));
    assert_eq!(replayed(&mut shard), 0);
}

#[test]
fn a_shorter_age_takes_effect_at_its_own_deadline() {
    let mut shard = Shard::new(config());
    let news = topic("news");
    shard.publish(news.clone(), "a");
    let retention = Retention {
        events: 10.try_into().unwrap(),
        bytes: 1_000.try_into().unwrap(),
        age: Some(secs(10)),
        compact: false,
    };
    shard.broker.topic_mut(&news).set_retention(shard.now, Some(retention)).unwrap();
    assert_eq!(shard.broker.poll_timeout(), Some(shard.now + secs(10)));
    let longer = Retention { age: Some(secs(20)), ..retention };
    shard.broker.topic_mut(&news).set_retention(shard.now, Some(longer)).unwrap();
    let kept = |shard: &mut Shard| {
        let request = after("e-0").with_topic(topic("news"));
        shard.broker.open(shard.now, request).unwrap().resumption
            == Resumption::Complete { replayed: 1 }
    };
    shard.sleep(just_before(secs(20)));
    assert!(kept(&mut shard));
    shard.sleep(TICK);
    assert!(!kept(&mut shard));
}

#[test]
fn a_session_alone_is_behind_by_what_is_kept_for_it() {
    let mut shard = Shard::new(three(LagPolicy::SkipToOldest));
    let session = shard.parked(anyone());
    shard.events();
    for number in 0..10 {
        shard.apply(session, &format!("{number}"));
    }
    assert_eq!(shard.data(session), ["7", "8", "9"]);
    assert_eq!(shard.events(), [skipped(session, 7)]);
    // What it took makes room.
    for round in 0..5 {
        for _ in 0..3 {
            shard.publish(session, "x");
        }
        assert_eq!(shard.data(session).len(), 3, "round {round}");
    }
    assert_eq!(shard.events(), []);
}

/// 990 of 1,000 sessions read what they have when they are woken, and ten never do.
fn stalled_among_many(lag: LagPolicy, events: u64) -> Shard {
    let mut config = config();
    config.retention = Retention {
        events: 500.try_into().unwrap(),
        bytes: (64 << 10).try_into().unwrap(),
        age: Some(secs(60)),
        compact: false,
    };
    config.session.lag = lag.into();
    let mut shard = Shard::new(config);
    let ids: Vec<_> = (0..1_000).map(|n| (shard.parked(anyone()), n % 100 == 0)).collect();
    shard.events();
    let mut got: std::collections::BTreeMap<SessionId, u64> =
        ids.iter().map(|(session, _)| (*session, 0)).collect();
    let mut batch = Batch::new(Framing::Plain);
    let mut asked_to_read = 0;
    let mut size = 0;
    let mut rng = Rng::new(9);
    let mut number = 0;
    while number < events {
        // One event or many at a time, never more than is kept.
        let burst = rng.pick(&[1, 20, 100]).min(events - number);
        let mut frames = String::new();
        for _ in 0..burst {
            number += 1;
            let data = format!("{number:0>80}");
            assert_eq!(shard.broadcast(&data), number);
            frames += &event_at(number, &data);
        }
        while let Some(session) = shard.broker.poll_ready() {
            let (_, never) = ids[ids.binary_search_by_key(&session, |(id, _)| *id).unwrap()];
            if never {
                asked_to_read += 1;
                continue;
            }
            let end = shard.broker.poll_transmit_batch(shard.now, session, 1 << 16, &mut batch);
            let count = got.get_mut(&session).unwrap();
            *count += batch.frames() as u64;
            assert!(
                *count == number && end == Filled::All && batch.as_slice() == frames.as_bytes(),
                "{session} got {:?} instead of what ends with event {number}",
                text(batch.as_slice())
            );
        }
        if size == 0 && number >= 1_000 {
            size = shard.size();
        }
    }
    assert_eq!(asked_to_read, 10, "each of them once");
    assert_eq!(got.values().filter(|count| **count == events).count(), 990);
    let grown = shard.size();
    assert!(grown < size + size / 50, "grew from {size} to {grown}");
    for (session, _) in ids.iter().filter(|(_, never)| *never) {
        let policy_met = match shard.next(*session) {
            Some(end) if lag == LagPolicy::Close => end == END,
            None => false,
            Some(frame) => lag != LagPolicy::Close && frame.contains(r#"{"stream":"gap","#),
        };
        assert!(policy_met);
    }
    shard
}

#[test]
fn sessions_that_never_read_harm_nobody_and_cost_nothing() {
    let mut shard = stalled_among_many(LagPolicy::Close, 10_000);
    let lost: Vec<_> = shard
        .events()
        .into_iter()
        .map(|event| match event {
            BrokerEvent::SessionEnded { reason: EndReason::Lagged { lost }, .. } => lost,
            other => panic!("{other:?}"),
        })
        .collect();
    // 64 KiB hold 582 to 595 such events, so that the count of 500 is the bound.
    assert_eq!(lost, [9_500; 10]);
    assert_eq!(shard.broker.counters().sessions, 990);
}

#[test]
fn sessions_that_never_read_may_skip_instead() {
    for (lag, lost) in [(LagPolicy::SkipToOldest, 1_500), (LagPolicy::SkipToNewest, 2_000)] {
        let mut shard = stalled_among_many(lag, 2_000);
        let events = shard.events();
        assert_eq!(events.len(), 10);
        for event in events {
            let BrokerEvent::SessionSkipped { lost: said, .. } = event else { panic!("{event:?}") };
            assert_eq!(said, lost);
        }
        assert_eq!(shard.broker.counters().sessions, 1_000);
    }
}

#[test]
fn an_event_is_given_back_to_memory_when_the_log_lets_it_go() {
    let mut shard = Shard::new(three(LagPolicy::Close));
    shard.parked(anyone());
    let first = shard.publish(Audience::Everyone, "a").frame().clone();
    let bytes = first.chunk().clone();
    drop(first);
    assert!(!bytes.is_unique(), "the log holds it too");
    for _ in 0..3 {
        shard.broker.publish(shard.now, Audience::Everyone, &Event::new("x")).unwrap();
    }
    assert!(bytes.is_unique(), "a session that stands still does not hold it");
}

#[test]
fn what_one_session_alone_has_taken_is_given_back_to_memory_at_its_next_poll() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    let bytes = shard.publish(session, "a").frame().chunk().clone();
    assert_eq!(shard.next(session), Some(event_at(1, "a")));
    assert!(!bytes.is_unique(), "a part of it may still be taken back");
    assert_eq!(shard.next(session), None);
    assert!(bytes.is_unique(), "nobody else will ever ask for it");
}
