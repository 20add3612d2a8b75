//! How many sessions and how many bytes there may be, and who gives way.

use super::kit::broker::{retained_bytes, sessions_of};
use crate::kit::broker::*;
use crate::kit::seed;
use sansse::Event;
use sansse::broker::*;
use std::net::IpAddr;
use std::time::{Duration, Instant};

fn address(text: &str) -> AddressKey {
    AddressKey::from(text.parse::<IpAddr>().unwrap())
}

fn from(text: &str) -> SessionConfig {
    anyone().with_address(address(text))
}

fn refusal(shard: &mut Shard, request: SessionConfig) -> OpenError {
    let before = shard.broker.counters().sessions;
    shard.events();
    let error = shard.broker.open(shard.now, request).unwrap_err();
    assert_eq!(shard.broker.counters().sessions, before);
    assert_eq!(shard.events(), []);
    error
}

fn ends(shard: &mut Shard) -> Vec<(SessionId, EndReason)> {
    let ended = |event| match event {
        BrokerEvent::SessionEnded { session, reason, .. } => Some((session, reason)),
        _ => None,
    };
    shard.events().into_iter().filter_map(ended).collect()
}

/// A shard that keeps nothing yet, where positions have two digits, so that events with the same
/// data are equally large; `events` of them may be kept.
fn shard_of(mut config: BrokerConfig, events: usize) -> (Shard, usize) {
    let build = |config| {
        let mut shard = Shard::new(config);
        let session = shard.open(anyone());
        let mut publish = |_| {
            let size = shard.publish(session, "x").frame().chunk().len();
            shard.take(session);
            size
        };
        let size = (0..10).map(&mut publish).last();
        shard.broker.handle_disconnect(shard.now, session);
        shard.events();
        assert_eq!(retained_bytes(&shard.broker), 0);
        (shard, size.unwrap())
    };
    let (_, size) = build(config.clone());
    config.limits.retained_bytes = (events * size).try_into().unwrap();
    build(config)
}

#[test]
fn one_session_more_than_a_client_may_have_is_refused_and_others_are_let_in() {
    let mut config = config();
    config.limits.sessions_per_client.most = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    let first = shard.open(session_of("alice"));
    shard.open(session_of("alice"));
    let error = OpenError::TooManySessionsOfClient { limit: 2 };
    assert_eq!(refusal(&mut shard, session_of("alice")), error);
    shard.open(session_of("bob"));
    // Those of nobody are counted for nobody.
    for _ in 0..5 {
        shard.open(anyone());
    }
    shard.broker.handle_disconnect(shard.now, first);
    shard.open(session_of("alice"));
}

#[test]
fn one_session_more_than_an_address_may_have_is_refused_with_a_client_or_without() {
    let mut config = config();
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    let first = shard.open(from("192.0.2.1"));
    shard.open(from("192.0.2.1").with_client(client("alice")));
    let error = OpenError::TooManySessionsFromAddress { limit: 2 };
    assert_eq!(refusal(&mut shard, from("192.0.2.1").with_client(client("bob"))), error);
    assert_eq!(refusal(&mut shard, from("::ffff:192.0.2.1")), error);
    shard.open(from("192.0.2.2"));
    shard.open(anyone());
    assert_eq!(shard.broker.shard().sessions_from(&address("192.0.2.1")), 2);
    shard.broker.handle_disconnect(shard.now, first);
    assert_eq!(shard.broker.shard().sessions_from(&address("192.0.2.1")), 1);
    shard.open(from("192.0.2.1"));
}

#[test]
fn all_addresses_of_one_subscriber_are_one() {
    let mut config = config();
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    shard.open(from("2001:db8::1"));
    shard.open(from("2001:db8::ffff:2"));
    let error = OpenError::TooManySessionsFromAddress { limit: 2 };
    assert_eq!(refusal(&mut shard, from("2001:db8::3")), error);
    shard.open(from("2001:db8:0:1::1"));
}

#[test]
fn nothing_is_kept_of_an_address_that_has_left() {
    let mut shard = Shard::new(config());
    shard.open(anyone());
    let mut before = 0;
    for number in 0..10_000 {
        if number == 1_000 {
            before = shard.size();
        }
        let session =
            shard.open(anyone().with_address(AddressKey::new(number.to_string()).unwrap()));
        shard.broker.handle_disconnect(shard.now, session);
        shard.events();
    }
    assert!(shard.size() < 2 * before, "{} instead of {before}", shard.size());
}

