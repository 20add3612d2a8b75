//! What nodes write into a log, as bytes: a [`Batch`] of [`Record`]s.
//!
//! ```text
//!  version  node      for each record: kind, and what belongs to it
//! ┌──┬───────────────┬──┬───────────┬──┬──────────────┬──
//! │1 │ 16 bytes      │ 0│ LogRecord │ 1│ u32, client  │ ...
//! └──┴───────────────┴──┴───────────┴──┴──────────────┴──
//!     0 publish   1 revoke client   2 revoke client, u32, topic   3 PresenceRecord
//!     4 drain: bits, over, patience, and what the bits say of: least and spread, farewell
//! ```
//!
//! Numbers are little-endian. A change of what a version means takes the next version.

use super::presence::PresenceRecord;
use crate::broker::{
    Audience, ClientId, Drain, LogRecord, LogRecordError, Reader, TopicName, put_text, put_time,
};
use crate::fault::Fault;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// The life of a process that is a node of a realm: 128 bits that no other process has, and no
/// earlier life of this one. Adapters draw it at random, since the core draws no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u128);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One thing that happens in a realm, at one position.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// An event, or the end of a topic. What is for one session concerns the node that wrote it and
    /// no other: sessions of several nodes have the same ids.
    Publish(LogRecord),
    /// All sessions of this client end, wherever they are, and what they have not taken is dropped.
    Revoke(ClientId),
    /// This topic is taken from all sessions of this client, wherever they are.
    RevokeTopic(ClientId, TopicName),
    /// What a node says of the clients that are on it. No session hears of it.
    Presence(PresenceRecord),
    /// All nodes let their sessions go, as one does by [`Hub::drain`](crate::Hub::drain). One that
    /// joins later does not.
    Drain(Drain),
}

