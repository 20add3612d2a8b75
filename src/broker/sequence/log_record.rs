//! Events before they have their positions, as bytes: [`LogRecord`].
//!
//! ```text
//! version  length      audience              kind    fields   each field that there is, in order
//! ┌──┬─────────────┬──────────────────────┬──┬────┬──────────────────────────────────────────┐
//! │1 │ u32 of rest │ tag, or tag and text │ 0│bits│ data comment type id  : text             │
//! │  │             │                      │  │    │ retry : u64 seconds, u32 nanoseconds     │
//! │  │             │                      │  │    │ key : text            text = u32, UTF-8  │
//! └──┴─────────────┴──────────────────────┴──┴────┴──────────────────────────────────────────┘
//!                  the end of a topic has the kind 1, and nothing after it
//! ```
//!
//! Numbers are little-endian. A change of what a version means takes the next version.

use super::Audience;
use super::framing::{HEAD, Reader, put_record, put_text, put_time, split_record};
use crate::broker::names::{ClientId, SessionId, TopicName};
use crate::event::{Event, EventId, EventType};
use crate::event_key::EventKey;
use crate::fault::Fault;
use alloc::vec::Vec;
use core::fmt;

/// What is to be published, to whom, before it has its position: an event, or the end of a topic.
///
/// A log outside of this process keeps these as bytes. What gives them their positions, a database or
/// an engine that many nodes share, is asked first; then a
/// [`Sequencer`](crate::broker::Sequencer::place) makes each of them what shards
/// [apply](crate::broker::ShardMut::apply). So a stream outlives its process, with its places.
///
/// ```
/// use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, EventIds, LogRecord, Sequencer};
/// use sansse::Event;
/// # let now = std::time::Instant::now();
///
/// let mut file = Vec::new();
/// for text in ["one", "two"] {
///     LogRecord::new(Audience::Everyone, Event::new(text)).encode(&mut file)?;
/// }
///
/// // Another process begins with what is in the file.
/// let epoch = Epoch(0xbeef);
/// let mut broker = Broker::new(now, BrokerConfig::new(epoch))?;
/// let mut sequencer = Sequencer::new(epoch, 0, EventIds::Assigned);
/// let mut rest = &file[..];
/// while !rest.is_empty() {
///     let (record, behind) = LogRecord::decode(rest)?;
///     let published = sequencer.place(sequencer.last() + 1, &record)?;
///     broker.shard_mut().apply(now, &published)?;
///     rest = behind;
/// }
/// assert_eq!(sequencer.last(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    audience: Audience,
    /// `None` for the end of a topic.
    event: Option<Event>,
}

impl LogRecord {
    /// The largest record, in bytes: 16 MiB, the largest event that a
    /// [decoder](crate::Limits::DEFAULT) takes by default. So a length that was spoilt makes nobody
    /// wait for gigabytes.
    pub const MAX_SIZE: usize = 16 << 20;

    /// Makes the record of an event.
    pub fn new(audience: impl Into<Audience>, event: Event) -> Self {
        Self { audience: audience.into(), event: Some(event) }
    }

    /// Makes the record of a topic's end, as
    /// [`Sequencer::end_topic`](crate::broker::Sequencer::end_topic) numbers it.
    pub fn end_of(topic: TopicName) -> Self {
        Self { audience: topic.into(), event: None }
    }

    /// Returns to whom it is to be published.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Returns the event; `None` for the end of a topic.
    pub const fn event(&self) -> Option<&Event> {
        self.event.as_ref()
    }

    /// Makes it again of its parts, as a record of calls tells them. `None` for the end of an
    /// audience that is no topic.
    #[cfg(all(feature = "record", feature = "cluster"))]
    pub(crate) fn from_parts(audience: Audience, event: Option<Event>) -> Option<Self> {
        let can_end = matches!(audience, Audience::Topic(_));
        (can_end || event.is_some()).then_some(Self { audience, event })
    }

    /// Appends the record's bytes, which [`decode`](Self::decode) reads in any later version.
    ///
    /// # Errors
    ///
    /// [`LogRecordError::TooLarge`]; then nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), LogRecordError> {
        put_record(out, VERSION, |out| {
            put_audience(out, &self.audience);
            match &self.event {
                None => out.push(END),
                Some(event) => {
                    out.push(EVENT);
                    put_event(out, event);
                }
            }
        })
    }

    /// Reads the first record of these bytes. Returns it, and the bytes behind it.
    ///
    /// # Errors
    ///
    /// [`LogRecordError`], the fault of who wrote the bytes. It panics on none, and takes no more
    /// memory than they do.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), LogRecordError> {
        let (version, body, behind) = split_record(bytes)?;
        let size = HEAD + body.len();
        if version != VERSION {
            return Err(LogRecordError::OtherVersion { version, size });
        }
        let mut reader = Reader::new(body);
        match read(&mut reader).filter(|_| reader.rest().is_empty()) {
            Some(record) => Ok((record, behind)),
            None => Err(LogRecordError::Malformed { size }),
        }
    }
}

