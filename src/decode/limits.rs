//! How much a peer may make the decoder hold, and what it is told when that is not enough.

use core::fmt;

/// How much memory a peer may use.
///
/// All limits count bytes of the decoded text, in which an ill-formed sequence is three
/// bytes long, and so do not depend on how the stream was cut into chunks. At a limit the decoder
/// reports a [`DecodeError`], drops the event, and goes on after the next blank line.
///
/// A decoder that is polled after each chunk holds no more than a small multiple of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(super) max_line: usize,
    pub(super) max_event: usize,
    pub(super) max_id: usize,
}

impl Limits {
    /// 16 MiB for a line and for an event: room for an image or a document as base64 in one line,
    /// and little enough that a peer which never ends its line does no harm. 1,024 bytes for an id:
    /// more than any server in use sends, and what a [`LastEventId`](crate::LastEventId) may have.
    pub const DEFAULT: Self = Self { max_line: 16 << 20, max_event: 16 << 20, max_id: 1024 };

    /// Sets the largest length of a line in bytes, its name included and its end not.
    pub const fn with_max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Sets the largest length of an event's data in bytes, the line ends between its lines included.
    pub const fn with_max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Sets the largest length of an event's id in bytes.
    ///
    /// An id stays with all events that follow it, is copied with each that the application keeps,
    /// and goes out as a header with the next request. So it costs far more than its bytes on the
    /// wire, and has a limit of its own.
    pub const fn with_max_id(mut self, bytes: usize) -> Self {
        self.max_id = bytes;
        self
    }

    /// Returns the largest length of a line in bytes.
    pub const fn max_line(&self) -> usize {
        self.max_line
    }

    /// Returns the largest length of an event's data in bytes.
    pub const fn max_event(&self) -> usize {
        self.max_event
    }

    /// Returns the largest length of an event's id in bytes.
    pub const fn max_id(&self) -> usize {
        self.max_id
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The peer sent more than [`Limits`] allow, and an event was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A line is longer than [`Limits::max_line`], a comment or an unknown field included.
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The data of an event is longer than [`Limits::max_event`].
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The id of an event is longer than [`Limits::max_id`]. The last event ID stays what it was.
    IdTooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong { limit } => {
                write!(f, "the peer sent a line of more than {limit} bytes")
            }
            Self::EventTooLarge { limit } => {
                write!(f, "the peer sent an event of more than {limit} bytes")
            }
            Self::IdTooLong { limit } => {
                write!(f, "the peer sent an id of more than {limit} bytes")
            }
        }
    }
}

impl core::error::Error for DecodeError {}