#[test]
fn the_oldest_session_of_a_client_makes_room_for_its_newest() {
    let mut config = config();
    config.limits.sessions_per_client.most = 2.try_into().unwrap();
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    config.client_grace = secs(0);
    let mut shard = Shard::new(config);
    let old = shard.parked(session_of("alice"));
    let other = shard.parked(session_of("bob"));
    let middle = shard.parked(session_of("alice"));
    shard.broadcast("unsent");
    shard.events();
    let new = shard.open(session_of("alice"));
    assert_eq!(ends(&mut shard), [(old, EndReason::Evicted)]);
    // It ends at once, and its driver is told.
    assert!(shard.ready().contains(&old));
    assert_eq!(shard.take(old), [END]);
    let sessions = sessions_of(&shard.broker, &client("alice"));
    assert_eq!(sessions, [middle, new]);
    assert!(shard.broker.session(other).is_open());
}

/// The reconnection time that a stream tells at its start.
fn told_retry(frame: &str) -> Option<Duration> {
    let line = frame.lines().find_map(|line| line.strip_prefix("retry: "))?;
    Some(millis(line.parse().unwrap()))
}

#[test]
fn of_readers_that_take_turns_at_too_few_places_none_starves() {
    for (seed, readers, places) in [(1, 2, 1_u32), (2, 3, 1), (3, 3, 2), (4, 7, 2), (5, 20, 3)] {
        let mut config = config();
        config.seed = seed;
        config.limits.sessions_per_client.most = places.try_into().unwrap();
        config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
        let mut shard = Shard::new(config);
        let start = shard.now;
        let over = secs(3_600);
        // When each comes next, its session, the time that it was told, and for how long it was
        // served. All of them come at once, as after a lost network.
        let mut due = vec![Some(start); readers];
        let mut open: Vec<Option<(SessionId, Instant, Duration)>> = vec![None; readers];
        let mut served = vec![Duration::ZERO; readers];
        let mut waits_since = vec![start; readers];
        let mut longest = Duration::ZERO;
        loop {
            let comes =
                (0..readers).min_by_key(|one| due[*one].map_or((true, start), |at| (false, at)));
            let (reader, at) = comes.and_then(|one| Some((one, due[one]?))).unwrap();
            if at >= start + over {
                break;
            }
            shard.now = at;
            let session = shard.open(session_of("alice"));
            let retry = told_retry(&shard.take(session)[0]).unwrap_or(secs(3));
            (due[reader], open[reader]) = (None, Some((session, at, retry)));
            for (ended, reason) in ends(&mut shard) {
                assert_eq!(reason, EndReason::Evicted);
                let is_it = |one: &usize| open[*one].is_some_and(|(id, ..)| id == ended);
                let evicted = (0..readers).find(is_it).unwrap();
                let (_, since, retry) = open[evicted].take().unwrap();
                let turn = at - since;
                served[evicted] += turn;
                if turn >= millis(100) {
                    longest = longest.max(since - waits_since[evicted]);
                    waits_since[evicted] = at;
                }
                due[evicted] = Some(at + retry);
            }
            shard.events();
            shard.ready();
        }
        let fair = over * places / u32::try_from(readers).unwrap();
        for time in &served {
            assert!(
                (fair.mul_f64(0.7)..fair.mul_f64(1.3)).contains(time),
                "{readers} readers, {places} places: {served:?}"
            );
        }
        assert!(longest < secs(180), "{readers} readers, {places} places: waited {longest:?}");
    }
}

#[test]
fn a_client_of_one_session_that_is_replaced_has_not_left() {
    let mut config = config();
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    config.limits.absent_clients = 0;
    config.client_grace = secs(0);
    let mut shard = Shard::new(config);
    let old = shard.open(session_of("alice").with_metadata("her name"));
    shard.events();
    let new = shard.open(session_of("alice"));
    let reason = EndReason::Evicted;
    let alice = Some(client("alice"));
    assert_eq!(
        shard.events(),
        [
            BrokerEvent::SessionOpened {
                session: new,
                client: alice.clone(),
                resumption: Resumption::Live
            },
            BrokerEvent::SessionEnded { session: old, client: alice, reason, undelivered: 0 },
        ]
    );
    assert!(shard.broker.client(&client("alice")).map(ClientRef::metadata).is_some());
}

