//! A record that is read back, and what comes out when the same is done again.

use super::call::Held;
use super::{Input, Start, VERSION};
use crate::broker::{
    BackfillRequest, Broker, BrokerConfig, BrokerEvent, ConfigError, DrainError, EndReason,
    EventNumber, Filled, LeaseError, OpenError, Opened, PublishError, Published, Resumption,
    RevokeError, SessionId, SubscribeError, TopicSettingError, WaitId,
};
use crate::encode::Frame;
use crate::fault::Fault;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use serde::Deserialize;
use std::time::Instant;

/// A record, of which the first line was read.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The broker's configuration. It may be changed before the replay, to see what would have been
    /// otherwise.
    pub config: BrokerConfig,
    /// The longest line that is read, in bytes. Default 64 MiB: several times an event of the size
    /// that a topic keeps by default, with every character escaped.
    pub max_line: usize,
    /// The keys of each [`ShardMut::set_cursor_keys`](crate::broker::ShardMut::set_cursor_keys) in
    /// the record, in order; those of the beginning belong into [`config`](Self::config). Secrets
    /// are in no record. Default: none.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub later_keys: alloc::vec::Vec<crate::broker::CursorKeys>,
    is_signed: bool,
    rest: &'a [u8],
}

/// A broker to which a record is done again, call by call.
///
/// It is an iterator over the steps. An error is its last item: what follows a line that could not
/// be read would be done to another broker.
#[derive(Debug)]
pub struct Replay<'a> {
    broker: Broker,
    held: Held,
    max_line: usize,
    rest: &'a [u8],
    line: usize,
    done: u64,
}

/// A call that was done again, and what came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplayStep {
    /// The number of its line; the configuration has the first.
    pub line: usize,
    /// What was called, and when.
    pub input: Input,
    /// What that gave.
    pub output: Output,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Of a method that gives nothing.
    Done,
    /// Of [`Broker::open`].
    Opened(Result<Opened, OpenError>),
    /// Of [`Broker::publish`] and [`TopicMut::end`](crate::broker::TopicMut::end).
    Published(Result<Published, PublishError>),
    /// Of [`ShardMut::apply`](crate::broker::ShardMut::apply).
    Applied(Result<(), PublishError>),
    /// Of [`SessionMut::subscribe`](crate::broker::SessionMut::subscribe).
    Subscribed(Result<Resumption, SubscribeError>),
    /// Of [`Broker::poll_transmit`]: the next frame.
    Frame(Frame),
    /// Of [`Broker::poll_transmit`]: nothing now.
    Parked,
    /// Of [`Broker::poll_transmit`]: the end.
    End(Option<EndReason>),
    /// Of [`Broker::poll_transmit_batch`].
    Batch {
        /// What was to be written.
        bytes: Bytes,
        /// How many frames they are.
        frames: usize,
        /// Why there were no more.
        filled: Filled,
    },
    /// Of [`Broker::handle_partial_write`].
    Remainder(Bytes),
    /// Of [`Broker::poll_ready`].
    Ready(Option<SessionId>),
    /// Of [`Broker::poll_event`].
    Event(Option<(EventNumber, BrokerEvent)>),
    /// Of [`Broker::wait_for_readers`] and [`Broker::wait_for_room`].
    Waits(Result<Option<WaitId>, PublishError>),
    /// Of [`Broker::poll_wait`].
    WaitOver(Option<WaitId>),
    /// Of [`SessionMut::close`](crate::broker::SessionMut::close) and
    /// [`SessionMut::unsubscribe`](crate::broker::SessionMut::unsubscribe).
    Found(bool),
    /// Of [`Broker::retry_after`].
    RetryAfter(Option<Duration>),
    /// Of [`SessionMut::renew_lease`](crate::broker::SessionMut::renew_lease).
    Renewed(Result<(), LeaseError>),
    /// Of [`ClientMut::revoke`](crate::broker::ClientMut::revoke) and
    /// [`ClientMut::revoke_topic`](crate::broker::ClientMut::revoke_topic).
    Revoked(Result<usize, RevokeError>),
    /// Of [`TopicMut::set_retention`](crate::broker::TopicMut::set_retention) and
    /// [`TopicMut::set_lag`](crate::broker::TopicMut::set_lag).
    TopicSet(Result<(), TopicSettingError>),
    /// Of `ShardMut::set_cursor_keys`.
    KeysSet(Result<(), ConfigError>),
    /// Of [`ShardMut::set_ahead_wait`](crate::broker::ShardMut::set_ahead_wait).
    SettingSet(Result<(), ConfigError>),
    /// Of [`ShardMut::poll_backfill`](crate::broker::ShardMut::poll_backfill).
    BackfillAsked(Option<BackfillRequest>),
    /// Of [`ShardMut::backfill`](crate::broker::ShardMut::backfill).
    Backfilled(Option<u64>),
    /// Of [`Broker::drain`].
    Draining(Result<(), DrainError>),
}

