//! Several shards: the same streams as with one, and who lives where.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::{Probe, block_on, next};
use super::{
    Random, client, client_on, config, data, data_of, drain, parked, request_of, say, sharded,
    topic,
};
use futures_core::Stream;
use sansse::broker::{Audience, BrokerConfig, EndReason, PublishError, Resumption, SessionConfig};
use sansse::hub::Session;
use sansse::{Event, Hub, LastEventId};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

fn hub_of(config: BrokerConfig, shards: u16) -> Hub {
    sharded(config, shards).build_still(VirtualTimer::new())
}

fn hub(shards: u16) -> Hub {
    hub_of(config(), shards)
}

fn resuming(id: &str) -> SessionConfig {
    SessionConfig::new().with_last_event_id(LastEventId::from_header(id.as_bytes()))
}

/// What sessions receive while they come and go and things are published to each kind of topic,
/// by the session.
fn streams_with(shards: u16, seed: u64) -> Vec<String> {
    const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];
    const TOPICS: [&str; 3] = ["news", "sport", "weather"];
    let mut random = Random(seed);
    let mut config = config();
    config.retention.events = 20.try_into().unwrap();
    let (hub, probe) = (hub_of(config, shards), Probe::new());
    let mut sessions: Vec<Session> = Vec::new();
    let mut received: Vec<String> = Vec::new();
    let take = |session: &mut Session, received: &mut String| {
        for frame in drain(session, &probe) {
            received.push_str(std::str::from_utf8(frame.as_ref()).unwrap());
        }
    };
    for step in 0..300 {
        let name = NAMES[random.below(NAMES.len())];
        let topic_name = topic(TOPICS[random.below(TOPICS.len())]);
        match random.below(8) {
            0 | 1 => {
                let mut request = SessionConfig::new();
                if random.below(3) > 0 {
                    request = request.with_client(client(name));
                }
                if random.below(2) > 0 {
                    request = request.with_topic(topic_name);
                }
                if random.below(2) > 0 {
                    let id = format!("beef-{}", random.below(step + 1));
                    request = request.with_last_event_id(LastEventId::from_header(id.as_bytes()));
                }
                let session = hub.open(request).unwrap();
                received.push(format!("{:?}\n", session.resumption()));
                sessions.push(session);
            }
            2 if !sessions.is_empty() => {
                let index = random.below(sessions.len());
                hub.close_session(sessions[index].id());
            }
            3 if !sessions.is_empty() => {
                let index = random.below(sessions.len());
                take(&mut sessions[index], &mut received[index]);
            }
            kind => {
                let to = match kind {
                    4 => Audience::from(client(name)),
                    5 => topic_name.into(),
                    6 if !sessions.is_empty() => sessions[random.below(sessions.len())].id().into(),
                    _ => Audience::Everyone,
                };
                let published = hub.publish(to, &Event::new(format!("{step}")));
                let outcome = published.map(|published| published.position());
                // Who is told what of a publish is the same too.
                if let Some(first) = received.first_mut() {
                    writeln!(first, "{outcome:?}").unwrap();
                }
            }
        }
    }
    for (session, received) in sessions.iter_mut().zip(&mut received) {
        take(session, received);
        write!(received, "{:?}", session.end_reason()).unwrap();
    }
    received
}

#[test]
fn the_streams_are_the_same_whatever_the_number_of_shards() {
    for seed in 0..30 {
        let expected = streams_with(1, seed);
        assert!(expected.len() > 30);
        for shards in [2, 3, 8] {
            let streams = streams_with(shards, seed);
            for (number, (stream, expected)) in streams.iter().zip(&expected).enumerate() {
                assert_eq!(stream, expected, "seed {seed}, {shards} shards, session {number}");
            }
        }
    }
}

#[test]
fn the_sessions_of_a_client_share_a_shard() {
    let hub = hub(4);
    for number in 0..40 {
        let name = format!("client {number}");
        let sessions = [(); 3].map(|()| hub.open(request_of(&name)).unwrap());
        let shards: BTreeSet<u16> = sessions.iter().map(|session| session.id().shard()).collect();
        assert_eq!(shards.len(), 1);
    }
}

