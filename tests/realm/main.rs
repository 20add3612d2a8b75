//! Realms: hubs that share the log of an engine, in memory and in virtual time.
#![cfg(all(feature = "cluster", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod backfill;
#[path = "../kit/mod.rs"]
mod kit;
mod life;
mod presence;
mod presence_model;

use sansse::broker::{
    Audience, BrokerConfig, ClientId, Drain, Epoch, OpenError, PublishError, Resumption,
    SessionConfig, SessionId, TopicName,
};
use sansse::cluster::{
    JoinError, LogErrorKind, MemoryLog, NodeConfig, NodeHealth, NodeId, Realm, WhileDown,
};
use sansse::hub::HubBuilder;
use sansse::net::Runtime;
use sansse::testing::{SessionReader, VirtualRuntime};
use sansse::{Event, Hub, LastEventId, LossReason, Notice};
use std::future::Future;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    runtime: VirtualRuntime,
    log: MemoryLog,
}

impl World {
    fn new() -> Self {
        let runtime = VirtualRuntime::new();
        let log = MemoryLog::new(runtime.clone());
        Self { runtime, log }
    }

    fn hub(&self) -> Hub {
        let builder = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef)));
        let builder = builder.with_shards(NonZeroU16::new(2).unwrap());
        let (hub, drive) = builder.build(self.runtime.clone()).unwrap();
        self.runtime.spawn(drive);
        hub
    }

    fn join(&self, number: u128) -> Realm {
        self.join_with(NodeConfig::new(NodeId(number), 7))
    }

    fn join_with(&self, config: NodeConfig) -> Realm {
        let realm = Realm::join(self.hub(), self.log.clone(), config, &self.runtime).unwrap();
        self.runtime.run_tasks();
        realm
    }

    /// Lets a call go on beside others, and says what came of it, if anything did so far.
    fn begin<F: Future + Send + 'static>(&self, future: F) -> impl Fn() -> Option<F::Output>
    where
        F::Output: Send,
    {
        let slot = Arc::new(Mutex::new(None));
        let output = slot.clone();
        self.runtime.spawn(async move {
            let done = future.await;
            *slot.lock().unwrap() = Some(done);
        });
        self.runtime.run_tasks();
        move || output.lock().unwrap().take()
    }

    fn publish(
        &self,
        realm: &Realm,
        audience: impl Into<Audience>,
        data: &'static str,
    ) -> impl Fn() -> Option<Result<u64, PublishError>> {
        let (realm, audience) = (realm.clone(), audience.into());
        self.begin(async move { realm.publish(audience, &Event::new(data)).await })
    }

    fn say(&self, realm: &Realm, data: &'static str) -> Result<u64, PublishError> {
        self.publish(realm, Audience::Everyone, data)().unwrap()
    }
}

fn listen(realm: &Realm, config: SessionConfig) -> SessionReader {
    let mut reader = SessionReader::new(realm.hub().open(config).unwrap());
    // What the stream begins with.
    reader.notices();
    reader
}

fn data(reader: &mut SessionReader) -> Vec<String> {
    reader.messages().into_iter().map(|message| message.data).collect()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

fn session_of(name: &str) -> SessionConfig {
    SessionConfig::new().with_client(client(name))
}

fn after(position: u64) -> SessionConfig {
    let id = format!("beef-{position}");
    SessionConfig::new().with_last_event_id(LastEventId::from_header(id.as_bytes()))
}

const GAP: Notice = Notice::Gap { replayed: 0, lost: None, reason: LossReason::Log };

#[test]
fn what_is_published_on_one_node_comes_to_the_sessions_of_all_in_the_same_order() {
    let world = World::new();
    let nodes = [1, 2, 3].map(|number| world.join(number));
    let mut readers = nodes.each_ref().map(|node| listen(node, SessionConfig::new()));
    for (index, text) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let position = world.say(&nodes[index % 3], text);
        assert_eq!(position, Ok(index as u64 + 1));
    }
    for reader in &mut readers {
        assert_eq!(data(reader), ["a", "b", "c", "d", "e"]);
    }
    assert_eq!(nodes[0].applied(), 5);
}

#[test]
fn a_reader_that_comes_to_another_node_goes_on_where_it_was() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    for text in ["a", "b", "c"] {
        world.say(&one, text).unwrap();
    }
    let session = other.hub().open(after(1)).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 2 });
}

