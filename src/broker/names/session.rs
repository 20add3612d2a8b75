//! The names of sessions.

use super::super::arena::Key;
use core::fmt;

/// The id of one session. No other session of the same broker ever has it.
///
/// It says nothing about the next process: a log line that outlives a restart should name the
/// [`Epoch`](crate::broker::Epoch) beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    shard: u16,
    key: Key,
}

impl SessionId {
    pub(crate) const fn new(shard: u16, key: Key) -> Self {
        Self { shard, key }
    }

    /// Returns the shard on which the session lives:
    /// [`BrokerConfig::shard`](crate::broker::BrokerConfig) of its broker.
    pub const fn shard(self) -> u16 {
        self.shard
    }

    pub(crate) const fn key(self) -> Key {
        self.key
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.key.slot(), self.key.generation())
    }
}
