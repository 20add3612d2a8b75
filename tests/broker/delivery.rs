//! Who gets what, in which order, and in what bytes.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, Notice};

#[test]
fn a_batch_that_is_not_the_newest_takes_nothing_back() {
    for form in [Framing::Plain, Framing::Chunked] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone());
        for data in ["a", "b", "c", "d"] {
            shard.broadcast(data);
        }
        let (batch, _) = shard.batch(session, 1 << 20, form);
        let first = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
        assert_eq!(first, batch.as_slice()[3..batch.len() / 4]);
        // A second time, there is nothing to take back; all that is left is returned.
        let again = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
        assert_eq!(again, batch.as_slice()[3..]);
        assert_eq!(shard.data(session), ["b", "c", "d"]);

        // After another poll, neither: what was asked for in between would come before it.
        for data in ["e", "f"] {
            shard.broadcast(data);
        }
        let (batch, _) = shard.batch(session, 1 << 20, form);
        shard.broadcast("g");
        assert_eq!(shard.data(session), ["g"]);
        let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 1);
        assert_eq!(rest, batch.as_slice()[1..]);
        assert_eq!(shard.data(session), [""; 0]);

        // Nor does another session's batch.
        let other = shard.parked(anyone());
        shard.broadcast("h");
        let (batch, _) = shard.batch(session, 1 << 20, form);
        let rest = shard.broker.handle_partial_write(shard.now, other, &batch, 1);
        assert_eq!(rest, batch.as_slice()[1..]);
        assert_eq!(shard.data(other), ["h"]);
    }
}

#[test]
fn a_session_that_is_closed_is_not_behind_by_what_comes_later() {
    for lag in [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest] {
        let mut config = config();
        config.retention.events = 3.try_into().unwrap();
        let mut shard = Shard::new(config);
        let session = shard.parked(session_of("alice").with_lag(lag));
        shard.broadcast("a");
        shard.publish(client("alice"), "b");
        assert!(shard.broker.session_mut(session).close(shard.now));
        shard.events();
        // "a" is kept as one of three, then lost; what comes after the end was never meant for it.
        for data in ["c", "d"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), ["a", "b", END], "{lag:?}");
        let reason = EndReason::Closed;
        let ended = |reason, session| BrokerEvent::SessionEnded {
            session,
            client: Some(client("alice")),
            reason,
            undelivered: 0,
        };
        assert_eq!(shard.events(), [ended(reason, session)], "{lag:?}");

        let session = shard.parked(session_of("alice").with_lag(lag));
        shard.broadcast("e");
        assert!(shard.broker.session_mut(session).close(shard.now));
        shard.events();
        for data in ["f", "g", "h", "i", "j"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), [END], "{lag:?}");
        let skipped =
            BrokerEvent::SessionSkipped { session, client: Some(client("alice")), lost: 1 };
        match lag {
            LagPolicy::Close => {
                let reason = EndReason::Lagged { lost: 1 };
                assert_eq!(shard.events(), [ended(reason, session)]);
            }
            _ => assert_eq!(shard.events(), [skipped, ended(reason, session)], "{lag:?}"),
        }
    }
}

#[test]
fn a_session_that_has_everything_is_closed_and_not_behind() {
    let mut config = config();
    config.retention.events = 3.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.broker.session_mut(session).close(shard.now);
    for _ in 0..10 {
        shard.broadcast("later");
    }
    assert_eq!(shard.take(session), [END]);
    let ended = BrokerEvent::SessionEnded {
        session,
        client: None,
        reason: EndReason::Closed,
        undelivered: 0,
    };
    assert_eq!(shard.events().last(), Some(&ended));
}

fn ended(session: SessionId, reason: EndReason) -> BrokerEvent {
    BrokerEvent::SessionEnded { session, client: None, reason, undelivered: 0 }
}

