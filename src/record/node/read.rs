//! A record of a node that is read back, and what comes out when the same is done again.

use super::super::error::{RecordError, RecordErrorKind};
use super::super::lines::{Head, Lines, MAX_LINE, Numbered};
use super::{Call, NodeInput, Start};
use crate::broker::{PublishError, Sequencer};
use crate::cluster::{Effect, LogRequest, Node, NodeConfig, RequestId, Ticket};
use core::time::Duration;
use serde::Deserialize;
use std::time::Instant;

/// A record of a node, of which the first line was read.
#[derive(Clone, Debug)]
pub struct NodeRecord<'a> {
    /// The node's configuration. It may be changed before the replay, to see what would have been
    /// otherwise.
    pub config: NodeConfig,
    /// The node's sequencer. Secrets are in no record: where ids were signed, it is to be given its
    /// keys before the replay.
    pub sequencer: Sequencer,
    /// The longest line that is read, in bytes. Default 64 MiB: several times an answer of the
    /// default size, each byte of which takes two.
    pub max_line: usize,
    /// The keys of each [`Node::set_cursor_keys`] in the record, in order. Default: none.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub later_keys: alloc::vec::Vec<crate::broker::CursorKeys>,
    is_signed: bool,
    lines: Lines<'a>,
}

/// A node to which a record is done again, call by call.
///
/// It is an iterator over the steps. An error is its last item: what follows a line that could not
/// be read would be done to another node.
#[derive(Debug)]
pub struct NodeReplay<'a> {
    node: Node,
    start: Instant,
    #[cfg(feature = "signed")]
    keys: alloc::collections::VecDeque<crate::broker::CursorKeys>,
    max_line: usize,
    lines: Lines<'a>,
}

/// A call that was done again, and what came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeReplayStep {
    /// The number of its line; the configuration has the first.
    pub line: usize,
    /// What was called, and when.
    pub input: NodeInput,
    /// What that gave.
    pub output: NodeOutput,
}

/// What a call of a node gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeOutput {
    /// Of a method that gives nothing.
    Done,
    /// Of [`Node::publish`].
    Published(Result<Ticket, PublishError>),
    /// Of [`Node::poll_request`].
    Request(Option<(RequestId, LogRequest)>),
    /// Of [`Node::poll_effect`].
    Effect(Option<Effect>),
}

#[derive(Deserialize)]
struct Version {
    sansse_node_record: u32,
}

impl Head for Version {
    fn version(&self) -> u32 {
        self.sansse_node_record
    }
}

impl Numbered for NodeInput {
    fn number(&self) -> u64 {
        self.number
    }
}

impl<'a> NodeRecord<'a> {
    /// Reads the first line of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`], which is the fault of what wrote the record, or cut it.
    pub fn parse(record: &'a [u8]) -> Result<Self, RecordError> {
        let (start, lines) = Lines::begin::<Version, Start>(record)?;
        Ok(Self {
            config: start.config,
            sequencer: Sequencer::new(start.epoch, start.last, start.ids),
            max_line: MAX_LINE,
            #[cfg(feature = "signed")]
            later_keys: alloc::vec::Vec::new(),
            is_signed: start.is_signed,
            lines,
        })
    }

    /// Makes a node with this configuration at `start`, to which the calls are then done.
    ///
    /// # Errors
    ///
    /// [`RecordErrorKind::NoKeys`] for a sequencer that lacks the keys that the recorded one had.
    pub fn replay(self, start: Instant) -> Result<NodeReplay<'a>, RecordError> {
        if self.is_signed && !self.sequencer.is_signing() {
            return Err(RecordErrorKind::NoKeys.at(1));
        }
        Ok(NodeReplay {
            node: Node::new(start, self.config, self.sequencer),
            start,
            #[cfg(feature = "signed")]
            keys: self.later_keys.into(),
            max_line: self.max_line,
            lines: self.lines,
        })
    }
}

impl NodeReplay<'_> {
    /// Returns the node, as it is after the steps so far.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Returns the node after the steps so far, for the test to go on with.
    pub fn into_node(self) -> Node {
        self.node
    }

    fn step(&mut self, input: NodeInput) -> Result<NodeReplayStep, RecordError> {
        let now = self.start.checked_add(Duration::from_nanos(input.at));
        let output = now
            .ok_or(RecordErrorKind::Time)
            .and_then(|now| self.perform(now, input.call.clone()))
            .map_err(|fault| self.lines.end(fault))?;
        Ok(NodeReplayStep { line: self.lines.number(), input, output })
    }

    fn perform(&mut self, now: Instant, call: Call) -> Result<NodeOutput, RecordErrorKind> {
        match call {
            Call::Publish { record } => {
                return Ok(NodeOutput::Published(self.node.publish(now, record)));
            }
            Call::PollRequest => return Ok(NodeOutput::Request(self.node.poll_request(now))),
            Call::PollEffect => return Ok(NodeOutput::Effect(self.node.poll_effect())),
            Call::HandleAnswer { request, answer } => {
                self.node.handle_answer(now, RequestId::of(request), *answer);
            }
            Call::HandleTimeout => self.node.handle_timeout(now),
            Call::ShutDown => self.node.shut_down(now),
            #[cfg(feature = "signed")]
            Call::SetCursorKeys => {
                let keys = self.keys.pop_front().ok_or(RecordErrorKind::NoKeys)?;
                self.node.set_cursor_keys(keys);
            }
            #[cfg(not(feature = "signed"))]
            Call::SetCursorKeys => return Err(RecordErrorKind::NoKeys),
        }
        Ok(NodeOutput::Done)
    }
}

impl Iterator for NodeReplay<'_> {
    type Item = Result<NodeReplayStep, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let input = self.lines.next_call(self.max_line)?;
        Some(input.and_then(|input| self.step(input)))
    }
}
