//! The machine of presence in random histories: nodes that join, crash, stop for a while and are
//! cut off, an engine that loses its newest records, is away, and answers too late or not at all.
//! What the nodes know is compared with what is so.
//!
//! `SANSSE_HISTORIES` sets how many histories there are, `SANSSE_SEED` the first seed.

use super::SECOND;
use super::kit::random::Random;
use super::kit::{base_instant, number, seed};
use sansse::broker::{
    Broker, BrokerConfig, ClientId, Epoch, PublishError, SessionConfig, SessionId,
};
use sansse::cluster::{
    LogErrorKind, NodeHealth, NodeId, Presence, PresenceConfig, PresenceRecord, Record,
};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const HISTORIES: u64 = 60;
const ROUNDS: usize = 3;
const CLIENTS: usize = 12;
const MOST_NODES: usize = 5;

/// What stands in the log.
enum Item {
    Said { node: NodeId, record: PresenceRecord, at: Instant },
    Cut,
}

struct Node {
    id: NodeId,
    broker: Broker,
    presence: Presence,
    sessions: Vec<(SessionId, usize)>,
    /// How many items it has read.
    cursor: usize,
    under_way: Option<PresenceRecord>,
    /// Of it nobody knows, and it may come into the log before the next one.
    late: Option<PresenceRecord>,
    is_well: bool,
    /// Until then it is cut off from the engine.
    cut_off_until: Option<Instant>,
    /// Until then its process stands still.
    stopped_until: Option<Instant>,
    told: BTreeMap<ClientId, usize>,
}

/// What may happen.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Nothing but what sessions do.
    Quiet,
    /// Nobody loses the engine alone, or dies: then nobody is said to have left who is there.
    Gentle,
    Wild,
}

