//! Sessions that are behind: keys of which only the newest matters, bounds, who chooses the policy,
//! and how a peer is told of what it lost.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, EventKey, LossReason, Notice};

fn key(text: &str) -> EventKey {
    EventKey::new(text).unwrap()
}

/// Publishes what is written as `key data`, or as `- data` without a key.
fn publish_all(shard: &mut Shard, topic: impl Into<Audience>, all: &[&str]) {
    let topic = topic.into();
    for text in all {
        let event = Event::new((*text).to_owned());
        let event = match text.split_once(' ').unwrap() {
            ("-", _) => event,
            (name, _) => event.with_key(key(name)),
        };
        shard.broker.publish(shard.now, topic.clone(), &event).unwrap();
    }
}

fn newest() -> SessionConfig {
    anyone().with_lag(LagPolicy::KeepNewestPerKey)
}

fn skipped(session: SessionId, lost: u64) -> BrokerEvent {
    BrokerEvent::SessionSkipped { session, client: None, lost }
}

fn superseded(session: SessionId, superseded: u64) -> BrokerEvent {
    BrokerEvent::SessionSuperseded { session, client: None, superseded }
}

fn keep(events: usize, compact: bool) -> Retention {
    Retention {
        events: events.try_into().unwrap(),
        bytes: (1 << 20).try_into().unwrap(),
        age: None,
        compact,
    }
}

#[test]
fn who_is_behind_gets_the_newest_of_each_key_in_the_order_of_publishing() {
    let mut shard = Shard::new(config());
    let [slow, usual] = [newest(), anyone()].map(|request| shard.parked(request));
    shard.events();
    let all = ["a 1", "b 1", "- x", "a 2", "c 1", "b 2", "- x", "a 3"];
    publish_all(&mut shard, Audience::Everyone, &all);
    assert_eq!(shard.data(slow), ["- x", "c 1", "b 2", "- x", "a 3"]);
    assert_eq!(shard.data(usual), all, "the policy is that of the other session alone");
    assert_eq!(shard.events(), [superseded(slow, 3)], "which is no loss");
}

#[test]
fn who_keeps_up_gets_everything() {
    let mut shard = Shard::new(config());
    let session = shard.parked(newest());
    shard.events();
    for text in ["a 1", "a 2", "a 3"] {
        publish_all(&mut shard, Audience::Everyone, &[text]);
        assert_eq!(shard.ready(), [session]);
        assert_eq!(shard.data(session), [text]);
    }
    assert_eq!(shard.events(), []);
}

#[test]
fn keys_are_those_of_one_topic() {
    let mut shard = Shard::new(config());
    let request = newest().with_client(client("alice")).with_topic(topic("one"));
    let session = shard.parked(request);
    let everywhere =
        [topic("one").into(), client("alice").into(), session.into(), Audience::Everyone];
    for round in 1..=2 {
        for topic in &everywhere {
            publish_all(&mut shard, topic.clone(), &[&format!("k {round}")]);
        }
    }
    assert_eq!(shard.data(session), ["k 2"; 4], "the newest in each of the four");
}

#[test]
fn a_batch_and_single_frames_spare_the_same_and_a_blocked_write_counts_nothing_twice() {
    let all = ["a 1", "b 1", "a 2", "b 2", "- 1", "a 3", "c 1", "a 4"];
    let left = ["b 2", "- 1", "c 1", "a 4"];
    let mut shard = Shard::new(config());
    let [one, other] = [(); 2].map(|()| shard.parked(newest()));
    shard.events();
    publish_all(&mut shard, Audience::Everyone, &all);
    assert_eq!(shard.data(one), left);
    let (batch, end) = shard.batch(other, 1 << 16, Framing::Plain);
    assert_eq!((batch.frames(), end), (left.len(), Filled::All));
    // Only a part of the first frame was taken, and more is published meanwhile.
    let rest = shard.broker.handle_partial_write(shard.now, other, &batch, 3);
    assert!(text(&rest).ends_with("b 2\n\n"));
    publish_all(&mut shard, Audience::Everyone, &["c 2"]);
    assert_eq!(shard.data(other), ["- 1", "a 4", "c 2"]);
    assert_eq!(shard.events(), [superseded(one, 4), superseded(other, 5)]);
}

