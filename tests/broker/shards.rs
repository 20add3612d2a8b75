//! One stream over several shards is the same stream.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, LastEventId, LossReason};
use std::num::{NonZeroU16, NonZeroU32};

fn on(shard: u16) -> BrokerConfig {
    let mut config = config();
    config.shard = ShardNumber::new(shard, NonZeroU16::MAX).unwrap();
    config.retention.events = 20.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    config
}

#[test]
#[expect(clippy::too_many_lines, reason = "one arm for each operation, in two worlds")]
fn several_shards_give_the_same_streams_as_one() {
    let seed = seed(21);
    let mut rng = Rng::new(seed);
    for ids in [EventIds::Assigned, EventIds::Own] {
        let with_ids = |mut config: BrokerConfig| {
            config.event_ids = ids;
            config
        };
        let mut one = Shard::new(with_ids(on(9)));
        let mut many: Vec<_> = (0..3).map(|shard| Shard::new(with_ids(on(shard)))).collect();
        let mut sequencer = Sequencer::new(Epoch(0xe), 0, ids);
        // Pairs of the same session in both worlds, the second with its shard.
        let mut pairs: Vec<(SessionId, SessionId)> = Vec::new();
        for step in 0..3_000 {
            match rng.below(10) {
                0 if pairs.len() < 60 => {
                    let name = rng.below(6);
                    let mut request = anyone();
                    if rng.chance(50) {
                        request = request.with_client(client(&format!("client {name}")));
                    }
                    if rng.chance(50) {
                        request = request.with_topic(topic("news"));
                    }
                    request = match rng.below(4) {
                        0 => request,
                        1 => request.with_last_event_id(LastEventId::Malformed),
                        2 => request.with_last_event_id(LastEventId::Id(id("mine"))),
                        _ => {
                            let last = sequencer.last().saturating_sub(rng.below(30));
                            request.with_last_event_id(LastEventId::Id(id(&format!("e-{last}"))))
                        }
                    };
                    let alone = one.broker.open(one.now, request.clone()).unwrap();
                    // All sessions of a client live on one shard.
                    let shard = &mut many[usize::try_from(name % 3).unwrap()];
                    let split = shard.broker.open(shard.now, request).unwrap();
                    assert_eq!(alone.resumption, split.resumption, "seed {seed}, step {step}");
                    pairs.push((alone.session, split.session));
                }
                1..6 => {
                    let mut event = Event::new(format!("{step}"));
                    if rng.chance(10) {
                        event = event.with_id(id("mine"));
                    }
                    let (topic, shared_topic): (Audience, Audience) = match rng.below(4) {
                        0 => (Audience::Everyone, Audience::Everyone),
                        1 => (topic("news").into(), topic("news").into()),
                        2 => {
                            let to = client(&format!("client {}", rng.below(6)));
                            (to.clone().into(), to.into())
                        }
                        _ if !pairs.is_empty() => {
                            let (alone, split) = rng.pick(&pairs);
                            (alone.into(), split.into())
                        }
                        _ => continue,
                    };
                    // The publisher asks first where the addressee would be, and numbers then.
                    let alone = one.broker.publish(one.now, topic, &event);
                    let known = many
                        .iter()
                        .any(|shard| shard.broker.shard().check_publish(&shared_topic).is_ok());
                    assert_eq!(alone.is_ok(), known, "seed {seed}, step {step}");
                    if known {
                        let published = sequencer.publish(shared_topic, &event);
                        for shard in &mut many {
                            shard.broker.shard_mut().apply(shard.now, &published).unwrap();
                        }
                        let alone = alone.unwrap();
                        assert_eq!(alone.frame(), published.frame());
                        assert_eq!(alone.position(), published.position());
                        assert_eq!(alone.epoch(), published.epoch());
                    }
                }
                6 if !pairs.is_empty() && rng.chance(20) => {
                    let index = usize::try_from(rng.below(pairs.len() as u64)).unwrap();
                    let (alone, split) = pairs.swap_remove(index);
                    let shard = &mut many[usize::from(split.shard())];
                    if rng.chance(50) {
                        one.broker.handle_disconnect(one.now, alone);
                        shard.broker.handle_disconnect(shard.now, split);
                    } else {
                        one.broker.session_mut(alone).close(one.now);
                        shard.broker.session_mut(split).close(shard.now);
                        assert_eq!(one.take(alone), shard.take(split));
                    }
                }
                7 => {
                    let time = millis(rng.below(400));
                    one.sleep(time);
                    one.broker.handle_timeout(one.now);
                    for shard in &mut many {
                        shard.sleep(time);
                        shard.broker.handle_timeout(shard.now);
                    }
                }
                _ if !pairs.is_empty() => {
                    let (alone, split) = rng.pick(&pairs);
                    let shard = &mut many[usize::from(split.shard())];
                    assert_eq!(one.take(alone), shard.take(split), "seed {seed}, step {step}");
                }
                _ => {}
            }
        }
        for (alone, split) in pairs {
            let shard = &mut many[usize::from(split.shard())];
            assert_eq!(one.take(alone), shard.take(split), "seed {seed}");
        }
        assert!(sequencer.last() > 500);
    }
}

