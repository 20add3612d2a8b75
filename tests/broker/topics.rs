//! Topics with levels, and patterns of them: what matches, once and in order, and what is resumed.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;
use std::time::Duration;

fn pattern(text: &str) -> TopicPattern {
    TopicPattern::new(text).unwrap()
}

fn matching(text: &str) -> SessionConfig {
    anyone().with_topic(pattern(text))
}

fn resume(shard: &mut Shard, request: SessionConfig) -> (Resumption, Vec<String>) {
    let opened = shard.broker.open(shard.now, request).unwrap();
    (opened.resumption, shard.data(opened.session))
}

#[test]
fn a_pattern_matches_level_by_level() {
    for (text, yes, no) in [
        ("*", &["a", "ä b"][..], &["a/b", "/a", "a/"][..]),
        ("a/*", &["a/b", "a/"], &["a", "a/b/c", "b/b", "aa/b"]),
        ("*/b", &["a/b", "/b"], &["b", "a/b/", "a/a/b"]),
        ("a/*/c", &["a/b/c", "a//c"], &["a/c", "a/b/b/c", "a/b/c/"]),
        ("**", &["a", "a/b", "/", "//"], &[]),
        ("a/**", &["a", "a/b", "a/b/c", "a/"], &["ab", "b/a", "/a"]),
        ("*/b/**", &["a/b", "a/b/c"], &["b", "a", "a/c/b"]),
        ("/**", &["/a", "/a/b", "/"], &["a"]),
    ] {
        for name in yes {
            assert!(pattern(text).matches(&topic(name)), "{text} and {name}");
        }
        for name in no {
            assert!(!pattern(text).matches(&topic(name)), "{text} and {name}");
        }
    }
}

#[test]
fn names_and_patterns_that_cannot_be_are_refused_with_the_reason() {
    for (text, error) in [
        ("", NameError::Empty),
        ("a", NameError::NoWildcard),
        ("a/b*", NameError::Wildcard { position: 3 }),
        ("*a", NameError::Wildcard { position: 0 }),
        ("a/**/b", NameError::Wildcard { position: 2 }),
        ("***", NameError::Wildcard { position: 0 }),
        ("**/*", NameError::Wildcard { position: 0 }),
        ("a\n/*", NameError::Forbidden { position: 1, character: '\n' }),
    ] {
        assert_eq!(TopicPattern::new(text), Err(error), "{text:?}");
    }
    let levels = |count: usize| vec!["x"; count].join("/");
    assert!(TopicName::new(levels(MAX_LEVELS)).is_ok());
    let error = NameError::TooManyLevels { levels: MAX_LEVELS + 1 };
    assert_eq!(TopicName::new(levels(MAX_LEVELS + 1)), Err(error));
    assert_eq!(TopicPattern::new(levels(MAX_LEVELS) + "/*"), Err(error));
    assert_eq!(TopicFilter::new("/".repeat(MAX_LEVELS)), Err(error));
    let long = "a".repeat(MAX_NAME - 1);
    let error = NameError::TooLong { length: MAX_NAME + 1 };
    assert_eq!(TopicPattern::new(format!("{long}/*")), Err(error));
    assert!(TopicPattern::new(format!("{}/*", &long[1..])).is_ok());
    assert_eq!(TopicFilter::new("a/b").unwrap(), topic("a/b").into());
    assert_eq!(TopicFilter::new("a/*").unwrap(), pattern("a/*").into());
    assert_eq!(TopicFilter::new("a*"), Err(NameError::Wildcard { position: 1 }));
}

#[test]
fn a_session_with_a_pattern_gets_what_matches_in_the_order_of_publishing() {
    let mut shard = Shard::new(config());
    let session = shard.parked(matching("news/*"));
    for (name, data) in [("news/uk", "a"), ("news/fr", "b"), ("news/uk/x", "no"), ("news/uk", "c")]
    {
        shard.publish(topic(name), data);
    }
    shard.broadcast("d");
    shard.publish(topic("news/de"), "e");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["a", "b", "c", "d", "e"]);
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_pattern_matches_neither_the_broadcast_nor_what_is_for_others_alone() {
    let mut shard = Shard::new(config());
    let other = shard.parked(session_of("alice"));
    let session = shard.parked(matching("**").topics_only());
    shard.broadcast("a");
    shard.publish(client("alice"), "b");
    shard.publish(other, "c");
    assert_eq!(shard.ready(), [other]);
    assert_eq!(shard.data(session), [""; 0]);
}

