//! An engine that keeps one realm's log on servers of which each is the master for a time: what the
//! reference script does, as a plain value, and all that such servers may forget.

use crate::kit::random::Random;
use crate::mutant::Mutant;
use bytes::Bytes;
use sansse::broker::{Audience, ClientId, TopicName};
use sansse::cluster::{
    Append, Appended, Batch, Content, Entry, Head, Hello, LogErrorKind, NodeId, Page, Read, Record,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many earlier states of a server may come back.
const REMEMBERED: usize = 12;
/// What the clock of the first server shows when a simulation begins, in microseconds.
pub(crate) const BEGIN: u64 = 1_800_000_000_000_000;

/// What a position was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Event { text: String, topic: Option<TopicName>, client: Option<ClientId> },
    Revoke(ClientId),
    RevokeTopic(ClientId, TopicName),
    Cut { base: u64 },
}

#[derive(Clone, Debug, Default)]
struct Data {
    /// The hash: the newest position, the server that wrote last, and each node's last batch.
    position: Option<u64>,
    run: u64,
    batches: BTreeMap<NodeId, (u64, u64, u32)>,
    /// The stream, and the position of the newest entry that there ever was in it.
    entries: VecDeque<Stored>,
    newest: Option<u64>,
}

#[derive(Clone, Debug)]
struct Stored {
    after: u64,
    position: u64,
    at: u64,
    content: Content,
}

#[derive(Debug)]
struct Server {
    data: Data,
    earlier: VecDeque<Data>,
    /// The life of its process.
    run: u64,
    is_up: bool,
    /// It follows another one, and writes nothing.
    is_demoted: bool,
    refuses: Option<LogErrorKind>,
    /// By how many microseconds its clock is ahead, or behind.
    clock: i64,
}

#[derive(Debug)]
pub(crate) struct Engine {
    servers: Vec<Server>,
    runs: u64,
    keep: u64,
    mutant: Option<Mutant>,
    /// All that positions were ever given to, on any server.
    pub(crate) given: BTreeMap<u64, Given>,
    /// Whether entries were given up that a reader may have needed.
    pub(crate) has_trimmed: bool,
}

impl Engine {
    pub(crate) fn new(keep: u64, mutant: Option<Mutant>) -> Self {
        let mut engine = Self {
            servers: Vec::new(),
            runs: 0,
            keep,
            mutant,
            given: BTreeMap::new(),
            has_trimmed: false,
        };
        engine.add(Data::default(), 0);
        engine
    }

    fn add(&mut self, data: Data, clock: i64) -> usize {
        self.runs += 1;
        self.servers.push(Server {
            data,
            earlier: VecDeque::new(),
            run: self.runs,
            is_up: true,
            is_demoted: false,
            refuses: None,
            clock,
        });
        self.servers.len() - 1
    }

    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    pub(crate) fn run(&self, server: usize) -> u64 {
        self.servers[server].run
    }

    /// Whether a connection that led to this life of the server still does.
    pub(crate) fn is_reached(&self, server: usize, run: u64) -> bool {
        self.servers[server].is_up && self.servers[server].run == run
    }

    pub(crate) fn is_up(&self, server: usize) -> bool {
        self.servers[server].is_up
    }

    pub(crate) fn position(&self, server: usize) -> u64 {
        self.servers[server].data.position.unwrap_or(0)
    }

    fn micros(&self, server: usize, now: Duration) -> u64 {
        let since = u64::try_from(now.as_micros()).unwrap();
        (BEGIN + since).saturating_add_signed(self.servers[server].clock)
    }

    pub(crate) fn hello(
        &mut self,
        server: usize,
        now: Duration,
        hello: &Hello,
    ) -> Result<Head, LogErrorKind> {
        self.check(server, false)?;
        self.script(server, now, hello.node, 0, hello.seen, None)?;
        Ok(self.head_of(server))
    }

    pub(crate) fn head(&self, server: usize) -> Result<Head, LogErrorKind> {
        self.check(server, false)?;
        Ok(self.head_of(server))
    }

    fn head_of(&self, server: usize) -> Head {
        let data = &self.servers[server].data;
        let position = data.position.unwrap_or(0);
        let start = data.entries.front().map_or(position, |oldest| oldest.after);
        Head { start: start.min(position), position }
    }

