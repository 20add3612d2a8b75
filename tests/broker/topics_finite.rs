//! Topics that end, and sessions that end with them.

use super::kit::broker::has_ended;
use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LastEventId, LossReason, Notice};

/// A session of this topic alone.
fn only(name: &str) -> SessionConfig {
    anyone().topics_only().with_topic(topic(name))
}

impl Shard {
    fn end(&mut self, name: &str) -> u64 {
        self.broker.topic_mut(&topic(name)).end(self.now).unwrap().position()
    }

    fn refusal(&mut self, request: SessionConfig) -> OpenError {
        self.broker.open(self.now, request).unwrap_err()
    }
}

fn reason(events: &[BrokerEvent]) -> Option<EndReason> {
    events.iter().find_map(|event| match event {
        BrokerEvent::SessionEnded { reason, .. } => Some(*reason),
        _ => None,
    })
}

#[test]
fn a_parked_session_of_a_topic_that_ends_comes_out_and_ends() {
    let mut shard = Shard::new(config());
    let session = shard.parked(only("answer"));
    shard.end("answer");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [END]);
    assert_eq!(reason(&shard.events()), Some(EndReason::TopicsEnded));
    assert_eq!(shard.ready(), []);
}

#[test]
fn it_gets_what_is_left_before_its_end_and_the_end_waits_for_a_write() {
    let mut shard = Shard::new(config());
    let session = shard.parked(only("answer"));
    shard.publish(topic("answer"), "a");
    shard.publish(topic("answer"), "b");
    shard.end("answer");
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    assert_eq!((batch.frames(), end), (2, Filled::More), "what comes back can still be sent");
    shard.broker.handle_partial_write(shard.now, session, &batch, 1);
    assert_eq!(shard.data(session), ["b", END]);
}

#[test]
fn a_session_that_comes_back_gets_the_rest_and_then_is_told_that_there_is_no_more() {
    let mut shard = Shard::new(config());
    for data in ["a", "b", "c"] {
        shard.publish(topic("answer"), data);
    }
    let after = |last: &str| only("answer").with_last_event_id(LastEventId::Id(id(last)));
    let session = shard.open(after("e-1"));
    assert_eq!(shard.data(session), ["b", "c"]);
    shard.end("answer");
    assert_eq!(shard.data(session), [END]);
    let session = shard.open(after("e-2"));
    assert_eq!(shard.data(session), ["c", END]);
    assert_eq!(shard.refusal(after("e-3")), OpenError::TopicsEnded);
    // The place of the end itself is a place like any other.
    assert_eq!(shard.refusal(after("e-4")), OpenError::TopicsEnded);
    // Who brings no place wants what comes, of which there is nothing,
    assert_eq!(shard.refusal(only("answer")), OpenError::TopicsEnded);
    // and a page that was loaded again may ask for all.
    let reload = only("answer").with_start(StartAt::Oldest);
    let opened = shard.broker.open(shard.now, reload).unwrap();
    assert_eq!(opened.resumption, Resumption::Oldest { replayed: 3 });
    assert_eq!(shard.data(opened.session), ["a", "b", "c", END]);
}

#[test]
fn somebody_who_may_have_missed_something_is_told_so_before_the_end() {
    let mut config = config();
    config.retention.events = 1.try_into().unwrap();
    let mut shard = Shard::new(config);
    shard.publish(topic("answer"), "a");
    shard.publish(topic("answer"), "b");
    shard.end("answer");
    let forged = || only("answer").with_last_event_id(LastEventId::Id(id("other")));
    let told = shard.open(forged());
    let gap = gap_at(3, 0, None, LossReason::UnknownId);
    assert_eq!(shard.take(told), [gap, END.to_owned()]);
    let opened = shard.broker.open(shard.now, forged().with_start(StartAt::Oldest)).unwrap();
    assert_eq!(opened.resumption, Resumption::UnknownId { replayed: 1 });
    assert_eq!(shard.data(opened.session), ["b", END]);
}

