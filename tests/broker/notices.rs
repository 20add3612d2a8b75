//! Notices: what a peer is told of its place and of every hole in its stream, and that it resumes
//! right from wherever it was cut off.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LastEventId, LossReason, Notice, event_type};

/// Keeps three events of each topic.
fn small() -> BrokerConfig {
    let mut config = config();
    config.retention.events = 3.try_into().unwrap();
    config
}

fn last_id(frames: &[String]) -> Option<String> {
    let ids = frames.iter().flat_map(|frame| frame.lines());
    ids.filter_map(|line| line.strip_prefix("id: ")).next_back().map(str::to_owned)
}

/// A session of this kind that comes back after what these frames told it.
fn back(request: SessionConfig, frames: &[String]) -> SessionConfig {
    match last_id(frames) {
        Some(last) => request.with_last_event_id(LastEventId::Id(id(&last))),
        None => request,
    }
}

fn gap(replayed: u64, lost: Option<u64>, reason: LossReason) -> Notice {
    Notice::Gap { replayed, lost, reason }
}

#[test]
fn the_first_block_is_a_notice_also_where_events_wait() {
    let mut shard = Shard::new(config());
    shard.broadcast("a");
    let session = shard.open(anyone());
    shard.broadcast("b");
    assert_eq!(shard.take(session), [told_at(1, Notice::Live), event_at(2, "b")]);
    let session = shard.open(anyone().with_start(StartAt::Oldest));
    let kept = told_at(0, Notice::Kept { replayed: 2 });
    assert_eq!(shard.take(session), [kept, event_at(1, "a"), event_at(2, "b")]);
}

#[test]
fn a_comment_and_a_reconnection_time_at_the_beginning_stand_in_the_notice() {
    let mut config = config();
    config.reconnect.retry = Some(millis(750));
    let mut shard = Shard::new(config);
    let request = || anyone().with_opening_comment("padding");
    let session = shard.open(request());
    let begins = ": padding\nretry: 750\n".to_owned() + &told_at(0, Notice::Live);
    assert_eq!(shard.take(session), [begins]);
    let session = shard.open(request().with_notices(None));
    assert_eq!(shard.take(session), [": padding\nretry: 750\n\n"]);
}

#[test]
fn without_notices_nothing_is_said_of_places_and_gaps() {
    let mut config = small();
    config.session.notices = None;
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let session = shard.open(anyone());
    assert_eq!(shard.take(session), [""; 0]);
    for data in ["a", "b", "c", "d"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.take(session), [event_at(2, "b"), event_at(3, "c"), event_at(4, "d")]);
    let again = shard.open(after("e-0"));
    assert_eq!(shard.take(again), [event_at(2, "b"), event_at(3, "c"), event_at(4, "d")]);
    // A session may be told all the same.
    let told = shard.open(after("e-0").with_notices(Some(event_type!("about"))));
    let gap = gap_at(1, 3, 1, LossReason::Retention).replace("sansse-notice", "about");
    assert_eq!(shard.take(told)[0], gap);
}

#[test]
fn a_notice_is_neither_kept_nor_counted_and_takes_no_position() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    let counters = shard.broker.counters();
    assert_eq!((counters.delivered, counters.retained_bytes), (0, 0));
    assert_eq!(shard.broadcast("a"), 1);
    assert_eq!(shard.take(session), [event_at(1, "a")]);
    assert_eq!(shard.broker.counters().delivered, 1);
}