    pub(crate) fn append(
        &mut self,
        server: usize,
        now: Duration,
        append: &Append,
    ) -> Result<Appended, LogErrorKind> {
        self.check(server, true)?;
        let batch = Some((append.count, append.payload.clone()));
        self.script(server, now, append.node, append.number, append.seen, batch)
    }

    fn check(&self, server: usize, is_append: bool) -> Result<(), LogErrorKind> {
        let server = &self.servers[server];
        match server.refuses {
            // A store that is full is read.
            Some(LogErrorKind::Full) if !is_append => {}
            Some(error) => return Err(error),
            None => {}
        }
        if server.is_demoted { Err(LogErrorKind::NotReady) } else { Ok(()) }
    }

    /// The reference script.
    fn script(
        &mut self,
        server: usize,
        now: Duration,
        node: NodeId,
        number: u64,
        seen: u64,
        batch: Option<(u32, Bytes)>,
    ) -> Result<Appended, LogErrorKind> {
        let at = self.micros(server, now);
        let run = self.servers[server].run;
        let data = self.servers[server].data.clone();
        let last = data.batches.get(&node).copied().filter(|_| data.position.is_some());
        let count = batch.as_ref().map_or(0, |(count, _)| *count);
        let same = last.filter(|(same, ..)| *same == number && count > 0);
        let done = same.map(|(_, last, count)| Appended { last, count });
        let mut position = data.position.unwrap_or(0);
        if let Some(done) = done
            && data.run == run
        {
            return Ok(done);
        }
        // What was given up long ago comes late.
        if count > 0
            && last.is_some_and(|(newest, ..)| number < newest)
            && self.mutant != Some(Mutant::OldBatchesAreAppended)
        {
            return Err(LogErrorKind::Malformed);
        }
        let state = &mut self.servers[server];
        state.earlier.push_back(data.clone());
        if state.earlier.len() > REMEMBERED {
            state.earlier.pop_front();
        }
        let has_lost = data.position.is_none() || data.run != run || seen > position;
        if has_lost && self.mutant != Some(Mutant::AutomaticIds) {
            if data.position.is_none() {
                position = position.max(data.newest.unwrap_or(0));
            }
            let base = position;
            position = self.after_cut(server, base, seen, at);
            self.write(server, at, base, position, Content::Cut);
            self.give(position, Given::Cut { base });
            self.servers[server].data.position = Some(position);
            self.servers[server].data.run = run;
            if let Some(done) = done {
                return Ok(done);
            }
        }
        if let Some((count, payload)) = batch {
            if self.mutant == Some(Mutant::AutomaticIds) {
                position = position.max(at.saturating_sub(BEGIN));
            }
            let after = match self.mutant {
                // A reader sees what comes next, and not whether it is the next one.
                Some(Mutant::AutomaticIds) => position,
                _ => self.servers[server].data.position.unwrap_or(0),
            };
            position = after + u64::from(count);
            self.give_batch(after, &payload);
            self.write(server, at, after, position, Content::Batch(payload));
            let data = &mut self.servers[server].data;
            data.position = Some(position);
            data.run = run;
            data.batches.insert(node, (number, position, count));
            self.trim(server, self.keep);
        } else if self.mutant == Some(Mutant::AutomaticIds) {
            let data = &mut self.servers[server].data;
            data.position.get_or_insert(0);
        }
        Ok(Appended { last: position, count })
    }

    /// Where positions go on after a cut: so far ahead that none is given twice, by a distance that
    /// is another one for each cut. The time alone is not enough: a server whose clock is behind
    /// would give the positions of the tail that it lacks to other events, and so would two that
    /// follow the same one in the same millisecond, and one that was flushed.
    fn after_cut(&self, server: usize, base: u64, seen: u64, at: u64) -> u64 {
        if self.mutant == Some(Mutant::CutOfOne) {
            return base + 1;
        }
        let time = at / 1_000_000 * 1_024_000 + at % 1_000_000 / 1_000 * 1_024;
        if self.mutant == Some(Mutant::CutByTheClock) {
            return base.max(seen).max(time) + 2;
        }
        let own = Random(at ^ self.servers[server].run << 52).next() >> 28;
        base.max(seen).max(time) + 2 + own
    }

    fn write(&mut self, server: usize, at: u64, after: u64, position: u64, content: Content) {
        let data = &mut self.servers[server].data;
        data.newest = Some(position);
        data.entries.push_back(Stored { after, position, at, content });
    }