impl Record {
    /// Appends the record as it stands in a batch. What is too large leaves `out` as it was.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), LogRecordError> {
        let begin = out.len();
        match self {
            Self::Publish(record) => {
                out.push(PUBLISH);
                if let Err(error) = record.encode(out) {
                    out.truncate(begin);
                    return Err(error);
                }
            }
            Self::Revoke(client) => {
                out.push(REVOKE);
                put_text(out, client.as_str());
            }
            Self::RevokeTopic(client, topic) => {
                out.push(REVOKE_TOPIC);
                put_text(out, client.as_str());
                put_text(out, topic.as_str());
            }
            Self::Presence(record) => {
                out.push(PRESENCE);
                if let Err(error) = record.encode(out) {
                    out.truncate(begin);
                    return Err(error);
                }
            }
            Self::Drain(drain) => {
                out.push(DRAIN);
                if let Err(error) = put_drain(out, drain) {
                    out.truncate(begin);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl From<Drain> for Record {
    fn from(drain: Drain) -> Self {
        Self::Drain(drain)
    }
}

impl From<PresenceRecord> for Record {
    fn from(record: PresenceRecord) -> Self {
        Self::Presence(record)
    }
}

impl From<LogRecord> for Record {
    fn from(record: LogRecord) -> Self {
        Self::Publish(record)
    }
}

/// What one node wrote as one entry.
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Audience, LogRecord};
/// use sansse::cluster::{Batch, NodeId};
///
/// let mut batch = Batch::new(NodeId(7));
/// batch.push(&LogRecord::new(Audience::Everyone, Event::new("hello")).into())?;
/// let (count, payload) = (batch.count(), batch.payload());
/// assert_eq!(count, 1);
///
/// let (node, records) = Batch::decode(&payload)?;
/// assert_eq!((node, records.len()), (NodeId(7), 1));
/// assert!(records[0].is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// How many bytes it has beside its records: the version and the node.
    pub(super) const HEAD: usize = 1 + size_of::<u128>();

    /// Begins a batch of this node.
    pub fn new(node: NodeId) -> Self {
        let mut bytes = alloc::vec![VERSION];
        bytes.extend_from_slice(&node.0.to_le_bytes());
        Self { bytes, count: 0 }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`LogRecordError::TooLarge`]; then the batch is as it was.
    pub fn push(&mut self, record: &Record) -> Result<(), LogRecordError> {
        record.encode(&mut self.bytes)?;
        self.count += 1;
        Ok(())
    }

    /// Adds a record as the bytes that [`Record::encode`] made of it.
    pub(super) fn push_encoded(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// Returns how many records it has.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Returns how many bytes it has.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns its bytes, which [`decode`](Self::decode) reads in any later version.
    pub fn payload(self) -> Bytes {
        self.bytes.into()
    }

    /// Reads a batch: which node wrote it, and its records. One that cannot be read is an error in
    /// the place of the record, which is a gap; the others are not concerned, unless nobody can say
    /// where they begin.
    ///
    /// # Errors
    ///
    /// [`BatchError`]: nothing of it can be read.
    pub fn decode(
        payload: &[u8],
    ) -> Result<(NodeId, Vec<Result<Record, LogRecordError>>), BatchError> {
        let mut reader = Reader::new(payload);
        let version = reader.byte().ok_or(BatchError::Malformed)?;
        if version != VERSION {
            return Err(BatchError::OtherVersion { version });
        }
        let node = reader.chunk().ok_or(BatchError::Malformed)?;
        let mut records = Vec::new();
        while !reader.rest().is_empty() {
            records.push(read(&mut reader).ok_or(BatchError::Malformed)?);
        }
        Ok((NodeId(u128::from_le_bytes(node)), records))
    }
}

const VERSION: u8 = 1;

const PUBLISH: u8 = 0;
const REVOKE: u8 = 1;
const REVOKE_TOPIC: u8 = 2;
const PRESENCE: u8 = 3;
const DRAIN: u8 = 4;

/// Reads the next record. `None` where nobody can say where it ends.
fn read(reader: &mut Reader<'_>) -> Option<Result<Record, LogRecordError>> {
    Some(Ok(match reader.byte()? {
        PUBLISH => match LogRecord::decode(reader.rest()) {
            Ok((record, behind)) => {
                *reader = Reader::new(behind);
                Record::Publish(record)
            }
            Err(error) => {
                *reader = Reader::new(behind_unread(reader.rest(), error));
                return Some(Err(error));
            }
        },
        REVOKE => Record::Revoke(ClientId::new(reader.text()?).ok()?),
        REVOKE_TOPIC => {
            let client = ClientId::new(reader.text()?).ok()?;
            Record::RevokeTopic(client, TopicName::new(reader.text()?).ok()?)
        }
        // What cannot be read of these is no gap.
        PRESENCE => {
            let (record, behind) = PresenceRecord::decode(reader.rest()).ok()?;
            *reader = Reader::new(behind);
            Record::Presence(record)
        }
        DRAIN => Record::Drain(read_drain(reader)?),
        _ => return None,
    }))
}

/// Returns what stands behind a record that cannot be read, if it says how long it is.
fn behind_unread(bytes: &[u8], error: LogRecordError) -> &[u8] {
    match error {
        LogRecordError::OtherVersion { size, .. } | LogRecordError::Malformed { size } => {
            bytes.get(size..).unwrap_or_default()
        }
        _ => &[],
    }
}

/// What a drain says beside its times.
const HAS_RETRY: u8 = 1;
const HAS_FAREWELL: u8 = 2;
const LETS_TOPICS_END: u8 = 4;

fn put_drain(out: &mut Vec<u8>, drain: &Drain) -> Result<(), LogRecordError> {
    let bit = |bit, is_so| if is_so { bit } else { 0 };
    out.push(
        bit(HAS_RETRY, drain.retry().is_some())
            | bit(HAS_FAREWELL, drain.farewell().is_some())
            | bit(LETS_TOPICS_END, drain.lets_topics_end()),
    );
    put_time(out, drain.over());
    put_time(out, drain.patience());
    if let Some((least, spread)) = drain.retry() {
        put_time(out, least);
        put_time(out, spread);
    }
    match drain.farewell() {
        Some(event) => LogRecord::new(Audience::Everyone, event.clone()).encode(out),
        None => Ok(()),
    }
}

fn read_drain(reader: &mut Reader<'_>) -> Option<Drain> {
    let bits = reader.byte()?;
    if bits & !(HAS_RETRY | HAS_FAREWELL | LETS_TOPICS_END) != 0 {
        return None;
    }
    let over = reader.time()?;
    let mut drain = Drain::new(over).with_patience(reader.time()?);
    if bits & HAS_RETRY != 0 {
        let least = reader.time()?;
        drain = drain.with_retry(least, reader.time()?);
    }
    if bits & HAS_FAREWELL != 0 {
        let (farewell, behind) = LogRecord::decode(reader.rest()).ok()?;
        drain = drain.with_farewell(farewell.event()?.clone());
        *reader = Reader::new(behind);
    }
    if bits & LETS_TOPICS_END != 0 {
        drain = drain.letting_topics_end();
    }
    Some(drain)
}

/// Why a batch cannot be read at all. All of its positions are a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// It is of a version that is not known here: that of a newer program.
    OtherVersion {
        /// Which.
        version: u8,
    },
    /// The bytes are no batch.
    Malformed,
}

impl BatchError {
    /// Returns whose fault it is: that of who wrote it.
    pub const fn fault(&self) -> Fault {
        Fault::Peer
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion { version } => {
                write!(f, "a batch of the version {version} is not known")
            }
            Self::Malformed => f.write_str("what should be a batch is none"),
        }
    }
}

impl core::error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Audience;
    use crate::event::Event;