#[test]
fn clients_are_spread_evenly_however_alike_their_names_are() {
    for shards in [2, 3, 4, 8] {
        let hub = hub(shards);
        let of = |number| hub.open(request_of(&format!("{number}"))).unwrap().id().shard();
        let places: Vec<u16> = (0..1000).map(of).collect();
        for shard in 0..shards {
            let count = places.iter().filter(|place| **place == shard).count();
            let even = 1000 / usize::from(shards);
            assert!(count.abs_diff(even) < even / 4, "{count} of 1000 on one of {shards} shards");
        }
    }
}

#[test]
fn sessions_of_nobody_are_spread_evenly_and_no_two_have_the_same_id() {
    let hub = hub(4);
    let sessions: Vec<Session> = (0..40).map(|_| hub.open(SessionConfig::new()).unwrap()).collect();
    for shard in 0..4 {
        let count = sessions.iter().filter(|session| session.id().shard() == shard).count();
        assert_eq!(count, 10);
    }
    let ids: BTreeSet<_> = sessions.iter().map(Session::id).collect();
    assert_eq!(ids.len(), 40);
    assert_eq!(hub.counters().sessions, 40);
}

#[test]
fn who_is_meant_gets_it_on_whichever_shard_and_nobody_else_does() {
    let (hub, probe) = (hub(4), Probe::new());
    let mut sessions: Vec<Session> = (0..12)
        .map(|number| {
            let request = request_of(&format!("client {number}"));
            let request = if number % 2 == 0 { request.with_topic(topic("even")) } else { request };
            parked(&hub, request, &probe)
        })
        .collect();
    let mut received_by = |to: Audience| {
        hub.publish(to, &Event::new("x")).unwrap();
        let got = sessions.iter_mut().map(|session| drain(session, &probe).len());
        got.enumerate().filter(|(_, frames)| *frames > 0).map(|(number, _)| number).collect()
    };
    for number in 0..12 {
        let to: Vec<usize> = received_by(client(format!("client {number}")).into());
        assert_eq!(to, [number]);
    }
    assert_eq!(received_by(topic("even").into()), [0, 2, 4, 6, 8, 10]);
    assert_eq!(received_by(Audience::Everyone), (0..12).collect::<Vec<_>>());
    let ids: Vec<_> = sessions.iter().map(Session::id).collect();
    for (number, id) in ids.iter().enumerate() {
        hub.publish(*id, &Event::new("x")).unwrap();
        for (other, session) in sessions.iter_mut().enumerate() {
            assert_eq!(drain(session, &probe).len(), usize::from(other == number));
        }
    }
}

#[test]
fn who_is_nowhere_is_an_error() {
    let (few, many) = (hub(2), hub(5));
    let strangers: Vec<Session> =
        (0..5).map(|_| many.open(SessionConfig::new()).unwrap()).collect();
    for stranger in &strangers {
        let published = few.publish(stranger.id(), &Event::new("x"));
        assert_eq!(published, Err(PublishError::UnknownSession));
        assert!(!few.close_session(stranger.id()));
    }
    let published = few.publish(client("nobody"), &Event::new("x"));
    assert_eq!(published, Err(PublishError::UnknownClient));
}

#[test]
fn a_stream_goes_on_whichever_shard_it_comes_back_to() {
    let (hub, probe) = (hub(3), Probe::new());
    say(&hub, "a");
    let first = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "b");
    drop(first);
    let mut used = BTreeSet::new();
    for _ in 0..3 {
        let mut session = hub.open(resuming("beef-1")).unwrap();
        used.insert(session.id().shard());
        assert_eq!(session.resumption(), Resumption::Complete { replayed: 1 });
        assert_eq!(data(&drain(&mut session, &probe)), ["b"]);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn an_event_that_was_refused_leaves_no_shard_ahead_of_another() {
    let mut config = config();
    config.retention.bytes = 1000.try_into().unwrap();
    config.private_retention.bytes = 1000.try_into().unwrap();
    let huge = Event::new("x".repeat(1000));
    for number in 0..8 {
        let name = format!("client {number}");
        let (hub, probe) = (hub_of(config.clone(), 3), Probe::new());
        let hers = hub.open(request_of(&name)).unwrap();
        for to in [client(&name).into(), hers.id().into(), topic("news").into(), Audience::Everyone]
        {
            let published = hub.publish(to, &huge);
            assert!(matches!(published, Err(PublishError::TooLarge { .. })), "{published:?}");
            for _ in 0..3 {
                // Where it is, it is told by its shard, and believed by any other.
                let mut session = hub.open(SessionConfig::new()).unwrap();
                let place = drain(&mut session, &probe).remove(0);
                let mut place = std::str::from_utf8(place.as_ref()).unwrap().lines();
                let place = place.find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
                for _ in 0..3 {
                    let resumed = hub.open(resuming(&place)).unwrap().resumption();
                    assert_eq!(resumed, Resumption::Complete { replayed: 0 }, "{place}");
                }
            }
        }
    }
}

/// A publish reaches all shards or none, also while the hub is being closed.
#[test]
fn a_publish_that_meets_the_close_reaches_everybody_or_nobody() {
    const SHARDS: u16 = 64;
    for round in 0..50 {
        let (hub, probe) = (hub(SHARDS), Probe::new());
        let mut sessions: Vec<Session> =
            (0..SHARDS).map(|_| parked(&hub, SessionConfig::new(), &probe)).collect();
        let start = Barrier::new(2);
        let published = std::thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                start.wait();
                let event = Event::new("x");
                let mut published = 0;
                while hub.publish(Audience::Everyone, &event).is_ok() {
                    published += 1;
                }
                published
            });
            start.wait();
            for _ in 0..round {
                std::thread::yield_now();
            }
            hub.close();
            publisher.join().unwrap()
        });
        for session in &mut sessions {
            let id = session.id();
            assert_eq!(drain(session, &probe).len(), published, "round {round}, session {id}");
        }
    }
}