#[test]
fn what_matches_several_subscriptions_comes_once() {
    let mut shard = Shard::new(config());
    let request = || {
        matching("a/*").with_topic(pattern("**")).with_topic(topic("a/b")).with_topic(topic("c"))
    };
    let session = shard.parked(request());
    let position = shard.publish(topic("a/b"), "1").position();
    shard.publish(topic("c"), "2");
    shard.publish(topic("a/d"), "3");
    shard.publish(topic("e"), "4");
    assert_eq!(shard.ready(), [session]);
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    assert_eq!((batch.frames(), end), (4, Filled::All));
    // Also when it was taken back, and when it is replayed, of which each is counted once.
    let first = event_at(position, "1").len();
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, first + 1);
    assert_eq!(text(&rest), event_at(position + 1, "2")[1..]);
    assert_eq!(shard.data(session), ["3", "4"]);
    let (outcome, data) = resume(&mut shard, request().with_last_event_id(after_id(position - 1)));
    assert_eq!(outcome, Resumption::Complete { replayed: 4 });
    assert_eq!(data, ["1", "2", "3", "4"]);
}

fn after_id(position: u64) -> sansse::LastEventId {
    sansse::LastEventId::Id(id(&format!("e-{position}")))
}

#[test]
fn resuming_covers_topics_that_came_to_be_in_the_meantime() {
    let mut shard = Shard::new(config());
    shard.publish(topic("room/1"), "a");
    let session = shard.parked(matching("room/*"));
    let last = shard.publish(topic("room/1"), "b").position();
    assert_eq!(shard.data(session), ["b"]);
    shard.broker.handle_disconnect(shard.now, session);
    shard.publish(topic("room/2"), "c");
    shard.publish(topic("room/1"), "d");
    shard.publish(topic("other"), "no");
    let (outcome, data) = resume(&mut shard, matching("room/*").with_last_event_id(after_id(last)));
    assert_eq!((outcome, data), (Resumption::Complete { replayed: 2 }, strings(&["c", "d"])));
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

#[test]
fn an_event_of_a_matching_topic_that_is_gone_is_a_gap() {
    let mut shard = Shard::new(config());
    let short = Retention { events: 1.try_into().unwrap(), ..config().retention };
    shard.broker.topic_mut(&topic("room/short")).set_retention(shard.now, Some(short)).unwrap();
    let watcher = shard.parked(matching("room/*"));
    shard.publish(topic("room/short"), "lost");
    shard.publish(topic("room/long"), "a");
    shard.publish(topic("room/short"), "b");
    let resumed = resume(&mut shard, matching("room/*").with_last_event_id(after_id(0)));
    assert_eq!(resumed, (Resumption::Gap { replayed: 2 }, strings(&["a", "b"])));
    let resumed = resume(&mut shard, matching("room/*").with_last_event_id(after_id(1)));
    assert_eq!(resumed, (Resumption::Complete { replayed: 2 }, strings(&["a", "b"])));
    // It is the same when the pattern was in use by nobody in between.
    shard.broker.handle_disconnect(shard.now, watcher);
    let resumed = resume(&mut shard, matching("*/*").with_last_event_id(after_id(0)));
    assert_eq!(resumed, (Resumption::Gap { replayed: 2 }, strings(&["a", "b"])));
}

#[test]
fn a_matching_topic_that_was_forgotten_is_a_gap() {
    let mut config = config();
    config.retention.age = Some(secs(10));
    let mut shard = Shard::new(config);
    let position = shard.publish(topic("room/1"), "gone").position();
    shard.sleep(secs(60));
    assert_eq!(shard.broker.shard().check_publish(&topic("room/1").into()), Ok(()));
    let request = matching("room/*").with_last_event_id(after_id(position - 1));
    assert_eq!(resume(&mut shard, request).0, Resumption::Gap { replayed: 0 });
    let request = matching("room/*").with_last_event_id(after_id(position));
    assert_eq!(resume(&mut shard, request).0, Resumption::Complete { replayed: 0 });
}

#[test]
fn what_was_gone_before_a_session_began_is_no_loss_to_it() {
    let mut shard = Shard::new(config());
    let short = Retention { events: 1.try_into().unwrap(), ..config().retention };
    let keeper = shard.parked(matching("room/*"));
    shard.broker.topic_mut(&topic("room/short")).set_retention(shard.now, Some(short)).unwrap();
    shard.publish(topic("room/long"), "a");
    shard.publish(topic("room/short"), "gone");
    shard.publish(topic("room/long"), "b");
    shard.publish(topic("room/short"), "c");
    let opened = shard.broker.open(shard.now, matching("room/*").with_last_event_id(after_id(0)));
    let opened = opened.unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 3 });
    assert_eq!(shard.data(opened.session), ["a", "b", "c"]);
    assert!(shard.broker.session(opened.session).is_open());
    // It is one to who was there and did not take it.
    assert_eq!(shard.data(keeper), [END]);
    let lost = shard.events().into_iter().find_map(|event| match event {
        BrokerEvent::SessionEnded { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(lost, Some(EndReason::Lagged { lost: 1 }));
}

#[test]
fn a_laggard_that_skips_gets_all_that_is_kept_around_what_is_gone() {
    let mut shard = Shard::new(config());
    let short = Retention { events: 1.try_into().unwrap(), ..config().retention };
    shard.broker.topic_mut(&topic("room/short")).set_retention(shard.now, Some(short)).unwrap();
    let session = shard.parked(matching("room/*").with_lag(LagPolicy::SkipToOldest));
    for data in ["a", "c", "e"] {
        shard.publish(topic("room/long"), data);
        shard.publish(topic("room/short"), "gone");
    }
    shard.publish(topic("room/short"), "f");
    shard.events();
    // Batches stop where something is missing, and go on behind it.
    let mut data = Vec::new();
    loop {
        let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
        data.push(text(batch.as_slice()).matches("data: ").count());
        if end == Filled::All {
            break;
        }
    }
    assert_eq!(data, [2, 1, 1, 1], "with what is told of the gap");
    let skipped = BrokerEvent::SessionSkipped { session, client: None, lost: 3 };
    assert_eq!(shard.events(), [skipped]);
}

#[test]
fn an_own_id_is_found_through_a_pattern() {
    let mut shard = Shard::new(config());
    let event = |data: &'static str, own: &str| Event::new(data).with_id(id(own));
    for (name, data, own) in [("a/1", "x", "one"), ("a/2", "y", "two"), ("a/1", "z", "three")] {
        shard.broker.publish(shard.now, topic(name), &event(data, own)).unwrap();
    }
    let request = matching("a/*").with_last_event_id(sansse::LastEventId::Id(id("one")));
    let resumed = resume(&mut shard, request);
    assert_eq!(resumed, (Resumption::Complete { replayed: 2 }, strings(&["y", "z"])));
}

#[test]
fn subscribed_topics_and_patterns_count_together_and_limits_are_errors() {
    let mut config = config();
    config.limits.topics = 1;
    config.limits.subscribed_topics = 2;
    config.limits.topics_per_session = 2;
    let mut shard = Shard::new(config);
    let request = matching("a/*").with_topic(topic("b")).with_topic(topic("b"));
    let session = shard.open(request.clone());
    let error = shard.broker.open(shard.now, request.with_topic(pattern("c/*"))).unwrap_err();
    assert_eq!(error, OpenError::TooManyTopicsOfSession { limit: 2 });
    shard.publish(topic("c"), "x");
    let full = shard.broker.publish(shard.now, topic("d"), &Event::new("x"));
    assert_eq!(full.unwrap_err(), PublishError::TooManyTopics);
    assert_eq!(shard.broker.open(shard.now, matching("*")).unwrap_err(), OpenError::TooManyTopics);
    // A pattern that is in use already is no other.
    assert!(shard.broker.open(shard.now, matching("a/*")).is_ok());
    shard.broker.handle_disconnect(shard.now, session);
}

#[test]
fn an_event_that_no_topic_can_keep_is_lost_to_who_has_a_matching_pattern() {
    let mut config = config();
    config.limits.topics = 1;
    let mut shard = Shard::new(config);
    let session = shard.parked(matching("a/*").with_lag(LagPolicy::SkipToOldest));
    shard.publish(topic("a/1"), "x");
    assert_eq!(shard.data(session), ["x"]);
    let mut elsewhere = Sequencer::new(Epoch(0xe), 1, EventIds::Assigned);
    let published = elsewhere.publish(topic("a/2").into(), &Event::new("y"));
    assert_eq!(shard.broker.shard_mut().apply(shard.now, &published), Ok(()));
    assert_eq!(shard.ready(), [session]);
    shard.events();
    assert_eq!(shard.data(session), [""; 0]);
    let skipped = BrokerEvent::SessionSkipped { session, client: None, lost: 1 };
    assert_eq!(shard.events(), [skipped]);
    let request = matching("a/*").with_last_event_id(after_id(1));
    assert_eq!(resume(&mut shard, request).0, Resumption::Gap { replayed: 0 });
}

#[test]
fn topics_and_patterns_that_nobody_has_leave_nothing() {
    let mut config = config();
    config.retention.age = Some(secs(1));
    config.limits.unread_events = 100_000.try_into().unwrap();
    let mut shard = Shard::new(config);
    let round = |shard: &mut Shard, number: u64| {
        let session = shard.parked(matching(&format!("*/{number}/**")));
        shard.publish(topic(&format!("a/{number}/b")), "x");
        shard.take(session);
        shard.broker.handle_disconnect(shard.now, session);
        shard.sleep(millis(100));
        shard.events();
    };
    (0..1_000).for_each(|number| round(&mut shard, number));
    let size = shard.size();
    (1_000..3_000).for_each(|number| round(&mut shard, number));
    assert!(shard.size() < size + size / 5, "grew from {size} to {}", shard.size());
}

#[test]
fn what_a_pattern_refers_to_does_not_grow_while_its_topics_forget() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    // The oldest event stays, so that nothing can be dropped from the front.
    shard.publish(topic("a/old"), "stays");
    shard.parked(matching("a/*").with_lag(LagPolicy::SkipToNewest).with_heartbeat(None));
    for _ in 0..500 {
        shard.publish(topic("a/busy"), "x");
    }
    let size = shard.size();
    for _ in 0..5_000 {
        shard.publish(topic("a/busy"), "x");
    }
    assert!(shard.size() < size + size / 5, "grew from {size} to {}", shard.size());
}

/// A shard whose patterns refer to few events, with one event in each of so many topics.
fn with_few(limit: u32, topics: u64) -> Shard {
    let mut config = config();
    config.limits.pattern_events = limit.try_into().unwrap();
    let mut shard = Shard::new(config);
    (1..=topics)
        .for_each(|number| _ = shard.publish(topic(&format!("a/{number}")), &number.to_string()));
    shard
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_new_pattern_begins_with_the_newest_of_more_than_it_refers_to_and_tells_of_the_rest() {
    let mut shard = with_few(10, 50);
    let oldest = matching("**").with_start(StartAt::Oldest);
    let replayed = (Resumption::Oldest { replayed: 10 }, numbers(41..=50));
    assert_eq!(resume(&mut shard, oldest), replayed);
    for (position, expected) in [
        (39, (Resumption::Gap { replayed: 10 }, numbers(41..=50))),
        (40, (Resumption::Complete { replayed: 10 }, numbers(41..=50))),
        (47, (Resumption::Complete { replayed: 3 }, numbers(48..=50))),
    ] {
        let request = matching("**").with_last_event_id(after_id(position));
        assert_eq!(resume(&mut shard, request), expected, "after {position}");
    }
}

#[test]
fn a_pattern_with_few_topics_gets_all_that_they_keep_however_much_came_after() {
    let mut shard = Shard::new({
        let mut config = config();
        config.limits.pattern_events = 10.try_into().unwrap();
        config
    });
    (1..=3).for_each(|number| _ = shard.publish(topic("rare/one"), &number.to_string()));
    (0..100).for_each(|number| _ = shard.publish(topic(&format!("a/{}", number % 30)), "x"));
    let request = matching("rare/*").with_last_event_id(after_id(1));
    assert_eq!(resume(&mut shard, request), (Resumption::Complete { replayed: 2 }, numbers(2..=3)));
    // Too many topics may match this one to be looked through.
    let request = matching("*/one").with_last_event_id(after_id(1));
    assert_eq!(resume(&mut shard, request), (Resumption::Gap { replayed: 0 }, vec![]));
}

#[test]
fn a_laggard_with_a_pattern_is_told_of_what_the_pattern_gave_up() {
    let mut shard = with_few(10, 1);
    let session =
        shard.parked(matching("a/*").with_lag(LagPolicy::SkipToOldest).with_heartbeat(None));
    (2..=300)
        .for_each(|number| _ = shard.publish(topic(&format!("a/{number}")), &number.to_string()));
    let got = shard.data(session);
    let lost: u64 = shard
        .events()
        .into_iter()
        .map(|event| match event {
            BrokerEvent::SessionSkipped { lost, .. } => lost,
            _ => 0,
        })
        .sum();
    assert!(got.len() >= 10 && got.len() < 100, "{}", got.len());
    assert_eq!(got, numbers(301 - got.len() as u64..=300));
    assert_eq!(lost, 299 - got.len() as u64);
}

#[test]
fn the_patterns_that_refer_to_the_most_give_way_to_others() {
    let mut config = config();
    config.limits.retained_bytes = (1 << 20).try_into().unwrap();
    config.limits.unread_events = 100_000.try_into().unwrap();
    let mut shard = Shard::new(config);
    (0..3_000).for_each(|number| _ = shard.publish(topic(&format!("a/{number}/x")), "x"));
    let open = |shard: &mut Shard, text: &str| {
        let request = matching(text).with_start(StartAt::Oldest);
        shard.broker.open(shard.now, request).unwrap().resumption.replayed()
    };
    open(&mut shard, "a/7/*");
    let size = shard.size();
    for text in
        "a/*/x a/*/* a/*/** */*/x */*/* */*/** a/** */** ** a/*/x/** a/*/*/** */*/*/**".split(' ')
    {
        open(&mut shard, text);
    }
    assert!(shard.size() < size + (1 << 20), "grew from {size} to {}", shard.size());
    assert_eq!(open(&mut shard, "a/7/*"), 1, "one that refers to little loses nothing");
}

/// Also where so many names begin as the pattern does that not all of them are looked at.
#[test]
fn a_new_pattern_is_told_of_what_a_topic_that_is_empty_now_has_lost() {
    for limit in [4, 100] {
        let mut config = config();
        config.limits.pattern_events = limit.try_into().unwrap();
        config.session.stall_timeout = None;
        let mut shard = Shard::new(config);
        shard.parked(anyone().with_topic(topic("t/old")));
        shard.publish(topic("t/old"), "lost");
        shard.sleep(Duration::from_secs(200));
        for name in ["t/a", "t/b", "t/c"] {
            shard.publish(topic(name), "kept");
        }
        let names = (0..10).map(|number| topic(&format!("t/{number}")));
        shard.parked(names.fold(anyone(), SessionConfig::with_topic));
        shard.sleep(Duration::from_secs(110));
        let request = matching("t/*").with_last_event_id(after_id(0));
        let (resumed, data) = resume(&mut shard, request);
        assert_eq!((resumed, data.len()), (Resumption::Gap { replayed: 3 }, 3), "limit {limit}");
    }
}