#[test]
fn an_applied_event_is_the_published_one_without_another_copy() {
    let mut first = Shard::new(on(0));
    let mut second = Shard::new(on(1));
    let session = second.parked(anyone());
    let published = first.publish(Audience::Everyone, "x");
    second.broker.shard_mut().apply(second.now, &published).unwrap();
    assert_eq!(second.ready(), [session]);
    let Some(Transmit::Frame(frame)) = second.broker.poll_transmit(second.now, session) else {
        panic!("nothing came");
    };
    assert_eq!(frame.chunk().as_ptr(), published.frame().chunk().as_ptr());
    assert_eq!(second.broker.shard().last_position(), 1);
}

#[test]
fn what_is_for_somebody_elsewhere_still_counts() {
    let mut first = Shard::new(on(0));
    let mut second = Shard::new(on(1));
    let alice = first.parked(session_of("alice"));
    let other = second.parked(anyone());
    for published in [first.publish(alice, "a"), first.publish(client("alice"), "b")] {
        second.broker.shard_mut().apply(second.now, &published).unwrap();
    }
    assert_eq!((second.ready(), second.next(other)), (vec![], None));
    assert_eq!(second.broker.shard().last_position(), 2);
    // So that an id from there is valid here.
    let opened = second.broker.open(second.now, after("e-2")).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 0 });
}

#[test]
fn an_eviction_for_another_shard_ends_nothing() {
    let shards = [0, 1].map(|number| {
        let mut config = on(number);
        config.limits.sessions.most = NonZeroU32::MIN;
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        Shard::new(config)
    });
    let [mut here, mut there] = shards;
    let session = there.parked(anyone());
    let mut census = Census::default();
    census.add(1, there.broker.shard().occupancy(&anyone()));
    let eviction = here.broker.shard().eviction_for(here.now, &anyone(), &census).unwrap();
    assert_eq!(eviction.shard(), 1);
    let opened = here.broker.shard_mut().open(here.now, anyone(), &Census::default()).unwrap();
    here.broker.shard_mut().evict(here.now, eviction.clone());
    assert!(here.broker.session(opened.session).is_open(), "it is for the other shard");
    there.broker.shard_mut().evict(there.now, eviction);
    assert!(!there.broker.session(session).is_open());
}

#[test]
fn no_event_is_published_after_the_last_position() {
    let mut shard = Shard::new(on(0));
    let session = shard.parked(anyone());
    let mut sequencer = Sequencer::new(Epoch(0xe), u64::MAX - 1, EventIds::Assigned);
    let last = sequencer.publish(Audience::Everyone, &Event::new("last"));
    shard.broker.shard_mut().apply(shard.now, &last).unwrap();
    let refused = Err(PublishError::OutOfOrder { last: u64::MAX });
    let event = Event::new("one too many");
    assert_eq!(shard.broker.publish(shard.now, Audience::Everyone, &event).map(|_| ()), refused);
    let topic = topic("room");
    assert_eq!(shard.broker.topic_mut(&topic).end(shard.now).map(|_| ()), refused);
    let before = gap_at(u64::MAX - 1, 0, None, LossReason::Log);
    assert_eq!(shard.take(session), [before, event_at(u64::MAX, "last")]);
}

