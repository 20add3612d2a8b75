//! How a session continues from a last event id, and what the peer is told of its place.

use super::kit::broker::sessions_of;
use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, LastEventId, LossReason, Notice, UnusableId};

fn small() -> BrokerConfig {
    let mut config = config();
    config.retention.events = 3.try_into().unwrap();
    config.private_retention.events = 2.try_into().unwrap();
    config
}

fn with_events(config: BrokerConfig, events: &[&str]) -> Shard {
    let mut shard = Shard::new(config);
    for data in events {
        shard.broadcast(data);
    }
    shard
}

/// Opens a session and says how it went, with all its frames but the notice with which its stream
/// begins.
fn resume(shard: &mut Shard, request: SessionConfig) -> (Resumption, Vec<String>) {
    let (resumption, mut frames) = begin(shard, request);
    let notice = frames.remove(0);
    let stream = match resumption {
        Resumption::Live => "live",
        Resumption::Oldest { .. } => "kept",
        Resumption::Complete { .. } => "complete",
        _ => "gap",
    };
    let said = format!(r#"data: {{"stream":"{stream}","replayed":{},"#, resumption.replayed());
    assert!(notice.contains(&said), "{resumption:?} is told by {notice:?}");
    (resumption, frames)
}

/// Opens a session and says how it went, with all its frames.
fn begin(shard: &mut Shard, request: SessionConfig) -> (Resumption, Vec<String>) {
    let opened = shard.broker.open(shard.now, request).unwrap();
    let told = shard.events().pop();
    let Some(BrokerEvent::SessionOpened { session, resumption, .. }) = told else {
        panic!("{told:?}");
    };
    assert_eq!(
        (session, resumption),
        (opened.session, opened.resumption),
        "the event says the same"
    );
    (resumption, shard.take(opened.session))
}

#[test]
fn a_session_that_asks_for_nothing_starts_now() {
    let mut shard = with_events(config(), &["a", "b"]);
    // A browser whose last event id was cleared sends none, and a careless client an empty one.
    for request in [anyone(), after("")] {
        let (outcome, frames) = begin(&mut shard, request);
        assert_eq!((outcome, frames), (Resumption::Live, vec![told_at(2, Notice::Live)]));
    }
}

#[test]
fn everything_since_is_replayed_and_counted() {
    let mut shard = with_events(config(), &["a", "b", "c"]);
    for (last, had, replayed) in [("e-0", 0, 3), ("e-1", 1, 2), ("e-2", 2, 1), ("e-3", 3, 0)] {
        let (outcome, frames) = resume(&mut shard, after(last));
        assert_eq!(outcome, Resumption::Complete { replayed }, "{last}");
        let all = [event_at(1, "a"), event_at(2, "b"), event_at(3, "c")];
        assert_eq!(frames, all[had..], "{last}");
    }
}

#[test]
fn a_position_that_was_for_others_is_a_place_like_any_other() {
    let mut shard = Shard::new(config());
    shard.publish(topic("news"), "1");
    shard.publish(topic("sport"), "2");
    shard.broadcast("3");
    shard.publish(topic("news"), "4");
    let (outcome, frames) = resume(&mut shard, after("e-2").with_topic(topic("news")));
    assert_eq!(outcome, Resumption::Complete { replayed: 2 });
    assert_eq!(frames, [event_at(3, "3"), event_at(4, "4")]);
}

#[test]
fn what_is_kept_no_more_is_a_gap_and_the_rest_is_replayed() {
    let mut shard = with_events(small(), &["a", "b", "c", "d", "e"]);
    let kept = [event_at(3, "c"), event_at(4, "d"), event_at(5, "e")];
    for last in ["e-0", "e-1"] {
        let (outcome, frames) = resume(&mut shard, after(last));
        assert_eq!((outcome, &frames[..]), (Resumption::Gap { replayed: 3 }, &kept[..]), "{last}");
    }
    // The first that is complete: what was lost is what it has.
    let (outcome, frames) = resume(&mut shard, after("e-2"));
    assert_eq!((outcome, &frames[..]), (Resumption::Complete { replayed: 3 }, &kept[..]));
}

#[test]
fn a_gap_in_any_of_its_topics_is_one() {
    let mut shard = Shard::new(small());
    shard.publish(topic("quiet"), "1");
    shard.publish(topic("busy"), "2");
    for _ in 0..3 {
        shard.publish(topic("busy"), "more");
    }
    let both = || anyone().with_topic(topic("quiet")).with_topic(topic("busy"));
    let from =
        |request: SessionConfig, last: &str| request.with_last_event_id(LastEventId::Id(id(last)));
    let (outcome, _) = resume(&mut shard, from(both(), "e-1"));
    assert_eq!(outcome, Resumption::Gap { replayed: 3 });
    let (outcome, _) = resume(&mut shard, from(both(), "e-2"));
    assert_eq!(outcome, Resumption::Complete { replayed: 3 });
    let (outcome, _) = resume(&mut shard, from(anyone().with_topic(topic("quiet")), "e-0"));
    assert_eq!(outcome, Resumption::Complete { replayed: 1 });
}

#[test]
fn events_that_have_grown_too_old_are_a_gap() {
    let mut shard = with_events(config(), &["a"]);
    shard.sleep(secs(200));
    shard.broadcast("b");
    shard.sleep(secs(99));
    let (outcome, _) = resume(&mut shard, after("e-0"));
    assert_eq!(outcome, Resumption::Complete { replayed: 2 });
    shard.sleep(secs(1));
    let (outcome, _) = resume(&mut shard, after("e-0"));
    assert_eq!(outcome, Resumption::Gap { replayed: 1 });
    let (outcome, _) = resume(&mut shard, after("e-1"));
    assert_eq!(outcome, Resumption::Complete { replayed: 1 });
    shard.sleep(secs(200));
    let (outcome, frames) = begin(&mut shard, after("e-1"));
    assert_eq!(outcome, Resumption::Gap { replayed: 0 });
    let gap = gap_at(2, 0, 1, LossReason::Retention);
    assert_eq!(frames, [gap], "it is told the place from which it goes on");
}

#[test]
fn malformed_ids_are_unknown_and_no_error() {
    let mut shard = with_events(config(), &["a", "b"]);
    let text = |last: &str| LastEventId::Id(id(last));
    let ids = [
        text("e-18446744073709551616"),
        text("e-01"),
        text("E-1"),
        text("e-1 "),
        text("e--1"),
        text("e-"),
        text("-1"),
        text("-"),
        text("nonsense"),
        text(&"e".repeat(100_000)),
        text("\u{1f980}"),
        LastEventId::Malformed,
    ];
    for last in ids {
        let request = anyone().with_last_event_id(last.clone());
        let (outcome, frames) = resume(&mut shard, request);
        assert_eq!(outcome, Resumption::UnknownId { replayed: 0 }, "{last:?}");
        assert!(frames.is_empty(), "{frames:?}");
        let request = anyone().with_last_event_id(last.clone()).with_start(StartAt::Last(1));
        let (outcome, frames) = resume(&mut shard, request);
        assert_eq!(outcome, Resumption::UnknownId { replayed: 1 }, "{last:?}, as without an id");
        assert_eq!(frames, [event_at(2, "b")]);
    }
}

#[test]
fn a_position_that_was_not_given_out_yet_says_so() {
    let mut shard = with_events(config(), &["a", "b"]);
    for last in ["e-3", "e-18446744073709551615"] {
        let (outcome, frames) = resume(&mut shard, after(last));
        assert_eq!(outcome, Resumption::Ahead { replayed: 0 }, "{last}");
        assert!(frames.is_empty(), "{frames:?}");
    }
    shard.broadcast("c");
    let (outcome, _) = resume(&mut shard, after("e-3"));
    assert_eq!(outcome, Resumption::Complete { replayed: 0 }, "now it is");
}

#[test]
fn any_text_opens_a_session() {
    let seed = seed(3);
    let mut rng = Rng::new(seed);
    let mut shard = with_events(small(), &["a", "b", "c", "d"]);
    let parts =
        ["e", "-", "1", "4", "9", "0", "+", " ", "é", "f", "E", "\t", "18446744073709551615"];
    for _ in 0..20_000 {
        let text: String = (0..rng.below(6)).map(|_| rng.pick(&parts)).collect();
        let (outcome, frames) = resume(&mut shard, after(&text));
        let expected = match text.as_str() {
            "" => Resumption::Live,
            "e-0" => Resumption::Gap { replayed: 3 },
            "e-1" => Resumption::Complete { replayed: 3 },
            "e-4" => Resumption::Complete { replayed: 0 },
            _ if text.strip_prefix("e-").is_some_and(|position| {
                position.parse::<u64>().is_ok_and(|it| it > 4 && it.to_string() == position)
            }) =>
            {
                Resumption::Ahead { replayed: 0 }
            }
            _ if text.split_once('-').is_some_and(|(epoch, position)| {
                epoch != "e"
                    && u64::from_str_radix(epoch, 16).is_ok_and(|it| format!("{it:x}") == epoch)
                    && position.parse::<u64>().is_ok_and(|it| it.to_string() == position)
            }) =>
            {
                Resumption::OtherEpoch { replayed: 0 }
            }
            _ => Resumption::UnknownId { replayed: 0 },
        };
        assert_eq!(outcome, expected, "{text:?}, seed {seed}");
        assert_eq!(
            frames.iter().filter(|frame| frame.contains("data:")).count() as u64,
            outcome.replayed()
        );
    }
}

#[test]
fn an_id_of_another_life_of_the_stream_says_so() {
    let mut shard = with_events(config(), &["a"]);
    for last in ["d-1", "0-0", "ffffffffffffffff-7"] {
        let (outcome, frames) = resume(&mut shard, after(last));
        assert_eq!(outcome, Resumption::OtherEpoch { replayed: 0 }, "{last}");
        assert!(frames.is_empty(), "{frames:?}");
        let all = after(last).with_start(StartAt::Oldest);
        let (outcome, frames) = resume(&mut shard, all);
        assert_eq!(outcome, Resumption::OtherEpoch { replayed: 1 }, "{last}, as without an id");
        assert_eq!(frames, [event_at(1, "a")]);
    }
    let mut empty = Shard::new(config());
    let (outcome, frames) = begin(&mut empty, after("d-9"));
    assert_eq!(outcome, Resumption::OtherEpoch { replayed: 0 });
    let gap = gap_at(0, 0, None, LossReason::Restart);
    assert_eq!(frames, [gap], "from here on it has a place again");
}

#[test]
fn a_session_that_cannot_be_continued_may_start_with_the_newest_instead() {
    let mut config = small();
    config.session.on_gap = OnGap::StartNow;
    let mut shard = with_events(config, &["a", "b", "c", "d"]);
    let text = |last: &str| LastEventId::Id(id(last));
    let unknown = Resumption::UnknownId { replayed: 0 };
    let cases = [
        // With what is kept and skipped.
        (text("e-0"), Resumption::Gap { replayed: 0 }, Some(4), LossReason::Retention),
        (text("e-9"), Resumption::Ahead { replayed: 0 }, None, LossReason::Ahead),
        (text("nonsense"), unknown, None, LossReason::UnknownId),
        (LastEventId::Malformed, unknown, None, LossReason::MalformedId),
        (text("f-1"), Resumption::OtherEpoch { replayed: 0 }, None, LossReason::Restart),
    ];
    for (last, expected, lost, reason) in cases {
        let request = anyone().with_last_event_id(last);
        let (outcome, frames) = begin(&mut shard, request);
        assert_eq!((outcome, frames), (expected, vec![gap_at(4, 0, lost, reason)]));
    }
    let (outcome, _) = resume(&mut shard, after("e-1"));
    assert_eq!(outcome, Resumption::Complete { replayed: 3 }, "this one can be");
}

#[test]
fn an_event_is_found_by_the_id_it_brought() {
    for ids in [EventIds::Assigned, EventIds::Own] {
        let mut config = small();
        config.event_ids = ids;
        config.session.on_unknown_id = OnUnknownId::ReplayKept;
        let mut shard = Shard::new(config);
        for name in ["x", "y", "z"] {
            let event = Event::new(format!("data of {name}")).with_id(id(name));
            shard.broker.publish(shard.now, Audience::Everyone, &event).unwrap();
        }
        let frame = |name: &str| format!("id: {name}\ndata: data of {name}\n\n");
        let (outcome, frames) = resume(&mut shard, after("x"));
        assert_eq!(outcome, Resumption::Complete { replayed: 2 });
        assert_eq!(frames, [frame("y"), frame("z")]);
        // One more, and "x" is kept no more: nobody knows where it was.
        shard.broker.publish(shard.now, Audience::Everyone, &Event::new("last")).unwrap();
        let (outcome, frames) = resume(&mut shard, after("x"));
        assert_eq!(outcome, Resumption::UnknownId { replayed: 3 });
        assert_eq!(frames[..2], [frame("y"), frame("z")]);
    }
}

#[test]
fn an_id_with_which_nobody_could_come_back_is_not_published() {
    for ids in [EventIds::Assigned, EventIds::Own] {
        let mut config = config();
        config.event_ids = ids;
        let mut shard = Shard::new(config);
        let long = "x".repeat(LastEventId::MAX_LENGTH + 1);
        for (text, reason) in [
            ("", UnusableId::Empty),
            (" 7", UnusableId::SpaceAtEnd),
            ("7\t", UnusableId::SpaceAtEnd),
            (&*long, UnusableId::TooLong { length: 1_025 }),
        ] {
            for event in [Event::new("a").with_id(id(text)), Event::id_only(id(text))] {
                let error = PublishError::UnusableId(reason);
                let refused = shard.broker.publish(shard.now, topic("news"), &event);
                assert_eq!(refused, Err(error), "{text:?}");
                assert_eq!(error.fault(), sansse::Fault::Caller);
                // Nor what another shard has numbered.
                let mut other = Sequencer::new(Epoch(0xe), 0, ids);
                let published = other.publish(Audience::Everyone, &event);
                let refused = shard.broker.shard_mut().apply(shard.now, &published);
                assert_eq!(refused, Err(error), "{text:?}");
            }
        }
        // Nothing was done: no position is taken, and no topic is known.
        assert_eq!(shard.broadcast("first"), 1);
        assert_eq!(shard.broker.counters().published, 1);
        let event = Event::new("a").with_id(id(&long[1..]));
        assert!(shard.broker.publish(shard.now, Audience::Everyone, &event).is_ok());
        let (resumption, _) = resume(&mut shard, after(&long[1..]));
        assert_eq!(resumption, Resumption::Complete { replayed: 0 });
    }
}

#[test]
fn an_id_that_reads_like_a_place_is_not_published_where_it_would_be_taken_for_one() {
    let mut shard = Shard::new(config());
    shard.broadcast("a");
    // Of this life of the stream, of a later one, and of one that numbers its lives.
    for text in ["e-1", "e-999", "f-1", "0-0"] {
        let event = Event::new("b").with_id(id(text));
        let refused = shard.broker.publish(shard.now, Audience::Everyone, &event);
        assert_eq!(refused, Err(PublishError::UnusableId(UnusableId::LikeAPlace)), "{text}");
    }
    // What a broker does not write it does not read.
    for text in ["e-01", "E-1", "e-1-", "e", "e-", "-1", "e - 1"] {
        let event = Event::new("b").with_id(id(text));
        assert!(shard.broker.publish(shard.now, Audience::Everyone, &event).is_ok(), "{text}");
    }
    let mut config = config();
    config.event_ids = EventIds::Own;
    let mut shard = Shard::new(config);
    let event = Event::new("b").with_id(id("e-1"));
    assert!(
        shard.broker.publish(shard.now, Audience::Everyone, &event).is_ok(),
        "no id is a place"
    );
}

#[test]
fn an_id_that_several_events_brought_loses_nothing() {
    let mut shard = Shard::new(config());
    let publish = |shard: &mut Shard, to: Audience, data: &'static str| {
        let event = Event::new(data).with_id(id("same"));
        shard.broker.publish(shard.now, to, &event).unwrap();
    };
    publish(&mut shard, topic("news").into(), "1");
    publish(&mut shard, Audience::Everyone, "2");
    publish(&mut shard, Audience::Everyone, "3");
    let (outcome, frames) = resume(&mut shard, after("same").with_topic(topic("news")));
    assert_eq!(outcome, Resumption::Complete { replayed: 2 });
    assert!(frames[0].ends_with("data: 2\n\n") && frames[1].ends_with("data: 3\n\n"));
    // Without that topic, the oldest is another.
    let (outcome, _) = resume(&mut shard, after("same"));
    assert_eq!(outcome, Resumption::Complete { replayed: 1 });
}