#[test]
fn the_oldest_session_of_all_makes_room_also_when_many_have_come_and_gone() {
    let mut config = config();
    config.limits.sessions.most = 3.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    let mut shard = Shard::new(config);
    let mut open: Vec<SessionId> = Vec::new();
    let mut rng = Rng::new(seed(1));
    let mut half = 0;
    for number in 0..2_000 {
        if number == 1_000 {
            half = shard.size();
        }
        if rng.chance(40) && !open.is_empty() {
            let gone = open.remove(usize::try_from(rng.below(open.len() as u64)).unwrap());
            shard.broker.handle_disconnect(shard.now, gone);
            assert_eq!(ends(&mut shard), [(gone, EndReason::Disconnected)]);
        }
        open.push(shard.open(anyone()));
        let evicted =
            if open.len() > 3 { vec![(open.remove(0), EndReason::Evicted)] } else { vec![] };
        assert_eq!(ends(&mut shard), evicted);
        shard.ready();
    }
    // What is kept about the order is bounded too.
    assert!(shard.size() < 2 * half, "{}, {half} half-way", shard.size());
}

#[test]
fn a_session_evicted_for_one_limit_makes_room_by_all() {
    let mut config = config();
    config.limits.sessions.most = 3.try_into().unwrap();
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    config.limits.sessions_per_address.most = 1.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    let mut shard = Shard::new(config);
    let alice = || from("192.0.2.1").with_client(client("alice"));
    let (first, _guest, of_address) =
        (shard.open(anyone()), shard.open(anyone()), shard.open(alice()));
    shard.events();
    // One is evicted for the client, which is enough for the address and for all.
    shard.open(alice());
    assert_eq!(ends(&mut shard), [(of_address, EndReason::Evicted)]);
    assert!(shard.broker.session(first).is_open());
}

#[test]
fn a_session_that_is_refused_evicts_nobody() {
    let mut config = config();
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
    config.limits.topics_per_session = 1;
    config.limits.sessions_per_address.most = 1.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.open(session_of("alice").with_address(address("192.0.2.1")));
    let too_many = session_of("alice").with_topic(topic("a")).with_topic(topic("b"));
    let error = OpenError::TooManyTopicsOfSession { limit: 1 };
    assert_eq!(refusal(&mut shard, too_many), error);
    let elsewhere = session_of("alice").with_address(address("192.0.2.1"));
    let error = OpenError::TooManySessionsFromAddress { limit: 1 };
    assert_eq!(refusal(&mut shard, elsewhere), error);
    assert!(shard.broker.session(session).is_open());
}

#[test]
fn the_log_that_keeps_the_most_gives_up_its_oldest_events() {
    let (mut shard, size) = shard_of(config(), 10);
    let (small, large) = (topic("small"), topic("large"));
    for _ in 0..3 {
        shard.publish(small.clone(), "x");
    }
    for _ in 0..7 {
        shard.publish(large.clone(), "x");
    }
    assert_eq!(retained_bytes(&shard.broker), 10 * size);
    // Ten more to the small one: the two meet at equal shares.
    for number in 0..10 {
        shard.publish(small.clone(), "x");
        assert_eq!(retained_bytes(&shard.broker), 10 * size);
        let kept = |shard: &mut Shard, name: &TopicName| {
            let session = shard.open(after("e-10").with_topic(name.clone()));
            let kept = shard.data(session).len();
            shard.broker.handle_disconnect(shard.now, session);
            kept
        };
        let shares = (kept(&mut shard, &small), kept(&mut shard, &large));
        let expected = if number == 0 { (4, 6) } else { (5, 5) };
        assert_eq!(shares, expected, "after {number}");
    }
}

#[test]
fn a_log_below_an_equal_share_loses_nothing_to_a_flood() {
    let mut config = config();
    config.limits.retained_bytes = 20_000.try_into().unwrap();
    let mut shard = Shard::new(config);
    let quiet: Vec<_> = (0..20).map(|number| topic(&format!("quiet {number}"))).collect();
    for name in &quiet {
        for data in ["a", "b", "c"] {
            shard.publish(name.clone(), data);
        }
    }
    let alice = shard.open(session_of("alice"));
    shard.publish(client("alice"), "for her");
    let own = shard.open(anyone());
    shard.publish(own, "for it alone");
    for _ in 0..10_000 {
        shard.publish(topic("flood"), "x");
    }
    assert!(retained_bytes(&shard.broker) <= 20_000);
    assert!(retained_bytes(&shard.broker) > 19_000, "what may be kept is kept");
    assert_eq!(shard.data(alice), ["for her"]);
    assert_eq!(shard.data(own), ["for it alone"]);
    for name in &quiet {
        let session = shard.open(after("e-0").with_topic(name.clone()));
        assert_eq!(shard.data(session), ["a", "b", "c"], "{name}");
    }
}