#[test]
fn each_addressee_gets_what_is_published_to_it_and_nobody_else_does() {
    let mut shard = Shard::new(config());
    let laptop = shard.parked(session_of("alice").with_topic(topic("news")));
    let phone = shard.parked(session_of("alice"));
    let bob = shard.parked(session_of("bob").with_topic(topic("news")).with_topic(topic("sport")));
    let guest = shard.parked(anyone().with_topic(topic("sport")));
    shard.broadcast("all");
    shard.publish(client("alice"), "alice");
    shard.publish(phone, "phone");
    shard.publish(topic("news"), "news");
    shard.publish(topic("sport"), "sport");
    shard.publish(topic("weather"), "nobody listens");
    assert_eq!(shard.data(laptop), ["all", "alice", "news"]);
    assert_eq!(shard.data(phone), ["all", "alice", "phone"]);
    assert_eq!(shard.data(bob), ["all", "news", "sport"]);
    assert_eq!(shard.data(guest), ["all", "sport"]);
}

#[test]
fn events_of_different_topics_come_in_the_order_in_which_they_were_published() {
    let mut shard = Shard::new(config());
    let request = session_of("alice").with_topic(topic("a")).with_topic(topic("b"));
    let single = shard.parked(request.clone());
    let batched = shard.parked(request);
    let mut rng = Rng::new(seed(7));
    let mut expected = Vec::new();
    for number in 0..200 {
        let data = format!("{number}");
        match rng.below(4) {
            0 => shard.publish(Audience::Everyone, &data),
            1 => shard.publish(client("alice"), &data),
            2 => shard.publish(topic("a"), &data),
            _ => shard.publish(topic("b"), &data),
        };
        expected.push(event_at(number + 1, &data));
    }
    assert_eq!(shard.take(single), expected);
    let (batch, end) = shard.batch(batched, 1 << 20, Framing::Plain);
    assert_eq!(text(batch.as_slice()), expected.concat());
    assert_eq!((batch.frames(), end), (200, Filled::All));
}

#[test]
fn a_topic_named_twice_delivers_once() {
    let mut shard = Shard::new(config());
    let request = anyone().with_topic(topic("a")).with_topic(topic("b")).with_topic(topic("a"));
    let session = shard.parked(request);
    shard.publish(topic("a"), "x");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.data(session), ["x"]);
}

#[test]
fn an_event_gets_the_id_of_its_position_unless_it_brings_one() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    let mut publish = |event: &Event| {
        shard.broker.publish(shard.now, Audience::Everyone, event).unwrap().position()
    };
    let positions = [
        publish(&Event::new("a")),
        publish(&Event::new("b").with_id(id("mine"))),
        publish(&Event::comment("c")),
        publish(&Event::retry_only(millis(250))),
        publish(&Event::id_only(id("place"))),
        publish(&Event::new("d").with_type(sansse::event_type!("tick")).with_comment("why")),
    ];
    assert_eq!(positions, [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        shard.take(session),
        [
            "id: e-1\ndata: a\n\n",
            "id: mine\ndata: b\n\n",
            ": c\n",
            "retry: 250\n\n",
            "id: place\n\n",
            ": why\nid: e-6\nevent: tick\ndata: d\n\n",
        ]
    );
    assert_eq!(shard.broker.shard().last_position(), 6);
}

#[test]
fn with_ids_of_their_own_events_have_those_or_none() {
    let mut config = config();
    config.event_ids = EventIds::Own;
    let mut shard = Shard::new(config);
    let session = shard.open(anyone());
    shard.broadcast("a");
    let event = Event::new("b").with_id(id("mine"));
    shard.broker.publish(shard.now, Audience::Everyone, &event).unwrap();
    let begins = told(Notice::Live);
    assert_eq!(shard.take(session), [&begins, "data: a\n\n", "id: mine\ndata: b\n\n"]);
}

