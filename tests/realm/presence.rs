//! Who is present on the nodes of a realm, also where nodes and engines fail.

use super::{SECOND, World, client, session_of};
use sansse::broker::{BrokerConfig, Epoch};
use sansse::cluster::{
    Append, Appended, Head, Hello, JoinError, Log, LogError, LogErrorKind, MemoryLog, NodeConfig,
    NodeHealth, NodeId, Page, PresenceConfig, Read, Realm, RealmConfig, RealmPresence,
};
use sansse::hub::{HubBuilder, Session};
use sansse::net::Runtime;
use sansse::{Event, Hub};
use std::future::Future;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// A node of a realm, which can be stopped at once, as a process is that is killed.
struct Node {
    realm: Realm,
    presence: RealmPresence,
    stop: Arc<Mutex<bool>>,
    told: Arc<Mutex<Vec<Told>>>,
}

/// A client, and its sessions; `None` if it has left.
type Told = (String, Option<usize>);

/// A future until it is stopped; then it is dropped.
struct Until<F>(Option<Pin<Box<F>>>, Arc<Mutex<bool>>);

impl<F: Future<Output = ()>> Future for Until<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if *self.1.lock().unwrap() {
            self.0 = None;
        }
        self.0.as_mut().map_or(Poll::Ready(()), |future| future.as_mut().poll(context))
    }
}

/// The way of one node to the engine, which can break.
#[derive(Clone)]
struct Line {
    log: MemoryLog,
    is_broken: Arc<AtomicBool>,
}

impl Line {
    fn check(&self) -> Result<(), LogError> {
        let error = self.is_broken.load(Relaxed).then(|| LogErrorKind::Unreachable.into());
        error.map_or(Ok(()), Err)
    }
}

impl Log for Line {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.check()?;
        self.log.hello(hello).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        self.check()?;
        self.log.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        let page = self.log.read(read).await;
        self.check()?;
        page
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.check()?;
        self.log.head().await
    }
}

impl World {
    fn node(&self, number: u128) -> Node {
        self.node_on(number, self.log.clone())
    }

    fn node_on(&self, number: u128, log: impl Log) -> Node {
        self.node_with(number, log, PresenceConfig::new())
    }

    fn node_with(&self, number: u128, log: impl Log, presence: PresenceConfig) -> Node {
        let presence = RealmPresence::new(presence);
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        presence.on_change(move |change| {
            list.lock().unwrap().push((change.client.to_string(), change.sessions));
        });
        let hub = self.hub_with(&presence);
        let config = NodeConfig::new(NodeId(number), u64::try_from(number).unwrap());
        let config = RealmConfig::new(config).with_presence(&presence);
        let (realm, drive) = Realm::new(hub, log, config).unwrap();
        let stop = Arc::new(Mutex::new(false));
        self.runtime.spawn(Until(Some(Box::pin(drive)), stop.clone()));
        self.runtime.run_tasks();
        Node { realm, presence, stop, told }
    }

    fn hub_with(&self, presence: &RealmPresence) -> Hub {
        let mut config = BrokerConfig::new(Epoch(0xbeef));
        // Nobody reads the sessions of these tests.
        config.session.heartbeat = None;
        config.session.stall_timeout = None;
        let builder = HubBuilder::new(config).with_shards(NonZeroU16::new(2).unwrap());
        let builder = builder.on_event(presence.listener());
        let (hub, drive) = builder.build(self.runtime.clone()).unwrap();
        self.runtime.spawn(drive);
        hub
    }

    fn open(&self, node: &Node, name: &str) -> Session {
        let session = node.realm.hub().open(session_of(name)).unwrap();
        self.runtime.run_tasks();
        session
    }

    fn close(&self, session: Session) {
        drop(session);
        self.runtime.run_tasks();
    }

    /// Its process is killed.
    fn kill(&self, node: &Node) {
        *node.stop.lock().unwrap() = true;
        // Whatever wakes the driver has it look.
        node.presence.on_change(|_| {});
        self.runtime.run_tasks();
    }

    fn away(&self, seconds: u32) {
        self.log.fail(Some(LogErrorKind::Unreachable));
        self.runtime.run_tasks();
        self.runtime.advance(seconds * SECOND);
        self.log.fail(None);
    }
}

impl Node {
    fn here(&self) -> Vec<(String, usize)> {
        let clients = self.presence.clients(None, usize::MAX);
        clients.into_iter().map(|(client, sessions)| (client.to_string(), sessions)).collect()
    }

    fn sessions_of(&self, name: &str) -> Option<usize> {
        self.presence.sessions_of(&client(name))
    }