    fn records() -> Vec<Record> {
        let (ann, news) = (ClientId::new("ann").unwrap(), TopicName::new("news").unwrap());
        alloc::vec![
            LogRecord::new(Audience::Everyone, Event::new("hi")).into(),
            Record::Revoke(ann.clone()),
            LogRecord::end_of(news.clone()).into(),
            Record::RevokeTopic(ann.clone(), news),
            PresenceRecord::Changes { after: 1, number: 2, clients: alloc::vec![(ann, 3)] }.into(),
            PresenceRecord::Gone.into(),
        ]
    }

    fn batch() -> Bytes {
        let mut batch = Batch::new(NodeId(7));
        for record in records() {
            batch.push(&record).unwrap();
        }
        assert_eq!(batch.count(), 6);
        batch.payload()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = Batch::decode(&batch()).unwrap();
        assert_eq!(read, (NodeId(7), records().into_iter().map(Ok).collect()));
    }

    /// What is in somebody's engine stays readable.
    #[test]
    fn the_bytes_of_this_version_are_these() {
        let mut batch = Batch::new(NodeId(0x0102));
        batch.push(&Record::Revoke(ClientId::new("ann").unwrap())).unwrap();
        let mut bytes = alloc::vec![1, 2, 1];
        bytes.extend([0; 14]);
        bytes.extend(b"\x01\x03\0\0\0ann");
        assert_eq!(batch.payload(), bytes);
    }

    #[test]
    fn a_record_of_another_version_spoils_no_other() {
        let mut bytes = batch().to_vec();
        // The version of the first record, behind its kind.
        bytes[1 + 16 + 1] = 9;
        let (_, read) = Batch::decode(&bytes).unwrap();
        assert!(matches!(read[0], Err(LogRecordError::OtherVersion { version: 9, .. })));
        assert_eq!(read[1..], records()[1..].iter().cloned().map(Ok).collect::<Vec<_>>());
    }

    /// Sessions are told of no gap for it.
    #[test]
    fn presence_of_another_version_is_a_record_that_says_little() {
        let mut batch = Batch::new(NodeId(7));
        batch.push(&PresenceRecord::Lease { number: 1 }.into()).unwrap();
        batch.push(&PresenceRecord::Gone.into()).unwrap();
        let mut bytes = batch.payload().to_vec();
        bytes[1 + 16 + 1] = 9;
        let unknown = PresenceRecord::Unknown { version: 9 };
        let expected = alloc::vec![Ok(unknown.into()), Ok(PresenceRecord::Gone.into())];
        assert_eq!(Batch::decode(&bytes), Ok((NodeId(7), expected)));
    }

    #[test]
    fn no_bytes_make_it_panic_or_take_more_than_they_are() {
        let bytes = batch();
        for length in 0..bytes.len() {
            if let Ok((_, records)) = Batch::decode(&bytes[..length]) {
                assert!(records.len() <= 6);
            }
        }
        for at in 0..bytes.len() {
            let mut spoilt = bytes.to_vec();
            spoilt[at] ^= 0xff;
            let _ = Batch::decode(&spoilt);
        }
        assert_eq!(Batch::decode(b""), Err(BatchError::Malformed));
        assert_eq!(Batch::decode(b"\x02"), Err(BatchError::OtherVersion { version: 2 }));
    }
}