/// A topic that has ended, and a client that got all of it but these events, and was away for so
/// long that it is forgotten, with what was published to it meanwhile.
fn with_somebody_forgotten(mut config: BrokerConfig, rest: &[&'static str]) -> Shard {
    config.client_grace = secs(1);
    let mut shard = Shard::new(config);
    let session = shard.parked(only("answer").with_client(client("alice")));
    let first = Event::new("a").with_id(id("mine"));
    shard.broker.publish(shard.now, topic("answer"), &first).unwrap();
    assert_eq!(shard.data(session), ["a"]);
    shard.broker.handle_disconnect(shard.now, session);
    shard.publish(client("alice"), "for alice");
    for data in rest {
        shard.publish(topic("answer"), data);
    }
    shard.end("answer");
    shard.sleep(secs(2));
    shard
}

#[test]
fn a_client_that_was_forgotten_is_told_of_what_it_may_have_missed_before_the_end() {
    let mut shard = with_somebody_forgotten(config(), &[]);
    let after = |last: &str| {
        let request = only("answer").with_client(client("alice"));
        request.with_last_event_id(LastEventId::Id(id(last)))
    };
    let opened = shard.broker.open(shard.now, after("mine")).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 0 });
    let gap = gap_at(3, 0, None, LossReason::Retention);
    assert_eq!(shard.take(opened.session), [gap, END.to_owned()]);
    assert_eq!(shard.refusal(after("e-3")), OpenError::TopicsEnded);
}

#[test]
fn a_client_that_was_forgotten_does_not_come_back_for_ever_for_what_it_does_not_get() {
    let mut config = config();
    config.event_ids = EventIds::Own;
    config.session.on_gap = OnGap::StartNow;
    let mut shard = with_somebody_forgotten(config, &["b"]);
    // It would start behind all that is left, and have no other place to come back from.
    let request = only("answer").with_client(client("alice"));
    let request = request.with_last_event_id(LastEventId::Id(id("mine")));
    assert_eq!(shard.refusal(request), OpenError::TopicsEnded);
}

#[test]
fn nobody_comes_back_for_ever_for_what_brings_no_id() {
    let after = |last: &str| only("answer").with_last_event_id(LastEventId::Id(id(last)));
    let comment = Event::comment("that was all");
    let mut shard = Shard::new(config());
    shard.publish(topic("answer"), "a");
    shard.broker.publish(shard.now, topic("answer"), &comment).unwrap();
    shard.end("answer");
    let session = shard.open(after("e-1"));
    let (begins, place) = (told_at(1, Notice::Complete { replayed: 1 }), told_at(3, Notice::Place));
    assert_eq!(shard.take(session), [&begins, ": that was all\n", &place, END]);
    assert_eq!(shard.refusal(after("e-3")), OpenError::TopicsEnded);

    // Where nobody can tell it a place, the comment alone is not worth it; nor is word of a gap.
    let mut own = config();
    own.event_ids = EventIds::Own;
    own.session.on_gap = OnGap::StartNow;
    let mut shard = Shard::new(own);
    let event = Event::new("a").with_id(id("mine"));
    shard.broker.publish(shard.now, topic("answer"), &event).unwrap();
    shard.broker.publish(shard.now, topic("answer"), &comment).unwrap();
    shard.end("answer");
    assert_eq!(shard.refusal(after("mine")), OpenError::TopicsEnded);
    assert_eq!(shard.refusal(after("other")), OpenError::TopicsEnded);
    let reload = shard.open(only("answer").with_start(StartAt::Oldest));
    assert_eq!(shard.data(reload), ["a", END]);
}

#[test]
fn a_session_goes_on_while_something_may_come() {
    let mut shard = Shard::new(config());
    let broadcast = shard.parked(anyone().with_topic(topic("answer")));
    let several = shard.parked(only("answer").with_topic(topic("other")));
    let matching = TopicPattern::new("answers/*").unwrap();
    let matching = shard.parked(only("answer").with_topic(matching));
    shard.end("answer");
    assert_eq!(shard.ready(), []);
    shard.publish(topic("other"), "a");
    shard.end("other");
    assert_eq!(shard.ready(), [several]);
    assert_eq!(shard.data(several), ["a", END]);
    // What has ended does not wake anybody twice, and the others live on.
    shard.broadcast("b");
    assert_eq!(shard.data(broadcast), ["b"]);
    shard.publish(topic("answers/2"), "c");
    assert_eq!(shard.data(matching), ["c"]);
    assert_eq!(shard.broker.counters().sessions, 2);
}

#[test]
fn a_session_ends_when_it_gives_up_the_last_topic_that_has_not_ended() {
    let mut shard = Shard::new(config());
    let session = shard.parked(only("answer").with_topic(topic("other")));
    shard.end("answer");
    assert!(shard.broker.session_mut(session).unsubscribe(shard.now, &topic("other").into()));
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [END]);
}

