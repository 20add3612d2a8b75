//! Sessions whose last event id is ahead of this node, and wait until the node has come as far.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, EventType, LossReason, Notice};

/// A node that waits two seconds for an id that is ahead.
fn node() -> Shard {
    let mut config = config();
    config.session.ahead_wait = Some(secs(2));
    Shard::new(config)
}

/// A node that has applied so many events for all.
fn at(last: u64) -> Shard {
    let mut node = node();
    for position in 1..=last {
        node.broadcast(&position.to_string());
    }
    node.events();
    node
}

/// Opens a session, which waits.
fn waiting(node: &mut Shard, request: SessionConfig) -> SessionId {
    let opened = node.broker.open(node.now, request).unwrap();
    assert_eq!(opened.resumption, Resumption::Waiting);
    let told = node.events().pop();
    let Some(BrokerEvent::SessionOpened { session, resumption, .. }) = told else {
        panic!("{told:?}")
    };
    assert_eq!((session, resumption), (opened.session, opened.resumption));
    assert_eq!(node.broker.counters().waiting, 1);
    assert_eq!(node.take(session), [""; 0], "nothing is known that it could be told");
    session
}

/// What was decided for sessions since this was last asked.
fn resumed(node: &mut Shard) -> Vec<(SessionId, Resumption)> {
    let resumed = node.events().into_iter().filter_map(|event| match event {
        BrokerEvent::SessionResumed { session, resumption, .. } => Some((session, resumption)),
        _ => None,
    });
    resumed.collect()
}

/// Applies an event for all at a position beyond the next.
fn jump(node: &mut Shard, position: u64, data: &str) {
    let mut sequencer = Sequencer::new(config().epoch, position - 1, EventIds::Assigned);
    let published = sequencer.publish(Audience::Everyone, &Event::new(data.to_owned()));
    node.broker.shard_mut().apply(node.now, &published).unwrap();
}

#[test]
fn it_resumes_as_if_it_were_opened_when_its_position_has_come() {
    let mut node = at(3);
    let session = waiting(&mut node, after("e-5"));
    node.apply(Audience::Everyone, "4");
    assert_eq!((node.ready(), node.take(session)), (vec![], vec![]));
    node.apply(Audience::Everyone, "5");
    assert_eq!(node.ready(), [session]);
    assert_eq!(resumed(&mut node), [(session, Resumption::Complete { replayed: 0 })]);
    assert_eq!(node.take(session), [told_at(5, Notice::Complete { replayed: 0 })]);
    node.apply(Audience::Everyone, "6");
    assert_eq!(node.ready(), [session]);
    assert_eq!(node.take(session), [event_at(6, "6")]);
    let counters = node.broker.counters();
    assert_eq!((counters.waiting, counters.resumed.complete, counters.resumed.total()), (0, 1, 1));
}

#[test]
fn a_start_after_an_event_waits_as_well_and_so_does_a_publish_of_this_node_decide() {
    let mut node = at(1);
    let session = waiting(&mut node, anyone().with_start(StartAt::After(id("e-2"))));
    node.publish(topic("news"), "for others");
    assert_eq!(node.take(session), [told_at(2, Notice::Complete { replayed: 0 })]);
    let session = waiting(&mut node, anyone().with_start(StartAt::After(id("e-3"))));
    node.broker.topic_mut(&topic("news")).end(node.now).unwrap();
    assert_eq!(resumed(&mut node), [(session, Resumption::Complete { replayed: 0 })]);
}