#[test]
fn what_is_trimmed_for_others_is_a_gap_and_a_lag_like_any_other() {
    let mut config = config();
    config.session.lag = LagPolicy::SkipToOldest.into();
    let (mut shard, _) = shard_of(config, 4);
    let news = topic("news");
    let slow = shard.parked(anyone().with_topic(news.clone()));
    for _ in 0..4 {
        shard.publish(news.clone(), "x");
    }
    shard.publish(topic("another"), "x");
    let resumed = shard.broker.open(shard.now, after("e-10").with_topic(news)).unwrap();
    assert_eq!(resumed.resumption, Resumption::Gap { replayed: 3 });
    shard.events();
    assert_eq!(shard.data(slow).len(), 3);
    let lost = 1;
    assert_eq!(shard.events(), [BrokerEvent::SessionSkipped { session: slow, client: None, lost }]);
}

#[test]
fn an_event_larger_than_all_that_may_be_kept_is_refused_and_nothing_is_lost_for_it() {
    let mut config = config();
    config.limits.retained_bytes = 200.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.broadcast("a");
    let before = retained_bytes(&shard.broker);
    let large = Event::new("x".repeat(200));
    for to in [Audience::Everyone, topic("news").into(), session.into()] {
        let error = shard.broker.publish(shard.now, to, &large).unwrap_err();
        assert!(matches!(error, PublishError::TooLarge { size: 200.., limit: 200 }), "{error:?}");
    }
    assert_eq!((retained_bytes(&shard.broker), shard.broker.shard().last_position()), (before, 1));
    assert_eq!(shard.data(session), ["a"]);
}

#[test]
fn what_ends_and_what_is_delivered_to_one_alone_frees_its_room() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    shard.publish(session, "a");
    shard.publish(session, "b");
    assert!(retained_bytes(&shard.broker) > 0);
    assert_eq!(shard.data(session), ["a", "b"]);
    // What was handed over is let go of with the next poll.
    shard.take(session);
    assert_eq!(retained_bytes(&shard.broker), 0);
    shard.publish(session, "c");
    shard.publish(client("alice"), "d");
    shard.broker.handle_disconnect(shard.now, session);
    assert!(retained_bytes(&shard.broker) > 0, "it may come back");
    shard.sleep(secs(30));
    assert_eq!(retained_bytes(&shard.broker), 0);
    shard.publish(topic("news"), "e");
    shard.sleep(secs(300));
    assert_eq!(retained_bytes(&shard.broker), 0);
}

#[test]
fn the_cost_of_making_room_does_not_grow_with_the_topics() {
    // By what it does and not by the time it takes: one event in, one event out.
    let mut config = config();
    config.limits.retained_bytes = 90_000.try_into().unwrap();
    let mut shard = Shard::new(config);
    for number in 0..4_000 {
        shard.publish(topic(&number.to_string()), "x");
    }
    let kept = retained_bytes(&shard.broker);
    assert!(kept > 89_900, "{kept}");
    for number in 0..1_000 {
        let size = shard.publish(topic(&number.to_string()), "x").frame().chunk().len();
        let now = retained_bytes(&shard.broker);
        assert!(now <= 90_000 && now + 2 * size > 90_000, "{now} after {number}");
    }
}

/// Sixty-four names that nobody else has.
fn invented(request: SessionConfig, number: usize) -> SessionConfig {
    (0..64).fold(request, |request, name| request.with_topic(topic(&format!("{number}/{name}"))))
}

#[test]
fn names_that_subscribers_invent_take_no_room_from_publishers() {
    let mut config = config();
    config.limits.topics = 500;
    config.limits.subscribed_topics = 1_000;
    let mut shard = Shard::new(config);
    let opened = (0..1_600).filter(|number| {
        let opened = shard.broker.open(shard.now, invented(anyone(), *number));
        assert!(matches!(opened, Ok(_) | Err(OpenError::TooManyTopics)), "{opened:?}");
        opened.is_ok()
    });
    assert_eq!(opened.count(), 1_000 / 64);
    for number in 0..500 {
        shard.publish(topic(&format!("news/{number}")), "x");
    }
    // As many as there may be, however much is subscribed to.
    let refused = shard.broker.publish(shard.now, topic("news/500"), &Event::new("x"));
    assert_eq!(refused, Err(PublishError::TooManyTopics));
    let refused = shard.broker.publish(shard.now, topic("0/0"), &Event::new("x"));
    assert_eq!(refused, Err(PublishError::TooManyTopics), "it would be one more that is kept");
    // What is published already costs a subscriber nothing.
    assert!(shard.broker.open(shard.now, anyone().with_topic(topic("news/7"))).is_ok());
    let counters = shard.broker.counters();
    assert_eq!((counters.topics, counters.subscribed_topics), (500 + 960, 960));
}

