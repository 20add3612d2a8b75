//! How clients, sessions, topics and streams are named.

use super::arena::Key;
use crate::event::EventId;
use alloc::format;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// The longest client id and topic name, in bytes.
///
/// Long enough for a URL path or two UUIDs, short enough that names from strangers cost little.
pub const MAX_NAME: usize = 256;

/// The most levels that the name of a topic, or a pattern, may have.
///
/// Finding the patterns that match a name looks at no more than two ways for each level.
pub const MAX_LEVELS: usize = 16;

/// Who is connected, by a name of the application's own: a user, a device, a visitor.
///
/// 1 to [`MAX_NAME`] bytes of any text. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Validates `text` as a client id.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check_length(text.as_ref()).map(|text| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a topic to which sessions subscribe.
///
/// 1 to [`MAX_NAME`] bytes without control characters and without `*`, which is kept for
/// [patterns](super::TopicPattern). Slashes divide it into levels, at most [`MAX_LEVELS`]; a level
/// may be empty, and is one then: `/news` is not `news`. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Validates `text` as the name of a topic.
    ///
    /// # Errors
    ///
    /// [`NameError`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        check_text(text, |c| c.is_control() || c == '*')?;
        check_levels(text)?;
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn check_text(text: &str, forbidden: impl Fn(char) -> bool) -> Result<(), NameError> {
    match check_length(text)?.char_indices().find(|(_, character)| forbidden(*character)) {
        Some((position, character)) => Err(NameError::Forbidden { position, character }),
        None => Ok(()),
    }
}

pub(super) fn check_levels(text: &str) -> Result<(), NameError> {
    match text.split('/').count() {
        levels if levels > MAX_LEVELS => Err(NameError::TooManyLevels { levels }),
        _ => Ok(()),
    }
}

/// So that all names that begin alike can be found together.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

pub(super) fn check_length(text: &str) -> Result<&str, NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > MAX_NAME => Err(NameError::TooLong { length }),
        _ => Ok(text),
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`ClientId`], [`TopicName`] or [`TopicPattern`](super::TopicPattern), by the
/// caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than [`MAX_NAME`] bytes.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text holds a character that has no place in the name of a topic.
    Forbidden {
        /// Where it stands, in bytes.
        position: usize,
        /// What it is.
        character: char,
    },
    /// The text has more than [`MAX_LEVELS`] levels.
    TooManyLevels {
        /// How many.
        levels: usize,
    },
    /// A wildcard of a pattern is only a part of its level, or `**` is not the last level.
    Wildcard {
        /// Where it stands, in bytes.
        position: usize,
    },
    /// The text of a pattern holds no wildcard: it is the name of a topic.
    NoWildcard,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::TooLong { length } => {
                write!(f, "the name has {length} bytes, more than {MAX_NAME}")
            }
            Self::Forbidden { position, character } => {
                write!(f, "{character:?} at byte {position} of a topic's name")
            }
            Self::TooManyLevels { levels } => {
                write!(f, "the name has {levels} levels, more than {MAX_LEVELS}")
            }
            Self::Wildcard { position } => {
                write!(f, "the wildcard at byte {position} is no level, or not the last one")
            }
            Self::NoWildcard => f.write_str("the pattern has no wildcard"),
        }
    }
}

impl core::error::Error for NameError {}

/// One connection of a client; never used twice by the same broker.
///
/// It says nothing about the next process: a log line that outlives a restart should name the
/// [`Epoch`] beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    shard: u16,
    key: Key,
}

impl SessionId {
    pub(crate) const fn new(shard: u16, key: Key) -> Self {
        Self { shard, key }
    }

    /// Which shard the session lives on: [`BrokerConfig::shard`](super::BrokerConfig) of its broker.
    pub const fn shard(self) -> u16 {
        self.shard
    }

    pub(crate) const fn key(self) -> Key {
        self.key
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.key.slot, self.key.generation)
    }
}

/// Which life of the stream a position belongs to.
///
/// Positions start anew when a process does, so every process must have another epoch: a random
/// number, or one that is counted up on disk. All shards of one stream share one, and two streams
/// whose readers could be mixed up have different ones: where that cannot be promised, let
/// `CursorKeys` (feature `signed`) bind ids to their stream. Adapters bring a function that draws
/// one, since the core draws no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A place in a stream, as the broker writes it into event ids: `epoch-position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) epoch: Epoch,
    pub(super) position: u64,
}

impl Cursor {
    /// Only the exact text that [`event_id`](Self::event_id) writes is a cursor.
    pub(super) fn parse(id: &EventId) -> Option<Self> {
        let (epoch, position) = id.as_str().split_once('-')?;
        let cursor = Self {
            epoch: Epoch(u64::from_str_radix(epoch, 16).ok()?),
            position: position.parse().ok()?,
        };
        (cursor.event_id() == *id).then_some(cursor)
    }

    pub(super) fn event_id(self) -> EventId {
        EventId::trusted(format!("{:x}-{}", self.epoch.0, self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_of_a_cursor_is_one() {
        let cursor = Cursor { epoch: Epoch(0xbeef), position: 17 };
        assert_eq!(cursor.event_id().as_str(), "beef-17");
        let parse = |text: &'static str| Cursor::parse(&EventId::new(text).unwrap());
        assert_eq!(parse("beef-17"), Some(cursor));
        for text in ["", "-", "beef", "beef-", "-17", "BEEF-17", "+beef-17", "beef-+17"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["0beef-17", "beef-017", "beef-17 ", "beef-18446744073709551616", "beef--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_refused_with_its_reason() {
        assert_eq!(ClientId::new(""), Err(NameError::Empty));
        assert_eq!(ClientId::new("x".repeat(257)), Err(NameError::TooLong { length: 257 }));
        assert!(ClientId::new("x".repeat(256)).is_ok());
        assert_eq!(
            TopicName::new("a/*"),
            Err(NameError::Forbidden { position: 2, character: '*' })
        );
        assert_eq!(
            TopicName::new("é\n"),
            Err(NameError::Forbidden { position: 2, character: '\n' })
        );
    }
}
