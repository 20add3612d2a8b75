//! Who is here: clients, their sessions, their metadata, and how many there may be.

use super::kit::broker::is_present;
use super::kit::broker::sessions_of;
use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;

fn joined(name: &str) -> BrokerEvent {
    BrokerEvent::ClientJoined { client: client(name) }
}

fn left(name: &str) -> BrokerEvent {
    BrokerEvent::ClientLeft { client: client(name) }
}

fn opened(session: SessionId, name: Option<&str>) -> BrokerEvent {
    BrokerEvent::SessionOpened { session, client: name.map(client), resumption: Resumption::Live }
}

fn gone(session: SessionId, name: &str) -> BrokerEvent {
    BrokerEvent::SessionEnded {
        session,
        client: Some(client(name)),
        reason: EndReason::Disconnected,
        undelivered: 0,
    }
}

fn present(shard: &Shard) -> Vec<(String, usize)> {
    let present = super::kit::broker::present(&shard.broker).into_iter();
    present.map(|(id, sessions)| (id.to_string(), sessions)).collect()
}

#[test]
fn several_sessions_of_a_client_are_one_client() {
    let mut shard = Shard::new(config());
    let laptop = shard.open(session_of("bob"));
    let phone = shard.open(session_of("bob"));
    let other = shard.open(session_of("alice"));
    let guest = shard.open(anyone());
    assert_eq!(
        shard.events(),
        [
            joined("bob"),
            opened(laptop, Some("bob")),
            opened(phone, Some("bob")),
            joined("alice"),
            opened(other, Some("alice")),
            opened(guest, None),
        ]
    );
    assert_eq!(present(&shard), [("alice".to_owned(), 1), ("bob".to_owned(), 2)]);
    assert_eq!(shard.broker.counters().sessions, 4);
    assert_eq!(sessions_of(&shard.broker, &client("bob")), [laptop, phone]);
    assert!(shard.broker.client(&client("nobody")).is_none());
    assert_eq!(shard.broker.session(phone).client(), Some(&client("bob")));
    assert_eq!(shard.broker.session(guest).client(), None);
    shard.broker.handle_disconnect(shard.now, laptop);
    assert_eq!(shard.broker.session(laptop).client(), None);
    assert!(is_present(&shard.broker, &client("bob")));
    shard.broker.handle_disconnect(shard.now, phone);
    assert!(!is_present(&shard.broker, &client("bob")));
    assert_eq!(present(&shard), [("alice".to_owned(), 1)]);
}

#[test]
fn metadata_outlives_a_reconnect_within_the_grace_time_and_no_longer() {
    let mut shard = Shard::new(config());
    let alice = client("alice");
    assert!(shard.broker.client(&alice).map(ClientRef::metadata).is_none());
    assert!(shard.broker.client_mut(&alice).metadata().is_none());
    let session = shard.open(session_of("alice"));
    shard.broker.client_mut(&alice).metadata().unwrap().insert("her name");
    let name = |shard: &Shard| {
        shard.broker.client(&alice).map(ClientRef::metadata)?.get::<&str>().copied()
    };
    shard.broker.handle_disconnect(shard.now, session);
    shard.events();
    shard.sleep(just_before(secs(30)));
    assert_eq!(name(&shard), Some("her name"));
    // A reload: no leave and no join.
    let session = shard.open(session_of("alice"));
    assert_eq!(shard.events(), [opened(session, Some("alice"))]);
    shard.sleep(secs(40));
    assert_eq!(name(&shard), Some("her name"));
    shard.broker.handle_disconnect(shard.now, session);
    shard.sleep(just_before(secs(30)));
    assert_eq!(shard.events(), [gone(session, "alice")]);
    assert_eq!(shard.broker.poll_timeout(), Some(shard.now + TICK));
    shard.sleep(TICK);
    assert_eq!(shard.events(), [left("alice")]);
    assert!(shard.broker.client(&alice).map(ClientRef::metadata).is_none());
    let session = shard.open(session_of("alice"));
    assert_eq!(name(&shard), None, "she starts anew");
    assert_eq!(shard.events(), [joined("alice"), opened(session, Some("alice"))]);
}

