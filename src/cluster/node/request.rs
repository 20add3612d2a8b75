//! What goes out of a node and comes into it: requests to the engine, their answers, and effects.

use super::health::NodeHealth;
use crate::broker::{LogStep, PublishError};
use crate::cluster::{Append, Appended, Head, Hello, NodeId, Page, PresenceRecord, Read};
use alloc::vec::Vec;
use core::time::Duration;

/// Names one request of one node. No two requests of a node have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// The request with this number.
    #[cfg(feature = "record")]
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number: the first request has 1, and each later one the next.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a node asks of its [`Log`](crate::cluster::Log).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRequest {
    /// [`Log::hello`](crate::cluster::Log::hello).
    Hello(Hello),
    /// [`Log::append`](crate::cluster::Log::append).
    Append(Append),
    /// [`Log::read`](crate::cluster::Log::read).
    Read(Read),
    /// [`Log::head`](crate::cluster::Log::head).
    Head,
}

/// What the [`Log`](crate::cluster::Log) answered. An answer of another kind than its request is as
/// good as one that makes no sense.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogAnswer {
    /// To [`LogRequest::Hello`].
    Hello(Head),
    /// To [`LogRequest::Append`].
    Appended(Appended),
    /// To [`LogRequest::Read`].
    Page(Page),
    /// To [`LogRequest::Head`].
    Head(Head),
}

/// Names one publish of one node, until it is [settled](Effect::Settled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    /// Returns its number: the first publish that is taken has 1, and each later one the next.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a node wants done, or has to tell: [`Node::poll_effect`](super::Node::poll_effect).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Apply these in their order, as one, to every shard:
    /// [`ShardMut::apply_step`](crate::broker::ShardMut). Their positions rise, and are greater than
    /// those of all steps before.
    Apply(Vec<LogStep>),
    /// What nodes, also this one, have said of their clients, in the order of the log: for a
    /// [`Presence`](crate::cluster::Presence), if there is one. It comes after the steps of the same
    /// page.
    Presence(Vec<Announcement>),
    /// A publish is over: it has this position in the log, or an error. Each ticket is settled once.
    Settled(Ticket, Result<u64, PublishError>),
    /// The node's [health](super::Node::health) is another one than before.
    Health(NodeHealth),
    /// The answer to this request is wanted no more. Drop its future, and with it the connection
    /// that it used. Until this is polled no other request takes its place.
    GiveUp(RequestId),
}

/// What a node has said of its clients, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// Which node.
    pub node: NodeId,
    /// How long ago, by the engine's clock.
    pub age: Duration,
    /// What.
    pub record: PresenceRecord,
}