struct World {
    random: Random,
    now: Instant,
    log: Vec<Item>,
    nodes: Vec<Node>,
    names: Vec<ClientId>,
    /// Since when each client has had a session at all times.
    there_since: Vec<Option<Instant>>,
    last_id: u128,
    /// The engine answers nobody before that time.
    away_until: Option<Instant>,
    mood: Mood,
    /// Nodes may say of clients that have not left that they have.
    may_err: bool,
    happened: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64, mood: Mood) -> Self {
        let names = (0..CLIENTS).map(|number| format!("client {number}"));
        let mut world = Self {
            random: Random(seed),
            now: base_instant(),
            log: Vec::new(),
            nodes: Vec::new(),
            names: names.map(|name| ClientId::new(name).unwrap()).collect(),
            there_since: vec![None; CLIENTS],
            last_id: 0,
            away_until: None,
            mood,
            may_err: mood == Mood::Wild,
            happened: BTreeMap::new(),
        };
        for _ in 0..2 + world.random.below(2) {
            world.join();
        }
        world
    }

    fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    fn join(&mut self) {
        self.last_id += 1;
        let id = NodeId(self.last_id);
        let mut config = BrokerConfig::new(Epoch(1));
        config.session.heartbeat = None;
        config.session.stall_timeout = None;
        let broker = Broker::new(self.now, config).unwrap();
        let mut config = PresenceConfig::new();
        // Small, so that lists have several pages, and many changes are too many.
        config.record_bytes = 570;
        config.queued_changes = NonZeroUsize::new(6).unwrap();
        let window = self.random.below(200);
        let node = Node {
            id,
            broker,
            presence: Presence::new(self.now, id, config),
            sessions: Vec::new(),
            cursor: self.log.len().saturating_sub(window),
            under_way: None,
            late: None,
            is_well: false,
            cut_off_until: self.away_until,
            stopped_until: None,
            told: BTreeMap::new(),
        };
        self.nodes.push(node);
    }

    fn total(&self, client: usize) -> usize {
        let sessions = self.nodes.iter().flat_map(|node| &node.sessions);
        sessions.filter(|(_, of)| *of == client).count()
    }

    fn note_who_is_there(&mut self) {
        for client in 0..CLIENTS {
            let is_there = self.total(client) > 0;
            let since = self.there_since[client].filter(|_| is_there);
            self.there_since[client] = since.or(is_there.then_some(self.now));
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(20 + self.random.below(800) as u64);
        let chance = self.random.below(100);
        match chance {
            0..30 => self.open(),
            30..55 => self.close(),
            55..58 if self.mood != Mood::Quiet => self.lose(),
            58..60 if self.mood != Mood::Quiet => self.take_engine_away(),
            60..62 if self.mood == Mood::Gentle && self.nodes.len() < MOST_NODES => self.join(),
            60..68 if self.mood == Mood::Wild => self.harm(),
            _ => {}
        }
        self.note_who_is_there();
        for index in 0..self.nodes.len() {
            self.run(index);
        }
    }

    fn open(&mut self) {
        if self.nodes.is_empty() {
            return;
        }
        let (index, client) = (self.random.below(self.nodes.len()), self.random.below(CLIENTS));
        let node = &mut self.nodes[index];
        if node.stopped_until.is_none() && node.sessions.len() < 30 {
            let config = SessionConfig::new().with_client(self.names[client].clone());
            let session = node.broker.open(self.now, config).unwrap().session;
            node.sessions.push((session, client));
        }
    }

    fn close(&mut self) {
        if self.nodes.is_empty() {
            return;
        }
        let index = self.random.below(self.nodes.len());
        let node = &mut self.nodes[index];
        if node.stopped_until.is_none() && !node.sessions.is_empty() {
            let (session, _) = node.sessions.remove(self.random.below(node.sessions.len()));
            node.broker.handle_disconnect(self.now, session);
        }
    }

    /// The engine loses its newest records. Those who have read them have them.
    fn lose(&mut self) {
        let lost = self.random.below(6);
        let length = self.log.len().saturating_sub(lost);
        self.log.truncate(length);
        self.log.push(Item::Cut);
        for node in &mut self.nodes {
            node.cursor = node.cursor.min(length);
        }
        self.count("lost");
    }

    /// For all nodes, and not for longer than the others for any of them.
    fn take_engine_away(&mut self) {
        let away = Duration::from_secs(self.random.below(90) as u64);
        self.away_until = Some(self.now + away);
        for index in 0..self.nodes.len() {
            let back = away + Duration::from_millis(self.random.below(5_000) as u64);
            self.cut_off(index, back);
        }
        self.count("away");
    }

    fn cut_off(&mut self, index: usize, time: Duration) {
        let node = &mut self.nodes[index];
        node.cut_off_until = Some(self.now + time);
        if node.is_well {
            node.is_well = false;
            let (since, error) = (self.now, LogErrorKind::Unreachable);
            node.presence.handle_health(self.now, NodeHealth::Stale { since, error });
        }
        if node.under_way.is_some() {
            self.settle(index);
        }
    }

    fn harm(&mut self) {
        if self.nodes.is_empty() {
            self.join();
            return;
        }
        let index = self.random.below(self.nodes.len());
        match self.random.below(6) {
            0 => {
                self.nodes.remove(index);
                self.count("crashed");
            }
            1 => {
                let mut node = self.nodes.remove(index);
                let gone = node.presence.leave(self.now);
                if let Some(record) = gone.filter(|_| node.is_well) {
                    self.append_late(&mut node);
                    self.append(node.id, record);
                }
                self.count("shut down");
            }
            2 => {
                let time = Duration::from_secs(self.random.below(60) as u64);
                self.cut_off(index, time);
                self.count("cut off");
            }
            3 => {
                let time = Duration::from_secs(self.random.below(60) as u64);
                self.nodes[index].stopped_until = Some(self.now + time);
                self.count("stopped");
            }
            _ if self.nodes.len() < MOST_NODES => self.join(),
            _ => {}
        }
    }

    fn append(&mut self, node: NodeId, record: PresenceRecord) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        assert!(bytes.len() <= 570, "{record:?}");
        assert_eq!(PresenceRecord::decode(&bytes), Ok((record.clone(), &[][..])));
        assert!(matches!(Record::from(record.clone()), Record::Presence(_)));
        let what = match record {
            PresenceRecord::Changes { .. } => "changes",
            PresenceRecord::Page { is_last: false, .. } => "page with others behind it",
            PresenceRecord::Ask { .. } => "ask",
            _ => "another",
        };
        self.count(what);
        self.log.push(Item::Said { node, record, at: self.now });
    }

    fn append_late(&mut self, node: &mut Node) {
        if let Some(record) = node.late.take()
            && self.random.below(2) == 0
        {
            self.append(node.id, record);
        }
    }

    /// Says what came of the record that is under way.
    fn settle(&mut self, index: usize) {
        let Some(record) = self.nodes[index].under_way.take() else { return };
        let (is_quiet, is_well) = (self.mood == Mood::Quiet, self.nodes[index].is_well);
        let outcome = if is_quiet && is_well { 24 } else { self.random.below(25) };
        let result = match outcome {
            0 => Err(PublishError::EngineDown),
            1 => Err(PublishError::Busy),
            2 if is_well => {
                self.append(self.nodes[index].id, record);
                Err(PublishError::Unconfirmed)
            }
            2 | 3 => {
                self.nodes[index].late = Some(record);
                Err(PublishError::Unconfirmed)
            }
            _ if is_well => {
                self.append(self.nodes[index].id, record);
                Ok(())
            }
            _ => Err(PublishError::EngineDown),
        };
        if result.is_err() {
            self.count("failed");
        }
        self.nodes[index].presence.handle_settled(self.now, result);
    }

    /// Lets a node do what its driver does.
    fn run(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.stopped_until.is_some_and(|until| until > now) {
            return;
        }
        let was_stopped = node.stopped_until.take().is_some();
        if node.broker.poll_timeout().is_some_and(|at| at <= now) {
            node.broker.handle_timeout(now);
        }
        let misses = self.mood != Mood::Quiet && self.random.below(50) == 0;
        while let Some((number, event)) = node.broker.poll_event() {
            if !misses {
                node.presence.handle_event(now, number, &event);
            }
        }
        if misses {
            node.presence.handle_missed_events(now);
        }
        let mut after = None;
        while node.presence.wanted_page().is_some() {
            let page = node.broker.presence_page(after.as_ref(), 3, |_, _| ());
            after = page.next_after().cloned();
            let next = page.next_cursor();
            node.presence.handle_page(now, page, next);
        }
        // One that stood still looks at the time first, and then at what it has not read.
        if !was_stopped {
            self.read(index);
        }
        let node = &mut self.nodes[index];
        if node.presence.poll_timeout().is_some_and(|at| at <= now) {
            node.presence.handle_timeout(now);
            let next = node.presence.poll_timeout();
            assert!(next.is_none_or(|at| at > now), "it would spin: {:?}", node.presence);
        }
        if self.random.below(3) > 0 {
            self.settle(index);
        }
        let node = &mut self.nodes[index];
        if node.under_way.is_none()
            && let Some(record) = node.presence.poll_record(now)
        {
            node.under_way = Some(record);
            let mut late = None;
            std::mem::swap(&mut late, &mut node.late);
            if let Some(record) = late
                && self.random.below(2) == 0
            {
                self.append(self.nodes[index].id, record);
            }
        }
        self.listen(index);
    }

    fn read(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.cut_off_until.is_some_and(|until| until > now) {
            return;
        }
        node.cut_off_until = None;
        let left = self.log.len() - node.cursor;
        let lags = self.mood != Mood::Quiet && self.random.below(4) == 0;
        let count = if lags { self.random.below(left + 1) } else { left };
        for item in &self.log[node.cursor..node.cursor + count] {
            match item {
                Item::Said { node: said, record, at } => {
                    node.presence.handle_record(now, *said, record.clone(), now - *at);
                }
                Item::Cut => node.presence.handle_cut(now),
            }
        }
        node.cursor += count;
        if !node.is_well && node.cursor == self.log.len() {
            node.is_well = true;
            node.presence.handle_health(now, NodeHealth::Ready);
        }
    }

    /// Takes what a node tells, and compares it with what it says when it is asked.
    fn listen(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let mut was_well = false;
        while let Some(change) = node.presence.poll_change() {
            was_well = true;
            assert_eq!(change.before, node.told.get(&change.client).copied(), "{change:?}");
            assert_ne!(change.before, change.sessions);
            if let Some(sessions) = change.sessions {
                node.told.insert(change.client, sessions);
                continue;
            }
            node.told.remove(&change.client);
            let client = self.names.iter().position(|name| *name == change.client);
            let since = self.there_since[client.unwrap()];
            let is_there = since.is_some_and(|since| since + 20 * SECOND <= self.now);
            assert!(
                self.may_err || !is_there,
                "{} has not left, on {}: {:#?}",
                change.client,
                node.id,
                node.presence
            );
        }
        if was_well {
            let asked = node.presence.clients_after(None);
            let asked: BTreeMap<_, _> = asked.map(|(name, count)| (name.clone(), count)).collect();
            assert_eq!(asked, node.told);
        }
    }

    /// Lets all faults pass, and then compares what every node knows with what is so.
    fn settle_all(&mut self) {
        let mood = std::mem::replace(&mut self.mood, Mood::Quiet);
        self.away_until = None;
        for node in &mut self.nodes {
            node.cut_off_until = None;
            node.stopped_until = None;
        }
        // A lease, the grace time, and what a hold adds; what is asked and answered has time.
        let end = self.now + 90 * SECOND;
        while self.now < end {
            self.now += Duration::from_millis(300);
            self.note_who_is_there();
            (0..self.nodes.len()).for_each(|index| self.run(index));
        }
        let truth: Vec<_> = (0..CLIENTS)
            .map(|client| (self.names[client].clone(), self.total(client)))
            .filter(|(_, sessions)| *sessions > 0)
            .collect();
        let truth: BTreeMap<_, _> = truth.into_iter().collect();
        for node in &self.nodes {
            assert_eq!(node.told, truth, "on {}: {:#?}", node.id, node.presence);
            let others = self.nodes.iter().map(|other| other.id).filter(|id| *id != node.id);
            assert_eq!(node.presence.other_nodes().collect::<Vec<_>>(), others.collect::<Vec<_>>());
        }
        self.mood = mood;
    }
}