#[test]
fn with_ids_of_their_own_a_place_of_the_brokers_making_is_unknown() {
    let mut config = config();
    config.event_ids = EventIds::Own;
    config.session.on_unknown_id = OnUnknownId::ReplayKept;
    let mut shard = with_events(config, &["a"]);
    for last in ["e-0", "e-1", "d-1"] {
        let (outcome, frames) = resume(&mut shard, after(last));
        assert_eq!(outcome, Resumption::UnknownId { replayed: 1 });
        assert_eq!(frames, ["data: a\n\n"]);
    }
    // Nor is anybody told of one.
    let (outcome, frames) = begin(&mut shard, anyone());
    assert_eq!((outcome, frames), (Resumption::Live, vec![told(Notice::Live)]));
}

#[test]
fn a_session_that_loses_the_connection_before_the_first_event_misses_nothing() {
    let mut shard = with_events(config(), &["before"]);
    let session = shard.open(anyone());
    let Some(opening) = shard.next(session) else { panic!("the stream does not begin") };
    shard.broker.handle_disconnect(shard.now, session);
    shard.broadcast("meanwhile");
    // The browser comes back with the id it learnt, though no event ever came.
    let last = opening.strip_prefix("id: ").and_then(|rest| rest.split_once('\n')).unwrap().0;
    let (outcome, frames) = resume(&mut shard, after(last));
    assert_eq!(outcome, Resumption::Complete { replayed: 1 });
    assert_eq!(frames, [event_at(2, "meanwhile")]);
}