#[test]
fn a_closed_session_gets_what_was_published_before_and_then_its_end() {
    for batched in [false, true] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone().with_topic(topic("news")));
        shard.events();
        shard.broadcast("a");
        shard.publish(topic("news"), "b");
        shard.publish(session, "c");
        assert!(shard.broker.session_mut(session).close(shard.now));
        shard.broadcast("too late");
        let refused = shard.broker.publish(shard.now, session, &Event::new("too late"));
        assert_eq!(refused, Err(PublishError::UnknownSession));
        assert_eq!(shard.ready(), [session]);
        if batched {
            let (batch, end) = shard.batch(session, 1 << 20, Framing::Plain);
            assert_eq!((batch.frames(), end), (3, Filled::More));
            let expected = [event_at(1, "a"), event_at(2, "b"), event_at(3, "c")].concat();
            assert_eq!(text(batch.as_slice()), expected);
            assert_eq!(shard.events(), [], "it waits until nothing can come back");
            let (batch, end) = shard.batch(session, 1 << 20, Framing::Plain);
            assert_eq!((batch.len(), end), (0, Filled::Ended(Some(EndReason::Closed))));
        } else {
            assert_eq!(shard.data(session), ["a", "b", "c", END]);
        }
        assert_eq!(shard.events(), [ended(session, EndReason::Closed)]);
        assert_eq!(shard.take(session), [END], "for ever");
        assert!(!shard.broker.session_mut(session).close(shard.now));
        assert_eq!((shard.ready(), shard.events()), (vec![], vec![]));
    }
}

#[test]
fn a_closed_broker_delivers_to_all_and_opens_none() {
    let mut shard = Shard::new(config());
    let parked = shard.parked(anyone());
    shard.broadcast("a");
    let fresh = shard.open(anyone());
    let away = shard.parked(anyone());
    shard.events();
    shard.broker.close(shard.now);
    shard.broker.close(shard.now);
    assert_eq!(shard.ready(), [parked, away]);
    assert_eq!(shard.data(parked), ["a", END]);
    assert_eq!(shard.take(fresh), [told_at(1, Notice::Live), END.to_owned()]);
    assert_eq!(shard.take(away), [END]);
    assert_eq!(shard.events(), [parked, fresh, away].map(|id| ended(id, EndReason::Shutdown)));
    let opened = shard.broker.open(shard.now, anyone());
    assert_eq!(opened, Err(OpenError::Closed));
    let published = shard.broker.publish(shard.now, Audience::Everyone, &Event::new("b"));
    assert_eq!(published, Err(PublishError::Closed));
    assert_eq!(shard.broker.shard().last_position(), 1);
}

#[test]
fn each_session_ends_once_with_the_first_reason_that_takes_effect() {
    let mut shard = Shard::new(config());
    let [gone, closed, left, shut] = [(); 4].map(|()| shard.parked(anyone()));
    shard.events();
    shard.broker.handle_disconnect(shard.now, gone);
    shard.broker.handle_disconnect(shard.now, gone);
    assert!(!shard.broker.session_mut(gone).close(shard.now));
    shard.broker.session_mut(closed).close(shard.now);
    // Closed by the application, but its connection is gone before it is told.
    shard.broker.session_mut(left).close(shard.now);
    shard.broker.handle_disconnect(shard.now, left);
    shard.broker.close(shard.now);
    for session in [gone, closed, left, shut] {
        assert_eq!(shard.take(session), [END]);
    }
    assert_eq!(
        shard.events(),
        [
            ended(gone, EndReason::Disconnected),
            ended(left, EndReason::Disconnected),
            ended(closed, EndReason::Closed),
            ended(shut, EndReason::Shutdown),
        ]
    );
    assert_eq!(shard.broker.counters().sessions, 0);
    shard.sleep(secs(1_000));
    assert_eq!(shard.events(), []);
    // Only those that were not told otherwise came out.
    assert_eq!(shard.ready(), []);
}

#[test]
fn what_was_for_one_session_alone_and_not_taken_is_counted_at_its_end() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    for data in ["a", "b", "c"] {
        shard.publish(session, data);
    }
    shard.publish(client("alice"), "for any session of hers");
    shard.next(session);
    shard.events();
    shard.broker.handle_disconnect(shard.now, session);
    let (client, reason) = (Some(client("alice")), EndReason::Disconnected);
    let ended = BrokerEvent::SessionEnded { session, client, reason, undelivered: 2 };
    assert_eq!(shard.events(), [ended]);
}

#[test]
fn what_a_partial_write_left_for_one_session_alone_is_counted_at_its_end() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    for data in ["a", "b", "c"] {
        shard.publish(session, data);
    }
    let (batch, _) = shard.batch(session, 1 << 20, Framing::Chunked);
    shard.events();
    shard.broker.handle_partial_write(shard.now, session, &batch, 1);
    shard.broker.handle_disconnect(shard.now, session);
    let reason = EndReason::Disconnected;
    let ended = BrokerEvent::SessionEnded { session, client: None, reason, undelivered: 2 };
    assert_eq!(shard.events(), [ended]);
}

