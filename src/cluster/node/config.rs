//! What a node is set to do: [`NodeConfig`], with the defaults and why they are so.

use crate::cluster::NodeId;
use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;

/// The settings of a [`Node`](super::Node).
///
/// ```
/// use sansse::cluster::{NodeConfig, NodeId, WhileDown};
/// use std::time::Duration;
///
/// let mut config = NodeConfig::new(NodeId(0x5eed), 7);
/// // What is published while the engine is away waits for two seconds.
/// config.while_down = WhileDown::Wait(Duration::from_secs(2));
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The life of the process.
    pub node: NodeId,
    /// Decides what looks random: how long the node waits before it tries again. Adapters draw it.
    pub seed: u64,
    /// The time of day when the node is made, as the time since the year 1970 began in UTC. Engines
    /// let positions jump to what their clocks say, so that one that is more than ten years ahead of
    /// this makes no sense, and is refused. One spoilt answer that is believed would be told to the
    /// engine, which would then jump to the end of all positions. Default `None`: any position
    /// below 2^53 is believed. Adapters set it, since the core reads no clock.
    pub time_of_day: Option<Duration>,
    /// How many records wait to be appended at most, those beside that are under way; one more is
    /// [`PublishError::Busy`](crate::broker::PublishError::Busy). Default 10,000: a fifth of a
    /// second at 50,000 events a second.
    pub queued_records: NonZeroUsize,
    /// How many bytes these have at most. Default 16 MiB: the memory that an engine which is away
    /// may cost.
    pub queued_bytes: NonZeroUsize,
    /// How many records are appended at once, at most. Default 256: beyond that an entry becomes
    /// long to read, and no cheaper to append.
    pub batch_records: NonZeroU32,
    /// How many bytes are appended at once, at most, and how large one record may be; a larger one
    /// is [`PublishError::TooLarge`](crate::broker::PublishError::TooLarge). Default 1 MiB, so that
    /// one entry is no more than a page. Let no broker's
    /// [`Retention::bytes`](crate::broker::Retention) be less than the largest event that is
    /// published.
    pub batch_bytes: NonZeroUsize,
    /// How many bytes are read at once. Default 1 MiB: no reply is so large that others wait for
    /// it, and a join takes no more memory than this.
    pub page_bytes: NonZeroU32,
    /// How long a read waits for something to come. Default 5 s: a connection that died without a word
    /// is noticed soon, and an engine that has nothing to tell is asked seldom.
    pub read_wait: Duration,
    /// How much later than [`read_wait`](Self::read_wait) the answer to a read may come. Default
    /// 2 s: after 7 s the connection is dead.
    pub read_margin: Duration,
    /// How long any other answer may take. Default 5 s: no engine that serves takes as long.
    pub answer_within: Duration,
    /// The first wait between two attempts is drawn from zero up to this. The bound doubles with each
    /// attempt, and comes back when a hello and a read were answered. Default 50 ms: a failover is
    /// noticed soon.
    pub backoff_min: Duration,
    /// What the bound of a wait becomes at most. Default 5 s. Each wait is drawn anew, so that nodes that lost their engine at one moment do not
    /// come back at one moment.
    pub backoff_max: Duration,
    /// After how long without anything to read the node looks whether it reads from the engine to
    /// which it appends, and whether that has all that it had. Default 5 s; less than 10 ms counts as 10 ms.
    pub check_every: Duration,
    /// How many positions before the newest are read when the node joins, not counting those over
    /// which cuts have jumped. Default 100,000, which are read in less than a second. It is what
    /// clients can resume from without asking the engine; a broker keeps of it what its retention says.
    pub window: u64,
    /// What becomes of publishes while the engine is down. Default
    /// [`WhileDown::Refuse`].
    pub while_down: WhileDown,
    /// How long a publish waits for its answer once it has been sent. Beyond that it is
    /// [`PublishError::Unconfirmed`](crate::broker::PublishError::Unconfirmed). Default 10 s: one
    /// answer that does not come, and one failover.
    pub confirm_within: Duration,
    /// How long [`Node::shut_down`](super::Node::shut_down) goes on at most. Default 5 s: one answer
    /// that does not come.
    pub shut_down_within: Duration,
    /// Whether the engine is declared to lose nothing that it has acknowledged. A
    /// [cut](crate::cluster::Content::Cut) that begins exactly where this node stands then is no
    /// gap. Default `false`: true only of an engine that makes each batch durable before it
    /// answers, and of which there is one copy.
    pub lossless: bool,
}

/// What becomes of publishes while the engine is down.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileDown {
    /// They are refused at once, with
    /// [`PublishError::EngineDown`](crate::broker::PublishError::EngineDown). So are those that
    /// wait in the queue when the engine goes down.
    #[default]
    Refuse,
    /// They wait in the queue for the engine to come back, each so long at most; then they are
    /// refused.
    Wait(Duration),
}

impl NodeConfig {
    /// Makes a configuration that has all the defaults.
    pub const fn new(node: NodeId, seed: u64) -> Self {
        Self {
            node,
            seed,
            time_of_day: None,
            queued_records: QUEUED_RECORDS,
            queued_bytes: QUEUED_BYTES,
            batch_records: BATCH_RECORDS,
            batch_bytes: BATCH_BYTES,
            page_bytes: PAGE_BYTES,
            read_wait: Duration::from_secs(5),
            read_margin: Duration::from_secs(2),
            answer_within: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            check_every: Duration::from_secs(5),
            window: 100_000,
            while_down: WhileDown::Refuse,
            confirm_within: Duration::from_secs(10),
            shut_down_within: Duration::from_secs(5),
            lossless: false,
        }
    }
}

const QUEUED_RECORDS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
const QUEUED_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add((16 << 20) - 1);
const BATCH_RECORDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);
const BATCH_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 20) - 1);
const PAGE_BYTES: NonZeroU32 = NonZeroU32::MIN.saturating_add((1 << 20) - 1);
