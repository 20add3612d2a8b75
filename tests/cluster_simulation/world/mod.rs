//! Virtual time, and what happens in it.

mod acts;
mod readers;
mod reads;
mod requests;

use crate::Log;
use crate::engine::Engine;
use crate::judge::{Circumstances, Judge, Memory, Rights};
use crate::kit::random::Random;
use crate::mutant::Mutant;
use crate::node::{Connection, Process};
use crate::scenario::{Act, CLIENTS, Reading, Scenario, chance, millis, one_of, up_to};
use sansse::Event;
use sansse::LastEventId;
use sansse::broker::{
    Audience, ClientId, LogRecord, PublishError, SessionConfig, SessionId, TopicName, Transmit,
};
use sansse::cluster::{Entry, LogAnswer, LogErrorKind, LogRequest, Page, Read, Record, RequestId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long it may take until all is well once nothing breaks any more.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

type Answered = Result<LogAnswer, LogErrorKind>;

/// Something that is due at some time.
#[derive(Debug)]
enum Happening {
    Act(Act),
    /// A request comes to the engine, by a connection that one life of a node opened.
    Arrives(usize, u64, RequestId, Connection, LogRequest),
    Answered(usize, u64, RequestId, Answered),
    /// A read has waited long enough.
    ReadEnds(u64),
    NodeStarts(usize),
    ReaderComes(usize),
    /// A node reads for a session what is older than its memory.
    ReadsOlder(usize, u64, SessionId, u64),
    ServerStarts(usize, usize),
    Serves(usize),
    Healed,
}

struct WaitingRead {
    number: u64,
    node: usize,
    life: u64,
    id: RequestId,
    connection: Connection,
    read: Read,
}

struct Reader {
    reading: Reading,
    memory: Memory,
    /// The node and its life, and the session there.
    session: Option<(usize, u64, SessionId, u64)>,
    /// When its newest session began.
    since: Instant,
}

pub(crate) struct World {
    random: Random,
    scenario: Scenario,
    start: Instant,
    now: Instant,
    queue: BTreeMap<(Instant, u64), Happening>,
    queued: u64,
    engine: Engine,
    /// The server to which each node connects.
    routes: Vec<usize>,
    nodes: Vec<Process>,
    lives: u64,
    sessions: u64,
    readers: Vec<Reader>,
    reads: Vec<WaitingRead>,
    judge: Judge,
    texts: u64,
    is_healed: bool,
    is_spoilt: bool,
    log: Log,
}

impl World {
    pub(crate) fn new(seed: u64, start: Instant, log: Log, mutant: Option<Mutant>) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut scenario = Scenario::draw(&mut random, mutant);
        scenario.reads_older = seed.is_multiple_of(2);
        log.note(|| format!("{scenario:?}"));
        let readers = scenario.readers.iter().cloned().map(|reading| Reader {
            memory: Memory::new(reading.client),
            reading,
            session: None,
            since: start,
        });
        let mut world = Self {
            start,
            now: start,
            queue: BTreeMap::new(),
            queued: 0,
            engine: Engine::new(scenario.keep, mutant),
            routes: vec![0; scenario.nodes],
            nodes: Vec::new(),
            lives: 0,
            sessions: 0,
            readers: readers.collect(),
            reads: Vec::new(),
            judge: Judge::default(),
            texts: 0,
            is_healed: false,
            is_spoilt: false,
            log,
            random,
            scenario,
        };
        for node in 0..world.scenario.nodes {
            let process = world.process();
            world.nodes.push(process);
            // The first is there from the beginning, others join.
            if node > 0 && chance(&mut world.random, 50) {
                world.nodes[node].is_alive = false;
                let after = up_to(&mut world.random, millis(6_000));
                world.after(after, Happening::NodeStarts(node));
            }
        }
        for (at, act) in world.scenario.script.clone() {
            world.after(at, Happening::Act(act));
        }
        for reader in 0..world.readers.len() {
            let after = up_to(&mut world.random, millis(3_000));
            world.after(after, Happening::ReaderComes(reader));
        }
        world.after(world.scenario.healed, Happening::Healed);
        world
    }

    fn process(&mut self) -> Process {
        self.lives += 1;
        Process::new(self.now, self.since(), self.lives, &self.scenario)
    }

    /// Lets everything happen, and then looks whether all is well again.
    pub(crate) fn live(mut self) {
        while !self.is_healed {
            self.step();
        }
        let until = self.now + RECOVERS_WITHIN;
        self.run_until(until);
        self.check_is_well();
        // What is published now reaches all.
        let before = self.texts;
        for node in 0..self.nodes.len() {
            self.publish_at(node, Audience::Everyone);
            self.settle();
            let until = self.now + millis(2_000);
            self.run_until(until);
        }
        self.check_is_well();
        for (at, reader) in self.readers.iter().enumerate() {
            for text in (before + 1..=self.texts).map(|number| format!("t{number}")) {
                let has = reader.memory.got.values().any(|got| *got == text);
                assert!(has, "the reader {at} has not got {text}, which was published at the end");
            }
        }
        self.judge.check_publishers(&self.engine.given);
        for reader in &self.readers {
            self.judge.check_reader(&reader.memory, &self.engine.given);
        }
        self.log.add(&self.judge.counts);
    }

    fn run_until(&mut self, until: Instant) {
        self.after(until - self.now, Happening::Serves(0));
        while self.now < until {
            self.step();
        }
    }

    fn check_is_well(&self) {
        let head = self.engine.position(self.routes[0]);
        for (at, process) in self.nodes.iter().enumerate() {
            let (applied, health) = (process.node.applied(), process.node.health());
            assert!(applied == head, "the node {at} is at {applied}, and the head at {head}");
            assert_eq!(health.as_str(), "ready", "node {at}");
            assert!(process.publishes.is_empty(), "{:?} are not settled", process.publishes);
        }
        for (at, reader) in self.readers.iter().enumerate() {
            assert!(reader.session.is_some(), "the reader {at} has no session");
        }
    }

    fn after(&mut self, wait: Duration, happening: Happening) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), happening);
    }

    fn since(&self) -> Duration {
        self.now - self.start
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.log.note(|| format!("{:>12.3?} {}", self.since(), line()));
    }

    fn latency(&mut self) -> Duration {
        if !self.is_healed && chance(&mut self.random, self.scenario.late) {
            return up_to(&mut self.random, millis(12_000));
        }
        let most = u64::try_from(self.scenario.latency.as_micros()).unwrap();
        Duration::from_micros(self.random.next() % (most + 1))
    }

    fn is_lost(&mut self) -> bool {
        !self.is_healed && chance(&mut self.random, self.scenario.losses)
    }

    /// Goes on to the next time at which anything is due, and does what is.
    fn step(&mut self) {
        let timeouts = self.nodes.iter().filter_map(Process::timeout);
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let next = timeouts.chain(queued).min().expect("something is due");
        assert!(next < self.start + Duration::from_secs(3_600), "it has no end");
        self.now = self.now.max(next);
        for node in 0..self.nodes.len() {
            self.tell_the_time(node);
        }
        let mut happenings = 0;
        while let Some(entry) = self.queue.first_entry().filter(|due| due.key().0 <= self.now) {
            let happening = entry.remove();
            happenings += 1;
            assert!(happenings < 10_000, "time stands still");
            self.happen(happening);
            self.settle();
        }
        self.settle();
    }

    fn tell_the_time(&mut self, node: usize) {
        let now = self.now;
        let process = &mut self.nodes[node];
        if process.stalled_until.is_some_and(|until| until <= now) {
            process.stalled_until = None;
        }
        if !process.runs() {
            return;
        }
        if process.node.poll_timeout().is_some_and(|at| at <= now) {
            process.node.handle_timeout(now);
        }
        if process.broker.poll_timeout().is_some_and(|at| at <= now) {
            process.broker.handle_timeout(now);
        }
    }

    /// Moves everything that can move at this time.
    fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].runs() {
                self.drive(node);
                self.read_for_older(node);
                if self.nodes[node].node.is_over() {
                    self.end_node(node);
                }
            }
        }
        self.answer_reads();
        for reader in 0..self.readers.len() {
            self.take(reader);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act(act) => self.act(act),
            Happening::Arrives(node, life, id, connection, request) => {
                self.arrives(node, life, id, connection, request);
            }
            Happening::Answered(node, life, id, answer) => self.answered(node, life, id, answer),
            Happening::ReadEnds(number) => {
                let at = self.reads.iter().position(|waiting| waiting.number == number);
                if let Some(at) = at {
                    let WaitingRead { node, life, id, .. } = self.reads.remove(at);
                    self.reply(node, life, id, Ok(LogAnswer::Page(Page::default())));
                }
            }
            Happening::NodeStarts(node) => self.start_node(node),
            Happening::ReaderComes(reader) => self.come(reader),
            Happening::ReadsOlder(node, life, session, after) => {
                self.reads_older(node, life, session, after);
            }
            Happening::ServerStarts(server, steps_ago) => self.engine.start(server, steps_ago),
            Happening::Serves(server) => self.engine.set_refusal(server, None),
            Happening::Healed => self.heal(),
        }
    }
}

fn news() -> TopicName {
    TopicName::new("news").unwrap()
}