    /// What was told since this was called last.
    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn named(name: &str, sessions: usize) -> (String, usize) {
    (name.to_owned(), sessions)
}

fn change(name: &str, sessions: Option<usize>) -> Told {
    (name.to_owned(), sessions)
}

#[test]
fn a_client_on_two_nodes_is_one_with_the_sessions_of_both() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let _sessions =
        [world.open(&nodes[0], "ann"), world.open(&nodes[1], "ann"), world.open(&nodes[1], "bob")];
    world.runtime.advance(SECOND);
    for node in &nodes {
        assert_eq!(node.here(), [named("ann", 2), named("bob", 1)]);
        let told = node.told();
        assert_eq!(told.iter().filter(|(_, sessions)| sessions.is_none()).count(), 0);
        assert_eq!(told.iter().rfind(|(name, _)| name == "ann"), Some(&change("ann", Some(2))));
        assert_eq!(node.presence.counters().unknown_lists, 0, "nobody had to ask");
    }
    assert_eq!(nodes[0].presence.other_nodes(), [NodeId(2)]);
    assert!(nodes[0].presence.is_first() && !nodes[1].presence.is_first());
}

#[test]
fn a_client_that_moves_from_node_to_node_does_not_leave() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let mut session = world.open(&nodes[0], "ann");
    for round in 0..10 {
        world.close(session);
        world.runtime.advance(20 * SECOND);
        assert_eq!(nodes[round % 2].here(), [named("ann", 0)]);
        session = world.open(&nodes[(round + 1) % 2], "ann");
        world.runtime.advance(20 * SECOND);
        for node in &nodes {
            assert_eq!(node.here(), [named("ann", 1)]);
        }
    }
    world.close(session);
    world.runtime.advance(29 * SECOND);
    assert_eq!(nodes[0].here(), [named("ann", 0)]);
    world.runtime.advance(2 * SECOND);
    for node in &nodes {
        assert_eq!(node.here(), []);
        let left = node.told().into_iter().filter(|(_, sessions)| sessions.is_none());
        assert_eq!(left.count(), 1, "once, at the end");
    }
}

#[test]
fn a_node_that_dies_takes_its_clients_after_its_lease_and_the_grace_time_and_not_before() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let _here = world.open(&nodes[0], "ann");
    let _there = [world.open(&nodes[1], "ann"), world.open(&nodes[1], "bob")];
    world.runtime.advance(SECOND);
    let survivor = &nodes[0];
    survivor.told();
    world.kill(&nodes[1]);
    // It may have renewed its lease 5 s ago.
    world.runtime.advance(9 * SECOND);
    assert_eq!(survivor.here(), [named("ann", 2), named("bob", 1)]);
    world.runtime.advance(6 * SECOND);
    assert_eq!(survivor.here(), [named("ann", 1), named("bob", 0)]);
    world.runtime.advance(24 * SECOND);
    assert_eq!(survivor.here(), [named("ann", 1), named("bob", 0)]);
    world.runtime.advance(6 * SECOND);
    assert_eq!(survivor.here(), [named("ann", 1)]);
    let expected = [change("ann", Some(1)), change("bob", Some(0)), change("bob", None)];
    assert_eq!(survivor.told(), expected);
    assert_eq!(survivor.presence.counters().lapsed, 1);
    assert!(survivor.presence.other_nodes().is_empty());
}

#[test]
fn a_process_that_is_started_again_is_another_node_and_its_clients_count_once_in_the_end() {
    let world = World::new();
    let (one, old) = (world.node(1), world.node(2));
    let _sessions = world.open(&old, "ann");
    world.kill(&old);
    let new = world.node(3);
    let _again = world.open(&new, "ann");
    world.runtime.advance(SECOND);
    // The lease of the earlier life is not over yet.
    assert_eq!(one.sessions_of("ann"), Some(2));
    world.runtime.advance(60 * SECOND);
    for node in [&one, &new] {
        assert_eq!(node.here(), [named("ann", 1)]);
        assert!(node.told().iter().all(|(_, sessions)| sessions.is_some()), "nobody left");
    }
}

#[test]
fn where_a_realm_has_one_node_an_earlier_life_of_it_counts_for_nothing() {
    let world = World::new();
    let mut alone = PresenceConfig::new();
    alone.lease = Duration::ZERO;
    let first = world.node_with(1, world.log.clone(), alone.clone());
    let _sessions = [world.open(&first, "ann"), world.open(&first, "bob")];
    world.runtime.advance(7 * SECOND);
    world.kill(&first);
    let second = world.node_with(2, world.log.clone(), alone);
    let _ann = world.open(&second, "ann");
    world.runtime.advance(SECOND);
    assert_eq!(second.here(), [named("ann", 1), named("bob", 0)]);
    world.runtime.advance(30 * SECOND);
    assert_eq!(second.here(), [named("ann", 1)]);
    assert_eq!(second.told().last(), Some(&change("bob", None)));
}