fn run_histories(mood: Mood, must_happen: &[&str]) {
    let first = seed(1);
    let mut happened = BTreeMap::new();
    for seed in first..first + number("SANSSE_HISTORIES").unwrap_or(HISTORIES) {
        let _named = Named(seed);
        let mut world = World::new(seed, mood);
        for _ in 0..ROUNDS {
            for _ in 0..30 + world.random.below(200) {
                world.step();
            }
            world.settle_all();
        }
        for (what, count) in world.happened {
            *happened.entry(what).or_insert(0) += count;
        }
    }
    for what in must_happen {
        assert!(happened.contains_key(what), "{what} never happened: {happened:?}");
    }
}

/// Says which history it was when one fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SANSSE_SEED={}", self.0);
        }
    }
}

const ALWAYS: [&str; 6] =
    ["changes", "page with others behind it", "ask", "lost", "away", "failed"];

#[test]
fn while_no_node_is_lost_nobody_is_said_to_have_left_who_is_there() {
    run_histories(Mood::Gentle, &ALWAYS);
}

#[test]
fn whatever_happens_all_nodes_know_who_is_there_when_it_is_over() {
    let more = ["crashed", "shut down", "cut off", "stopped"];
    run_histories(Mood::Wild, &[&ALWAYS[..], &more].concat());
}