#[test]
fn a_session_without_topics_waits_for_one_and_may_get_one_that_has_ended() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().topics_only());
    shard.broadcast("not for it");
    assert_eq!(shard.ready(), []);
    shard.publish(topic("answer"), "a");
    shard.end("answer");
    let outcome =
        shard.broker.session_mut(session).subscribe(shard.now, topic("answer"), StartAt::Oldest);
    assert_eq!(outcome, Ok(Resumption::Oldest { replayed: 1 }));
    assert_eq!(shard.ready(), [session]);
    let place = told_at(3, Notice::Place);
    assert_eq!(shard.take(session), [event_at(2, "a"), place, END.to_owned()]);
}

#[test]
fn nothing_can_be_published_to_a_topic_that_has_ended_nor_can_it_end_again() {
    let mut shard = Shard::new(config());
    let position = shard.end("answer");
    assert!(has_ended(&shard.broker, &topic("answer")));
    let refused = shard.broker.publish(shard.now, topic("answer"), &Event::new("a"));
    assert_eq!(refused, Err(PublishError::TopicEnded));
    let again = shard.broker.topic_mut(&topic("answer")).end(shard.now);
    assert_eq!(again, Err(PublishError::TopicEnded));
    assert_eq!(shard.broker.shard().last_position(), position);
    shard.broker.close(shard.now);
    let closed = shard.broker.topic_mut(&topic("other")).end(shard.now);
    assert_eq!(closed, Err(PublishError::Closed));
}

#[test]
fn the_end_is_remembered_for_the_age_of_the_retention() {
    let mut config = config();
    config.retention.age = Some(secs(60));
    let mut shard = Shard::new(config);
    shard.end("answer");
    shard.sleep(just_before(secs(60)));
    assert_eq!(shard.refusal(only("answer")), OpenError::TopicsEnded);
    shard.sleep(TICK);
    assert!(!has_ended(&shard.broker, &topic("answer")));
    // Now the name is that of a new topic.
    shard.publish(topic("answer"), "a");
    let session = shard.parked(only("answer"));
    shard.publish(topic("answer"), "b");
    assert_eq!(shard.data(session), ["b"]);
}

#[test]
fn of_too_many_ends_the_first_is_forgotten_but_for_those_who_have_the_topic() {
    let mut config = config();
    config.limits.ended_topics = 2;
    config.retention.age = None;
    let mut shard = Shard::new(config);
    let holder = shard.parked(anyone().with_topic(topic("0")).with_heartbeat(None));
    for name in ["0", "1", "2", "3"] {
        shard.end(name);
    }
    let ended =
        |shard: &Shard| ["0", "1", "2", "3"].map(|name| has_ended(&shard.broker, &topic(name)));
    assert_eq!(ended(&shard), [true, false, true, true]);
    shard.broker.handle_disconnect(shard.now, holder);
    assert_eq!(ended(&shard), [false, false, true, true]);
    shard.sleep(secs(1_000_000));
    assert_eq!(ended(&shard), [false, false, true, true], "no time makes these forgotten");
}

#[test]
fn another_shard_applies_the_end() {
    let (mut one, mut two) = (Shard::new(config()), Shard::new(config()));
    let session = two.parked(only("answer"));
    let published = one.publish(topic("answer"), "a");
    two.broker.shard_mut().apply(two.now, &published).unwrap();
    let end = one.broker.topic_mut(&topic("answer")).end(one.now).unwrap();
    assert!(end.is_end() && !published.is_end());
    two.broker.shard_mut().apply(two.now, &end).unwrap();
    assert_eq!(two.data(session), ["a", END]);
    assert_eq!(two.broker.shard().last_position(), 2);
    let late = Sequencer::new(Epoch(0xe), 2, EventIds::Assigned)
        .publish(topic("answer").into(), &Event::new("b"));
    assert_eq!(two.broker.shard_mut().apply(two.now, &late), Err(PublishError::TopicEnded));
}

#[test]
fn topics_that_end_leave_nothing() {
    let mut config = config();
    config.retention.age = Some(secs(1));
    let mut shard = Shard::new(config);
    let round = |shard: &mut Shard, number: u64| {
        let name = format!("answer/{number}");
        let own =
            Retention { events: 5.try_into().unwrap(), ..BrokerConfig::new(Epoch(0)).retention };
        let own = Retention { age: Some(millis(500)), ..own };
        shard.broker.topic_mut(&topic(&name)).set_retention(shard.now, Some(own)).unwrap();
        let session = shard.parked(only(&name));
        shard.publish(topic(&name), "x");
        shard.end(&name);
        shard.take(session);
        shard.events();
        shard.sleep(millis(100));
    };
    (0..1_000).for_each(|number| round(&mut shard, number));
    let size = shard.size();
    (1_000..3_000).for_each(|number| round(&mut shard, number));
    assert!(shard.size() < size + size / 5, "grew from {size} to {}", shard.size());
}