/// Cuts a session off after each of its frames and lets it come back. Each time it gets the rest,
/// and nothing that it had.
fn assert_resumes_anywhere(shard: &mut Shard, request: impl Fn() -> SessionConfig) {
    let session = shard.open(request());
    let all = shard.data(session);
    let frames = {
        let session = shard.open(request());
        shard.take(session)
    };
    for cut in 1..=frames.len() {
        let is_event = |frame: &&String| !frame.contains("event: sansse-notice\n");
        let had = frames[..cut].iter().filter(is_event).count();
        let again = shard.open(back(request(), &frames[..cut]));
        let rest = shard.take(again);
        assert!(!rest[0].contains(r#""stream":"gap""#), "told twice: {rest:?}");
        let again = shard.open(back(request(), &frames[..cut]));
        assert_eq!(shard.data(again), all[had..], "cut off after {:?}", &frames[..cut]);
    }
}

#[test]
fn a_replay_that_is_cut_off_anywhere_goes_on_there() {
    let mut shard = Shard::new(small());
    for (topic_name, data) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        shard.publish(topic(topic_name), data);
    }
    shard.broadcast("5");
    let both = || anyone().with_topic(topic("a")).with_topic(topic("b"));
    assert_resumes_anywhere(&mut shard, both);
    assert_resumes_anywhere(&mut shard, || both().with_start(StartAt::Oldest));
    for last in ["e-0", "e-2", "e-4"] {
        let after = || both().with_last_event_id(LastEventId::Id(id(last)));
        assert_resumes_anywhere(&mut shard, after);
    }
}

#[test]
fn a_gap_is_told_once_and_then_the_stream_goes_on_without_one() {
    for on_unknown_id in [OnUnknownId::StartAnew, OnUnknownId::ReplayKept] {
        let mut config = small();
        config.session.on_unknown_id = on_unknown_id;
        let mut shard = Shard::new(config);
        for data in ["a", "b", "c", "d", "e"] {
            shard.broadcast(data);
        }
        for last in ["e-0", "e-1", "d-7", "nonsense", "e-9"] {
            let after = || anyone().with_last_event_id(LastEventId::Id(id(last)));
            let session = shard.open(after());
            let is_known = matches!(last, "e-0" | "e-1");
            let is_replayed = is_known || on_unknown_id == OnUnknownId::ReplayKept;
            let told = format!(r#""stream":"gap","replayed":{}"#, if is_replayed { 3 } else { 0 });
            assert!(shard.take(session)[0].contains(&told), "{last}");
            assert_resumes_anywhere(&mut shard, after);
        }
    }
}

#[test]
fn each_reason_for_a_gap_at_the_beginning_is_told_with_as_good_a_count_as_there_is() {
    let mut shard = Shard::new(small());
    for data in ["a", "b", "c", "d", "e"] {
        shard.broadcast(data);
    }
    let text = |last: &str| LastEventId::Id(id(last));
    for (last, place, notice) in [
        (text("e-0"), 2, gap(3, Some(2), LossReason::Retention)),
        (text("e-1"), 2, gap(3, Some(1), LossReason::Retention)),
        (text("d-1"), 5, gap(0, None, LossReason::Restart)),
        (text("nonsense"), 5, gap(0, None, LossReason::UnknownId)),
        (text("e-6"), 5, gap(0, None, LossReason::Ahead)),
        (LastEventId::Malformed, 5, gap(0, None, LossReason::MalformedId)),
        (LastEventId::from_header(&[b'x'; 2_000]), 5, gap(0, None, LossReason::MalformedId)),
    ] {
        let session = shard.open(anyone().with_last_event_id(last.clone()));
        assert_eq!(shard.take(session)[0], told_at(place, notice), "{last:?}");
    }
}

#[test]
fn only_events_that_were_for_the_session_are_missing() {
    let mut shard = Shard::new(small());
    for round in 0..10 {
        shard.publish(topic("other"), "not for it");
        shard.publish(topic("news"), &round.to_string());
    }
    // News are at the even positions, and the last three are kept.
    let session = shard.open(after("e-4").with_topic(topic("news")));
    let frames = shard.take(session);
    assert_eq!(frames[0], gap_at(15, 3, 5, LossReason::Retention), "6, 8, 10, 12 and 14");
    // In a topic of its own, nothing is missing.
    let session = shard.open(after("e-4"));
    assert_eq!(shard.take(session), [told_at(20, Notice::Complete { replayed: 0 })]);
}

#[test]
fn superseded_events_that_a_compact_topic_gave_up_are_no_gap() {
    let mut config = small();
    config.retention.compact = true;
    let mut shard = Shard::new(config);
    let keyed = |data: &'static str, key: &'static str| {
        Event::new(data).with_key(sansse::EventKey::new(key).unwrap())
    };
    for event in [keyed("a 1", "a"), keyed("b 1", "b"), keyed("a 2", "a"), keyed("a 3", "a")] {
        shard.broker.publish(shard.now, Audience::Everyone, &event).unwrap();
    }
    let session = shard.open(after("e-0"));
    let frames = shard.take(session);
    assert_eq!(frames[0], told_at(0, Notice::Complete { replayed: 3 }));
    assert_eq!(frames.len(), 4);
}

#[test]
fn a_gap_in_the_middle_is_told_with_its_count_and_a_place_behind_it() {
    let mut config = small();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    for data in ["a", "b", "c", "d", "e"] {
        shard.broadcast(data);
    }
    let frames = shard.take(session);
    let lag = gap_at(2, 0, 2, LossReason::Lag);
    assert_eq!(frames, [lag, event_at(3, "c"), event_at(4, "d"), event_at(5, "e")]);
    // Cut off right behind it, the peer gets the rest, and no word of a gap.
    let again = shard.open(back(anyone(), &frames[..1]));
    assert_eq!(shard.take(again)[0], told_at(2, Notice::Complete { replayed: 3 }));
}

#[test]
fn what_may_be_counted_twice_is_told_without_a_number() {
    let mut shard = Shard::new(small());
    let lag = LagPolicy::SkipToOldest;
    let twice = anyone().with_topic(topic("a")).with_topic(TopicPattern::new("*").unwrap());
    let twice = shard.parked(twice.with_lag(lag));
    let once = shard.parked(anyone().with_topic(TopicPattern::new("*").unwrap()).with_lag(lag));
    for data in ["1", "2", "3", "4"] {
        shard.publish(topic("a"), data);
    }
    assert_eq!(shard.take(twice)[0], gap_at(1, 0, None, LossReason::Lag));
    assert_eq!(shard.take(once)[0], gap_at(1, 0, 1, LossReason::Lag));
}

#[test]
fn a_session_that_ends_for_being_behind_is_told_of_the_gap_when_it_comes_back() {
    let mut shard = Shard::new(small());
    let session = shard.open(anyone());
    let frames = vec![shard.next(session).unwrap()];
    for data in ["a", "b", "c", "d"] {
        shard.broadcast(data);
    }
    assert_eq!(shard.take(session), [END]);
    let again = shard.open(back(anyone(), &frames));
    assert_eq!(shard.take(again)[0], gap_at(1, 3, 1, LossReason::Retention));
}

#[test]
fn after_a_late_subscription_a_peer_that_is_cut_off_gets_nothing_twice() {
    let mut shard = Shard::new(config());
    let (old, news) = (topic("old"), topic("news"));
    shard.publish(old.clone(), "old 1");
    shard.publish(old.clone(), "old 2");
    let session = shard.parked(anyone().with_topic(news.clone()));
    for data in ["1", "2", "3", "4", "5"] {
        shard.publish(news.clone(), data);
    }
    assert_eq!(shard.take(session).len(), 5);
    shard.broker.session_mut(session).subscribe(shard.now, old.clone(), StartAt::Oldest).unwrap();
    let frames = shard.take(session);
    assert_eq!(frames, [event_at(1, "old 1"), event_at(2, "old 2"), told_at(7, Notice::Place)]);
    shard.broker.handle_disconnect(shard.now, session);
    let again = back(anyone().with_topic(news).with_topic(old), &frames);
    let again = shard.open(again);
    assert_eq!(shard.take(again), [told_at(7, Notice::Complete { replayed: 0 })]);
}

#[test]
fn a_late_subscription_that_misses_something_says_so_and_keeps_the_place() {
    let mut shard = Shard::new(small());
    for data in ["1", "2", "3", "4", "5"] {
        shard.publish(topic("old"), data);
    }
    let session = shard.parked(anyone());
    let subscribe = |shard: &mut Shard, name: &str, after: &str| {
        let place = StartAt::After(id(after));
        shard.broker.session_mut(session).subscribe(shard.now, topic(name), place).unwrap()
    };
    assert_eq!(subscribe(&mut shard, "old", "e-1"), Resumption::Gap { replayed: 3 });
    assert_eq!(shard.ready(), [session]);
    let expected = [
        told(gap(3, Some(1), LossReason::Retention)),
        event_at(3, "3"),
        event_at(4, "4"),
        event_at(5, "5"),
        told_at(5, Notice::Place),
    ];
    assert_eq!(shard.take(session), expected);
    // Where there is nothing to replay, it is told all the same.
    assert_eq!(subscribe(&mut shard, "new", "d-1"), Resumption::OtherEpoch { replayed: 0 });
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [told(gap(0, None, LossReason::Restart))]);
    assert_eq!(shard.ready(), []);
    // And not where nothing is missing.
    assert_eq!(subscribe(&mut shard, "other", "e-5"), Resumption::Complete { replayed: 0 });
    assert_eq!(shard.take(session), [""; 0]);
}

#[test]
fn gaps_of_late_subscriptions_before_the_first_poll_come_after_the_opening_each_first_in_a_write() {
    let mut shard = Shard::new(small());
    for data in ["1", "2", "3", "4"] {
        shard.publish(topic("a"), data);
        shard.publish(topic("b"), data);
    }
    let session = shard.open(anyone());
    for name in ["a", "b"] {
        let place = StartAt::After(id("e-0"));
        shard.broker.session_mut(session).subscribe(shard.now, topic(name), place).unwrap();
    }
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    assert_eq!((text(batch.as_slice()), end), (told_at(8, Notice::Live), Filled::More));
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    let both = told(gap(6, Some(2), LossReason::Retention));
    assert!(text(batch.as_slice()).starts_with(&both), "{:?}", text(batch.as_slice()));
    assert_eq!((batch.frames(), end), (8, Filled::All));
    // A write that stops in it leaves the rest of it, and all that came after comes back.
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 4);
    assert_eq!(text(&rest), both[4..]);
    assert_eq!(shard.data(session).len(), 6);
}

