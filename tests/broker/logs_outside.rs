//! What the log of an engine outside says: history with its age, positions that hold nothing, and cuts.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LossReason, Notice};
use std::time::Duration;

const CUT: LossReason = LossReason::Log;

/// What an engine gave this position.
fn placed(position: u64, audience: impl Into<Audience>, data: &'static str) -> Published {
    let mut sequencer = Sequencer::new(Epoch(0xe), position - 1, EventIds::Assigned);
    sequencer.publish(audience.into(), &Event::new(data))
}

fn publish(position: u64, data: &'static str) -> LogStep {
    step(placed(position, Audience::Everyone, data))
}

fn step(published: Published) -> LogStep {
    LogStep::Publish { published, age: Duration::ZERO }
}

fn apply(shard: &mut Shard, steps: impl IntoIterator<Item = LogStep>) {
    for step in steps {
        shard.broker.shard_mut().apply_step(shard.now, &step).unwrap();
    }
}

#[test]
fn a_cut_is_told_after_what_came_before_it_and_before_what_comes_after() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(&mut shard, [publish(1, "a"), LogStep::Cut { through: 40 }, publish(41, "b")]);
    assert_eq!(
        shard.take(session),
        [event_at(1, "a"), gap_at(40, 0, None, CUT), event_at(41, "b")]
    );
    // Once: a session that comes back after that has nothing to be told.
    let again = shard.open(after("e-41"));
    assert_eq!(shard.take(again), [told_at(41, Notice::Complete { replayed: 0 })]);
}

#[test]
fn a_session_is_woken_by_a_cut_alone_and_gets_it_at_the_head_of_a_batch() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(&mut shard, [LogStep::Cut { through: 7 }]);
    assert_eq!(shard.broker.poll_ready(), Some(session));
    assert_eq!(shard.take(session), [gap_at(7, 0, None, CUT)]);
    assert_eq!(shard.broker.poll_ready(), None);
}

#[test]
fn sessions_of_topics_alone_are_told_of_a_cut_as_well() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().topics_only().with_topic(topic("quiet")));
    apply(&mut shard, [LogStep::Cut { through: 7 }]);
    assert_eq!(shard.take(session), [gap_at(7, 0, None, CUT)]);
}

#[test]
fn who_resumes_from_before_a_cut_is_told_of_a_gap_and_gets_what_is_kept() {
    let mut shard = Shard::new(config());
    apply(&mut shard, [publish(1, "a"), publish(2, "b"), LogStep::Cut { through: 40 }]);
    apply(&mut shard, [publish(41, "c")]);
    let session = shard.open(after("e-1"));
    assert_eq!(
        shard.take(session),
        [gap_at(1, 2, None, LossReason::Retention), event_at(2, "b"), event_at(41, "c")]
    );
}

#[test]
fn several_cuts_are_told_each_in_its_place() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(
        &mut shard,
        [LogStep::Cut { through: 10 }, publish(11, "a"), LogStep::Cut { through: 20 }],
    );
    apply(&mut shard, [publish(21, "b")]);
    let told =
        [gap_at(10, 0, None, CUT), event_at(11, "a"), gap_at(20, 0, None, CUT), event_at(21, "b")];
    assert_eq!(shard.take(session), told);
}

#[test]
fn a_session_that_takes_nothing_keeps_no_more_than_a_few_cuts_and_the_last_of_them() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(&mut shard, (1..=100).map(|number| LogStep::Cut { through: 10 * number }));
    let told = shard.take(session);
    assert_eq!(told.len(), 8);
    assert_eq!(told.last(), Some(&gap_at(1_000, 0, None, CUT)));
    assert_eq!(shard.broker.counters().cuts, 100);
}

#[test]
fn a_session_that_ends_is_told_nothing_of_what_comes_after_its_end() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broker.session_mut(session).close(shard.now);
    apply(&mut shard, [LogStep::Cut { through: 7 }]);
    assert_eq!(shard.take(session), [END]);
}

#[test]
fn positions_that_hold_nothing_are_no_gap() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(&mut shard, [publish(1, "a"), LogStep::Skip { through: 40 }, publish(41, "b")]);
    assert_eq!(shard.take(session), [event_at(1, "a"), event_at(41, "b")]);
    let again = shard.open(after("e-20"));
    let complete = told_at(20, Notice::Complete { replayed: 1 });
    assert_eq!(shard.take(again), [complete, event_at(41, "b")]);
}

#[test]
fn a_position_that_is_left_out_is_lost_to_those_who_listen() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    apply(&mut shard, [publish(1, "a"), publish(3, "c")]);
    let told = [event_at(1, "a"), gap_at(2, 0, None, CUT), event_at(3, "c")];
    assert_eq!(shard.take(session), told);
}

