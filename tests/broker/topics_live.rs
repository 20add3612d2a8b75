//! Subscribing and unsubscribing sessions that are open.

use crate::kit::broker::*;
use sansse::LastEventId;
use sansse::Notice;
use sansse::broker::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

impl Shard {
    fn subscribe(&mut self, session: SessionId, text: &str, start: StartAt) -> Resumption {
        self.broker.session_mut(session).subscribe(self.now, filter(text), start).unwrap()
    }

    fn unsubscribe(&mut self, session: SessionId, text: &str) -> bool {
        self.broker.session_mut(session).unsubscribe(self.now, &filter(text))
    }
}

#[test]
fn a_parked_session_gets_what_is_published_after_it_subscribed_and_nothing_from_before() {
    for text in ["news/uk", "news/*"] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone());
        shard.publish(topic("news/uk"), "before");
        assert_eq!(shard.subscribe(session, text, StartAt::Now), Resumption::Live);
        assert_eq!((shard.ready(), shard.data(session)), (vec![], vec![]));
        shard.publish(topic("news/uk"), "after");
        assert_eq!(shard.ready(), [session]);
        assert_eq!(shard.data(session), ["after"]);
        assert_eq!(shard.broker.session(session).topics().collect::<Vec<_>>(), [filter(text)]);
        assert!(shard.unsubscribe(session, text));
        shard.publish(topic("news/uk"), "later");
        assert_eq!((shard.ready(), shard.data(session)), (vec![], vec![]));
        assert!(!shard.unsubscribe(session, text), "there is none any more");
    }
}

#[test]
fn unsubscribing_acts_at_once_also_on_what_is_not_yet_sent() {
    let mut shard = Shard::new(config());
    let request = anyone().with_topic(topic("a")).with_topic(topic("b"));
    let session = shard.parked(request);
    shard.publish(topic("a"), "1");
    shard.publish(topic("b"), "2");
    assert!(shard.unsubscribe(session, "a"));
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["2"]);
    // Its id does not come out for what it no longer gets.
    shard.publish(topic("b"), "3");
    assert!(shard.unsubscribe(session, "b"));
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_topic_that_a_pattern_still_covers_goes_on_to_come() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("a/b")));
    shard.subscribe(session, "a/*", StartAt::Now);
    shard.publish(topic("a/b"), "1");
    assert!(shard.unsubscribe(session, "a/b"));
    assert_eq!(shard.data(session), ["1"]);
    shard.publish(topic("a/b"), "2");
    assert_eq!(shard.data(session), ["2"]);
}

#[test]
fn a_batch_from_before_cannot_be_taken_back_into_another_subscription() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("a")));
    shard.publish(topic("a"), "1");
    shard.publish(topic("a"), "2");
    let (batch, _) = shard.batch(session, 1 << 16, Framing::Plain);
    shard.unsubscribe(session, "a");
    shard.subscribe(session, "b", StartAt::Now);
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
    assert_eq!(rest, batch.as_slice()[3..], "all of it is left to write");
    assert_eq!(shard.take(session), [""; 0]);
}

#[test]
fn from_a_place_what_is_kept_is_replayed_and_then_the_session_is_told_its_place() {
    let mut shard = Shard::new(config());
    shard.publish(topic("room/1"), "a");
    shard.publish(topic("room/2"), "b");
    let session = shard.parked(anyone());
    shard.broadcast("c");
    shard.take(session);
    let outcome = shard.subscribe(session, "room/*", StartAt::Oldest);
    assert_eq!(outcome, Resumption::Oldest { replayed: 2 });
    assert_eq!(shard.ready(), [session]);
    let frames = shard.take(session);
    let place = told_at(3, Notice::Place);
    assert_eq!(frames, [event_at(1, "a"), event_at(2, "b"), place.clone()]);

    let other = shard.parked(anyone());
    let outcome = shard.subscribe(other, "room/*", StartAt::After(id("e-1")));
    assert_eq!(outcome, Resumption::Complete { replayed: 1 });
    let (batch, end) = shard.batch(other, 1 << 16, Framing::Plain);
    assert_eq!(text(batch.as_slice()), event_at(2, "b") + &place);
    assert_eq!(end, Filled::All);
    // A place that was not written is told again.
    shard.broker.handle_partial_write(shard.now, other, &batch, 1);
    assert_eq!(shard.take(other), [place]);
    assert_eq!(shard.take(other), [""; 0]);
}

