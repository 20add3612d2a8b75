//! Why a record could not be read: [`RecordError`].

use super::VERSION;
use crate::broker::{ConfigError, SessionId};
use crate::fault::Fault;
use alloc::string::String;
use core::fmt;

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
    /// The line is longer than [`Record::max_line`](super::Record::max_line).
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