#[test]
fn a_node_that_shuts_down_says_so_and_nobody_waits_for_its_lease() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let _there = world.open(&nodes[1], "bob");
    world.runtime.advance(SECOND);
    let realm = nodes[1].realm.clone();
    let _done = world.begin(async move { realm.shut_down().await });
    world.runtime.advance(SECOND);
    assert_eq!(nodes[0].here(), [named("bob", 0)]);
    assert!(nodes[0].presence.other_nodes().is_empty());
    world.runtime.advance(30 * SECOND);
    assert_eq!(nodes[0].here(), []);
    assert_eq!(nodes[0].presence.counters().lapsed, 0);
}

#[test]
fn while_the_engine_is_away_for_a_minute_nobody_leaves() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let _stays = [world.open(&nodes[0], "ann"), world.open(&nodes[1], "bob")];
    let moves = world.open(&nodes[0], "cid");
    world.close(moves);
    world.runtime.advance(SECOND);
    for node in &nodes {
        node.told();
    }
    world.log.fail(Some(LogErrorKind::Unreachable));
    world.runtime.advance(30 * SECOND);
    // What a node sees itself goes on, and cid comes to the other one.
    let _moved = world.open(&nodes[1], "cid");
    let _new = world.open(&nodes[0], "dan");
    assert_eq!(nodes[0].sessions_of("dan"), Some(1));
    assert_eq!(nodes[0].sessions_of("cid"), Some(0));
    world.runtime.advance(30 * SECOND);
    world.log.fail(None);
    world.runtime.advance(30 * SECOND);
    let everybody = [named("ann", 1), named("bob", 1), named("cid", 1), named("dan", 1)];
    for node in &nodes {
        assert_eq!(node.here(), everybody);
        assert!(node.told().iter().all(|(_, sessions)| sessions.is_some()), "nobody left");
        assert_eq!(node.presence.counters().lapsed, 0);
    }
}

#[test]
fn a_node_that_is_cut_off_longer_than_its_lease_is_known_again_when_it_comes_back() {
    let world = World::new();
    let one = world.node(1);
    let line = Line { log: world.log.clone(), is_broken: Arc::default() };
    let other = world.node_on(2, line.clone());
    let _sessions = [world.open(&one, "ann"), world.open(&other, "bob")];
    world.runtime.advance(SECOND);
    one.told();
    line.is_broken.store(true, Relaxed);
    world.runtime.advance(20 * SECOND);
    assert_eq!(one.here(), [named("ann", 1), named("bob", 0)]);
    // It cannot know more than before, and its own clients are there.
    assert_eq!(other.here(), [named("ann", 1), named("bob", 1)]);
    line.is_broken.store(false, Relaxed);
    world.runtime.advance(10 * SECOND);
    assert_eq!(one.here(), [named("ann", 1), named("bob", 1)]);
    assert_eq!(one.told(), [change("bob", Some(0)), change("bob", Some(1))]);
    assert_eq!(one.presence.counters().unknown_lists, 1);

    line.is_broken.store(true, Relaxed);
    world.runtime.advance(60 * SECOND);
    assert_eq!(one.here(), [named("ann", 1)]);
    line.is_broken.store(false, Relaxed);
    world.runtime.advance(10 * SECOND);
    for node in [&one, &other] {
        assert_eq!(node.here(), [named("ann", 1), named("bob", 1)]);
    }
    assert!(other.told().iter().all(|(_, sessions)| sessions.is_some()), "nobody left");
}

#[test]
fn a_cut_that_takes_what_nodes_have_said_is_healed_within_seconds() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2), world.node(3)];
    let _stays = [world.open(&nodes[0], "ann"), world.open(&nodes[1], "bob")];
    world.runtime.advance(SECOND);
    for loss in 1..=6 {
        let name = format!("new{loss}");
        let session = world.open(&nodes[loss % 3], &name);
        // The engine is started again without its newest positions, and those who read it have
        // seen some of them.
        world.log.lose(loss as u64);
        world.away(1);
        world.runtime.advance(10 * SECOND);
        for node in &nodes {
            let expected = [named("ann", 1), named("bob", 1), named(&name, 1)];
            assert_eq!(node.here(), expected, "{:?}", node.presence);
            assert!(node.told().iter().all(|(_, sessions)| sessions.is_some()), "nobody left");
        }
        world.close(session);
        world.runtime.advance(60 * SECOND);
        for node in &nodes {
            node.told();
        }
    }
}