/// As with the close: what all shards must agree on changes between two publishes.
#[test]
fn a_publish_that_meets_a_change_of_retention_reaches_everybody_or_nobody() {
    const SHARDS: u16 = 64;
    const ROUNDS: usize = 300;
    let (hub, probe, news) = (hub(SHARDS), Probe::new(), topic("news"));
    let request = SessionConfig::new().with_topic(news.clone());
    let mut sessions: Vec<Session> =
        (0..SHARDS).map(|_| parked(&hub, request.clone(), &probe)).collect();
    let large = config().retention;
    let small = sansse::broker::Retention { bytes: 100.try_into().unwrap(), ..large };
    let event = Event::new("x".repeat(100));
    hub.publish(news.clone(), &event).unwrap();
    let is_over = AtomicBool::new(false);
    let published = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut published = 1;
            while !is_over.load(Ordering::SeqCst) {
                published += u64::from(hub.publish(news.clone(), &event).is_ok());
            }
            published
        });
        for round in 0..ROUNDS {
            let retention = if round % 2 == 0 { large } else { small };
            hub.set_retention(&news, Some(retention)).unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        publisher.join().unwrap()
    });
    // Nothing is kept in the end, so that each has lost what its shard had.
    for session in &mut sessions {
        let id = session.id();
        assert!(drain(session, &probe).is_empty());
        assert_eq!(session.end_reason(), Some(EndReason::Lagged { lost: published }), "{id}");
    }
}

/// An event that one shard has delivered is known to whichever shard its receiver comes back to.
#[test]
fn an_event_on_its_way_to_all_shards_is_no_unknown_id() {
    const SHARDS: u16 = 64;
    let hub = hub(SHARDS);
    let (first, last) = (client_on(0, SHARDS), client_on(SHARDS - 1, SHARDS));
    let is_over = AtomicBool::new(false);
    let resumes: Vec<Resumption> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                say(&hub, "x");
            }
        });
        let mut session = hub.open(first).unwrap();
        // It asks without waiting to be woken, which is done last.
        let mut read = || loop {
            if let Poll::Ready(frame) = next(&mut session, &Probe::new()) {
                return frame.unwrap();
            }
        };
        let resumes = (0..300).map(|_| {
            let frame = read();
            let text = std::str::from_utf8(frame.as_ref()).unwrap();
            let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
            let id = LastEventId::from_header(id.as_bytes());
            hub.open(last.clone().with_last_event_id(id)).unwrap().resumption()
        });
        let resumes = resumes.collect();
        is_over.store(true, Ordering::SeqCst);
        resumes
    });
    for resume in resumes {
        assert!(matches!(resume, Resumption::Complete { .. }), "{resume:?}");
    }
}

