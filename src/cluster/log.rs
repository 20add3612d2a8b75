//! What an engine has to do for a realm: [`Log`], and what is asked and answered.
//!
//! ```text
//!   entry           entry      cut                      entry
//!  ┌─────────────┬──────────┬───────────────────────┬──────────┐
//!  │ 1 2 3 4 5 6 │ 7 8      │ 9 ......... 9,000,000 │ ...001   │
//!  └─────────────┴──────────┴───────────────────────┴──────────┘
//!   after 0       after 6    after 8                 after 9,000,000
//!   position 6    position 8 position 9,000,000      position 9,000,001
//! ```

use super::batch::NodeId;
use super::error::LogError;
use crate::broker::Epoch;
use alloc::vec::Vec;
use bytes::Bytes;
use core::future::Future;
use core::time::Duration;

/// The log of one realm in an engine: an adapter for each engine implements it.
///
/// What it keeps are entries, one behind the other. Each begins after the position at which the one
/// before it ended, and a reader sees by that whether something is missing. The adapter looks into
/// no payload.
///
/// A node asks for one thing at a time, and beside that for one [`read`](Self::read), which may
/// wait. Beside these it has up to 8 reads under way that wait for nothing, for readers which are
/// older than its memory; they may be answered one after the other. So two connections are enough, and
/// a third one for these. Dropping a future gives the request up; what it asked for may have happened.
///
/// After any error the node says [`hello`](Self::hello) before it asks for anything else. An adapter
/// therefore opens its connections in `hello`, and drops those that failed. It does not try again by
/// itself: the node does, after a while.
pub trait Log: Send + Sync + 'static {
    /// Says who will append, and what this node has seen. The engine compares that with its head,
    /// and with what it knows of its own past: where it may have lost something, it appends a
    /// [cut](Content::Cut) before it answers. The position of a cut is ahead of all that the engine
    /// may have given in a life of which it knows nothing, and by another distance each time: two
    /// servers that follow the same one, or one whose clock is behind, are to give no position twice.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    fn hello(&self, hello: Hello) -> impl Future<Output = Result<Head, LogError>> + Send;

    /// Appends a batch as one entry. The same batch twice is appended once: the answer is that of
    /// the first time.
    ///
    /// # Errors
    ///
    /// [`LogError`]. Whether the batch was appended then is said by
    /// [`LogErrorKind::is_refusal`](super::LogErrorKind::is_refusal).
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, LogError>> + Send;

    /// Reads the entries after a position, in their order, the oldest first. Where there are none
    /// yet, it waits for some; an empty page is the answer when [`Read::wait`] is over.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    fn read(&self, read: Read) -> impl Future<Output = Result<Page, LogError>> + Send;

    /// Returns where the log begins and ends, and that the engine is still the one which this node
    /// is to use.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    fn head(&self) -> impl Future<Output = Result<Head, LogError>> + Send;
}

/// What a node says before it asks for anything: [`Log::hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The life of the process that says it.
    pub node: NodeId,
    /// The life of the stream. The first hello of a realm decides it; another one later is
    /// [`LogErrorKind::OtherEpoch`](super::LogErrorKind::OtherEpoch).
    pub epoch: Epoch,
    /// The highest position that this node has applied, or that the engine has told it of; 0 if
    /// none. The engine gives no position up to it again.
    pub seen: u64,
}

/// Where a log begins and ends.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The position before the oldest entry that is kept; the newest position if none is.
    pub start: u64,
    /// The newest position; 0 if there was never any.
    pub position: u64,
}

/// A batch that is to be appended: [`Log::append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The life of the process that appends.
    pub node: NodeId,
    /// Which of the node's batches it is: each later one has a greater number. The first is 1, or
    /// the microseconds of the [time of day](super::NodeConfig::time_of_day).
    /// The same number again is the same batch, whose answer was lost. A number lower than that of
    /// the node's last batch is a request that was given up and comes late: it is never appended.
    pub number: u64,
    /// As [`Hello::seen`].
    pub seen: u64,
    /// How many positions it takes, 1 at least.
    pub count: u32,
    /// An encoded [`Batch`](super::Batch).
    pub payload: Bytes,
}

/// Where a batch was appended.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The last position of the batch: its first is `count - 1` before it.
    pub last: u64,
    /// How many positions it took, as it was asked for.
    pub count: u32,
}

/// What is to be read: [`Log::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Entries whose position is greater than this.
    pub after: u64,
    /// How many bytes of payloads there should be at most, one entry at least. An adapter whose
    /// engine counts entries and not bytes may be off by a few entries.
    pub max_bytes: u32,
    /// How long to wait where there are none.
    pub wait: Duration,
}

/// Entries of a log, the oldest first.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// One entry of a log.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The position before its first one. Where this is not the position of the entry before it,
    /// something is missing between them.
    pub after: u64,
    /// Its last position, greater than `after`. A batch has one position for each of its records.
    pub position: u64,
    /// How old it is by the engine's clock.
    pub age: Duration,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// An encoded [`Batch`](super::Batch) with one record for each position.
    Batch(#[cfg_attr(feature = "record", serde(with = "crate::record::bytes_as_text"))] Bytes),
    /// Nothing. The engine may have lost entries that nodes have seen or that publishers were told
    /// of: all whose positions lie after [`Entry::after`], which is the last one that survived.
    Cut,
}