#[test]
fn a_node_that_joins_knows_ten_thousand_clients_in_a_moment() {
    let world = World::new();
    let one = world.node(1);
    let mut sessions: Vec<_> = (0..10_000)
        .map(|number| one.realm.hub().open(session_of(&format!("client {number}"))).unwrap())
        .collect();
    world.runtime.advance(5 * SECOND);
    let before = world.log.ends().position;
    // It reads in the log what was said.
    let late = world.node(2);
    world.runtime.advance(SECOND);
    assert_eq!(late.presence.len(), 10_000);
    assert_eq!(late.told().len(), 10_000);
    assert!(world.log.ends().position - before < 10, "it had to ask for nothing");
    // A log that has gone meanwhile: it asks, and gets pages.
    world.log.set_kept(1);
    world.runtime.advance(6 * SECOND);
    world.log.set_kept(100_000);
    let (pages, position) = (one.presence.counters().pages, world.log.ends().position);
    let latest = world.node(3);
    world.runtime.advance(SECOND);
    assert_eq!(latest.presence.len(), 10_000);
    let said = one.presence.counters().pages - pages;
    assert!((5..20).contains(&said), "{said} pages");
    let positions = world.log.ends().position - position;
    assert!(positions < 30, "{positions} positions");
    assert!(latest.told().iter().all(|(_, sessions)| *sessions == Some(1)));
    // All of them go at once, and that is a few records too.
    sessions.clear();
    world.runtime.advance(2 * SECOND);
    assert_eq!(latest.sessions_of("client 77"), Some(0));
    world.runtime.advance(40 * SECOND);
    for node in [&one, &late, &latest] {
        assert_eq!(node.presence.len(), 0);
    }
}

/// The driver of the realm has no turn while so much happens.
#[test]
fn a_node_that_misses_its_own_events_makes_its_list_anew() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    let sessions: Vec<_> = (0..15_000)
        .map(|number| nodes[0].realm.hub().open(session_of(&format!("client {number}"))).unwrap())
        .collect();
    world.runtime.advance(5 * SECOND);
    for node in &nodes {
        assert_eq!(node.presence.len(), 15_000);
    }
    drop(sessions);
    let _stays = world.open(&nodes[0], "ann");
    world.runtime.advance(60 * SECOND);
    for node in &nodes {
        assert_eq!(node.here(), [named("ann", 1)]);
    }
}

#[test]
fn clients_that_were_there_before_the_hub_joined_are_known() {
    let world = World::new();
    let other = world.node(1);
    let presence = RealmPresence::new(PresenceConfig::new());
    let hub = world.hub_with(&presence);
    let _early = hub.open(session_of("ann")).unwrap();
    assert_eq!(presence.sessions_of(&client("ann")), None);
    let config = || RealmConfig::new(NodeConfig::new(NodeId(2), 2)).with_presence(&presence);
    let realm = Realm::join(hub, world.log.clone(), config(), &world.runtime).unwrap();
    world.runtime.advance(SECOND);
    assert_eq!(realm.presence().unwrap().sessions_of(&client("ann")), Some(1));
    assert_eq!(other.sessions_of("ann"), Some(1));
    // It is the presence of one hub.
    let again = Realm::new(world.hub(), world.log.clone(), config());
    assert_eq!(again.map(|_| ()), Err(JoinError::PresenceInUse));
}

#[test]
fn a_realm_without_presence_says_nothing_and_passes_over_what_others_say() {
    let world = World::new();
    let plain = world.join(1);
    world.runtime.advance(60 * SECOND);
    assert_eq!(world.log.ends().position, 0);
    assert!(plain.presence().is_none());
    let other = world.node(2);
    let _session = world.open(&other, "ann");
    world.runtime.advance(SECOND);
    let mut reader = super::listen(&plain, super::SessionConfig::new());
    assert_eq!(plain.health(), NodeHealth::Ready);
    assert!(world.say(&plain, "x").unwrap() > 1);
    assert_eq!(super::data(&mut reader), ["x"]);
    assert!(reader.notices().is_empty(), "no session hears of it");
}

#[test]
fn a_listener_that_panics_loses_its_change_and_no_other() {
    let world = World::new();
    let node = world.node(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = told.clone();
    node.presence.on_change(move |change| {
        assert_ne!(change.client.as_str(), "ann", "this one is not liked");
        list.lock().unwrap().push(change.client.to_string());
    });
    let _sessions = ["ann", "bob"].map(|name| node.realm.hub().open(session_of(name)).unwrap());
    world.runtime.advance(SECOND);
    assert_eq!(*told.lock().unwrap(), ["bob"]);
    let realm = node.realm.clone();
    assert!(
        world
            .begin(async move { realm.publish(super::Audience::Everyone, &Event::new("x")).await })(
        )
        .is_some()
    );
}