#[test]
fn what_comes_twice_or_late_or_from_elsewhere_is_refused() {
    let mut shard = Shard::new(on(0));
    let session = shard.parked(anyone());
    let mut sequencer = Sequencer::new(Epoch(0xe), 10, EventIds::Assigned);
    let first = sequencer.publish(Audience::Everyone, &Event::new("a"));
    let second = sequencer.publish(Audience::Everyone, &Event::new("b"));
    shard.broker.shard_mut().apply(shard.now, &second).unwrap();
    for late in [&first, &second] {
        let refused = shard.broker.shard_mut().apply(shard.now, late);
        assert_eq!(refused, Err(PublishError::OutOfOrder { last: 12 }));
    }
    let foreign = Sequencer::new(Epoch(0xf), 20, EventIds::Assigned)
        .publish(Audience::Everyone, &Event::new("c"));
    assert_eq!(shard.broker.shard_mut().apply(shard.now, &foreign), Err(PublishError::OtherEpoch));
    let before = gap_at(11, 0, None, LossReason::Log);
    assert_eq!(shard.take(session), [before, event_at(12, "b")]);
    // The broker's own numbering goes on after what it was told.
    assert_eq!(shard.broadcast("d"), 13);
    shard.broker.close(shard.now);
    let third = sequencer.publish(Audience::Everyone, &Event::new("e"));
    assert_eq!(shard.broker.shard_mut().apply(shard.now, &third), Err(PublishError::Closed));
}

#[test]
fn an_event_of_a_topic_that_is_one_too_many_is_not_kept_and_a_session_that_asks_for_it_is_told() {
    let mut config = on(0);
    config.limits.topics = 0;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone().with_topic(topic("a")));
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    let published = sequencer.publish(topic("b").into(), &Event::new("x"));
    assert_eq!(shard.broker.shard_mut().apply(shard.now, &published), Ok(()));
    assert_eq!(shard.broker.shard().last_position(), 1);
    shard.broker.handle_disconnect(shard.now, session);
    let opened = shard.broker.open(shard.now, after("e-0").with_topic(topic("b"))).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 0 });
}

#[test]
fn what_was_refused_may_be_applied_once_there_is_room() {
    let mut shard = Shard::new(on(0));
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    let published = sequencer.publish(topic("b").into(), &Event::new("x".repeat(100)));
    let retention = Retention {
        events: 10.try_into().unwrap(),
        bytes: 50.try_into().unwrap(),
        age: None,
        compact: false,
    };
    shard.broker.topic_mut(&topic("b")).set_retention(shard.now, Some(retention)).unwrap();
    let refused = shard.broker.shard_mut().apply(shard.now, &published);
    assert!(matches!(refused, Err(PublishError::TooLarge { .. })), "{refused:?}");
    assert_eq!(shard.broker.shard().last_position(), 0, "nothing was done");
    shard.broker.topic_mut(&topic("b")).set_retention(shard.now, None).unwrap();
    assert_eq!(shard.broker.shard_mut().apply(shard.now, &published), Ok(()));
    let opened = shard.broker.open(shard.now, after("e-0").with_topic(topic("b"))).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 1 });
}

#[test]
fn a_session_that_is_being_closed_gets_nothing_more_from_elsewhere() {
    let mut shard = Shard::new(on(0));
    let session = shard.parked(anyone());
    shard.publish(session, "before");
    shard.broker.session_mut(session).close(shard.now);
    let mut sequencer = Sequencer::new(Epoch(0xe), 1, EventIds::Assigned);
    let published = sequencer.publish(session.into(), &Event::new("after"));
    shard.broker.shard_mut().apply(shard.now, &published).unwrap();
    shard.events();
    assert_eq!(shard.data(session), ["before", END]);
    let reason = EndReason::Closed;
    let ended = BrokerEvent::SessionEnded { session, client: None, reason, undelivered: 0 };
    assert_eq!(shard.events(), [ended]);
}