#[test]
fn a_finite_topic_ends_with_no_more_to_come_for_a_peer_that_keeps_ids_of_data_alone() {
    let mut shard = Shard::new(config());
    let answer = topic("answer");
    let request = || anyone().topics_only().with_topic(topic("answer"));
    shard.publish(answer.clone(), "a");
    shard.broker.publish(shard.now, answer.clone(), &Event::comment("the end")).unwrap();
    shard.broker.topic_mut(&answer).end(shard.now).unwrap();
    let mut last: Option<String> = None;
    let mut data = Vec::new();
    for _ in 0..3 {
        let mut again = request().with_start(StartAt::Oldest);
        if let Some(last) = &last {
            again = request().with_last_event_id(LastEventId::Id(id(last)));
        }
        match shard.broker.open(shard.now, again) {
            Err(error) => {
                assert_eq!(error, OpenError::TopicsEnded);
                assert_eq!(data, ["a"]);
                return;
            }
            Ok(opened) => {
                for frame in shard.take(opened.session) {
                    let Some((_, rest)) = frame.split_once("data: ") else { continue };
                    last = last_id(core::slice::from_ref(&frame)).or(last);
                    if !frame.contains("sansse-notice") {
                        data.push(rest.trim_end().to_owned());
                    }
                }
            }
        }
    }
    panic!("it comes back for ever");
}