#[test]
fn without_the_setting_an_id_that_is_ahead_is_a_gap_at_once() {
    let mut node = Shard::new(config());
    let ahead = Resumption::Ahead { replayed: 0 };
    assert_eq!(node.broker.open(node.now, after("e-5")).unwrap().resumption, ahead);
    node.broker.shard_mut().set_ahead_wait(node.now, Some(secs(2))).unwrap();
    let waits = node.broker.open(node.now, after("e-5")).unwrap();
    assert_eq!(waits.resumption, Resumption::Waiting);
    let refused = node.broker.shard_mut().set_ahead_wait(node.now, Some(secs(0)));
    assert_eq!(refused, Err(ConfigError::ZeroAheadWait));
    node.broker.shard_mut().set_ahead_wait(node.now, None).unwrap();
    assert_eq!(node.broker.open(node.now, after("e-5")).unwrap().resumption, ahead);
    // Who waits already waits as long as it was to.
    node.events();
    node.sleep(just_before(secs(2)));
    assert_eq!(resumed(&mut node), []);
    node.sleep(TICK);
    assert_eq!(resumed(&mut node), [(waits.session, ahead)]);
    let mut wrong = config();
    wrong.session.ahead_wait = Some(secs(0));
    assert_eq!(Broker::new(node.now, wrong).unwrap_err(), ConfigError::ZeroAheadWait);
}

#[test]
fn after_the_time_it_is_told_of_a_gap_and_goes_on_from_there() {
    let mut node = at(3);
    let session = waiting(&mut node, after("e-9"));
    assert_eq!(node.broker.poll_timeout(), Some(node.now + secs(2)));
    node.apply(Audience::Everyone, "4");
    node.sleep(secs(2));
    assert_eq!(resumed(&mut node), [(session, Resumption::Ahead { replayed: 0 })]);
    assert_eq!(node.ready(), [session]);
    assert_eq!(node.take(session), [gap_at(4, 0, None, LossReason::Ahead)]);
    node.apply(Audience::Everyone, "5");
    assert_eq!(node.take(session), [event_at(5, "5")]);
    assert_eq!(node.broker.counters().resumed.ahead, 1);
}

#[test]
fn a_hole_that_passes_its_position_is_a_gap() {
    let mut node = at(3);
    let before = waiting(&mut node, after("e-5"));
    jump(&mut node, 9, "nine");
    assert_eq!(resumed(&mut node), [(before, Resumption::Gap { replayed: 1 })]);
    let gap = gap_at(8, 1, None, LossReason::Retention);
    assert_eq!(node.take(before), [gap, event_at(9, "nine")]);
    // One that has everything through the hole misses nothing.
    let behind = waiting(&mut node, after("e-11"));
    jump(&mut node, 12, "twelve");
    let complete = Resumption::Complete { replayed: 1 };
    assert_eq!(resumed(&mut node), [(behind, complete)]);
    let notice = told_at(11, Notice::Complete { replayed: 1 });
    assert_eq!(node.take(behind), [notice, event_at(12, "twelve")]);
}

#[test]
fn what_is_skipped_and_what_is_cut_decides_as_well() {
    let mut node = at(3);
    let session = waiting(&mut node, after("e-5"));
    node.broker.shard_mut().skip(node.now, 4).unwrap();
    assert_eq!(resumed(&mut node), []);
    node.broker.shard_mut().skip(node.now, 5).unwrap();
    assert_eq!(resumed(&mut node), [(session, Resumption::Complete { replayed: 0 })]);
    assert_eq!(node.take(session), [told_at(5, Notice::Complete { replayed: 0 })]);

    // A cut before its place is none of its business, and tells it nothing false.
    let (before, through, behind) =
        (node.open(after("e-6")), node.open(after("e-8")), node.open(after("e-9")));
    node.events();
    node.broker.shard_mut().cut(node.now, 7).unwrap();
    assert_eq!(resumed(&mut node), [(before, Resumption::Gap { replayed: 0 })]);
    assert_eq!(node.take(before), [gap_at(7, 0, None, LossReason::Retention)]);
    assert_eq!((node.take(through), node.take(behind)), (vec![], vec![]));
    node.broker.shard_mut().cut(node.now, 8).unwrap();
    assert_eq!(resumed(&mut node), [(through, Resumption::Complete { replayed: 0 })]);
    assert_eq!(node.take(through), [told_at(8, Notice::Complete { replayed: 0 })]);
    node.apply(Audience::Everyone, "9");
    assert_eq!(node.take(behind), [told_at(9, Notice::Complete { replayed: 0 })]);
}