/// The version that is written, and the only one there has been.
const VERSION: u8 = 1;

const EVERYONE: u8 = 0;
const CLIENT: u8 = 1;
const SESSION: u8 = 2;
const TOPIC: u8 = 3;

const EVENT: u8 = 0;
const END: u8 = 1;

const DATA: u8 = 1;
const COMMENT: u8 = 1 << 1;
const TYPE: u8 = 1 << 2;
const ID: u8 = 1 << 3;
const RETRY: u8 = 1 << 4;
const KEY: u8 = 1 << 5;

fn put_audience(out: &mut Vec<u8>, audience: &Audience) {
    match audience {
        Audience::Everyone => out.push(EVERYONE),
        Audience::Client(client) => {
            out.push(CLIENT);
            put_text(out, client.as_str());
        }
        Audience::Session(session) => {
            out.push(SESSION);
            put_text(out, &alloc::format!("{session}"));
        }
        Audience::Topic(topic) => {
            out.push(TOPIC);
            put_text(out, topic.as_str());
        }
    }
}

fn put_event(out: &mut Vec<u8>, event: &Event) {
    let event_type = Some(event.event_type()).filter(|one| **one != EventType::MESSAGE);
    let texts = [
        (DATA, event.data()),
        (COMMENT, event.comment_text()),
        (TYPE, event_type.map(EventType::as_str)),
        (ID, event.id().map(EventId::as_str)),
    ];
    let key = event.key().map(EventKey::as_str);
    let bit = |bit, is_there| if is_there { bit } else { 0 };
    let of_texts = texts.iter().map(|(field, text)| bit(*field, text.is_some()));
    let rest = bit(RETRY, event.retry().is_some()) | bit(KEY, key.is_some());
    out.push(of_texts.fold(rest, |bits, bit| bits | bit));
    for text in texts.iter().filter_map(|(_, text)| *text) {
        put_text(out, text);
    }
    if let Some(retry) = event.retry() {
        put_time(out, retry);
    }
    if let Some(key) = key {
        put_text(out, key);
    }
}

fn read(reader: &mut Reader<'_>) -> Option<LogRecord> {
    let audience = read_audience(reader)?;
    let event = match reader.byte()? {
        EVENT => Some(read_event(reader)?),
        END if matches!(audience, Audience::Topic(_)) => None,
        _ => return None,
    };
    Some(LogRecord { audience, event })
}

fn read_audience(reader: &mut Reader<'_>) -> Option<Audience> {
    Some(match reader.byte()? {
        EVERYONE => Audience::Everyone,
        CLIENT => ClientId::new(reader.text()?).ok()?.into(),
        SESSION => SessionId::new(reader.text()?).ok()?.into(),
        TOPIC => TopicName::new(reader.text()?).ok()?.into(),
        _ => return None,
    })
}

fn read_event(reader: &mut Reader<'_>) -> Option<Event> {
    let fields = reader.byte()?;
    if fields & !(DATA | COMMENT | TYPE | ID | RETRY | KEY) != 0 {
        return None;
    }
    let mut event = match fields & DATA {
        0 => Event::empty(),
        _ => Event::new(reader.text()?),
    };
    if fields & COMMENT != 0 {
        event = event.with_comment(reader.text()?);
    }
    if fields & TYPE != 0 {
        event = event.with_type(EventType::new(reader.text()?).ok()?);
    }
    if fields & ID != 0 {
        event = event.with_id(EventId::new(reader.text()?).ok()?);
    }
    if fields & RETRY != 0 {
        event = event.with_retry(reader.time()?);
    }
    if fields & KEY != 0 {
        event = event.with_key(EventKey::new(reader.text()?).ok()?);
    }
    Some(event)
}

/// Why there is no record in some bytes, or no bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRecordError {
    /// The bytes end in the middle of a record.
    Incomplete {
        /// How many more there have to be at least.
        missing: usize,
    },
    /// The record is larger than [`LogRecord::MAX_SIZE`].
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The record is of a version that is not known here: that of a newer program. It can be passed
    /// over, which is a gap.
    OtherVersion {
        /// Which.
        version: u8,
        /// The size of the record in bytes.
        size: usize,
    },
    /// The bytes are not those of any record. They can be passed over, which is a gap.
    Malformed {
        /// How many bytes the record says that it has.
        size: usize,
    },
}

impl LogRecordError {
    /// Returns whose fault it is: a limit's, or that of who wrote the bytes.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } => Fault::Limit,
            Self::Incomplete { .. } | Self::OtherVersion { .. } | Self::Malformed { .. } => {
                Fault::Peer
            }
        }
    }
}