#[test]
fn an_event_larger_than_all_that_is_kept_is_refused_and_nothing_is_left_of_it() {
    let mut config = config();
    config.retention.bytes = 60.try_into().unwrap();
    config.private_retention.bytes = 40.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.parked(session_of("alice"));
    let large = Event::new("x".repeat(60));
    let mut refuse = |count| {
        for _ in 0..count {
            let topics: [(Audience, usize); 4] = [
                (Audience::Everyone, 60),
                (topic("news").into(), 60),
                (client("alice").into(), 40),
                (session.into(), 40),
            ];
            for (topic, limit) in topics {
                let refused = shard.broker.publish(shard.now, topic, &large);
                let Err(PublishError::TooLarge { size, limit: said }) = refused else {
                    panic!("{refused:?}");
                };
                // The data, and with it the id, the fields' names and the chunk framing.
                assert!(size > 60 + 20 && size < 60 + 30 && said == limit);
            }
        }
        shard.size()
    };
    let (few, many) = (refuse(1), refuse(100));
    assert!(many < few + 20, "grew from {few} to {many}");
    assert_eq!(shard.ready(), []);
    // The largest that is kept is delivered.
    let frame = shard.publish(Audience::Everyone, &"x".repeat(60 - 22)).frame().clone();
    assert_eq!((frame.chunk().len(), shard.take(session).len()), (60, 1));
}

#[test]
fn an_unknown_addressee_cannot_be_published_to() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broker.handle_disconnect(shard.now, session);
    let event = Event::new("x");
    let unknown = shard.broker.publish(shard.now, client("nobody"), &event);
    assert_eq!(unknown, Err(PublishError::UnknownClient));
    let unknown = shard.broker.publish(shard.now, session, &event);
    assert_eq!(unknown, Err(PublishError::UnknownSession));
    assert_eq!(shard.broker.shard().last_position(), 0, "no position was used");
}

#[test]
fn a_batch_takes_what_fits_and_a_large_frame_goes_alone() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    let frame = event_at(1, "x").len();
    for _ in 0..5 {
        shard.broadcast("x");
    }
    let (batch, end) = shard.batch(session, 2 * frame, Framing::Plain);
    assert_eq!((batch.frames(), end), (2, Filled::More));
    let (batch, end) = shard.batch(session, 2 * frame - 1, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::More));
    let (batch, end) = shard.batch(session, 0, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::More));
    // The last one fits; that there is no more is found in the same call.
    let (batch, end) = shard.batch(session, frame, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::All));

    let large = "x".repeat(100_000);
    shard.broadcast("small");
    let published = shard.publish(Audience::Everyone, &large);
    shard.broadcast("small");
    let (batch, end) = shard.batch(session, 1 << 20, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::More));
    let (batch, end) = shard.batch(session, 1, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::More));
    assert_eq!(batch.as_slice().as_ptr(), published.frame().as_ref().as_ptr(), "not copied");
    let (batch, end) = shard.batch(session, 1 << 20, Framing::Plain);
    assert_eq!((batch.frames(), end), (1, Filled::All));
}

/// Everything that a session may have pending at once: the opening, five sources, sizes on both
/// sides of what goes alone.
fn busy(shard: &mut Shard) -> SessionId {
    let request = session_of("alice").with_topic(topic("a")).with_topic(topic("b"));
    let session = shard.open(request);
    shard.publish(topic("b"), "1");
    shard.publish(session, "22");
    shard.publish(client("alice"), "333");
    shard.publish(Audience::Everyone, &"4".repeat(17_000));
    shard.publish(topic("a"), "55555");
    shard.publish(topic("a"), "666666");
    shard.publish(session, "7777777");
    session
}

