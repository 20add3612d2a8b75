//! A node with its time, whose log is what a test answers.

use crate::kit::base_instant;
use bytes::Bytes;
use sansse::Event;
use sansse::broker::{Audience, Epoch, EventIds, LogRecord, LogStep, PublishError, Sequencer};
use sansse::cluster::{
    Announcement, Append, Appended, Batch, Content, Effect, Entry, Head, Hello, LogAnswer,
    LogError, LogErrorKind, LogRequest, Node, NodeConfig, NodeHealth, NodeId, Page, Read, Record,
    RequestId, Ticket,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) const ME: NodeId = NodeId(1);
pub(crate) const OTHER: NodeId = NodeId(2);
pub(crate) const DOWN: LogErrorKind = LogErrorKind::Unreachable;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn config() -> NodeConfig {
    NodeConfig::new(ME, 7)
}

pub(crate) fn event(text: &str) -> Record {
    LogRecord::new(Audience::Everyone, Event::new(text.to_owned())).into()
}

/// A batch of this node, as an engine keeps it.
pub(crate) fn payload(node: NodeId, records: &[Record]) -> Bytes {
    let mut batch = Batch::new(node);
    for record in records {
        batch.push(record).unwrap();
    }
    batch.payload()
}

pub(crate) fn entry(after: u64, records: &[Record]) -> Entry {
    let content = Content::Batch(payload(OTHER, records));
    Entry { after, position: after + records.len() as u64, age: secs(1), content }
}

/// An entry of events of this many bytes or more.
pub(crate) fn events(after: u64, texts: &[&str]) -> Entry {
    entry(after, &texts.iter().map(|text| event(text)).collect::<Vec<_>>())
}

pub(crate) fn cut(base: u64, position: u64) -> Entry {
    Entry { after: base, position, age: Duration::ZERO, content: Content::Cut }
}

/// What is applied, in short: `5:text`, `skip 6`, `cut 9`.
pub(crate) fn short(steps: &[LogStep]) -> Vec<String> {
    let step = |step: &LogStep| match step {
        LogStep::Publish { published, .. } => {
            let text = String::from_utf8(published.frame().payload().to_vec()).unwrap();
            let data = text.lines().find_map(|line| line.strip_prefix("data: "));
            format!("{}:{}", published.position(), data.unwrap_or_default())
        }
        LogStep::Skip { through } => format!("skip {through}"),
        LogStep::Cut { through } => format!("cut {through}"),
        LogStep::Revoke { position, client } => format!("{position}:revoke {client}"),
        LogStep::RevokeTopic { position, client, topic } => {
            format!("{position}:revoke {client} {topic}")
        }
        other => panic!("{other:?}"),
    };
    steps.iter().map(step).collect()
}

pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    under_way: VecDeque<(RequestId, LogRequest)>,
    pub(crate) applied: Vec<LogStep>,
    /// What nodes have said of their clients.
    pub(crate) announced: Vec<Announcement>,
    pub(crate) settled: Vec<(u64, Result<u64, PublishError>)>,
    pub(crate) health: Vec<NodeHealth>,
    pub(crate) given_up: Vec<RequestId>,
}

impl Stage {
    pub(crate) fn new(config: NodeConfig) -> Self {
        let now = base_instant();
        let sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
        let mut stage = Self {
            node: Node::new(now, config, sequencer),
            now,
            under_way: VecDeque::new(),
            applied: Vec::new(),
            announced: Vec::new(),
            settled: Vec::new(),
            health: Vec::new(),
            given_up: Vec::new(),
        };
        stage.settle();
        stage
    }

    /// One whose log was empty, and that serves.
    pub(crate) fn serving(config: NodeConfig) -> Self {
        let mut stage = Self::new(config);
        stage.greet(0, 0);
        stage
    }

    /// Does what a driver does.
    pub(crate) fn settle(&mut self) {
        loop {
            while let Some(effect) = self.node.poll_effect() {
                match effect {
                    Effect::Apply(steps) => self.applied.extend(steps),
                    Effect::Presence(announcements) => self.announced.extend(announcements),
                    Effect::Settled(ticket, result) => self.settled.push((ticket.get(), result)),
                    Effect::Health(health) => self.health.push(health),
                    Effect::GiveUp(id) => {
                        let before = self.under_way.len();
                        self.under_way.retain(|(one, _)| *one != id);
                        assert_eq!(self.under_way.len() + 1, before, "it was under way");
                        self.given_up.push(id);
                    }
                    other => panic!("{other:?}"),
                }
            }
            let Some(request) = self.node.poll_request(self.now) else { return };
            self.under_way.push_back(request);
            let reads =
                self.under_way.iter().filter(|(_, one)| matches!(one, LogRequest::Read(_))).count();
            assert!(reads <= 1 && self.under_way.len() - reads <= 1, "{:?}", self.under_way);
        }
    }