#[test]
fn a_node_that_joins_late_has_what_there_was() {
    let world = World::new();
    let one = world.join(1);
    for text in ["a", "b", "c"] {
        world.say(&one, text).unwrap();
    }
    let late = world.join(2);
    assert_eq!(late.health(), NodeHealth::Ready);
    assert_eq!(
        world.begin({
            let late = late.clone();
            async move { late.ready().await }
        })(),
        Some(true)
    );
    let session = late.hub().open(after(1)).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 2 });
}

#[test]
fn a_hub_of_a_realm_gives_no_positions_itself() {
    let world = World::new();
    let realm = world.join(1);
    let hub = realm.hub().clone();
    let refused = hub.publish(Audience::Everyone, &Event::new("x")).map(|_| ());
    assert_eq!(refused, Err(PublishError::OfRealm));
    let news = TopicName::new("news").unwrap();
    assert_eq!(hub.end_topic(&news).map(|_| ()), Err(PublishError::OfRealm));
    // Neither does one join twice, nor after it was published to.
    let config = NodeConfig::new(NodeId(2), 7);
    let again = Realm::new(hub, world.log.clone(), config.clone());
    assert_eq!(again.map(|_| ()), Err(JoinError::HubInUse));
    let used = world.hub();
    used.publish(Audience::Everyone, &Event::new("x")).unwrap();
    let refused = Realm::new(used.clone(), world.log.clone(), config).map(|_| ());
    assert_eq!(refused, Err(JoinError::HubInUse));
    assert!(used.publish(Audience::Everyone, &Event::new("y")).is_ok());
}

#[test]
fn while_the_engine_is_away_sessions_stay_and_publishers_are_told_and_then_all_goes_on() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let mut reader = listen(&other, SessionConfig::new());
    world.say(&one, "before").unwrap();
    world.log.fail(Some(LogErrorKind::Unreachable));
    world.runtime.run_tasks();
    assert!(matches!(one.health(), NodeHealth::Stale { error: LogErrorKind::Unreachable, .. }));
    assert!(one.health().serves());
    assert_eq!(world.say(&one, "lost"), Err(PublishError::EngineDown));
    assert_eq!(data(&mut reader), ["before"]);
    for _ in 0..12 {
        // A reader that takes its heartbeats.
        world.runtime.advance(5 * SECOND);
        reader.comments();
    }
    // New sessions resume from memory.
    let session = other.hub().open(after(0)).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 1 });
    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    assert_eq!(one.health(), NodeHealth::Ready);
    assert_eq!(world.say(&one, "after"), Ok(2));
    world.runtime.run_tasks();
    assert_eq!(data(&mut reader), ["after"]);
    assert!(reader.notices().is_empty());
}

#[test]
fn a_node_whose_engine_was_never_there_is_down_and_is_not_to_be_sent_to() {
    let world = World::new();
    world.log.fail(Some(LogErrorKind::Denied));
    let realm = world.join(1);
    assert!(matches!(realm.health(), NodeHealth::Down { error: LogErrorKind::Denied, .. }));
    assert!(!realm.health().serves());
    assert_eq!(world.say(&realm, "x"), Err(PublishError::EngineDown));
    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    assert_eq!(realm.health(), NodeHealth::Ready);
}

#[test]
fn publishes_wait_for_an_engine_that_comes_back_where_they_are_to() {
    let world = World::new();
    let mut config = NodeConfig::new(NodeId(1), 7);
    config.while_down = WhileDown::Wait(30 * SECOND);
    let realm = world.join_with(config);
    world.log.fail(Some(LogErrorKind::Unreachable));
    world.runtime.run_tasks();
    let result = world.publish(&realm, Audience::Everyone, "x");
    assert_eq!(result(), None);
    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    assert_eq!(result(), Some(Ok(1)));
    world.log.fail(Some(LogErrorKind::Unreachable));
    let result = world.publish(&realm, Audience::Everyone, "y");
    world.runtime.advance(31 * SECOND);
    assert!(matches!(result(), Some(Err(_))));
}

#[test]
fn what_the_engine_loses_is_told_to_every_session_and_to_who_comes_back() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let mut readers = [&one, &other].map(|node| listen(node, SessionConfig::new()));
    for text in ["a", "b", "c"] {
        world.say(&one, text).unwrap();
    }
    world.log.lose(2);
    world.log.fail(Some(LogErrorKind::Unreachable));
    world.runtime.run_tasks();
    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    let position = world.say(&other, "d").unwrap();
    assert!(position > 4, "no position is given again");
    world.runtime.advance(10 * SECOND);
    for reader in &mut readers {
        assert_eq!(data(reader), ["a", "b", "c", "d"]);
        assert_eq!(reader.notices(), [GAP]);
    }
    for node in [&one, &other] {
        let mut reader = SessionReader::new(node.hub().open(after(3)).unwrap());
        world.runtime.run_tasks();
        let gap = Notice::Gap { replayed: 1, lost: None, reason: LossReason::Retention };
        assert_eq!(reader.notices(), [gap]);
        let session = node.hub().open(after(position - 1)).unwrap();
        assert_eq!(session.resumption(), Resumption::Complete { replayed: 1 });
    }
}