#[test]
fn they_are_decided_in_the_order_of_their_positions_and_others_go_on_waiting() {
    let mut node = at(1);
    let last = node.open(after("e-4"));
    let first = node.open(after("e-2"));
    let next = node.open(after("e-3"));
    node.events();
    node.apply(Audience::Everyone, "2");
    assert_eq!(resumed(&mut node), [(first, Resumption::Complete { replayed: 0 })]);
    jump(&mut node, 4, "4");
    let gap = Resumption::Complete { replayed: 1 };
    let complete = Resumption::Complete { replayed: 0 };
    assert_eq!(resumed(&mut node), [(next, gap), (last, complete)]);
    assert_eq!(node.broker.counters().waiting, 0);
}

#[test]
fn while_it_waits_it_gets_heartbeats_and_nothing_that_is_published() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(60));
    config.session.heartbeat = Some(secs(1));
    let mut node = Shard::new(config);
    let news = topic("news");
    let request = after("e-50").with_client(client("alice")).with_topic(news.clone());
    let session = waiting(&mut node, request);
    for round in 0..3 {
        node.sleep(just_before(secs(1)));
        node.broadcast("for all");
        node.publish(news.clone(), "news");
        node.publish(client("alice"), "for her");
        node.publish(session, "for this one");
        assert_eq!(node.ready(), [], "round {round}");
        node.sleep(TICK);
        assert_eq!(node.ready(), [session], "round {round}");
        assert_eq!(node.take(session), [HEARTBEAT], "round {round}");
    }
    let (batch, filled) = node.batch(session, 1 << 16, Framing::Plain);
    assert_eq!((batch.len(), filled), (0, Filled::All));
    assert_eq!(node.broker.counters().delivered, 0);
}

#[test]
fn its_driver_that_takes_no_heartbeat_stalls() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(600));
    let mut node = Shard::new(config);
    waiting(&mut node, after("e-5"));
    node.broadcast("1");
    node.sleep(just_before(secs(75)));
    assert_eq!(node.broker.counters().sessions, 1, "a heartbeat is due for less than a minute");
    node.sleep(TICK);
    assert_eq!(node.broker.counters().ended.stalled, 1);
    let counters = node.broker.counters();
    assert_eq!((counters.waiting, counters.resumed.waiting, counters.resumed.total()), (0, 1, 1));
}

#[test]
fn no_policy_meets_it_before_its_place_is_known() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(2));
    config.retention.events = 2.try_into().unwrap();
    config.session.lag = Lag::new(LagPolicy::Close);
    config.session.lag.events = Some(1.try_into().unwrap());
    let mut node = Shard::new(config);
    let session = waiting(&mut node, after("e-9"));
    for _ in 0..8 {
        node.broadcast("many");
        assert_eq!(node.take(session), [""; 0]);
    }
    node.broadcast("the ninth");
    assert_eq!(node.take(session), [told_at(9, Notice::Complete { replayed: 0 })]);
}

#[test]
fn what_came_for_the_session_alone_follows_with_its_place_after_it() {
    let mut node = at(1);
    let session = waiting(&mut node, after("e-4"));
    node.publish(session, "a");
    node.publish(session, "b");
    node.apply(Audience::Everyone, "4");
    assert_eq!(node.ready(), [session]);
    let complete = told_at(4, Notice::Complete { replayed: 0 });
    let frames = [complete, event_at(2, "a"), event_at(3, "b"), told_at(4, Notice::Place)];
    assert_eq!(node.take(session), frames);
}

#[test]
fn what_came_for_its_client_is_replayed_after_its_place_alone() {
    let mut node = at(1);
    let session = waiting(&mut node, session_of("alice").with_start(StartAt::After(id("e-3"))));
    node.publish(client("alice"), "had");
    node.publish(client("alice"), "had too");
    node.publish(client("alice"), "new");
    let complete = told_at(3, Notice::Complete { replayed: 0 });
    assert_eq!(node.take(session), [complete, event_at(4, "new")]);
}