#[test]
fn the_place_is_the_one_at_which_the_session_was_opened() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone());
    shard.broadcast("published before the first poll");
    assert_eq!(shard.take(session)[0], told_at(0, Notice::Live));
}

#[test]
fn a_session_is_told_the_reconnection_time_at_its_start() {
    let mut config = config();
    config.reconnect.retry = Some(millis(750));
    let mut shard = with_events(config.clone(), &["a"]);
    let (_, frames) = begin(&mut shard, anyone());
    assert_eq!(frames, ["retry: 750\n".to_owned() + &told_at(1, Notice::Live)]);
    let (_, frames) = begin(&mut shard, after("e-0"));
    let complete = told_at(0, Notice::Complete { replayed: 1 });
    assert_eq!(frames, ["retry: 750\n".to_owned() + &complete, event_at(1, "a")]);
    config.event_ids = EventIds::Own;
    let mut shard = Shard::new(config.clone());
    let (_, frames) = begin(&mut shard, anyone());
    assert_eq!(frames, ["retry: 750\n".to_owned() + &told(Notice::Live)]);
    config.session.notices = None;
    let mut shard = Shard::new(config);
    let (_, frames) = begin(&mut shard, anyone());
    assert_eq!(frames, ["retry: 750\n\n"]);
}

#[test]
fn one_id_resumes_a_session_of_many_topics() {
    let mut shard = Shard::new(config());
    let request = || session_of("alice").with_topic(topic("a")).with_topic(topic("b"));
    let session = shard.parked(request());
    let publish_some = |shard: &mut Shard| {
        shard.publish(topic("a"), "a");
        shard.broadcast("all");
        shard.publish(client("alice"), "alice");
        shard.publish(topic("b"), "b");
    };
    publish_some(&mut shard);
    let frames = shard.take(session);
    shard.broker.handle_disconnect(shard.now, session);
    publish_some(&mut shard);
    // From each frame in turn, the rest is the same as if nothing had happened.
    let (_, all) = resume(&mut shard, request().with_last_event_id(LastEventId::Id(id("e-0"))));
    assert_eq!(all[..4], frames[..]);
    for (index, frame) in all.iter().enumerate() {
        let last = frame.lines().next().unwrap().strip_prefix("id: ").unwrap();
        let again = request().with_last_event_id(LastEventId::Id(id(last)));
        let (outcome, rest) = resume(&mut shard, again);
        assert_eq!(outcome, Resumption::Complete { replayed: 7 - index as u64 });
        assert_eq!(rest, all[index + 1..]);
    }
}