impl Output {
    pub(super) const fn done((): ()) -> Self {
        Self::Done
    }
}

/// Why a record could not be read, or not further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    line: usize,
    kind: RecordErrorKind,
}

/// What is wrong with a line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// There is not even a first line.
    Empty,
    /// The record ends in the middle of this line, as one does whose writer was stopped. All before
    /// it is whole.
    Cut,
    /// The line is longer than [`Record::max_line`].
    TooLong {
        /// How long lines may be.
        limit: usize,
    },
    /// It is a record of another version, whose calls could have other outputs here.
    Version {
        /// Which, where this is [`VERSION`].
        found: u32,
    },
    /// It is not what a record holds here.
    Malformed {
        /// Where in the line, in bytes from 1 on; 0 where that is not known.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Another call should stand here: entries are missing, or out of order.
    Missing {
        /// Which one should, counted from 1 on.
        number: u64,
    },
    /// The configuration cannot hold.
    Config(ConfigError),
    /// Ids were signed (feature `signed`), and the keys are in no record: they were not given.
    NoKeys,
    /// The time is one that this platform does not have.
    Time,
    /// A write is said to be of a batch that the session did not get.
    NoBatch {
        /// Which session.
        session: SessionId,
    },
    /// The frames of a batch do not end where they could.
    BatchEnds,
}

impl<'a> Record<'a> {
    /// Reads the first line of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`], which is the fault of what wrote the record, or cut it.
    pub fn parse(record: &'a [u8]) -> Result<Self, RecordError> {
        let max_line = 64 << 20;
        let mut rest = record;
        let head = |rest: &mut &'a [u8]| {
            let line = next_line(rest, max_line)?.ok_or(RecordErrorKind::Empty)?;
            // Another version may have anything else in it.
            let version: Version = line.read()?;
            match version.sansse_record {
                VERSION => line.read::<Start>(),
                found => Err(RecordErrorKind::Version { found }),
            }
        };
        let Start { config, is_signed, .. } = head(&mut rest).map_err(|fault| fault.at(1))?;
        Ok(Self {
            config,
            max_line,
            #[cfg(feature = "signed")]
            later_keys: alloc::vec::Vec::new(),
            is_signed,
            rest,
        })
    }

    /// Makes a broker with this configuration at `start`, to which the calls are then done. Times in
    /// outputs, such as that of a lease, are counted from `start`.
    ///
    /// # Errors
    ///
    /// [`RecordErrorKind::Config`] for a configuration that cannot hold, and [`RecordErrorKind::NoKeys`]
    /// for one that lacks the keys that the recorded one had.
    pub fn replay(self, start: Instant) -> Result<Replay<'a>, RecordError> {
        if self.is_signed && self.config.cursor_keys.is_none() {
            return Err(RecordErrorKind::NoKeys.at(1));
        }
        let broker = Broker::new(start, self.config)
            .map_err(|error| RecordErrorKind::Config(error).at(1))?;
        let held = Held {
            #[cfg(feature = "signed")]
            keys: self.later_keys.into(),
            newest: BTreeMap::new(),
        };
        let Self { max_line, rest, .. } = self;
        Ok(Replay { broker, held, max_line, rest, line: 1, done: 0 })
    }
}

#[derive(Deserialize)]
struct Version {
    sansse_record: u32,
}