    /// Lets time pass as a driver does, which sleeps exactly until each deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut wakes = 0;
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            self.settle();
            wakes += 1;
            assert!(wakes < 10_000, "it spins");
        }
        self.now = until;
    }

    /// The process stands still, and then looks at its timers first.
    pub(crate) fn stand_still(&mut self, time: Duration) {
        self.now += time;
        self.node.handle_timeout(self.now);
        self.settle();
    }

    pub(crate) fn publish(&mut self, text: &str) -> Result<u64, PublishError> {
        let ticket = self.node.publish(self.now, event(text)).map(Ticket::get);
        self.settle();
        ticket
    }

    pub(crate) fn answer(&mut self, id: RequestId, answer: Result<LogAnswer, LogError>) {
        self.node.handle_answer(self.now, id, answer);
        self.done(id);
        self.settle();
    }

    /// The request is not under way any more.
    pub(crate) fn done(&mut self, id: RequestId) {
        self.under_way.retain(|(one, _)| *one != id);
    }

    pub(crate) fn fail(&mut self, id: RequestId, error: LogErrorKind) {
        self.answer(id, Err(error.into()));
    }

    fn find<T>(&self, what: impl Fn(&LogRequest) -> Option<T>) -> Option<(RequestId, T)> {
        self.under_way.iter().find_map(|(id, request)| Some((*id, what(request)?)))
    }

    pub(crate) fn hello(&self) -> Option<(RequestId, Hello)> {
        self.find(|one| if let LogRequest::Hello(hello) = one { Some(*hello) } else { None })
    }

    pub(crate) fn append(&self) -> Option<(RequestId, Append)> {
        self.find(
            |one| if let LogRequest::Append(append) = one { Some(append.clone()) } else { None },
        )
    }

    pub(crate) fn read(&self) -> Option<(RequestId, Read)> {
        self.find(|one| if let LogRequest::Read(read) = one { Some(*read) } else { None })
    }

    pub(crate) fn head(&self) -> Option<RequestId> {
        self.find(|one| matches!(one, LogRequest::Head).then_some(())).map(|(id, ())| id)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Answers the hello.
    pub(crate) fn greet(&mut self, start: u64, position: u64) {
        let (id, _) = self.hello().expect("a hello");
        self.answer(id, Ok(LogAnswer::Hello(Head { start, position })));
    }

    /// Waits for the next hello, and answers it.
    pub(crate) fn reconnect(&mut self, start: u64, position: u64) -> Hello {
        self.wait_for_hello();
        let (_, hello) = self.hello().unwrap();
        self.greet(start, position);
        hello
    }

    pub(crate) fn wait_for_hello(&mut self) {
        let end = self.now + secs(10);
        while self.hello().is_none() {
            assert!(self.now < end, "no hello comes");
            let next = self.node.poll_timeout().expect("it waits for something");
            self.pass(next.saturating_duration_since(self.now));
        }
    }

    /// Answers the append.
    pub(crate) fn appended(&mut self, last: u64) -> Append {
        let (id, append) = self.append().expect("an append");
        self.answer(id, Ok(LogAnswer::Appended(Appended { last, count: append.count })));
        append
    }

    /// Answers the read, and returns what was applied for it, in short.
    pub(crate) fn page(&mut self, entries: Vec<Entry>) -> Vec<String> {
        let (id, _) = self.read().expect("a read");
        self.answer(id, Ok(LogAnswer::Page(Page { entries })));
        short(&std::mem::take(&mut self.applied))
    }

    pub(crate) fn answer_head(&mut self, start: u64, position: u64) {
        let id = self.head().expect("a question for the head");
        self.answer(id, Ok(LogAnswer::Head(Head { start, position })));
    }

    pub(crate) fn take_settled(&mut self) -> Vec<(u64, Result<u64, PublishError>)> {
        std::mem::take(&mut self.settled)
    }

    pub(crate) fn word(&self) -> &'static str {
        self.node.health().as_str()
    }
}