#[test]
fn history_keeps_its_age() {
    let mut config = config();
    config.retention.age = Some(secs(300));
    let mut shard = Shard::new(config);
    let aged = |position, data, age| LogStep::Publish {
        published: placed(position, Audience::Everyone, data),
        age: secs(age),
    };
    apply(&mut shard, [aged(1, "too old", 301), aged(2, "old", 290), aged(3, "younger", 100)]);
    // Those who listen have a second to get what is too old.
    shard.sleep(secs(1));
    let oldest = |shard: &mut Shard| {
        let session = shard.open(anyone().with_start(StartAt::Oldest));
        shard.take(session).split_off(1)
    };
    assert_eq!(oldest(&mut shard), [event_at(2, "old"), event_at(3, "younger")]);
    shard.sleep(secs(9));
    assert_eq!(oldest(&mut shard), [event_at(3, "younger")]);
    shard.sleep(just_before(secs(190)));
    assert_eq!(oldest(&mut shard), [event_at(3, "younger")]);
    shard.sleep(TICK);
    assert!(oldest(&mut shard).is_empty());
    assert_eq!(retained_bytes(&shard.broker), 0);
}

#[test]
fn what_is_too_old_already_is_no_less_for_those_who_listen() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_topic(topic("news")));
    let everything =
        shard.parked(anyone().topics_only().with_topic(TopicPattern::new("**").unwrap()));
    let published = placed(1, topic("news"), "late");
    apply(&mut shard, [LogStep::Publish { published, age: secs(4_000) }]);
    assert_eq!(shard.take(session), [event_at(1, "late")]);
    assert_eq!(shard.take(everything), [event_at(1, "late")]);
}

/// A stall is counted from when a session had output here, whatever its age.
#[test]
fn an_old_event_makes_nobody_stall() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    let published = placed(1, Audience::Everyone, "a");
    apply(&mut shard, [LogStep::Publish { published, age: secs(200) }]);
    shard.sleep(secs(5));
    assert!(shard.broker.session(session).is_open());
}

#[test]
fn what_a_shard_cannot_keep_is_lost_there_and_the_next_step_goes_on() {
    let mut config = config();
    config.retention.bytes = 60.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    let large = "0123456789012345678901234567890123456789012345678901234567890123456789";
    apply(&mut shard, [publish(1, large), publish(2, "b")]);
    assert_eq!(shard.take(session), [gap_at(1, 0, None, CUT), event_at(2, "b")]);
}

#[test]
fn what_is_published_to_a_topic_after_its_end_reaches_nobody_and_is_no_gap() {
    let mut shard = Shard::new(config());
    let news = topic("news");
    let session = shard.parked(anyone().with_topic(news.clone()));
    let end = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned).end_topic(news.clone());
    apply(&mut shard, [step(end), step(placed(2, news, "late")), publish(3, "c")]);
    assert_eq!(shard.take(session), [event_at(3, "c")]);
}

#[test]
fn a_revocation_in_the_log_ends_the_sessions_of_its_client_and_takes_its_place() {
    let mut shard = Shard::new(config());
    let (ann, bob) = (shard.parked(session_of("ann")), shard.parked(session_of("bob")));
    let topic_of_bob = topic("staff");
    assert!(
        shard
            .broker
            .session_mut(bob)
            .subscribe(shard.now, topic_of_bob.clone(), StartAt::Now)
            .is_ok()
    );
    shard.take(bob);
    apply(
        &mut shard,
        [
            LogStep::Revoke { position: 1, client: client("ann") },
            LogStep::Revoke { position: 2, client: client("nobody") },
            LogStep::RevokeTopic {
                position: 3,
                client: client("bob"),
                topic: topic_of_bob.clone(),
            },
            step(placed(4, topic_of_bob, "secret")),
            publish(5, "b"),
        ],
    );
    assert_eq!(shard.take(ann), [END]);
    assert_eq!(shard.take(bob), [event_at(5, "b")]);
    // One that leaves positions out is a cut as well.
    apply(&mut shard, [LogStep::Revoke { position: 9, client: client("nobody") }]);
    assert_eq!(shard.take(bob), [gap_at(8, 0, None, CUT)]);
    assert_eq!(shard.broker.shard().last_position(), 9);
}

#[test]
fn a_step_that_does_not_come_after_the_last_one_or_comes_to_a_closed_broker_does_nothing() {
    let mut shard = Shard::new(config());
    apply(&mut shard, [LogStep::Skip { through: 9 }]);
    let late = [
        publish(9, "a"),
        LogStep::Skip { through: 9 },
        LogStep::Cut { through: 3 },
        LogStep::Revoke { position: 9, client: client("ann") },
    ];
    for step in &late {
        let refused = shard.broker.shard_mut().apply_step(shard.now, step);
        assert_eq!(refused, Err(PublishError::OutOfOrder { last: 9 }), "{step:?}");
    }
    assert_eq!(shard.broker.counters().cuts, 0);
    shard.broker.close(shard.now);
    for step in [publish(10, "a"), LogStep::Skip { through: 10 }, LogStep::Cut { through: 10 }] {
        let refused = shard.broker.shard_mut().apply_step(shard.now, &step);
        assert_eq!(refused, Err(PublishError::Closed), "{step:?}");
    }
}

#[test]
fn where_there_are_no_notices_a_cut_is_counted_and_told_to_nobody() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_notices(None));
    apply(&mut shard, [LogStep::Cut { through: 7 }, publish(8, "a")]);
    assert_eq!(shard.take(session), [event_at(8, "a")]);
    assert_eq!(shard.broker.counters().cuts, 1);
}