#[test]
fn topics_that_end_meanwhile_end_it_once_it_is_decided() {
    let mut node = at(1);
    let answer = topic("answer");
    node.publish(answer.clone(), "piece");
    node.broker.topic_mut(&answer).end(node.now).unwrap();
    let request = |last: &str| after(last).topics_only().with_topic(answer.clone());
    let refused = node.broker.open(node.now, request("e-3")).unwrap_err();
    assert_eq!(refused, OpenError::TopicsEnded);
    // What is left of it is not known before its position has come.
    let session = waiting(&mut node, request("e-4"));
    node.apply(Audience::Everyone, "4");
    assert_eq!(node.ready(), [session]);
    let complete = told_at(4, Notice::Complete { replayed: 0 });
    assert_eq!(node.take(session), [complete, END.to_owned()]);
    assert_eq!(node.broker.counters().ended.topics_ended, 1);
    let refused = node.broker.open(node.now, request("e-4")).unwrap_err();
    assert_eq!(refused, OpenError::TopicsEnded);
}

#[test]
fn the_end_of_its_topics_does_not_wake_it_before_it_is_decided() {
    let mut node = at(1);
    let answer = topic("answer");
    let request = after("e-5").topics_only().with_topic(answer.clone());
    let session = waiting(&mut node, request);
    node.broker.topic_mut(&answer).end(node.now).unwrap();
    assert_eq!((node.ready(), node.take(session)), (vec![], vec![]));
    node.sleep(secs(2));
    let gap = gap_at(2, 0, None, LossReason::Ahead);
    assert_eq!(node.take(session), [gap, END.to_owned()]);
}

#[test]
fn a_late_subscription_from_now_on_begins_after_its_place() {
    let mut node = at(1);
    let (session, news) = (waiting(&mut node, after("e-4")), topic("news"));
    node.publish(news.clone(), "before");
    let outcome = node.broker.session_mut(session).subscribe(node.now, news.clone(), StartAt::Now);
    assert_eq!(outcome, Ok(Resumption::Live));
    node.publish(news.clone(), "had");
    assert_eq!((node.ready(), node.take(session)), (vec![], vec![]));
    node.publish(news.clone(), "had too");
    node.publish(news.clone(), "new");
    let complete = told_at(4, Notice::Complete { replayed: 0 });
    assert_eq!(node.take(session), [complete, event_at(5, "new")]);
}

#[test]
fn a_late_subscription_from_now_on_loses_nothing_where_its_place_never_comes() {
    let mut node = at(1);
    let (session, news) = (waiting(&mut node, after("e-99")), topic("news"));
    node.publish(news.clone(), "before");
    node.broker.session_mut(session).subscribe(node.now, news.clone(), StartAt::Now).unwrap();
    node.publish(news, "since");
    node.sleep(secs(2));
    let gap = gap_at(3, 0, None, LossReason::Ahead);
    assert_eq!(node.take(session), [gap, event_at(3, "since")]);
}

#[test]
fn a_late_subscription_from_another_place_is_decided_with_the_session() {
    let mut node = at(1);
    let (session, news, sport) = (waiting(&mut node, after("e-4")), topic("news"), topic("sport"));
    node.publish(news.clone(), "a");
    let subscribe = |node: &mut Shard, topic: &TopicName, start| {
        let outcome = node.broker.session_mut(session).subscribe(node.now, topic.clone(), start);
        assert_eq!(outcome, Ok(Resumption::Waiting));
    };
    subscribe(&mut node, &news, StartAt::Oldest);
    subscribe(&mut node, &sport, StartAt::After(id("e-3")));
    node.publish(news.clone(), "b");
    assert_eq!((node.ready(), node.take(session)), (vec![], vec![]));
    node.publish(sport, "c");
    assert_eq!(node.ready(), [session]);
    let complete = told_at(4, Notice::Complete { replayed: 0 });
    let replay = [event_at(2, "a"), event_at(3, "b"), event_at(4, "c"), told_at(4, Notice::Place)];
    assert_eq!(node.take(session), [&[complete], &replay[..]].concat());
}