#[test]
fn what_the_session_had_already_is_not_replayed() {
    let mut shard = Shard::new(config());
    for (name, data) in [("a/1", "1"), ("a/2", "2"), ("a/1", "3"), ("a/2", "4")] {
        shard.publish(topic(name), data);
    }
    let session = shard.parked(anyone().with_topic(topic("a/1")));
    let outcome = shard.subscribe(session, "a/*", StartAt::Oldest);
    assert_eq!(outcome, Resumption::Oldest { replayed: 2 });
    shard.publish(topic("a/1"), "5");
    assert_eq!(shard.data(session), ["2", "4", "5"]);
    // Nor what a pattern covers.
    assert_eq!(
        shard.subscribe(session, "a/2", StartAt::Oldest),
        Resumption::Oldest { replayed: 0 }
    );
    assert_eq!(shard.data(session), [""; 0]);
}

#[test]
fn what_is_excluded_of_a_replay_is_no_loss_when_it_goes() {
    let mut shard = Shard::new(config());
    let short = Retention { events: 1.try_into().unwrap(), ..config().retention };
    shard.broker.topic_mut(&topic("a/1")).set_retention(shard.now, Some(short)).unwrap();
    shard.publish(topic("a/1"), "1");
    shard.publish(topic("a/2"), "2");
    let session = shard.parked(anyone().with_topic(topic("a/1")));
    shard.subscribe(session, "a/*", StartAt::Oldest);
    shard.publish(topic("a/1"), "3");
    assert_eq!(shard.data(session), ["2", "3"]);
    assert!(shard.broker.session(session).is_open());
}

#[test]
fn what_cannot_be_subscribed_is_an_error_and_changes_nothing() {
    let mut config = config();
    config.limits.subscribed_topics = 1;
    config.limits.topics_per_session = 2;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone().with_topic(topic("a")));
    let subscribe = |shard: &mut Shard, session, text: &str| {
        shard.broker.session_mut(session).subscribe(shard.now, filter(text), StartAt::Now)
    };
    assert_eq!(subscribe(&mut shard, session, "a"), Ok(Resumption::Live), "it has that already");
    shard.publish(topic("b"), "x");
    for text in ["c", "c/*"] {
        assert_eq!(subscribe(&mut shard, session, text), Err(SubscribeError::TooManyTopics));
    }
    assert_eq!(subscribe(&mut shard, session, "b"), Ok(Resumption::Live));
    let limit = SubscribeError::TooManyTopicsOfSession { limit: 2 };
    assert_eq!(subscribe(&mut shard, session, "*"), Err(limit));
    // A place that was left can be taken again.
    assert!(shard.unsubscribe(session, "a"));
    assert_eq!(subscribe(&mut shard, session, "*"), Ok(Resumption::Live));
    assert_eq!(shard.broker.session(session).topics().count(), 2);
    shard.broker.session_mut(session).close(shard.now);
    let unknown = Err(SubscribeError::UnknownSession);
    assert_eq!(subscribe(&mut shard, session, "b"), unknown, "it is about to end");
    shard.take(session);
    assert_eq!(subscribe(&mut shard, session, "b"), unknown);
    assert!(!shard.unsubscribe(session, "b"));
}