#[test]
fn within_its_bounds_a_session_gets_everything_and_beyond_them_the_newest() {
    let mut shard = Shard::new(config());
    let session =
        shard
            .parked(anyone().with_lag(
                Lag::new(LagPolicy::KeepNewestPerKey).with_events(3.try_into().unwrap()),
            ));
    publish_all(&mut shard, Audience::Everyone, &["a 1", "a 2", "a 3"]);
    assert_eq!(shard.data(session), ["a 1", "a 2", "a 3"]);
    publish_all(&mut shard, Audience::Everyone, &["a 1", "b 1", "a 2", "a 3", "a 4", "- x"]);
    // Until it is within its bounds again.
    assert_eq!(shard.data(session), ["b 1", "a 3", "a 4", "- x"]);
}

#[test]
fn a_closing_session_gets_the_newest_that_was_there_when_it_was_closed() {
    let mut shard = Shard::new(config());
    let session = shard.parked(newest());
    publish_all(&mut shard, Audience::Everyone, &["a 1", "a 2"]);
    shard.broker.session_mut(session).close(shard.now);
    publish_all(&mut shard, Audience::Everyone, &["a 3"]);
    assert_eq!(shard.data(session), ["a 2", END]);
}

#[test]
fn a_session_that_keeps_the_newest_of_each_key_resumes_from_any_event_it_got() {
    let all = ["a 1", "b 1", "a 2", "c 1", "b 2", "a 3"];
    for (last, rest) in [
        ("e-0", &["c 1", "b 2", "a 3"][..]),
        ("e-4", &["b 2", "a 3"]),
        ("e-5", &["a 3"]),
        ("e-6", &[]),
    ] {
        let mut shard = Shard::new(config());
        publish_all(&mut shard, Audience::Everyone, &all);
        let request = after(last).with_lag(LagPolicy::KeepNewestPerKey);
        let opened = shard.broker.open(shard.now, request).unwrap();
        assert!(matches!(opened.resumption, Resumption::Complete { .. }), "{last}: {opened:?}");
        assert_eq!(shard.data(opened.session), rest, "{last}");
    }
}

#[test]
fn a_compact_log_lets_superseded_events_go_first_and_nobody_is_too_far_behind_by_that() {
    for lag in [LagPolicy::Close, LagPolicy::SkipToNewest, LagPolicy::KeepNewestPerKey] {
        let mut config = config();
        config.retention = keep(3, true);
        let mut shard = Shard::new(config);
        let session = shard.parked(anyone().with_lag(lag));
        shard.events();
        publish_all(&mut shard, Audience::Everyone, &["cold 1", "- x"]);
        for number in 0..1_000 {
            publish_all(&mut shard, Audience::Everyone, &[&format!("hot {number}")]);
        }
        assert_eq!(shard.data(session), ["cold 1", "- x", "hot 999"], "{lag:?}");
        assert_eq!(shard.events(), [superseded(session, 999)]);
        let opened = shard.broker.open(shard.now, after("e-1")).unwrap();
        assert_eq!(opened.resumption, Resumption::Complete { replayed: 2 }, "no gap");
        assert_eq!(shard.data(opened.session), ["- x", "hot 999"]);
    }
}

#[test]
fn a_compact_log_of_keys_that_come_in_any_order_keeps_the_newest_of_each() {
    let seed = seed(3);
    let mut rng = Rng::new(seed);
    let mut config = config();
    // Room for the newest of each, and for as much again in between.
    config.retention = keep(40, true);
    let mut shard = Shard::new(config);
    let mut expected = std::collections::BTreeMap::new();
    for number in 0..5_000 {
        let name = format!("key{}", rng.below(20));
        let text = format!("{name} {number}");
        publish_all(&mut shard, Audience::Everyone, &[&text]);
        expected.insert(name, (number, text));
        if number % 500 == 499 {
            let request = after("e-0").with_lag(LagPolicy::KeepNewestPerKey);
            let opened = shard.broker.open(shard.now, request).unwrap();
            assert!(
                matches!(opened.resumption, Resumption::Complete { .. }),
                "seed {seed}: {opened:?}"
            );
            let mut newest: Vec<_> = expected.values().cloned().collect();
            newest.sort_unstable();
            let newest: Vec<_> = newest.into_iter().map(|(_, text)| text).collect();
            assert_eq!(shard.data(opened.session), newest, "seed {seed}");
        }
    }
    let grown = shard.size();
    for number in 0..5_000 {
        publish_all(&mut shard, Audience::Everyone, &[&format!("key{} {number}", number % 20)]);
    }
    assert!(shard.size() < grown + grown / 4, "{grown} and then {}", shard.size());
}