#[test]
fn joined_frames_are_the_frames_one_by_one() {
    let mut shard = Shard::new(config());
    let session = busy(&mut shard);
    let (mut payloads, mut chunks) = (Vec::new(), Vec::new());
    while let Some(Transmit::Frame(frame)) = shard.broker.poll_transmit(shard.now, session) {
        payloads.extend_from_slice(frame.as_ref());
        chunks.extend_from_slice(frame.chunk());
    }
    for (form, expected) in [(Framing::Plain, payloads), (Framing::Chunked, chunks)] {
        for limit in [0, 40, 100, 1 << 16] {
            let mut shard = Shard::new(config());
            let session = busy(&mut shard);
            let mut joined = Vec::new();
            loop {
                let (batch, end) = shard.batch(session, limit, form);
                joined.extend_from_slice(batch.as_slice());
                if end == Filled::All {
                    break;
                }
            }
            assert!(joined == expected, "{form:?}, {limit}");
        }
    }
}

#[test]
fn a_write_that_stops_at_any_byte_loses_and_repeats_nothing() {
    for form in [Framing::Plain, Framing::Chunked] {
        let mut shard = Shard::new(config());
        let session = busy(&mut shard);
        let mut whole = Vec::new();
        while let (batch, end) = shard.batch(session, 1 << 16, form)
            && !batch.is_empty()
        {
            whole.extend_from_slice(batch.as_slice());
            if end == Filled::All {
                break;
            }
        }
        // The long middle need not be tried byte by byte.
        let stops = (0..400).chain(17_000..whole.len());
        for stop in stops {
            let mut shard = Shard::new(config());
            let session = busy(&mut shard);
            let mut got = Vec::new();
            let mut parked = false;
            while !parked {
                let (batch, end) = shard.batch(session, 1 << 16, form);
                parked = end == Filled::All;
                let stops_here = (got.len()..got.len() + batch.len()).contains(&stop);
                let written = if stops_here { stop - got.len() } else { batch.len() };
                got.extend_from_slice(&batch.as_slice()[..written]);
                let rest = shard.broker.handle_partial_write(shard.now, session, &batch, written);
                assert_eq!(rest.is_empty(), !stops_here || written == batch.len());
                got.extend_from_slice(&rest);
                parked &= rest.is_empty();
            }
            assert!(got == whole, "{form:?}, stopped at {stop}");
            assert_eq!(shard.next(session), None);
        }
    }
}

#[test]
fn writes_that_stop_anywhere_and_often_lose_and_repeat_nothing() {
    let seed = seed(11);
    let mut rng = Rng::new(seed);
    for round in 0..300 {
        let mut shard = Shard::new(config());
        let request = session_of("alice").with_topic(topic("a")).with_topic(topic("b"));
        let session = shard.open(request);
        let form = rng.pick(&[Framing::Plain, Framing::Chunked]);
        let ends = rng.chance(50);
        let opening = told_at(0, Notice::Live);
        let mut expected = match form {
            Framing::Plain => opening.into_bytes(),
            Framing::Chunked => format!("{:x}\r\n{opening}\r\n", opening.len()).into_bytes(),
        };
        let mut left = 30;
        let mut publish = |shard: &mut Shard, rng: &mut Rng| {
            if left == 0 {
                return;
            }
            left -= 1;
            let length = rng.pick(&[1, 10, 100, 20_000]);
            let data = "x".repeat(usize::try_from(rng.below(length)).unwrap());
            let published = match rng.below(5) {
                0 => shard.publish(Audience::Everyone, &data),
                1 => shard.publish(client("alice"), &data),
                2 => shard.publish(session, &data),
                3 => shard.publish(topic("a"), &data),
                _ => shard.publish(topic("b"), &data),
            };
            match form {
                Framing::Plain => expected.extend_from_slice(published.frame().as_ref()),
                Framing::Chunked => expected.extend_from_slice(published.frame().chunk()),
            }
            if left == 0 && ends {
                assert!(shard.broker.session_mut(session).close(shard.now));
            }
        };
        let mut got = Vec::new();
        let mut batch = Batch::new(form);
        let mut idle = 0;
        while idle < 100 {
            for _ in 0..rng.below(4) {
                publish(&mut shard, &mut rng);
            }
            let limit = rng.pick(&[0, 50, 300, 1 << 16]);
            let end = shard.broker.poll_transmit_batch(shard.now, session, limit, &mut batch);
            if matches!(end, Filled::Ended(_)) {
                assert!(ends && batch.is_empty());
                break;
            }
            idle = if batch.is_empty() { idle + 1 } else { 0 };
            let written = usize::try_from(rng.below(batch.len() as u64 + 1)).unwrap();
            got.extend_from_slice(&batch.as_slice()[..written]);
            // Published between the batch and what is taken back of it.
            for _ in 0..rng.below(2) {
                publish(&mut shard, &mut rng);
            }
            let rest = shard.broker.handle_partial_write(shard.now, session, &batch, written);
            got.extend_from_slice(&rest);
        }
        assert!(got == expected, "seed {seed}, round {round}");
        assert_eq!(shard.broker.counters().sessions, u64::from(!ends));
    }
}