#[test]
fn a_session_of_another_shard_is_nobody_here() {
    let mut here = Shard::new(on(0));
    let mut there = Shard::new(on(1));
    let mine = here.parked(session_of("alice"));
    let theirs = there.parked(session_of("bob"));
    assert_ne!(mine, theirs);
    assert_eq!((mine.shard(), theirs.shard()), (0, 1));
    here.events();
    assert_eq!(here.take(theirs), [END]);
    assert_eq!(here.batch(theirs, 100, Framing::Chunked).1, Filled::Ended(None));
    assert!(!here.broker.session_mut(theirs).close(here.now));
    here.broker.handle_disconnect(here.now, theirs);
    assert_eq!(here.broker.session(theirs).client(), None);
    let refused = here.broker.publish(here.now, theirs, &Event::new("x"));
    assert_eq!(refused, Err(PublishError::UnknownSession));
    // A batch from there is not taken back here.
    there.publish(theirs, "a");
    there.publish(theirs, "b");
    here.publish(mine, "c");
    assert_eq!(here.data(mine), ["c"]);
    let (batch, _) = there.batch(theirs, 1 << 16, Framing::Plain);
    let rest = here.broker.handle_partial_write(here.now, mine, &batch, 1);
    assert_eq!(rest, batch.as_slice()[1..]);
    assert_eq!(here.data(mine), [""; 0]);
    assert_eq!(here.events(), []);
    assert_eq!(here.broker.counters().sessions, 1);
}

#[test]
fn with_its_engine_outside_a_stream_goes_on_after_a_restart() {
    // The engine remembers the epoch, the position and the newest events; a new broker is fed.
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    let events: Vec<_> =
        ["a", "b", "c"].map(|data| sequencer.publish(Audience::Everyone, &Event::new(data))).into();
    let mut shard = Shard::new(on(0));
    for published in &events {
        shard.broker.shard_mut().apply(shard.now, published).unwrap();
    }
    let opened = shard.broker.open(shard.now, after("e-1")).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 2 });
    assert_eq!(shard.data(opened.session), ["b", "c"]);
}

#[test]
fn a_position_that_was_left_out_is_a_gap_to_a_session_that_resumes_from_before_it() {
    // A shard that joins a stream late, or whose engine has forgotten the beginning.
    let mut sequencer = Sequencer::new(Epoch(0xe), 4, EventIds::Assigned);
    let mut shard = Shard::new(on(0));
    let published = sequencer.publish(Audience::Everyone, &Event::new("five"));
    shard.broker.shard_mut().apply(shard.now, &published).unwrap();
    let resume = |shard: &mut Shard, request: SessionConfig, last: &str| {
        let request = request.with_last_event_id(LastEventId::Id(id(last)));
        shard.broker.open(shard.now, request).unwrap().resumption
    };
    assert_eq!(resume(&mut shard, anyone(), "e-0"), Resumption::Gap { replayed: 1 });
    assert_eq!(resume(&mut shard, anyone(), "e-3"), Resumption::Gap { replayed: 1 });
    assert_eq!(resume(&mut shard, anyone(), "e-4"), Resumption::Complete { replayed: 1 });
    // Nobody knows for whom it was: it may have been for a topic or a client.
    let request = session_of("alice").with_topic(topic("news"));
    assert_eq!(resume(&mut shard, request, "e-3"), Resumption::Gap { replayed: 1 });

    // One that was refused here, though others took it.
    let refused = sequencer.publish(topic("news").into(), &Event::new("x".repeat(5_000_000)));
    assert!(shard.broker.shard_mut().apply(shard.now, &refused).is_err());
    let published = sequencer.publish(Audience::Everyone, &Event::new("seven"));
    shard.broker.shard_mut().apply(shard.now, &published).unwrap();
    assert_eq!(resume(&mut shard, anyone(), "e-5"), Resumption::Gap { replayed: 1 });
    assert_eq!(resume(&mut shard, anyone(), "e-6"), Resumption::Complete { replayed: 1 });
}

#[test]
fn a_shard_rebuilt_from_its_history_tells_clients_of_what_it_cannot_know() {
    let mut old = Shard::new(config());
    old.open(session_of("alice"));
    let history = [
        old.publish(Audience::Everyone, "to all"),
        old.publish(client("alice"), "to alice"),
        old.publish(Audience::Everyone, "to all again"),
    ];
    let mut new = Shard::new(config());
    for published in &history {
        new.broker.shard_mut().apply(new.now, published).unwrap();
    }
    let mut resume = |request: SessionConfig| new.broker.open(new.now, request).unwrap().resumption;
    let alice = |last| after(last).with_client(client("alice"));
    assert_eq!(resume(alice("e-1")), Resumption::Gap { replayed: 1 });
    assert_eq!(resume(alice("e-2")), Resumption::Complete { replayed: 1 });
    assert_eq!(resume(after("e-0")), Resumption::Complete { replayed: 2 });
}