#[test]
fn where_not_even_the_newest_of_each_key_has_room_the_loss_is_told() {
    let mut config = config();
    config.retention = keep(3, true);
    let mut shard = Shard::new(config);
    let session = shard.parked(newest());
    shard.events();
    publish_all(&mut shard, Audience::Everyone, &["a 1", "a 2", "b 1", "c 1", "d 1", "e 1"]);
    // "a 1" went as superseded, and "a 2" and "b 1" went after it: nobody remembers the difference.
    assert_eq!(shard.data(session), ["c 1", "d 1", "e 1"]);
    assert_eq!(shard.events(), [skipped(session, 3)]);
    let opened = shard.broker.open(shard.now, after("e-2")).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 3 });
}

#[test]
fn an_old_event_goes_by_its_age_though_it_is_the_newest_of_its_key() {
    let mut config = config();
    config.retention = Retention { age: Some(secs(10)), ..keep(3, true) };
    let mut shard = Shard::new(config);
    let session = shard.parked(newest());
    shard.events();
    publish_all(&mut shard, Audience::Everyone, &["a 1", "a 2", "b 1"]);
    shard.sleep(secs(5));
    publish_all(&mut shard, Audience::Everyone, &["b 2"]);
    shard.sleep(secs(5));
    assert_eq!(shard.data(session), ["b 2"]);
    // All of the first three are gone, and of one of them there is no newer one.
    assert_eq!(shard.events(), [skipped(session, 2), superseded(session, 1)]);
}

#[test]
fn a_bound_acts_before_the_retention_does() {
    let lag = |policy| Lag::new(policy).with_events(2.try_into().unwrap());
    let all = ["- 1", "- 2", "- 3", "- 4"];
    let expected: [(_, &[&str], _); 3] = [
        (LagPolicy::SkipToOldest, &["- 3", "- 4"], Some(2)),
        (LagPolicy::SkipToNewest, &[], Some(4)),
        (LagPolicy::Close, &[END], None),
    ];
    for (policy, data, skips) in expected {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone().with_lag(lag(policy)));
        shard.events();
        publish_all(&mut shard, Audience::Everyone, &all[..2]);
        assert_eq!(shard.data(session), &all[..2], "as far as the bound is not too far");
        publish_all(&mut shard, Audience::Everyone, &all);
        assert_eq!(shard.data(session), data);
        let events = shard.events();
        if let Some(lost) = skips {
            assert_eq!(events, [skipped(session, lost)]);
            continue;
        }
        let reason = EndReason::Lagged { lost: 0 };
        let client = None;
        let end = BrokerEvent::SessionEnded { session, client, reason, undelivered: 0 };
        assert_eq!(events, [end], "nothing is lost to a session that comes back");
        let opened = shard.broker.open(shard.now, after("e-2")).unwrap();
        assert_eq!(opened.resumption, Resumption::Complete { replayed: 4 });
    }
}

#[test]
fn bytes_bound_as_well_and_one_event_is_never_too_many() {
    let mut shard = Shard::new(config());
    let size = shard.publish(Audience::Everyone, "- 1").frame().chunk().len();
    let lag = Lag::new(LagPolicy::SkipToOldest).with_bytes((2 * size).try_into().unwrap());
    let session = shard.parked(anyone().with_lag(lag));
    shard.events();
    publish_all(&mut shard, Audience::Everyone, &["- 2", "- 3"]);
    assert_eq!(shard.data(session), ["- 2", "- 3"]);
    publish_all(&mut shard, Audience::Everyone, &["- 4", "- 5", "- 6"]);
    assert_eq!(shard.data(session), ["- 5", "- 6"]);
    assert_eq!(shard.events(), [skipped(session, 1)]);
    let large = format!("- {}", "x".repeat(3 * size));
    publish_all(&mut shard, Audience::Everyone, &[&large]);
    assert_eq!(shard.data(session), [&large[..]]);
    publish_all(&mut shard, Audience::Everyone, &["- 7", &large]);
    assert_eq!(shard.data(session), [&large[..]]);
    publish_all(&mut shard, Audience::Everyone, &[&large, "- 8"]);
    assert_eq!(shard.data(session), ["- 8"]);
}