#[test]
fn a_client_is_reached_and_revoked_on_whichever_node_it_is() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let mut ann = listen(&other, session_of("ann"));
    let mut bob = listen(&one, session_of("bob"));
    assert_eq!(world.publish(&one, client("ann"), "for ann")(), Some(Ok(1)));
    world.runtime.run_tasks();
    assert_eq!(data(&mut ann), ["for ann"]);
    let revoked = world.begin({
        let one = one.clone();
        async move { one.revoke(&client("ann")).await }
    });
    assert_eq!(revoked(), Some(Ok(2)));
    world.say(&one, "after").unwrap();
    world.runtime.run_tasks();
    assert!(data(&mut ann).is_empty() && ann.is_over());
    assert_eq!(data(&mut bob), ["after"]);
}

#[test]
fn a_topic_that_is_ended_on_one_node_has_ended_on_all() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let news = TopicName::new("news").unwrap();
    let mut reader = listen(&other, SessionConfig::new().topics_only().with_topic(news.clone()));
    assert_eq!(world.publish(&one, news.clone(), "last")(), Some(Ok(1)));
    let ended = world.begin({
        let (one, news) = (one.clone(), news.clone());
        async move { one.end_topic(&news).await }
    });
    assert_eq!(ended(), Some(Ok(2)));
    world.runtime.run_tasks();
    assert_eq!(data(&mut reader), ["last"]);
    assert!(reader.is_over());
    assert_eq!(world.publish(&other, news, "late")(), Some(Err(PublishError::TopicEnded)));
}

#[test]
fn a_drain_lets_the_sessions_of_all_nodes_go_and_not_those_of_a_node_that_joins_after_it() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let mut readers = [&one, &other].map(|node| listen(node, SessionConfig::new()));
    world.say(&one, "last").unwrap();
    let farewell = Event::new("back soon");
    let drain = Drain::new(Duration::ZERO)
        .with_retry(SECOND, 2 * SECOND)
        .with_farewell(farewell)
        .letting_topics_end();
    let drained = world.begin({
        let one = one.clone();
        async move { one.drain(drain).await }
    });
    assert_eq!(drained(), Some(Ok(2)));
    world.runtime.advance(SECOND);
    for reader in &mut readers {
        assert_eq!(data(reader), ["last", "back soon"]);
        assert!(reader.is_over());
        assert!(matches!(reader.reconnection_time(), Some(time) if time >= SECOND));
    }
    for node in [&one, &other] {
        let refused = node.hub().open(SessionConfig::new()).map(|_| ());
        assert_eq!(refused, Err(OpenError::Draining));
    }
    // The process that is started in its place.
    let next = world.join(3);
    let mut reader = listen(&next, SessionConfig::new());
    assert_eq!(world.say(&next, "on"), Ok(3));
    world.runtime.run_tasks();
    assert_eq!(data(&mut reader), ["on"]);
}

/// Sessions of several nodes have the same ids.
#[test]
fn what_is_for_a_session_comes_to_that_of_this_node_alone() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let (here, there) =
        (one.hub().open(SessionConfig::new()), other.hub().open(SessionConfig::new()));
    let (here, there) = (here.unwrap(), there.unwrap());
    assert_eq!(here.id(), there.id());
    let id = here.id();
    let (mut here, mut there) = (SessionReader::new(here), SessionReader::new(there));
    here.messages();
    there.messages();
    assert_eq!(world.publish(&one, id, "for one")(), Some(Ok(1)));
    world.runtime.run_tasks();
    assert_eq!(data(&mut here), ["for one"]);
    assert!(data(&mut there).is_empty());
    let unknown = SessionId::new("0-900-1").unwrap();
    assert_eq!(world.publish(&one, unknown, "x")(), Some(Err(PublishError::UnknownSession)));
}

