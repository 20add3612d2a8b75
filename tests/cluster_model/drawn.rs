//! What is drawn: settings, calls and answers, likely ones and impossible ones.

use crate::kit::random::Random;
use crate::model::Model;
use bytes::Bytes;
use sansse::broker::{Audience, ClientId, LogRecord, LogStep, TopicName};
use sansse::cluster::{
    Appended, Batch, Content, Entry, Head, LogAnswer, LogError, LogErrorKind, NodeConfig, NodeId,
    Page, Record, WhileDown,
};
use sansse::{Event, EventId};
use std::time::{Duration, Instant};

pub(crate) const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

pub(crate) fn one_of<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

pub(crate) fn config(random: &mut Random) -> NodeConfig {
    let millis = Duration::from_millis;
    let mut config = NodeConfig::new(ME, random.next());
    config.queued_records = one_of(random, &[3, 10_000]).try_into().unwrap();
    config.queued_bytes = one_of(random, &[100, 1 << 20]).try_into().unwrap();
    config.batch_records = one_of(random, &[1, 3, 256]).try_into().unwrap();
    config.batch_bytes = one_of(random, &[80, 1 << 20]).try_into().unwrap();
    config.window = one_of(random, &[0, 2, 4, 100_000]);
    config.while_down = one_of(
        random,
        &[WhileDown::Refuse, WhileDown::Wait(millis(700)), WhileDown::Wait(Duration::MAX)],
    );
    config.lossless = random.below(2) == 0;
    config.time_of_day = one_of(random, &[None, Some(Duration::from_secs(1_800_000_000))]);
    config.confirm_within = one_of(random, &[millis(10_000), millis(1_000), Duration::MAX]);
    config.backoff_min = one_of(random, &[millis(50), Duration::ZERO]);
    config
}

/// A record, and what is known of it without its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Drew {
    Event(String),
    /// An event with an id of its own.
    OwnId(&'static str),
    Revoke,
    RevokeTopic,
    End,
}

impl Drew {
    fn draw(random: &mut Random) -> Self {
        match random.below(10) {
            0..6 => Self::Event("x".repeat(1 + random.below(12))),
            6 => Self::Event("x".repeat(random.below(200))),
            7 => Self::OwnId(one_of(random, &["mine", "e-17", "", " "])),
            8 => Self::Revoke,
            _ => one_of(random, &[Self::RevokeTopic, Self::End]),
        }
    }

    pub(crate) fn record(&self) -> Record {
        let client = || ClientId::new("ann").unwrap();
        let topic = || TopicName::new("news").unwrap();
        match self {
            Self::Event(text) => {
                LogRecord::new(Audience::Everyone, Event::new(text.clone())).into()
            }
            Self::OwnId(id) => {
                let event = Event::new("own").with_id(EventId::new(*id).unwrap());
                LogRecord::new(Audience::Everyone, event).into()
            }
            Self::Revoke => Record::Revoke(client()),
            Self::RevokeTopic => Record::RevokeTopic(client(), topic()),
            Self::End => LogRecord::end_of(topic()).into(),
        }
    }

    pub(crate) fn is_usable(&self) -> bool {
        !matches!(self, Self::OwnId(id) if *id != "mine")
    }

    /// How it is told as a step at this position.
    pub(crate) fn step(&self, position: u64) -> String {
        match self {
            _ if !self.is_usable() => format!("cut {position}"),
            Self::Event(text) => format!("{position}:{text}"),
            Self::OwnId(_) => format!("{position}:own"),
            Self::Revoke => format!("{position}:revoke ann"),
            Self::RevokeTopic => format!("{position}:revoke ann news"),
            Self::End => format!("{position}:"),
        }
    }
}

/// An entry, and what is known of it without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct DrewEntry {
    pub(crate) after: u64,
    pub(crate) position: u64,
    pub(crate) content: DrewContent,
}

#[derive(Clone, Debug)]
pub(crate) enum DrewContent {
    Cut,
    Records(Vec<Drew>),
    /// One whose first record has another version.
    Newer(Vec<Drew>),
    Garbage,
}

impl DrewEntry {
    fn draw(random: &mut Random, before: u64) -> Self {
        let after = match random.below(8) {
            0 => before + random.next() % 4,
            1 => before.saturating_sub(random.next() % 4),
            _ => before,
        };
        let mut records: Vec<Drew> = (0..=random.below(3)).map(|_| Drew::draw(random)).collect();
        let position = after + records.len() as u64;
        let (position, content) = match random.below(12) {
            0 | 1 => (after + 1 + random.next() % 5, DrewContent::Cut),
            2 => (position, DrewContent::Garbage),
            3 => (position + 1, DrewContent::Records(records)),
            4 => {
                // Control records have no version of their own.
                records[0] = Drew::Event("newer".to_owned());
                (position, DrewContent::Newer(records))
            }
            _ => (position, DrewContent::Records(records)),
        };
        Self { after, position, content }
    }

    fn entry(&self) -> Entry {
        let payload = |records: &[Drew], version: Option<u8>| {
            let mut batch = Batch::new(OTHER);
            for record in records {
                batch.push(&record.record()).unwrap();
            }
            let mut bytes = batch.payload().to_vec();
            if let Some(version) = version {
                bytes[1 + 16 + 1] = version;
            }
            Content::Batch(bytes.into())
        };
        let content = match &self.content {
            DrewContent::Cut => Content::Cut,
            DrewContent::Records(records) => payload(records, None),
            DrewContent::Newer(records) => payload(records, Some(9)),
            DrewContent::Garbage => Content::Batch(Bytes::from_static(b"\x01garbage")),
        };
        Entry { after: self.after, position: self.position, age: Duration::ZERO, content }
    }
}