#[test]
fn each_topic_is_behind_by_itself() {
    let mut shard = Shard::new(config());
    let lag = Lag::new(LagPolicy::SkipToOldest).with_events(1.try_into().unwrap());
    let session = shard.parked(anyone().with_topic(topic("other")).with_lag(lag));
    shard.events();
    publish_all(&mut shard, Audience::Everyone, &["- 1"]);
    publish_all(&mut shard, topic("other"), &["- 2", "- 3"]);
    assert_eq!(shard.data(session), ["- 1", "- 3"]);
    assert_eq!(shard.events(), [skipped(session, 1)]);
}

#[test]
fn the_session_chooses_before_the_topic_and_the_topic_before_the_broker() {
    let mut config = config();
    config.session.lag = Lag::new(LagPolicy::SkipToNewest).with_events(2.try_into().unwrap());
    let mut shard = Shard::new(config);
    let two = |policy| Lag::new(policy).with_events(2.try_into().unwrap());
    let prices = topic("prices");
    let set =
        |shard: &mut Shard, lag| shard.broker.topic_mut(&topic("prices")).set_lag(shard.now, lag);
    set(&mut shard, Some(two(LagPolicy::KeepNewestPerKey))).unwrap();
    let own = two(LagPolicy::SkipToOldest);
    let request = || anyone().with_topic(topic("prices"));
    let [topics, sessions] = [request(), request().with_lag(own)].map(|one| shard.parked(one));
    let all = ["a 1", "b 1", "a 2", "a 3"];
    publish_all(&mut shard, prices.clone(), &all);
    publish_all(&mut shard, Audience::Everyone, &all);
    assert_eq!(shard.data(topics), ["b 1", "a 2", "a 3"], "and nothing of the broadcast");
    assert_eq!(shard.data(sessions), ["a 2", "a 3", "a 2", "a 3"]);
    // And back to what holds for all.
    set(&mut shard, None).unwrap();
    publish_all(&mut shard, prices, &all);
    assert_eq!(shard.data(topics), [""; 0]);
}

#[test]
fn what_was_said_for_a_topic_is_remembered_where_nobody_listens() {
    let mut shard = Shard::new(config());
    let keeps = Lag::new(LagPolicy::KeepNewestPerKey);
    shard.broker.topic_mut(&topic("prices")).set_lag(shard.now, Some(keeps)).unwrap();
    shard.sleep(secs(10_000));
    let session = shard.parked(anyone().with_topic(topic("prices")));
    publish_all(&mut shard, topic("prices"), &["a 1", "a 2"]);
    assert_eq!(shard.data(session), ["a 2"]);
}

#[test]
fn a_peer_is_told_of_its_loss_before_the_first_event_after_the_hole() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let quiet = topic("quiet");
    let session = shard.parked(anyone().with_topic(quiet.clone()));
    publish_all(&mut shard, quiet.clone(), &["- 1"]);
    publish_all(&mut shard, Audience::Everyone, &["- 2", "- 3", "- 4", "- 5"]);
    publish_all(&mut shard, quiet, &["- 6"]);
    let told = gap_at(3, 0, 2, LossReason::Lag);
    let expected =
        [event_at(1, "- 1"), told, event_at(4, "- 4"), event_at(5, "- 5"), event_at(6, "- 6")];
    assert_eq!(shard.take(session), expected);
    // A session that has seen no more than that goes on right behind the hole.
    let again = after("e-3").with_topic(topic("quiet"));
    let opened = shard.broker.open(shard.now, again).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 3 });
}

#[test]
fn a_peer_that_skips_to_the_newest_is_told_at_once_and_resumes_from_there() {
    let mut shard = Shard::new(config());
    let lag = Lag::new(LagPolicy::SkipToNewest).with_events(2.try_into().unwrap());
    let session = shard.parked(anyone().with_lag(lag));
    publish_all(&mut shard, Audience::Everyone, &["- 1", "- 2", "- 3"]);
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [gap_at(3, 0, 3, LossReason::Lag)]);
    assert_eq!(shard.ready(), []);
    let opened = shard.broker.open(shard.now, after("e-3")).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 0 });
}