#[cfg(feature = "signed")]
#[test]
fn keys_hold_on_every_shard_and_change_on_all_at_once() {
    use sansse::broker::{ConfigError, CursorKeys, EventIds};

    let key = |byte: u8| CursorKeys::new(&[byte; 32]).unwrap();
    let mut config = config();
    config.cursor_keys = Some(key(1));
    let hub = hub_of(config.clone(), 3);
    let place = |hub: &Hub| {
        let published = hub.publish(Audience::Everyone, &Event::new("x")).unwrap();
        let text = String::from_utf8(published.frame().as_ref().to_vec()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
    };
    let outcomes = |id: &str| [(); 3].map(|()| hub.open(resuming(id)).unwrap().resumption());
    let first = place(&hub);
    assert_eq!(outcomes(&first), [Resumption::Complete { replayed: 0 }; 3]);
    assert_eq!(outcomes("beef-1"), [Resumption::Forged; 3]);
    hub.set_cursor_keys(key(2).accepting(&[1; 32]).unwrap()).unwrap();
    let second = place(&hub);
    assert_eq!(outcomes(&first), [Resumption::Complete { replayed: 1 }; 3]);
    assert_eq!(outcomes(&second), [Resumption::Complete { replayed: 0 }; 3]);
    hub.set_cursor_keys(key(2)).unwrap();
    assert_eq!(outcomes(&first), [Resumption::Forged; 3]);
    assert_eq!(outcomes(&second), [Resumption::Complete { replayed: 0 }; 3]);

    (config.cursor_keys, config.event_ids) = (None, EventIds::Own);
    let own = hub_of(config, 2);
    assert_eq!(own.set_cursor_keys(key(1)), Err(ConfigError::NothingToSign));
}

#[test]
fn presence_and_metadata_are_those_of_all_shards() {
    let hub = hub(4);
    let names = ["alice", "bob", "carol", "dave", "eve", "frank"];
    let mut sessions = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let request = request_of(name).with_metadata(number);
        sessions.push(hub.open(request.clone()).unwrap());
        sessions.push(hub.open(request).unwrap());
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(hub.sessions_of(&client(name)), Some(2));
        let kept = hub.metadata(&client(name), |metadata| metadata.get::<usize>().copied());
        assert_eq!(kept, Some(Some(number)));
    }
    assert_eq!(hub.metadata(&client("nobody"), |_| ()), None);
    assert_eq!(hub.sessions_of(&client("nobody")), None);
    sessions.clear();
    assert!(names.iter().all(|name| hub.sessions_of(&client(name)) == Some(0)));
    let kept = hub.metadata(&client("bob"), |metadata| metadata.get::<usize>().copied());
    assert_eq!(kept, Some(Some(1)), "within the grace time");
}

#[test]
fn a_retention_holds_on_every_shard() {
    let hub = hub(3);
    let kept = sansse::broker::Retention { events: 1.try_into().unwrap(), ..config().retention };
    hub.set_retention(&topic("news"), Some(kept)).unwrap();
    for _ in 0..5 {
        hub.publish(topic("news"), &Event::new("x")).unwrap();
    }
    for _ in 0..3 {
        let session = hub.open(resuming("beef-1").with_topic(topic("news"))).unwrap();
        assert_eq!(session.resumption(), Resumption::Gap { replayed: 1 });
    }
}

#[test]
fn all_shards_see_the_events_of_many_publishers_in_one_order() {
    const PUBLISHERS: usize = 4;
    const EVENTS: usize = 500;
    let hub = hub(4);
    let sessions: Vec<Session> = (0..4).map(|_| hub.open(SessionConfig::new()).unwrap()).collect();
    let streams: Vec<Vec<String>> = std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let hub = &hub;
            scope.spawn(move || {
                for number in 0..EVENTS {
                    say(hub, format!("{publisher}:{number}"));
                }
            });
        }
        let readers: Vec<_> = sessions
            .into_iter()
            .map(|mut session| {
                scope.spawn(move || {
                    let mut received = Vec::new();
                    while received.len() < PUBLISHERS * EVENTS {
                        let frame =
                            block_on(poll_fn(|context| Pin::new(&mut session).poll_next(context)));
                        received.extend(data_of(&frame.unwrap().unwrap()));
                    }
                    assert!(next(&mut session, &Probe::new()).is_pending());
                    received
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    for stream in &streams[1..] {
        assert!(*stream == streams[0], "two shards saw another order");
    }
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher}:");
        let of_one: Vec<_> =
            streams[0].iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        let expected: Vec<_> = (0..EVENTS).map(|number| number.to_string()).collect();
        assert_eq!(of_one, expected);
    }
}