#[test]
fn subscriptions_that_come_and_go_leave_nothing() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("stays")));
    let round = |shard: &mut Shard, number: u64| {
        let name = if number.is_multiple_of(2) { "t/*" } else { &format!("t/{}", number % 7) };
        shard.subscribe(session, name, StartAt::Now);
        shard.broker.publish(shard.now, topic("stays"), &sansse::Event::comment("x")).unwrap();
        shard.take(session);
        shard.unsubscribe(session, name);
    };
    let mut sizes = Vec::new();
    for rounds in [0..10_000, 10_000..30_000] {
        rounds.for_each(|number| round(&mut shard, number));
        sizes.push(shard.size());
    }
    assert!(sizes[1] < sizes[0] + sizes[0] / 5, "{sizes:?}");
}

#[test]
fn a_session_starts_with_the_last_events_of_all_that_it_gets() {
    let mut shard = Shard::new(config());
    for (name, data) in [("quiet", "a"), ("chat", "b"), ("other", "c"), ("chat", "d")] {
        shard.publish(topic(name), data);
    }
    shard.broadcast("e");
    let request = || anyone().with_topic(topic("quiet")).with_topic(topic("chat"));
    for (count, expected) in [
        (0, vec![]),
        (1, vec!["e"]),
        (3, vec!["b", "d", "e"]),
        (4, vec!["a", "b", "d", "e"]),
        (u64::MAX - 1, vec!["a", "b", "d", "e"]),
        (u64::MAX, vec!["a", "b", "d", "e"]),
    ] {
        let opened =
            shard.broker.open(shard.now, request().with_start(StartAt::Last(count))).unwrap();
        assert_eq!(opened.resumption, Resumption::Last { replayed: expected.len() as u64 });
        assert_eq!(shard.data(opened.session), expected, "{count}");
    }
    // What it brings goes before that.
    let request =
        request().with_start(StartAt::Last(3)).with_last_event_id(LastEventId::from_header(b"e-4"));
    let opened = shard.broker.open(shard.now, request).unwrap();
    assert_eq!(opened.resumption, Resumption::Complete { replayed: 1 });
}

#[test]
fn what_several_subscriptions_match_is_one_of_the_last_events() {
    let mut shard = Shard::new(config());
    for data in ["a", "b", "c"] {
        shard.publish(topic("news/uk"), data);
    }
    let pattern = |text| TopicPattern::new(text).unwrap();
    let request = anyone()
        .with_topic(topic("news/uk"))
        .with_topic(pattern("news/*"))
        .with_topic(pattern("**"))
        .with_start(StartAt::Last(2));
    let opened = shard.broker.open(shard.now, request).unwrap();
    assert_eq!(opened.resumption, Resumption::Last { replayed: 2 });
    assert_eq!(shard.data(opened.session), ["b", "c"]);
}

#[test]
fn a_late_subscription_can_bring_its_last_events() {
    let mut shard = Shard::new(config());
    for data in ["a", "b", "c"] {
        shard.publish(topic("room"), data);
    }
    let session = shard.parked(anyone());
    let handle = shard.broker.session_mut(session);
    let outcome = handle.subscribe(shard.now, topic("room"), StartAt::Last(2)).unwrap();
    assert_eq!(outcome, Resumption::Last { replayed: 2 });
    assert_eq!(shard.data(session), ["b", "c"]);
    // The next event has the place that follows.
    shard.publish(topic("room"), "d");
    assert_eq!(shard.data(session), ["d"]);
}

#[test]
fn the_last_events_are_told_to_the_peer_and_counted() {
    let mut shard = Shard::new(config());
    shard.broadcast("a");
    shard.broadcast("b");
    let session = shard.open(anyone().with_start(StartAt::Last(1)));
    let opening = shard.next(session).unwrap();
    assert!(opening.contains("id: e-1\n"), "{opening}");
    assert!(opening.contains(r#""kept""#), "{opening}");
    assert_eq!(shard.broker.counters().resumed.last, 1);
}