#[test]
fn what_is_published_within_the_grace_time_waits_for_the_client() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    shard.broker.handle_disconnect(shard.now, session);
    shard.publish(client("alice"), "a");
    let again = session_of("alice").with_last_event_id(sansse::LastEventId::Id(id("e-0")));
    let session = shard.open(again);
    assert_eq!(shard.data(session), ["a"]);
    shard.broker.handle_disconnect(shard.now, session);
    shard.sleep(secs(30));
    let refused = shard.broker.publish(shard.now, client("alice"), &Event::new("b"));
    assert_eq!(refused, Err(PublishError::UnknownClient));
}

#[test]
fn without_a_grace_time_a_client_leaves_with_its_last_session() {
    let mut config = config();
    config.client_grace = secs(0);
    let mut shard = Shard::new(config);
    let session = shard.parked(session_of("alice"));
    shard.events();
    shard.broker.handle_disconnect(shard.now, session);
    assert_eq!(shard.events(), [gone(session, "alice"), left("alice")]);
}

#[test]
fn beyond_the_limit_the_client_that_was_away_longest_is_forgotten() {
    let mut config = config();
    config.limits.absent_clients = 2;
    let mut shard = Shard::new(config);
    for name in ["a", "b", "c", "d"] {
        let session = shard.parked(session_of(name));
        shard.broker.handle_disconnect(shard.now, session);
        shard.sleep(secs(1));
    }
    let who_left = |shard: &mut Shard| {
        let events = shard.events().into_iter();
        let names = events.filter_map(|event| match event {
            BrokerEvent::ClientLeft { client } => Some(client.to_string()),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(who_left(&mut shard), ["a", "b"]);
    shard.sleep(secs(30));
    assert_eq!(who_left(&mut shard), ["c", "d"]);
}

#[test]
fn an_id_of_a_session_is_never_used_again() {
    let mut shard = Shard::new(config());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let sessions: Vec<_> = (0..5).map(|_| shard.open(anyone())).collect();
        for session in sessions {
            assert!(seen.insert(session) && seen.len() < 1_000, "{session} again");
            shard.broker.handle_disconnect(shard.now, session);
        }
    }
    let texts: std::collections::BTreeSet<_> = seen.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), seen.len(), "nor the text of it");
}

/// What a refused session leaves behind: nothing.
fn refuses(shard: &mut Shard, request: SessionConfig, error: OpenError) {
    let before = (shard.broker.counters().sessions, present(shard), shard.size());
    assert_eq!(shard.broker.open(shard.now, request), Err(error));
    let after = (shard.broker.counters().sessions, present(shard), shard.size());
    assert_eq!(before, after);
}

#[test]
fn more_sessions_than_may_be_are_refused() {
    let mut config = config();
    config.limits.sessions.most = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    let first = shard.open(anyone());
    shard.open(anyone());
    let request = session_of("new").with_topic(topic("new"));
    refuses(&mut shard, request.clone(), OpenError::TooManySessions);
    shard.broker.handle_disconnect(shard.now, first);
    assert!(shard.broker.open(shard.now, request).is_ok());
}