#[test]
fn what_tells_of_a_loss_begins_a_batch_and_so_is_never_taken_back() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone().with_topic(topic("quiet")));
    publish_all(&mut shard, topic("quiet"), &["- 1"]);
    publish_all(&mut shard, Audience::Everyone, &["- 2", "- 3", "- 4"]);
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    assert_eq!((text(batch.as_slice()), end), (event_at(1, "- 1"), Filled::More));
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    let told = gap_at(2, 0, 1, LossReason::Lag);
    let expected = [told.clone(), event_at(3, "- 3"), event_at(4, "- 4")].concat();
    assert_eq!((text(batch.as_slice()), end), (expected, Filled::All));
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 5);
    assert_eq!(text(&rest), told[5..]);
    assert_eq!(shard.take(session), [event_at(3, "- 3"), event_at(4, "- 4")]);
}

#[test]
fn a_session_may_be_told_nothing_where_the_others_are_and_without_ids_where_there_are_none() {
    let mut config = config();
    config.retention.events = 1.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    config.event_ids = EventIds::Own;
    let mut shard = Shard::new(config);
    let untold = shard.parked(anyone().with_notices(None));
    let told = shard.parked(anyone());
    publish_all(&mut shard, Audience::Everyone, &["- 1", "- 2"]);
    assert_eq!(shard.take(untold), ["data: - 2\n\n"]);
    let gap = Notice::Gap { replayed: 0, lost: Some(1), reason: LossReason::Lag };
    assert_eq!(shard.take(told), [crate::kit::broker::told(gap), "data: - 2\n\n".to_owned()]);
}

#[test]
fn what_is_superseded_is_no_loss_to_the_peer() {
    let mut shard = Shard::new(config());
    let session = shard.parked(newest());
    publish_all(&mut shard, Audience::Everyone, &["a 1", "a 2"]);
    assert_eq!(shard.take(session), [event_at(2, "a 2")]);
}

#[test]
fn no_topic_beyond_the_limit_is_made_for_a_lag() {
    let mut config = config();
    config.limits.topics = 0;
    let mut shard = Shard::new(config);
    let set = shard.broker.topic_mut(&topic("news")).set_lag(shard.now, Some(Lag::default()));
    assert_eq!(set, Err(TopicSettingError::TooManyTopics));
}

#[test]
fn a_key_reaches_another_shard_with_its_event() {
    let mut here = Shard::new(config());
    let mut there = Shard::new(config());
    let session = there.parked(newest());
    for (data, position) in [("1", 1), ("2", 2)] {
        let event = Event::new(data);
        let event = event.with_key(key("a"));
        let published = here.broker.publish(here.now, Audience::Everyone, &event).unwrap();
        assert_eq!(published.key(), Some(&key("a")));
        let sent = text(published.frame().as_ref());
        assert_eq!(sent, event_at(position, data), "and not over the wire");
        there.broker.shard_mut().apply(there.now, &published).unwrap();
    }
    assert_eq!(there.data(session), ["2"]);
}

#[test]
fn a_pattern_spares_by_the_keys_of_each_of_its_topics() {
    let mut config = config();
    config.retention = keep(2, true);
    let mut shard = Shard::new(config);
    let request = newest().with_topic(TopicPattern::new("price/*").unwrap());
    let session = shard.parked(request);
    shard.events();
    let [gold, tin] = ["price/gold", "price/tin"].map(topic);
    for number in 0..10 {
        for metal in [&gold, &tin] {
            publish_all(&mut shard, metal.clone(), &[&format!("bid {number}")]);
            publish_all(&mut shard, metal.clone(), &[&format!("ask {number}")]);
        }
    }
    assert_eq!(shard.data(session), ["bid 9", "ask 9", "bid 9", "ask 9"]);
    assert_eq!(shard.events(), [superseded(session, 36)], "nothing is lost");
}

#[test]
fn sessions_that_stand_still_grow_nothing_however_much_is_published() {
    let mut config = config();
    config.retention = keep(64, true);
    let mut shard = Shard::new(config);
    let sessions: Vec<_> = (0..50).map(|_| shard.parked(newest())).collect();
    let publish = |shard: &mut Shard, from: u64| {
        for number in from..from + 2_000 {
            let text = format!("key{:02} {number:06}", number % 10);
            publish_all(shard, Audience::Everyone, &[&text]);
        }
    };
    publish(&mut shard, 0);
    let size = shard.size();
    publish(&mut shard, 2_000);
    let grown = shard.size();
    assert!(grown < size + size / 20, "{size} and then {grown}");
    let newest: Vec<_> = (0..10).map(|key| format!("key{key:02} {:06}", 3_990 + key)).collect();
    for session in sessions {
        assert_eq!(shard.data(session), newest);
    }
}

