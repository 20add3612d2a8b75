//! Virtual time, and what happens in it.

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
        let scenario = Scenario::draw(&mut random, mutant);
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

    fn drive(&mut self, node: usize) {
        let (now, mutant) = (self.now, self.scenario.mutant);
        let requests = self.nodes[node].settle(now, mutant, &mut self.judge);
        for (id, request) in requests {
            self.ask(node, id, request);
        }
    }

    fn ask(&mut self, node: usize, id: RequestId, request: LogRequest) {
        let server = self.routes[node];
        let process = &mut self.nodes[node];
        if let LogRequest::Hello(_) = request {
            process.connection = Some((server, self.engine.run(server)));
        }
        let Some(connection) = process.connection else {
            // A driver whose connection is gone says so.
            let life = process.life;
            let error = Err(LogErrorKind::Unreachable);
            return self.after(Duration::ZERO, Happening::Answered(node, life, id, error));
        };
        let life = process.life;
        if let (Some(Mutant::AcknowledgesFirst), LogRequest::Append(append)) =
            (self.scenario.mutant, &request)
        {
            let last = self.engine.position(connection.0) + u64::from(append.count);
            let appended = sansse::cluster::Appended { last, count: append.count };
            let answer = Ok(LogAnswer::Appended(appended));
            self.after(Duration::ZERO, Happening::Answered(node, life, id, answer));
        }
        self.note(|| format!("node {node} asks {connection:?} {request:?}"));
        if self.is_lost() {
            self.judge.count("request lost");
            return;
        }
        let wait = self.latency();
        self.after(wait, Happening::Arrives(node, life, id, connection, request));
    }

    fn arrives(
        &mut self,
        node: usize,
        life: u64,
        id: RequestId,
        connection: Connection,
        request: LogRequest,
    ) {
        let (server, run) = connection;
        if !self.engine.is_reached(server, run) {
            return self.reply(node, life, id, Err(LogErrorKind::Unreachable));
        }
        let now = self.since();
        let answer = match request {
            LogRequest::Hello(hello) => {
                self.engine.hello(server, now, &hello).map(LogAnswer::Hello)
            }
            LogRequest::Append(append) => {
                self.engine.append(server, now, &append).map(LogAnswer::Appended)
            }
            LogRequest::Head => self.engine.head(server).map(LogAnswer::Head),
            LogRequest::Read(mut read) => {
                if let Some(error) = self.engine.refuses_reads(server) {
                    return self.reply(node, life, id, Err(error));
                }
                if self.scenario.mutant == Some(Mutant::ReadsFromTheEnd) {
                    read.after = read.after.max(self.engine.position(server));
                }
                self.queued += 1;
                let number = self.queued;
                self.after(read.wait, Happening::ReadEnds(number));
                self.reads.push(WaitingRead { number, node, life, id, connection, read });
                return;
            }
            other => panic!("{other:?}"),
        };
        if let Err(error) = answer {
            self.judge.count(if error.is_refusal() { "refused by the engine" } else { "error" });
        }
        self.reply(node, life, id, answer);
    }

    fn reply(&mut self, node: usize, life: u64, id: RequestId, answer: Answered) {
        if self.is_lost() {
            self.judge.count("answer lost");
            return;
        }
        let wait = self.latency();
        self.after(wait, Happening::Answered(node, life, id, answer));
    }

    /// Answers the reads for which there is something now.
    fn answer_reads(&mut self) {
        let now = self.since();
        let mut at = 0;
        while let Some(waiting) = self.reads.get(at) {
            let (server, run) = waiting.connection;
            let answer = if self.engine.is_reached(server, run) {
                let page = self.engine.read(server, now, &waiting.read);
                if page.entries.is_empty() {
                    at += 1;
                    continue;
                }
                Ok(LogAnswer::Page(page))
            } else {
                Err(LogErrorKind::Unreachable)
            };
            let WaitingRead { node, life, id, .. } = self.reads.remove(at);
            self.reply(node, life, id, answer);
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
            Happening::ServerStarts(server, steps_ago) => self.engine.start(server, steps_ago),
            Happening::Serves(server) => self.engine.set_refusal(server, None),
            Happening::Healed => self.heal(),
        }
    }

    fn answered(&mut self, node: usize, life: u64, id: RequestId, answer: Answered) {
        let now = self.now;
        if self.nodes[node].life != life || !self.nodes[node].is_alive {
            return;
        }
        if let Some(until) = self.nodes[node].stalled_until {
            return self.after(until - now, Happening::Answered(node, life, id, answer));
        }
        self.note(|| format!("node {node} gets {id:?}: {answer:?}"));
        self.nodes[node].answer(now, id, answer);
    }

    fn act(&mut self, act: Act) {
        self.note(|| format!("{act:?}"));
        self.judge.count(act.as_str());
        let node = self.random.below(self.nodes.len());
        let route = self.routes[self.random.below(self.routes.len())];
        match act {
            Act::Publish => {
                let audience = if chance(&mut self.random, self.scenario.for_clients) {
                    Audience::Client(self.drawn_client())
                } else if chance(&mut self.random, 30) {
                    Audience::Topic(news())
                } else {
                    Audience::Everyone
                };
                self.publish_at(node, audience);
            }
            Act::Revoke => {
                let client = self.drawn_client();
                let text = format!("revoke {client}");
                self.publish_record(node, Record::Revoke(client), &text);
            }
            Act::RevokeTopic => {
                let client = self.drawn_client();
                let text = format!("revoke {client} {}", news());
                self.publish_record(node, Record::RevokeTopic(client, news()), &text);
            }
            Act::Move => {
                let reader = self.random.below(self.readers.len());
                self.leave(reader);
                let after = one_of(&mut self.random, &[millis(0), millis(0), millis(4_000)]);
                self.after(after, Happening::ReaderComes(reader));
            }
            Act::NodeCrashes => self.end_node(node),
            Act::NodeStalls(time) => self.nodes[node].stall(self.now, time),
            Act::NodeShutsDown => {
                if self.nodes[node].runs() {
                    self.nodes[node].node.shut_down(self.now);
                    self.nodes[node].is_leaving = true;
                }
            }
            Act::EngineRestarts { steps_ago, after } => {
                self.engine.stop(route);
                self.after(after, Happening::ServerStarts(route, steps_ago));
            }
            Act::Promotion { steps_ago, clock } => {
                let master = self.engine.promote(route, steps_ago, clock);
                self.engine.set_demoted(route, chance(&mut self.random, 70));
                self.is_spoilt |= clock != 0;
                self.routes.fill(master);
            }
            Act::StaleMaster { splits } => {
                let server = self.random.below(self.engine.servers());
                self.engine.set_demoted(server, false);
                for node in 0..self.routes.len() {
                    if !splits || chance(&mut self.random, 50) {
                        self.routes[node] = server;
                        self.nodes[node].connection = None;
                    }
                }
            }
            Act::ConnectionBreaks => self.nodes[node].connection = None,
            Act::Flush => self.engine.flush(route),
            Act::LosesHash => self.engine.lose_hash(route),
            Act::LosesStream => self.engine.lose_stream(route),
            Act::Trim { keep } => self.engine.trim(route, keep),
            Act::Refuses(error, time) => {
                self.engine.set_refusal(route, Some(error));
                self.after(time, Happening::Serves(route));
            }
            Act::Nonsense => self.nonsense(node),
        }
    }

    fn drawn_client(&mut self) -> ClientId {
        ClientId::new(one_of(&mut self.random, &CLIENTS)).unwrap()
    }

    /// A node gets what no engine says, in the place of an answer.
    fn nonsense(&mut self, node: usize) {
        let process = &self.nodes[node];
        let Some(id) = process.under_way.iter().next().copied() else { return };
        let (life, far) = (process.life, u64::MAX >> self.random.below(12));
        let head = sansse::cluster::Head { start: 0, position: far };
        let content = sansse::cluster::Content::Cut;
        let entry = |after, position| {
            let content = content.clone();
            Page { entries: vec![Entry { after, position, age: Duration::ZERO, content }] }
        };
        let answer = match self.random.below(5) {
            0 => Err(LogErrorKind::Malformed),
            1 => Ok(LogAnswer::Hello(head)),
            2 => Ok(LogAnswer::Head(head)),
            3 => Ok(LogAnswer::Page(entry(3, 2))),
            _ => Ok(LogAnswer::Page(entry(0, far.max(1 << 53)))),
        };
        self.after(Duration::ZERO, Happening::Answered(node, life, id, answer));
    }

    fn publish_at(&mut self, node: usize, audience: Audience) {
        self.texts += 1;
        let text = format!("t{}", self.texts);
        let record = LogRecord::new(audience, Event::new(text.clone()));
        self.publish_record(node, record.into(), &text);
    }

    fn publish_record(&mut self, node: usize, record: Record, text: &str) {
        if !self.nodes[node].runs() {
            return;
        }
        match self.nodes[node].publish(self.now, record, text) {
            Ok(()) => {}
            Err(PublishError::EngineDown) => self.judge.refuse(text, "refused at once"),
            Err(PublishError::Busy) => self.judge.refuse(text, "busy"),
            Err(PublishError::Closed) => self.judge.refuse(text, "closed"),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn end_node(&mut self, node: usize) {
        self.nodes[node].is_alive = false;
        for reader in 0..self.readers.len() {
            if self.readers[reader].session.is_some_and(|(at, ..)| at == node) {
                self.readers[reader].session = None;
                let after = up_to(&mut self.random, millis(1_000));
                self.after(after, Happening::ReaderComes(reader));
            }
        }
        let after = up_to(&mut self.random, millis(3_000));
        self.after(after, Happening::NodeStarts(node));
    }

    fn start_node(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            self.nodes[node] = self.process();
        }
    }

    /// From here on nothing breaks any more.
    fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        self.is_healed = true;
        let master = self.routes[self.random.below(self.routes.len())];
        for server in 0..self.engine.servers() {
            self.engine.set_refusal(server, None);
            self.engine.set_demoted(server, server != master);
            if !self.engine.is_up(server) {
                self.engine.start(server, 0);
            }
        }
        self.routes.fill(master);
        for node in 0..self.nodes.len() {
            let process = &mut self.nodes[node];
            if process.stalled_until.is_some() {
                process.stalled_until = Some(self.now);
            }
            if process.is_leaving {
                self.end_node(node);
            }
        }
    }

    // Readers.

    fn leave(&mut self, reader: usize) {
        let now = self.now;
        if let Some((node, life, session, _)) = self.readers[reader].session.take()
            && self.nodes[node].life == life
        {
            self.nodes[node].broker.handle_disconnect(now, session);
        }
    }

    /// The reader comes to a node that a load balancer gives it.
    fn come(&mut self, reader: usize) {
        if self.readers[reader].session.is_some() {
            return;
        }
        let open: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].takes_sessions()).collect();
        if open.is_empty() {
            return self.after(millis(200), Happening::ReaderComes(reader));
        }
        let node = one_of(&mut self.random, &open);
        let (now, state) = (self.now, &mut self.readers[reader]);
        let process = &mut self.nodes[node];
        let life = process.life;
        let mut config = SessionConfig::new().with_client(state.memory.client().clone());
        if state.reading.wants_topic {
            config = config.with_topic(news());
        }
        if let Some(place) = state.memory.place {
            let last = LastEventId::from_header(format!("e-{place}").as_bytes());
            config = config.with_last_event_id(last);
        }
        let opened = process.broker.open(now, config).unwrap();
        self.sessions += 1;
        let (session, opened_at) = (self.sessions, process.node.applied());
        state.memory.opens(Rights { session, opened_at, has_topic: state.reading.wants_topic });
        state.since = now;
        state.session = Some((node, life, opened.session, session));
        self.judge.count(opened.resumption.as_str());
        self.note(|| format!("reader {reader} at node {node}: {:?}", opened.resumption));
    }

    /// Takes what there is for a reader.
    fn take(&mut self, reader: usize) {
        let now = self.now;
        let Some((node, life, session, number)) = self.readers[reader].session else { return };
        if !self.nodes[node].runs() || self.nodes[node].life != life {
            return;
        }
        let takes = if self.is_healed { 100 } else { self.readers[reader].reading.takes };
        if !chance(&mut self.random, takes) {
            return;
        }
        loop {
            let block = match self.nodes[node].broker.poll_transmit(now, session) {
                None => return,
                Some(Transmit::Frame(frame)) => {
                    String::from_utf8(frame.payload().to_vec()).unwrap()
                }
                Some(Transmit::Ended(reason)) => {
                    self.note(|| format!("the session of reader {reader} ended: {reason:?}"));
                    self.judge.count("session ended by the broker");
                    self.readers[reader].session = None;
                    let after = up_to(&mut self.random, millis(1_000));
                    return self.after(after, Happening::ReaderComes(reader));
                }
            };
            self.note(|| format!("reader {reader} gets {}", block.trim().replace('\n', " | ")));
            let drawn = &self.scenario;
            let about = Circumstances {
                given: &self.engine.given,
                revocations: &self.nodes[node].revocations,
                is_calm: drawn.is_calm,
                may_be_behind: drawn.is_lossless,
                may_miss_given: self.engine.has_trimmed || self.is_spoilt || drawn.is_short(),
                waited: now - self.readers[reader].since,
                applied: self.nodes[node].node.applied(),
                cuts: &self.nodes[node].lost,
            };
            self.readers[reader].memory.take(&block, number, &about, &mut self.judge);
        }
    }
}

fn news() -> TopicName {
    TopicName::new("news").unwrap()
}
