//! What a log outside of this process says happened, place by place: [`LogStep`].

use super::config::Drain;
use super::names::{ClientId, TopicName};
use super::sequence::Published;
use core::time::Duration;

/// What happened at one place of a log outside, as shards are told of it; see
/// [`ShardMut::apply_step`](super::ShardMut::apply_step).
///
/// Each step comes after the one before it: its position is greater than that of the newest event
/// here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogStep {
    /// Something was published.
    Publish {
        /// The event, or the end of a topic.
        published: Published,
        /// How long ago: an event that is loaded keeps its age, and goes when it is as old as its
        /// topic's [retention](super::Retention) says.
        age: Duration,
    },
    /// Nothing that concerns a session was published up to this position.
    Skip {
        /// The last of these positions.
        through: u64,
    },
    /// What was published up to this position, after the newest event here, is lost, or may be:
    /// every session is told of a gap.
    Cut {
        /// The last position that may be lost.
        through: u64,
    },
    /// A client lost its rights: its sessions end at once, as by
    /// [`ClientMut::revoke`](super::ClientMut::revoke).
    Revoke {
        /// Where.
        position: u64,
        /// Whose sessions.
        client: ClientId,
    },
    /// A client lost its right to a topic, as by
    /// [`ClientMut::revoke_topic`](super::ClientMut::revoke_topic).
    RevokeTopic {
        /// Where.
        position: u64,
        /// Whose sessions.
        client: ClientId,
        /// What is taken from them.
        topic: TopicName,
    },
    /// All sessions are let go, as by [`Broker::drain`](super::Broker::drain).
    Drain {
        /// Where.
        position: u64,
        /// How.
        drain: Drain,
    },
}

impl LogStep {
    /// Returns the last position that it concerns.
    pub const fn position(&self) -> u64 {
        match self {
            Self::Publish { published, .. } => published.position(),
            Self::Skip { through } | Self::Cut { through } => *through,
            Self::Revoke { position, .. }
            | Self::RevokeTopic { position, .. }
            | Self::Drain { position, .. } => *position,
        }
    }
}
