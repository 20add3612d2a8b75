//! What was done to a node of a realm, as text, and the same done again.

mod forms;
mod read;
mod recorded;

pub(crate) use forms::bytes_as_text;
pub use read::{NodeOutput, NodeRecord, NodeReplay, NodeReplayStep};
pub use recorded::RecordedNode;

use super::write_json;
use crate::broker::{Epoch, EventIds};
use crate::cluster::{LogAnswer, LogError, NodeConfig, Record};
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    sansse_node_record: u32,
    config: NodeConfig,
    /// The sequencer's, without the keys that it may have.
    epoch: Epoch,
    last: u64,
    ids: EventIds,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    is_signed: bool,
}

/// A call of a node, and when. As text (by `Display`) it is the line of the record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeInput {
    /// From 1 on, so that one that is missing is noticed.
    number: u64,
    /// In nanoseconds.
    at: u64,
    call: Call,
}

/// What a method of a node was called with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Call {
    Publish { record: Record },
    HandleAnswer { request: u64, answer: Box<Result<LogAnswer, LogError>> },
    HandleTimeout,
    ShutDown,
    PollRequest,
    PollEffect,
    SetCursorKeys,
}

impl NodeInput {
    /// When, since the node was made; for a call without a time, the latest before it.
    pub const fn at(&self) -> Duration {
        Duration::from_nanos(self.at)
    }
}

impl fmt::Display for NodeInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_json(self, f)
    }
}