#[test]
fn no_address_and_no_client_keeps_the_others_from_subscribing_to_new_names() {
    let mut config = config();
    config.limits.subscriptions_per_client = 2 * 64;
    config.limits.subscriptions_per_address = 3 * 64;
    let mut shard = Shard::new(config);
    let alice = || session_of("alice").with_address(address("192.0.2.1"));
    let first = shard.open(invented(alice(), 1));
    shard.open(invented(alice(), 2));
    let limit = OpenError::TooManySubscriptionsOfClient { limit: 128 };
    // Also to what is there already, and from elsewhere, since it is the same client.
    assert_eq!(refusal(&mut shard, alice().with_topic(topic("1/0"))), limit);
    let elsewhere = session_of("alice").with_address(address("192.0.2.2"));
    let pattern = TopicPattern::new("new/*").unwrap();
    assert_eq!(refusal(&mut shard, elsewhere.with_topic(pattern)), limit);
    let third = shard.open(invented(from("192.0.2.1"), 3));
    let limit = OpenError::TooManySubscriptionsFromAddress { limit: 192 };
    assert_eq!(refusal(&mut shard, from("192.0.2.1").with_topic(topic("new"))), limit);
    // Who subscribes to nothing is let in, and so is everybody from another address.
    let live = shard.open(from("192.0.2.1"));
    let subscribe = |shard: &mut Shard, text: &str| {
        let session = shard.broker.session_mut(live);
        session.subscribe(shard.now, TopicFilter::new(text).unwrap(), StartAt::Now)
    };
    let refused = SubscribeError::TooManySubscriptionsFromAddress { limit: 192 };
    assert_eq!(subscribe(&mut shard, "new"), Err(refused));
    shard.open(invented(from("192.0.2.3"), 4));
    // A subscription that is given up makes room for one, and a session that ends for all it had.
    assert!(shard.broker.session_mut(third).unsubscribe(shard.now, &topic("3/0").into()));
    assert!(subscribe(&mut shard, "new").is_ok());
    assert_eq!(subscribe(&mut shard, "newer"), Err(refused));
    shard.broker.handle_disconnect(shard.now, first);
    shard.open(invented(alice(), 5));
    assert_eq!(refusal(&mut shard, alice().with_topic(topic("new"))).fault(), sansse::Fault::Limit);
}

/// Also where it makes room for itself, since that is room for a session alone.
#[test]
fn a_session_that_takes_the_place_of_another_has_all_its_topics_or_is_refused() {
    let mut config = config();
    config.limits.subscribed_topics = 1;
    config.limits.sessions.most = 1.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    let mut shard = Shard::new(config);
    let first = shard.open(anyone().with_topic(topic("a")));
    let two = anyone().with_topic(topic("b")).with_topic(topic("c"));
    assert_eq!(refusal(&mut shard, two), OpenError::TooManyTopics);
    let mut census = Census::default();
    census.note_eviction();
    let two = anyone().with_topic(topic("b")).with_topic(topic("c"));
    let opened = shard.broker.shard_mut().open(shard.now, two, &census);
    assert_eq!(opened.unwrap_err(), OpenError::TooManyTopics);
    assert!(shard.broker.session(first).is_open());
}

#[test]
fn what_somebody_has_of_topics_that_expired_counts_for_the_one_who_has_it() {
    let mut config = config();
    config.limits.subscriptions_per_address = 64;
    config.retention.age = Some(Duration::from_secs(10));
    let mut shard = Shard::new(config);
    for name in 0..64 {
        shard.publish(topic(&format!("1/{name}")), "x");
    }
    shard.open(invented(from("192.0.2.1"), 1));
    shard.sleep(Duration::from_secs(10));
    let limit = OpenError::TooManySubscriptionsFromAddress { limit: 64 };
    assert_eq!(refusal(&mut shard, from("192.0.2.1").with_topic(topic("2/0"))), limit);
}

#[test]
fn a_topic_that_keeps_nothing_any_more_counts_as_subscribed_alone() {
    let mut config = config();
    config.limits.topics = 1;
    config.retention.age = Some(Duration::from_secs(10));
    let mut shard = Shard::new(config);
    shard.parked(anyone().with_topic(topic("a")));
    shard.publish(topic("a"), "x");
    let other = |shard: &mut Shard| {
        shard.broker.publish(shard.now, topic("b"), &Event::new("x")).map(|_| ())
    };
    assert_eq!(other(&mut shard), Err(PublishError::TooManyTopics));
    shard.sleep(Duration::from_secs(10));
    assert_eq!(shard.broker.counters().subscribed_topics, 1);
    assert_eq!(other(&mut shard), Ok(()));
}