impl fmt::Display for LogRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { missing } => {
                write!(f, "a record breaks off: at least {missing} bytes are missing")
            }
            Self::TooLarge { size } => {
                write!(f, "a record of {size} bytes, where {} may be", LogRecord::MAX_SIZE)
            }
            Self::OtherVersion { version, size } => {
                write!(f, "a record of the version {version}, of {size} bytes, is not known")
            }
            Self::Malformed { size } => write!(f, "a record of {size} bytes is none"),
        }
    }
}

impl core::error::Error for LogRecordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::time::Duration;

    fn bytes(record: &LogRecord) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        bytes
    }

    fn records() -> Vec<LogRecord> {
        let topic = TopicName::new("news/a").unwrap();
        let full = Event::new("one\ntwo")
            .with_comment("note")
            .with_type(EventType::new("tick").unwrap())
            .with_id(EventId::new("7").unwrap())
            .with_retry(Duration::new(2, 5))
            .with_key(EventKey::new("gold").unwrap());
        vec![
            LogRecord::new(Audience::Everyone, Event::new("")),
            LogRecord::new(ClientId::new("ann").unwrap(), full),
            LogRecord::new(SessionId::new("3-0-7").unwrap(), Event::comment("c")),
            LogRecord::new(topic.clone(), Event::retry_only(Duration::MAX)),
            LogRecord::end_of(topic),
        ]
    }

    #[test]
    fn what_is_written_is_read_again_and_what_stands_behind_it_is_left() {
        let all: Vec<u8> = records().iter().flat_map(bytes).collect();
        let mut rest = &all[..];
        for record in records() {
            let (read, behind) = LogRecord::decode(rest).unwrap();
            assert_eq!(read, record);
            rest = behind;
        }
        assert!(rest.is_empty());
    }

    /// What is in somebody's store stays readable.
    #[test]
    fn the_bytes_of_this_version_are_these() {
        let client = LogRecord::new(ClientId::new("ann").unwrap(), Event::new("hi"));
        assert_eq!(bytes(&client), b"\x01\x10\0\0\0\x01\x03\0\0\0ann\0\x01\x02\0\0\0hi");
        let end = LogRecord::end_of(TopicName::new("a").unwrap());
        assert_eq!(bytes(&end), b"\x01\x07\0\0\0\x03\x01\0\0\0a\x01");
    }

    #[test]
    fn a_record_that_breaks_off_says_how_much_is_missing_at_least() {
        for record in records() {
            let all = bytes(&record);
            for length in 0..all.len() {
                let missing = if length < HEAD { HEAD - length } else { all.len() - length };
                let error = Err(LogRecordError::Incomplete { missing });
                assert_eq!(LogRecord::decode(&all[..length]), error, "{record:?}, {length}");
            }
        }
    }

    #[test]
    fn a_record_of_another_version_can_be_passed_over() {
        let mut all = bytes(&records()[1]);
        let size = all.len();
        all[0] = 2;
        let error = LogRecordError::OtherVersion { version: 2, size };
        assert_eq!(LogRecord::decode(&all), Err(error));
    }

    #[test]
    fn what_no_record_has_is_no_record() {
        let event = |body: &[u8]| {
            let length = u32::try_from(body.len()).unwrap().to_le_bytes();
            [&[VERSION], &length[..], body].concat()
        };
        for body in [
            &b""[..],
            b"\x04\0\0",
            b"\0\x01",
            b"\0\x02\0",
            b"\0\0\x40",
            b"\0\0\x01\xff\xff\xff\xff",
            b"\0\0\x01\x01\0\0\0\xff",
            b"\0\0\x04\x01\0\0\0\n",
            b"\0\0\x08\x01\0\0\0\0",
            b"\0\0\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\x20\0\0\0\0",
            b"\0\0\0behind",
            b"\x01\0\0\0\0\0\0",
            b"\x02\x01\0\0\0x\0\0",
        ] {
            let size = body.len() + HEAD;
            let error = Err(LogRecordError::Malformed { size });
            assert_eq!(LogRecord::decode(&event(body)), error, "{body:?}");
        }
        let huge = [VERSION, 0xff, 0xff, 0xff, 0xff];
        let size = (u32::MAX as usize).saturating_add(HEAD);
        assert_eq!(LogRecord::decode(&huge), Err(LogRecordError::TooLarge { size }));
    }

    #[test]
    fn a_record_that_is_too_large_is_not_written() {
        let record =
            LogRecord::new(Audience::Everyone, Event::new("x".repeat(LogRecord::MAX_SIZE)));
        let mut out = vec![1, 2];
        let error = record.encode(&mut out).unwrap_err();
        assert_eq!(error, LogRecordError::TooLarge { size: LogRecord::MAX_SIZE + 12 });
        assert_eq!(out, [1, 2]);
    }
}