#[test]
fn late_subscriptions_are_decided_in_the_order_in_which_they_were_made() {
    let mut node = at(1);
    let (session, room) = (waiting(&mut node, after("e-4")), topic("room/1"));
    node.publish(room.clone(), "a");
    let all = TopicPattern::new("room/*").unwrap();
    let outcome = node.broker.session_mut(session).subscribe(node.now, all, StartAt::Oldest);
    assert_eq!(outcome, Ok(Resumption::Waiting));
    // What came before this is replayed by the pattern, which was there first.
    node.broker.session_mut(session).subscribe(node.now, room.clone(), StartAt::Now).unwrap();
    node.publish(room.clone(), "b");
    node.apply(Audience::Everyone, "4");
    let complete = told_at(4, Notice::Complete { replayed: 0 });
    let replay = [event_at(2, "a"), event_at(3, "b"), told_at(4, Notice::Place)];
    assert_eq!(node.take(session), [&[complete], &replay[..]].concat());
    node.publish(room, "c");
    assert_eq!(node.take(session), [event_at(5, "c")], "it has it by both");
}

#[test]
fn what_it_leaves_meanwhile_it_does_not_get() {
    let mut node = at(1);
    let (news, sport) = (topic("news"), topic("sport"));
    let request = after("e-2").with_topic(news.clone());
    let session = waiting(&mut node, request);
    node.broker.session_mut(session).subscribe(node.now, sport.clone(), StartAt::Oldest).unwrap();
    let topics: Vec<_> = node.broker.session(session).topics().map(|one| one.to_string()).collect();
    assert_eq!(topics, ["news", "sport"]);
    assert!(node.broker.session_mut(session).unsubscribe(node.now, &news.clone().into()));
    assert!(node.broker.session_mut(session).unsubscribe(node.now, &sport.clone().into()));
    assert_eq!(node.ready(), []);
    node.publish(sport, "2");
    node.publish(news, "3");
    node.apply(Audience::Everyone, "4");
    let complete = told_at(2, Notice::Complete { replayed: 0 });
    assert_eq!(node.take(session), [complete, event_at(4, "4")]);
}

#[test]
fn its_end_tells_it_no_other_place_than_its_own() {
    let mut node = at(3);
    let session = waiting(&mut node, after("e-9"));
    node.broker.drain(node.now, Drain::new(secs(0))).unwrap();
    assert_eq!(node.ready(), [session]);
    assert_eq!(node.take(session), [told_at(9, Notice::Ending), END.to_owned()]);
    let counters = node.broker.counters();
    assert_eq!((counters.resumed.waiting, counters.ended.drained, counters.waiting), (1, 1, 0));
    // Nothing is decided any more.
    node.sleep(secs(5));
    assert_eq!(resumed(&mut node), []);
}

#[test]
fn one_that_is_closed_gets_what_is_for_it_alone_and_its_place() {
    let mut node = at(3);
    let session = waiting(&mut node, after("e-9").with_topic(topic("news")));
    node.publish(session, "for it alone");
    node.publish(topic("news"), "for others");
    assert!(node.broker.session_mut(session).close(node.now));
    node.publish(topic("news"), "later");
    assert_eq!(node.ready(), [session]);
    let frames = [event_at(4, "for it alone"), told_at(9, Notice::Place), END.to_owned()];
    assert_eq!(node.take(session), frames);
}

#[test]
fn rights_leases_evictions_and_lost_connections_end_it_at_once() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(60));
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    let mut node = Shard::new(config);
    let request = || after("e-9").with_client(client("alice")).with_topic(topic("news"));
    let revoked = waiting(&mut node, request());
    assert_eq!(node.broker.client_mut(&client("alice")).revoke(node.now), Ok(1));
    assert_eq!(node.take(revoked), [END]);
    let until = node.now + secs(1);
    let lapsed = waiting(&mut node, request().with_lease(until));
    node.sleep(secs(1));
    assert_eq!(node.take(lapsed), [END]);
    let evicted = waiting(&mut node, request());
    let newest = node.open(request());
    assert_eq!(node.take(evicted), [END]);
    assert_eq!(
        node.broker.client_mut(&client("alice")).revoke_topic(node.now, &topic("news")),
        Ok(1)
    );
    assert_eq!(node.broker.session(newest).topics().count(), 0);
    node.broker.handle_disconnect(node.now, newest);
    let counters = node.broker.counters();
    assert_eq!((counters.sessions, counters.waiting, counters.resumed.waiting), (0, 0, 4));
    jump(&mut node, 20, "nobody waits");
    assert_eq!(resumed(&mut node), []);
}