/// What a log answers.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    Hello(Head),
    Head(Head),
    Appended(Appended),
    Page(Vec<DrewEntry>),
    Error(LogErrorKind),
}

impl Answered {
    pub(crate) fn answer(&self) -> Result<LogAnswer, LogError> {
        Ok(match self {
            Self::Hello(head) => LogAnswer::Hello(*head),
            Self::Head(head) => LogAnswer::Head(*head),
            Self::Appended(appended) => LogAnswer::Appended(*appended),
            Self::Page(entries) => {
                LogAnswer::Page(Page { entries: entries.iter().map(DrewEntry::entry).collect() })
            }
            Self::Error(error) => return Err((*error).into()),
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish(Drew),
    /// The answer to the request with this number.
    Answer(u64, Answered),
    Time,
    ShutDown,
    Effect,
    Request,
}

pub(crate) struct Drawn {
    pub(crate) step: Step,
    pub(crate) now: Instant,
}

impl Drawn {
    pub(crate) fn draw(random: &mut Random, model: &Model, now: Instant) -> Self {
        let at = |time| Self { step: Step::Time, now: time };
        let step = match random.below(40) {
            0..8 => Step::Publish(Drew::draw(random)),
            8..18 => Step::Effect,
            18..27 => Step::Request,
            27..35 => match answer(random, model) {
                Some((id, answer)) => Step::Answer(id, answer),
                None => Step::Request,
            },
            35 | 36 => return at(model.timeout().unwrap_or(now).max(now)),
            37 => return at(now + Duration::from_millis(random.next() % 9_000)),
            38 => {
                return at(now - Duration::from_millis(random.next() % 2).min(now - model.began()));
            }
            _ if random.below(40) == 0 => Step::ShutDown,
            _ => Step::Effect,
        };
        // Time passes also where nobody says so.
        let passes = if random.below(3) == 0 { random.next() % 200 } else { 0 };
        Self { step, now: now + Duration::from_millis(passes) }
    }
}

/// An answer to a request that there was, mostly one that fits.
fn answer(random: &mut Random, model: &Model) -> Option<(u64, Answered)> {
    use LogErrorKind::{Denied, Full, Malformed, NotReady, Unreachable};
    let asked = model.asked();
    if asked.is_empty() {
        return None;
    }
    // Mostly one that is under way.
    let id = if random.below(10) == 0 {
        1 + random.next() % asked.len() as u64
    } else {
        let under_way: Vec<u64> = model.under_way().collect();
        if under_way.is_empty() {
            return None;
        }
        one_of(random, &under_way)
    };
    if random.below(8) == 0 {
        let error = one_of(random, &[Unreachable, Unreachable, Full, NotReady, Denied, Malformed]);
        return Some((id, Answered::Error(error)));
    }
    let kind = if random.below(60) == 0 { random.below(4) } else { model.kind(id) };
    let known = model.known();
    let head = |random: &mut Random| {
        let position = match random.below(16) {
            0 => known.saturating_sub(1 + random.next() % 3),
            1 => (1 << 53) - 1 + random.next() % 2,
            2..9 if known == 0 => random.next() % 30,
            2..6 => known + random.next() % 6,
            _ => known,
        };
        let start = match random.below(10) {
            0 => position + random.next() % 2,
            1..4 => position.saturating_sub(random.next() % 8),
            _ => 0,
        };
        Head { start, position }
    };
    Some((
        id,
        match kind {
            0 => Answered::Hello(head(random)),
            1 => Answered::Head(head(random)),
            2 => {
                let count = model.count_of(id);
                let count = if random.below(30) == 0 { count + 1 } else { count };
                let last = known + u64::from(count) + random.next() % 2;
                let last = if random.below(40) == 0 { 1 << 53 } else { last };
                Answered::Appended(Appended { last, count })
            }
            _ => {
                let mut before = model.cursor();
                if model.applied() == 0 && random.below(3) == 0 {
                    // A cut over the place where the window may begin.
                    let content = DrewContent::Cut;
                    let after = before.saturating_sub(1 + random.next() % 6);
                    let position = before + 1 + random.next() % 3;
                    return Some((
                        id,
                        Answered::Page(vec![DrewEntry { after, position, content }]),
                    ));
                }
                let entries = (0..random.below(4)).map(|_| {
                    let entry = DrewEntry::draw(random, before);
                    before = entry.position;
                    entry
                });
                let mut entries: Vec<DrewEntry> = entries.collect();
                if random.below(40) == 0 {
                    let content = DrewContent::Cut;
                    entries.push(DrewEntry { after: before, position: before, content });
                }
                Answered::Page(entries)
            }
        },
    ))
}

/// Steps in short, those that follow each other and say the same as one.
pub(crate) fn short(steps: &[LogStep]) -> String {
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
    joined(steps.iter().map(step).collect())
}

pub(crate) fn joined(steps: Vec<String>) -> String {
    let mut joined: Vec<String> = Vec::new();
    for step in steps {
        let word = step.split(' ').next().unwrap();
        let same = ["cut", "skip"].contains(&word)
            && joined.last().is_some_and(|last| last.starts_with(word));
        if same {
            joined.pop();
        }
        joined.push(step);
    }
    joined.join(", ")
}