#[test]
fn what_is_replayed_to_a_session_is_within_any_bounds() {
    let end: &[&str] = &[END];
    for (policy, rest) in [
        (LagPolicy::Close, end),
        (LagPolicy::SkipToOldest, &["h", "i"]),
        (LagPolicy::SkipToNewest, &[]),
    ] {
        let mut shard = Shard::new(config());
        for data in ["a", "b", "c", "d"] {
            shard.broadcast(data);
        }
        let lag = Lag::new(policy).with_events(2.try_into().unwrap());
        let session = shard.open(anyone().with_lag(lag).with_start(StartAt::Oldest));
        shard.broadcast("e");
        let (batch, _) = shard.batch(session, 1_000, Framing::Plain);
        // What comes back of a write is a replay as before.
        shard.broker.handle_partial_write(shard.now, session, &batch, 1);
        shard.broadcast("f");
        // The notice was at the front of it, and is whole.
        assert_eq!(shard.data(session), ["a", "b", "c", "d", "e", "f"], "{policy:?}");
        // From there on it is behind as any other.
        for data in ["g", "h", "i"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), rest, "{policy:?}");
    }
}

#[test]
fn what_is_published_during_a_replay_counts() {
    let mut shard = Shard::new(config());
    shard.broadcast("a");
    let lag = Lag::new(LagPolicy::Close).with_events(2.try_into().unwrap());
    let session = shard.open(anyone().with_lag(lag).with_start(StartAt::Oldest));
    for data in ["b", "c", "d"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.data(session), [END]);
}

#[test]
fn a_replay_of_a_topic_to_an_open_session_does_not_close_it() {
    let mut shard = Shard::new(config());
    for data in ["a", "b", "c", "d"] {
        shard.publish(topic("room"), data);
    }
    let session = shard
        .parked(anyone().with_lag(Lag::new(LagPolicy::Close).with_events(2.try_into().unwrap())));
    shard.broker.session_mut(session).subscribe(shard.now, topic("room"), StartAt::Oldest).unwrap();
    assert_eq!(shard.data(session), ["a", "b", "c", "d"]);
}

#[test]
fn what_waits_behind_a_replay_is_within_bounds_whatever_is_replayed() {
    for filter in ["shop/1", "shop/*"] {
        let mut shard = Shard::new(config());
        shard.publish(topic("shop/1"), "earlier");
        let session = shard.parked(anyone().with_topic(topic("room")));
        let bound = Lag::new(LagPolicy::Close).with_events(1.try_into().unwrap());
        shard.broker.topic_mut(&topic("room")).set_lag(shard.now, Some(bound)).unwrap();
        shard.publish(topic("room"), "a");
        shard.publish(topic("room"), "b");
        let filter = TopicFilter::new(filter).unwrap();
        shard.broker.session_mut(session).subscribe(shard.now, filter, StartAt::Oldest).unwrap();
        assert_eq!(shard.data(session), ["earlier", "a", "b"]);
        shard.publish(topic("room"), "c");
        shard.publish(topic("room"), "d");
        assert_eq!(shard.data(session), [END], "what comes later counts");
    }
}

#[test]
fn what_is_replayed_is_within_bounds_that_its_topic_is_given_later() {
    let bound = Some(Lag::new(LagPolicy::Close).with_events(2.try_into().unwrap()));
    let room = || SessionConfig::new().topics_only().with_topic(topic("room"));
    for is_live in [false, true] {
        let mut shard = Shard::new(config());
        for data in ["a", "b", "c", "d"] {
            shard.publish(topic("room"), data);
        }
        let session = if is_live {
            let session = shard.parked(anyone());
            shard
                .broker
                .session_mut(session)
                .subscribe(shard.now, topic("room"), StartAt::Oldest)
                .unwrap();
            session
        } else {
            shard.open(room().with_start(StartAt::Oldest))
        };
        shard.broker.topic_mut(&topic("room")).set_lag(shard.now, bound).unwrap();
        assert_eq!(shard.data(session), ["a", "b", "c", "d"]);
        for data in ["e", "f", "g"] {
            shard.publish(topic("room"), data);
        }
        assert_eq!(shard.data(session), [END]);
    }
}