#[test]
fn what_was_taken_back_and_is_kept_no_more_is_counted_as_lost() {
    let mut config = config();
    config.retention.events = 4.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    for data in ["a", "b", "c", "d"] {
        shard.broadcast(data);
    }
    let (batch, _) = shard.batch(session, 1 << 20, Framing::Plain);
    for data in ["e", "f", "g"] {
        shard.broadcast(data);
    }
    // "a" was written in part and is made whole, "b" and "c" are gone, "d" is still there.
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 1);
    assert_eq!(text(&rest), event_at(1, "a")[1..]);
    shard.events();
    assert_eq!(shard.data(session), ["d", "e", "f", "g"]);
    assert_eq!(shard.events(), [BrokerEvent::SessionSkipped { session, client: None, lost: 2 }]);
}

#[test]
fn the_rest_of_a_frame_is_returned_also_when_the_session_has_ended() {
    for form in [Framing::Plain, Framing::Chunked] {
        for data in ["small", &"large ".repeat(5_000)] {
            let mut shard = Shard::new(config());
            let session = shard.parked(anyone());
            shard.broadcast(data);
            shard.broadcast("never begun");
            let (batch, _) = shard.batch(session, 100, form);
            shard.broker.handle_disconnect(shard.now, session);
            let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
            let frames = batch.as_slice();
            let end = if data == "small" { frames.len() / 2 } else { frames.len() };
            let whole = text(&[&frames[..3], &rest].concat());
            assert!(whole.contains(data) && !whole.contains("never"), "{whole}");
            assert!(rest.len() <= end + 20, "one frame, not two");
            assert_eq!(shard.take(session), [END]);
        }
    }
}

#[test]
fn a_session_of_which_a_part_was_taken_back_is_polled_without_its_id_coming_out() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.broadcast("b");
    assert_eq!(shard.ready(), [session]);
    let (batch, end) = shard.batch(session, 1 << 16, Framing::Plain);
    assert_eq!(end, Filled::All);
    shard.broker.handle_partial_write(shard.now, session, &batch, 5);
    shard.broadcast("c");
    assert_eq!(shard.ready(), []);
    assert_eq!(shard.data(session), ["b", "c"]);
    shard.broadcast("d");
    assert_eq!(shard.ready(), [session]);
}

#[test]
fn a_batch_used_for_one_session_after_the_other_keeps_nothing() {
    let mut shard = Shard::new(config());
    let first = shard.parked(anyone());
    let second = shard.parked(anyone());
    shard.publish(first, &"x".repeat(20_000));
    shard.publish(second, "y");
    let mut batch = Batch::with_capacity(Framing::Chunked, 100);
    shard.broker.poll_transmit_batch(shard.now, first, 100, &mut batch);
    assert!(batch.len() > 20_000);
    shard.broker.poll_transmit_batch(shard.now, second, 100, &mut batch);
    assert_eq!(text(batch.as_slice()), "11\r\nid: e-2\ndata: y\n\n\r\n");
    let end = shard.broker.poll_transmit_batch(shard.now, second, 100, &mut batch);
    assert_eq!((end, batch.len(), batch.is_empty()), (Filled::All, 0, true));
    batch.reset(Framing::Plain);
    shard.broadcast("z");
    shard.broker.poll_transmit_batch(shard.now, first, 100, &mut batch);
    assert_eq!(text(batch.as_slice()), event_at(3, "z"));
}