#[test]
fn an_id_of_another_life_or_of_nobody_does_not_wait() {
    let mut node = at(3);
    for last in ["f-9", "e-", "e-3", "x", "e-18446744073709551616"] {
        let opened = node.broker.open(node.now, after(last)).unwrap();
        assert_ne!(opened.resumption, Resumption::Waiting, "{last}");
    }
    // The id that counts is the last event id.
    let both = after("f-9").with_start(StartAt::After(id("e-9")));
    let opened = node.broker.open(node.now, both).unwrap();
    assert_eq!(opened.resumption, Resumption::OtherEpoch { replayed: 0 });
    // The farthest position that there is waits no longer than any other.
    let farthest = waiting(&mut node, after("e-18446744073709551615"));
    node.sleep(secs(2));
    assert_eq!(node.take(farthest), [gap_at(3, 0, None, LossReason::Ahead)]);
}

#[test]
fn publishers_do_not_wait_for_one_that_has_no_place() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(60));
    config.private_retention.events = 2.try_into().unwrap();
    let mut node = Shard::new(config);
    let session = waiting(&mut node, after("e-19").with_client(client("alice")));
    let pace = Pace::new().with_events(1.try_into().unwrap());
    let news = topic("news");
    node.broker.session_mut(session).subscribe(node.now, news.clone(), StartAt::Now).unwrap();
    for _ in 0..3 {
        assert_eq!(node.broker.wait_for_readers(node.now, &Audience::Everyone, pace), Ok(None));
        assert_eq!(node.broker.wait_for_readers(node.now, &news.clone().into(), pace), Ok(None));
        node.publish(news.clone(), "news");
        node.broadcast("for all");
        node.publish(client("alice"), "for her");
    }
    // But what is for it alone has to have room.
    node.publish(session, "a");
    node.publish(session, "b");
    let full = node.broker.publish(node.now, session, &Event::new("c"));
    assert_eq!(full, Err(PublishError::NoRoom));
    let wait = node.broker.wait_for_room(node.now, &session.into()).unwrap();
    assert!(wait.is_some() && node.broker.poll_wait().is_none());
    jump(&mut node, 19, "nineteen");
    assert!(node.take(session).len() > 2);
    assert_eq!(node.broker.poll_wait(), wait);
}

#[test]
fn without_notices_it_waits_on_after_its_place_has_come_until_there_is_an_event() {
    let mut node = at(1);
    let session = waiting(&mut node, after("e-2").with_notices(None));
    node.publish(topic("news"), "for others");
    assert_eq!((node.ready(), resumed(&mut node).len()), (vec![], 1));
    node.apply(Audience::Everyone, "3");
    assert_eq!(node.ready(), [session]);
    assert_eq!(node.take(session), [event_at(3, "3")]);
}

#[test]
fn what_its_stream_begins_with_comes_when_it_is_decided() {
    let mut config = config();
    config.session.ahead_wait = Some(secs(2));
    config.reconnect.retry = Some(millis(2_500));
    let mut node = Shard::new(config);
    let own = EventType::new("about").unwrap();
    let request = after("e-1").with_notices(Some(own)).with_opening_comment("padding");
    let session = waiting(&mut node, request);
    node.broadcast("1");
    let said = r#"{"stream":"complete","replayed":0,"lost":0,"reason":null}"#;
    let opening = format!(": padding\nretry: 2500\nid: e-1\nevent: about\ndata: {said}\n\n");
    assert_eq!(node.take(session), [opening]);
}

#[test]
fn one_that_was_not_polled_since_it_was_opened_begins_as_every_other() {
    let mut node = at(1);
    let session = node.open(after("e-2"));
    node.broadcast("2");
    node.broadcast("3");
    assert_eq!(node.ready(), [], "its driver is about to poll");
    let complete = told_at(2, Notice::Complete { replayed: 0 });
    assert_eq!(node.take(session), [complete, event_at(3, "3")]);
    node.broadcast("4");
    assert_eq!(node.ready(), [session]);
}