    fn give_batch(&mut self, after: u64, payload: &[u8]) {
        let (_, records) = Batch::decode(payload).unwrap();
        for (position, record) in (after + 1..).zip(records) {
            let given = match record.unwrap() {
                Record::Publish(record) => Given::Event {
                    text: record.event().unwrap().data().unwrap().to_owned(),
                    topic: match record.audience() {
                        Audience::Topic(topic) => Some(topic.clone()),
                        _ => None,
                    },
                    client: match record.audience() {
                        Audience::Client(client) => Some(client.clone()),
                        _ => None,
                    },
                },
                Record::Revoke(client) => Given::Revoke(client),
                Record::RevokeTopic(client, topic) => Given::RevokeTopic(client, topic),
                other => panic!("{other:?}"),
            };
            self.give(position, given);
        }
    }

    fn give(&mut self, position: u64, given: Given) {
        if let Some(other) = self.given.insert(position, given.clone()) {
            panic!("the position {position} names two things: {other:?} and {given:?}");
        }
    }

    /// Gives up entries until they have so many positions. The jump of a cut is none: otherwise each
    /// cut would take all that survived it.
    pub(crate) fn trim(&mut self, server: usize, keep: u64) {
        let data = &mut self.servers[server].data;
        let size = |entry: &Stored| match entry.content {
            Content::Batch(_) => entry.position - entry.after,
            _ => 1,
        };
        let mut kept: u64 = data.entries.iter().map(size).sum();
        while kept > keep
            && let Some(oldest) = data.entries.pop_front()
        {
            kept -= size(&oldest);
            self.has_trimmed = true;
        }
    }

    /// Returns what there is after a position; empty if a read is to wait.
    pub(crate) fn read(&self, server: usize, now: Duration, read: &Read) -> Page {
        let at = self.micros(server, now);
        let mut bytes = 0;
        let entries = self.servers[server].data.entries.iter();
        let entries = entries.filter(|entry| entry.position > read.after);
        let entries = entries.take_while(|entry| {
            let is_first = bytes == 0;
            bytes +=
                1 + if let Content::Batch(payload) = &entry.content { payload.len() } else { 0 };
            is_first || bytes <= read.max_bytes as usize
        });
        let entries = entries.map(|stored| Entry {
            after: stored.after,
            position: stored.position,
            age: Duration::from_micros(at.saturating_sub(stored.at)),
            content: stored.content.clone(),
        });
        Page { entries: entries.collect() }
    }

    pub(crate) fn refuses_reads(&self, server: usize) -> Option<LogErrorKind> {
        self.servers[server].refuses.filter(|error| *error != LogErrorKind::Full)
    }

    // What may happen to it.

    pub(crate) fn stop(&mut self, server: usize) {
        self.servers[server].is_up = false;
    }

    /// Starts it again, with what it had so many steps ago.
    pub(crate) fn start(&mut self, server: usize, steps_ago: usize) {
        self.runs += 1;
        let run = self.runs;
        let server = &mut self.servers[server];
        if let Some(data) = earlier(server, steps_ago) {
            server.data = data;
        }
        (server.is_up, server.run) = (true, run);
    }

    /// Makes another server the master, which has what the first had so many steps ago.
    pub(crate) fn promote(&mut self, from: usize, steps_ago: usize, clock: i64) -> usize {
        let data = earlier(&self.servers[from], steps_ago);
        let data = data.unwrap_or_else(|| self.servers[from].data.clone());
        self.add(data, clock)
    }

    pub(crate) fn set_demoted(&mut self, server: usize, is_demoted: bool) {
        self.servers[server].is_demoted = is_demoted;
    }

    pub(crate) fn set_refusal(&mut self, server: usize, refuses: Option<LogErrorKind>) {
        self.servers[server].refuses = refuses;
    }

    pub(crate) fn flush(&mut self, server: usize) {
        self.servers[server].data = Data::default();
    }

    pub(crate) fn lose_hash(&mut self, server: usize) {
        let data = &mut self.servers[server].data;
        (data.position, data.run) = (None, 0);
        data.batches.clear();
    }

    pub(crate) fn lose_stream(&mut self, server: usize) {
        let data = &mut self.servers[server].data;
        data.entries.clear();
        data.newest = None;
        self.has_trimmed = true;
    }
}

fn earlier(server: &Server, steps_ago: usize) -> Option<Data> {
    let at = server.earlier.len().checked_sub(steps_ago)?;
    server.earlier.get(at).cloned()
}