#[test]
fn without_notices_a_finite_topic_of_nothing_but_comments_is_over() {
    let mut config = config();
    config.session.notices = None;
    let mut shard = Shard::new(config);
    let answer = topic("answer");
    shard.publish(answer.clone(), "a");
    shard.broker.publish(shard.now, answer.clone(), &Event::comment("the end")).unwrap();
    shard.broker.topic_mut(&answer).end(shard.now).unwrap();
    let request = |last| after(last).topics_only().with_topic(topic("answer"));
    let refused = shard.broker.open(shard.now, request("e-1"));
    assert_eq!(refused, Err(OpenError::TopicsEnded));
    let session = shard.open(request("e-0"));
    assert_eq!(shard.data(session), ["a", END]);
}

#[test]
fn an_id_without_data_at_the_end_of_a_finite_topic_is_no_place_for_everybody() {
    let mut shard = Shard::new(config());
    let answer = topic("answer");
    let event = Event::id_only(id("mine"));
    shard.broker.publish(shard.now, answer.clone(), &event).unwrap();
    shard.broker.topic_mut(&answer).end(shard.now).unwrap();
    let request = anyone().topics_only().with_topic(answer).with_start(StartAt::Oldest);
    let session = shard.open(request);
    let begins = told_at(0, Notice::Kept { replayed: 1 });
    let place = told_at(2, Notice::Place);
    assert_eq!(shard.take(session), [&begins, "id: mine\n\n", &place, END]);
}

#[test]
fn what_is_kept_of_topics_of_which_one_lost_more_is_begun_anew_after_a_cut() {
    let mut shard = Shard::new(small());
    shard.publish(topic("quiet"), "0");
    for data in ["1", "2", "3", "4"] {
        shard.publish(topic("busy"), data);
    }
    let request = || {
        let request = anyone().with_topic(topic("quiet")).with_topic(topic("busy"));
        request.with_start(StartAt::Oldest)
    };
    let session = shard.open(request());
    let first = shard.next(session).unwrap();
    assert_eq!(first, told(Notice::Kept { replayed: 4 }), "no place is right for both");
    let again = shard.open(back(request(), core::slice::from_ref(&first)));
    assert_eq!(shard.take(again)[0], first, "and nothing is said to be missing");
}