#[test]
fn many_publishers_at_once_are_a_few_entries_and_each_has_a_position_of_its_own() {
    let world = World::new();
    let realm = world.join(1);
    let mut reader = listen(&realm, SessionConfig::new());
    let results: Vec<_> = (0..1_000)
        .map(|_| {
            let realm = realm.clone();
            // Not run yet: all of them are there when the first goes.
            let slot = Arc::new(Mutex::new(None));
            let output = slot.clone();
            world.runtime.spawn(async move {
                let result = realm.publish(Audience::Everyone, &Event::new("x")).await;
                *slot.lock().unwrap() = Some(result);
            });
            output
        })
        .collect();
    world.runtime.run_tasks();
    let mut positions: Vec<u64> =
        results.iter().map(|slot| slot.lock().unwrap().unwrap().unwrap()).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(data(&mut reader).len(), 1_000);
    assert!(realm.counters().appended_batches < 20, "{:?}", realm.counters());
}

#[cfg(feature = "signed")]
#[test]
fn keys_that_are_set_later_sign_what_is_read_from_then_on() {
    use sansse::broker::CursorKeys;
    let world = World::new();
    let mut config = BrokerConfig::new(Epoch(0xbeef));
    config.cursor_keys = Some(CursorKeys::new(&[1; 32]).unwrap());
    let (hub, drive) = Hub::new(world.runtime.clone(), config).unwrap();
    world.runtime.spawn(drive);
    let log = world.log.clone();
    let realm = Realm::join(hub, log, NodeConfig::new(NodeId(1), 7), &world.runtime).unwrap();
    world.runtime.run_tasks();
    let mut reader = listen(&realm, SessionConfig::new());
    let mut last_id = |text: &'static str| {
        world.say(&realm, text).unwrap();
        assert_eq!(data(&mut reader), [text]);
        LastEventId::from_header(reader.last_event_id().as_bytes())
    };
    let outcome = |id: &LastEventId| {
        let config = SessionConfig::new().with_last_event_id(id.clone());
        realm.hub().open(config).unwrap().resumption()
    };
    let first = last_id("a");
    assert_eq!(outcome(&first), Resumption::Complete { replayed: 0 });
    let new = CursorKeys::new(&[2; 32]).unwrap();
    realm.hub().set_cursor_keys(new.clone().accepting(&[1; 32]).unwrap()).unwrap();
    let second = last_id("b");
    assert_eq!(outcome(&first), Resumption::Complete { replayed: 1 });
    // The old ones are known no more, and what came since is not signed by them.
    realm.hub().set_cursor_keys(new).unwrap();
    assert_eq!(outcome(&first), Resumption::Forged);
    assert_eq!(outcome(&second), Resumption::Complete { replayed: 0 });
}

#[test]
fn events_with_ids_of_their_own_are_refused_where_nobody_could_come_back_with_them() {
    let world = World::new();
    let realm = world.join(1);
    let event = Event::new("x").with_id(sansse::EventId::new("beef-1").unwrap());
    let result = world.begin(async move { realm.publish(Audience::Everyone, &event).await });
    assert!(matches!(result(), Some(Err(PublishError::UnusableId(_)))));
    assert_eq!(world.log.ends().position, 0);
}

#[test]
fn a_reader_whose_node_was_ahead_of_the_one_it_comes_to_waits_until_that_has_come_as_far() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    world.say(&one, "a").unwrap();
    let mut early = SessionReader::new(other.hub().open(after(2)).unwrap());
    let mut never = SessionReader::new(other.hub().open(after(9)).unwrap());
    assert_eq!(other.hub().counters().waiting, 2);
    world.runtime.advance(SECOND);
    assert_eq!((early.notices(), never.notices()), (vec![], vec![]));
    world.say(&one, "b").unwrap();
    world.say(&one, "c").unwrap();
    assert_eq!(early.notices(), [Notice::Complete { replayed: 0 }]);
    assert_eq!(data(&mut early), ["c"]);
    world.runtime.advance(SECOND);
    let gap = Notice::Gap { replayed: 0, lost: None, reason: LossReason::Ahead };
    assert_eq!(never.notices(), [gap]);
    assert_eq!(other.hub().counters().waiting, 0);
}

#[test]
fn what_is_for_a_client_is_kept_on_the_nodes_where_it_is_not() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    let mut reader = listen(&one, session_of("alice"));
    for text in ["a", "b", "c"] {
        world.publish(&one, client("alice"), text)().unwrap().unwrap();
    }
    assert_eq!(data(&mut reader), ["a", "b", "c"]);
    let counters = other.hub().counters();
    assert_eq!((counters.clients, counters.absent_clients), (0, 1));
    let session = other.hub().open(after(1).with_client(client("alice"))).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 2 });
    assert_eq!(data(&mut SessionReader::new(session)), ["b", "c"]);
}
