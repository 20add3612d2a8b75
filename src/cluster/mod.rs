//! One stream on many nodes, and one that outlives its process: the log of a [`realm`](self#realms)
//! in an engine that exists already.
//!
//! # Realms
//!
//! A realm is one stream: one total order, one id. Its events are in a log that an engine keeps: a
//! database that several nodes share, or a file of one node. The engine gives each event its
//! position when it appends it. Every node reads the whole log, and hands it to its own sessions.
//! A browser may come back to any node, with the id of the last event that it got anywhere.
//!
//! What the engine loses is a hole in the positions, and a hole is what sessions are told as a gap.
//! An engine that may have lost something writes a [cut](Content::Cut) into the log, with a position
//! so far ahead that no position ever names two events.
//!
//! | You want | Take |
//! | --- | --- |
//! | a hub that follows a log, and something to publish to | [`Realm`] |
//! | an engine that several nodes share | `RedisLog` of the crate `sansse-redis` |
//! | an engine of one node, in a file | `RedbLog` of the crate `sansse-redb` |
//! | an engine for tests | [`MemoryLog`] |
//! | another engine | [`Log`], four methods |
//! | a driver of your own | [`Node`], a machine |
//!
//! [`Log`] is the seam: what an engine has to do. [`Batch`] is what it keeps, as bytes that concern
//! nobody but the nodes. A [`Node`] decides what is asked of a log and when, what its answers mean to
//! the shards of this process, and what publishers are told. Which engine, what it has to be set to,
//! and what a reader is told when something fails, is in the guide
//! [many nodes](crate::guide::many_nodes).
//!
//! # Who is there
//!
//! With a [`RealmPresence`] each node knows which clients are present on all nodes together, and is
//! told who comes and leaves. Nodes say it to each other in the realm's log.

mod backfill;
mod batch;
mod error;
mod log;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod node;
mod presence;
mod realm;
mod realm_presence;

pub use backfill::BackfillCounters;
pub use batch::{Batch, BatchError, NodeId, Record};
pub use error::{LogError, LogErrorKind};
pub use log::{Append, Appended, Content, Entry, Head, Hello, Log, Page, Read};
pub use memory::MemoryLog;
pub use node::{
    Announcement, Effect, LogAnswer, LogRequest, Node, NodeConfig, NodeCounters, NodeHealth,
    RequestId, Ticket, WhileDown,
};
pub use presence::{Presence, PresenceChange, PresenceConfig, PresenceCounters, PresenceRecord};
pub use realm::{DriveRealm, JoinError, Realm};
pub use realm_presence::{RealmConfig, RealmPresence};