#[test]
fn more_topics_than_may_be_are_refused_and_none_of_them_is_made() {
    let mut config = config();
    config.limits.topics = 0;
    config.limits.subscribed_topics = 2;
    config.limits.topics_per_session = 3;
    let mut shard = Shard::new(config);
    let first = shard.open(anyone().with_topic(topic("a")));
    let two_new = session_of("x").with_topic(topic("b")).with_topic(topic("c"));
    refuses(&mut shard, two_new.clone(), OpenError::TooManyTopics);
    let one_new = anyone().with_topic(topic("a")).with_topic(topic("b"));
    let second = shard.open(one_new);
    refuses(&mut shard, two_new.clone(), OpenError::TooManyTopics);
    let event = Event::new("x");
    let refused = shard.broker.publish(shard.now, topic("c"), &event);
    assert_eq!(refused, Err(PublishError::TooManyTopics));
    let refused = shard.broker.topic_mut(&topic("c")).set_retention(shard.now, None);
    assert_eq!(refused, Err(TopicSettingError::TooManyTopics));
    // Once nobody listens to the others, and they keep nothing, there is room.
    shard.broker.handle_disconnect(shard.now, first);
    shard.broker.handle_disconnect(shard.now, second);
    shard.open(two_new);
    let request = ["b", "c", "d", "e"].iter().fold(anyone(), |r, name| r.with_topic(topic(name)));
    refuses(&mut shard, request, OpenError::TooManyTopicsOfSession { limit: 3 });
}

#[test]
fn where_the_application_reads_no_events_no_session_is_opened() {
    let mut config = config();
    config.limits.unread_events = 3.try_into().unwrap();
    let mut shard = Shard::new(config);
    let session = shard.open(session_of("alice"));
    shard.open(anyone());
    refuses(&mut shard, session_of("bob"), OpenError::UnreadEvents);
    // What is there goes on, and its end is told.
    shard.broker.handle_disconnect(shard.now, session);
    assert_eq!(shard.events().len(), 4);
    assert!(shard.broker.open(shard.now, session_of("bob")).is_ok());
}

#[test]
fn where_nobody_is_told_of_the_ended_sessions_none_is_opened() {
    let mut config = config();
    config.limits.unread_events = 3.try_into().unwrap();
    config.session.lag = LagPolicy::SkipToNewest.into();
    let mut shard = Shard::new(config);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(shard.open(anyone()));
        shard.events();
        shard.sleep(secs(60));
        shard.events();
    }
    refuses(&mut shard, anyone(), OpenError::UnreadEvents);
    assert_eq!(shard.ready(), sessions);
    refuses(&mut shard, anyone(), OpenError::UnreadEvents);
    let told = shard.broker.poll_transmit(shard.now, sessions[0]);
    assert_eq!(told, Some(Transmit::Ended(Some(EndReason::Stalled))));
    shard.open(anyone());
}

#[test]
fn an_end_is_told_once_and_not_again_to_a_driver_that_learned_of_it_by_a_poll() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone());
    shard.sleep(secs(60));
    let told = shard.broker.poll_transmit(shard.now, session);
    assert_eq!(told, Some(Transmit::Ended(Some(EndReason::Stalled))));
    assert_eq!(shard.ready(), []);
    assert_eq!(shard.broker.poll_transmit(shard.now, session), Some(Transmit::Ended(None)));
}

#[test]
fn a_setting_that_cannot_hold_is_refused() {
    let now = Shard::new(config()).now;
    let refused = |change: fn(&mut BrokerConfig)| {
        let mut config = config();
        change(&mut config);
        Broker::new(now, config).err()
    };
    assert_eq!(
        refused(|config| config.private_retention.age = Some(secs(0))),
        Some(ConfigError::ZeroRetentionAge)
    );
    assert_eq!(
        refused(|config| config.session.heartbeat = Some(secs(0))),
        Some(ConfigError::ZeroHeartbeat)
    );
    assert_eq!(
        refused(|config| config.session.stall_timeout = Some(secs(0))),
        Some(ConfigError::ZeroStallTimeout)
    );
    assert_eq!(refused(|_| {}), None);
    let mut shard = Shard::new(config());
    let nothing = Retention { age: Some(secs(0)), ..config().retention };
    let refused = shard.broker.topic_mut(&topic("news")).set_retention(shard.now, Some(nothing));
    assert_eq!(refused, Err(TopicSettingError::Config(ConfigError::ZeroRetentionAge)));
}