#[test]
fn a_topic_that_was_forgotten_with_its_events_is_a_gap() {
    let mut shard = Shard::new(config());
    shard.publish(topic("news"), "a");
    // Nobody listens and nothing is kept: the topic itself is gone.
    shard.sleep(secs(300));
    let from = |last: &str| after(last).with_topic(topic("news"));
    let (outcome, _) = resume(&mut shard, from("e-0"));
    assert_eq!(outcome, Resumption::Gap { replayed: 0 });
    let (outcome, _) = resume(&mut shard, from("e-1"));
    assert_eq!(outcome, Resumption::Complete { replayed: 0 });
}

#[test]
fn what_was_for_a_client_that_is_forgotten_is_a_gap() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    shard.broker.handle_disconnect(shard.now, session);
    shard.publish(client("alice"), "a");
    let again = |last: &str| session_of("alice").with_last_event_id(LastEventId::Id(id(last)));
    shard.sleep(secs(29));
    let (outcome, frames) = resume(&mut shard, again("e-0"));
    assert_eq!((outcome, frames), (Resumption::Complete { replayed: 1 }, vec![event_at(1, "a")]));
    for session in sessions_of(&shard.broker, &client("alice")) {
        shard.broker.handle_disconnect(shard.now, session);
    }
    shard.sleep(secs(30));
    let (outcome, _) = resume(&mut shard, again("e-0"));
    assert_eq!(outcome, Resumption::Gap { replayed: 0 });
}

#[test]
fn more_than_is_kept_for_a_client_is_a_gap() {
    let mut shard = Shard::new(small());
    let session = shard.parked(session_of("alice"));
    for data in ["a", "b", "c"] {
        shard.publish(client("alice"), data);
        shard.take(session);
    }
    let again = |last: &str| session_of("alice").with_last_event_id(LastEventId::Id(id(last)));
    let (outcome, frames) = resume(&mut shard, again("e-0"));
    assert_eq!(outcome, Resumption::Gap { replayed: 2 });
    assert_eq!(frames, [event_at(2, "b"), event_at(3, "c")]);
    let (outcome, _) = resume(&mut shard, again("e-1"));
    assert_eq!(outcome, Resumption::Complete { replayed: 2 });
}