impl Replay<'_> {
    /// Returns the broker, as it is after the steps so far.
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Returns the broker after the steps so far, for the test to go on with.
    pub fn into_broker(self) -> Broker {
        self.broker
    }

    fn step(&mut self) -> Result<Option<ReplayStep>, RecordErrorKind> {
        let Some(line) = next_line(&mut self.rest, self.max_line)? else { return Ok(None) };
        let input: Input = line.read()?;
        let Input { number, at, call } = input.clone();
        self.done += 1;
        if number != self.done {
            return Err(RecordErrorKind::Missing { number: self.done });
        }
        let output = call.perform(at, &mut self.broker, &mut self.held)?;
        Ok(Some(ReplayStep { line: self.line, input, output }))
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<ReplayStep, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line += 1;
        let step = self.step().map_err(|fault| {
            self.rest = &[];
            fault.at(self.line)
        });
        step.transpose()
    }
}

pub(super) struct TextLine<'a> {
    text: &'a [u8],
    has_end: bool,
}

/// Reads the next line. `None` at the end.
pub(super) fn next_line<'a>(
    rest: &mut &'a [u8],
    limit: usize,
) -> Result<Option<TextLine<'a>>, RecordErrorKind> {
    let all = *rest;
    if all.is_empty() {
        return Ok(None);
    }
    let end = memchr::memchr(b'\n', &all[..all.len().min(limit.saturating_add(1))]);
    let (text, has_end) = match end {
        Some(end) => {
            *rest = &all[end + 1..];
            (&all[..end], true)
        }
        None if all.len() > limit => return Err(RecordErrorKind::TooLong { limit }),
        None => {
            *rest = &[];
            (all, false)
        }
    };
    Ok(Some(TextLine { text, has_end }))
}

impl TextLine<'_> {
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RecordErrorKind> {
        serde_json::from_slice(self.text).map_err(|error| {
            if error.is_eof() && !self.has_end {
                RecordErrorKind::Cut
            } else {
                RecordErrorKind::Malformed { column: error.column(), message: error.to_string() }
            }
        })
    }
}

impl RecordErrorKind {
    pub(super) const fn at(self, line: usize) -> RecordError {
        RecordError { line, kind: self }
    }
}

impl RecordError {
    /// Returns the number of the line, from 1 on.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Returns what is wrong with it.
    pub const fn kind(&self) -> &RecordErrorKind {
        &self.kind
    }

    /// Returns whose fault it is: the caller's where keys were not given, and the peer's, which is
    /// what wrote or kept the record, everywhere else.
    pub const fn fault(&self) -> Fault {
        match self.kind {
            RecordErrorKind::NoKeys => Fault::Caller,
            RecordErrorKind::Empty
            | RecordErrorKind::Cut
            | RecordErrorKind::TooLong { .. }
            | RecordErrorKind::Version { .. }
            | RecordErrorKind::Malformed { .. }
            | RecordErrorKind::Missing { .. }
            | RecordErrorKind::Config(_)
            | RecordErrorKind::Time
            | RecordErrorKind::NoBatch { .. }
            | RecordErrorKind::BatchEnds => Fault::Peer,
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of a record: ", self.line)?;
        match &self.kind {
            RecordErrorKind::Empty => f.write_str("there is none"),
            RecordErrorKind::Cut => f.write_str("it is cut off"),
            RecordErrorKind::TooLong { limit } => write!(f, "longer than {limit} bytes"),
            RecordErrorKind::Version { found } => {
                write!(f, "of version {found}, where {VERSION} is read")
            }
            RecordErrorKind::Malformed { message, .. } => f.write_str(message),
            RecordErrorKind::Missing { number } => write!(f, "call {number} should stand here"),
            RecordErrorKind::Config(error) => error.fmt(f),
            RecordErrorKind::NoKeys => f.write_str("ids are signed by keys that were not given"),
            RecordErrorKind::Time => f.write_str("a time that this platform does not have"),
            RecordErrorKind::NoBatch { session } => {
                write!(f, "session {session} got no such batch")
            }
            RecordErrorKind::BatchEnds => f.write_str("a batch whose frames end where they cannot"),
        }
    }
}

impl core::error::Error for RecordError {}
