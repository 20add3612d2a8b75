//! A node whose calls go to a sink before they are done.

use super::super::{Entry, Line, VERSION};
use super::{Call, NodeInput, Start};
use crate::broker::{PublishError, Sequencer};
use crate::cluster::{
    Effect, LogAnswer, LogError, LogRequest, Node, NodeConfig, Record, RequestId, Ticket,
};
use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;
use std::time::Instant;

/// A [`Node`] that [records](crate::record) what is done to it.
///
/// Its methods are the node's: those that can change it are here, with the same meaning, and the
/// others are reached by `Deref`. There is no way around the record.
///
/// ```
/// use sansse::broker::{Epoch, EventIds, Sequencer};
/// use sansse::cluster::{Effect, Head, LogAnswer, NodeConfig, NodeHealth, NodeId};
/// use sansse::record::{NodeOutput, NodeRecord, RecordedNode};
/// use std::fmt::Write;
/// use std::sync::{Arc, Mutex};
/// # let now = std::time::Instant::now();
///
/// let text = Arc::new(Mutex::new(String::new()));
/// let sink = text.clone();
/// let (config, ids) = (NodeConfig::new(NodeId(7), 42), EventIds::Assigned);
/// let sequencer = Sequencer::new(Epoch(0xbeef), 0, ids);
/// let mut node = RecordedNode::new(now, config, sequencer, move |entry| {
///     writeln!(sink.lock().unwrap(), "{entry}").unwrap();
/// });
/// let Some((hello, _)) = node.poll_request(now) else { panic!() };
/// node.handle_answer(now, hello, Ok(LogAnswer::Hello(Head::default())));
/// let effect = node.poll_effect();
/// assert_eq!(effect, Some(Effect::Health(NodeHealth::Ready)));
///
/// // The test: all of it again, from the text.
/// let text = text.lock().unwrap().clone();
/// let mut outputs = Vec::new();
/// for step in NodeRecord::parse(text.as_bytes())?.replay(now)? {
///     outputs.push(step?.output);
/// }
/// assert_eq!(outputs.last(), Some(&NodeOutput::Effect(effect)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordedNode {
    node: Node,
    began: Instant,
    /// The latest time that the node was told, in nanoseconds since it was made.
    latest: u64,
    sink: Option<Sink>,
    recorded: u64,
}

type Sink = Box<dyn FnMut(Entry) + Send>;

impl RecordedNode {
    /// Makes a node, and a record from its beginning on.
    ///
    /// `sink` gets each entry before what it tells of is done. It runs within the call: it should
    /// be quick, or send the entry on to a thread that writes. If it panics, the call is not done.
    pub fn new(
        now: Instant,
        config: NodeConfig,
        sequencer: Sequencer,
        sink: impl FnMut(Entry) + Send + 'static,
    ) -> Self {
        let mut sink: Sink = Box::new(sink);
        sink(Entry(Line::NodeStart(Box::new(Start {
            sansse_node_record: VERSION,
            config: config.clone(),
            epoch: sequencer.epoch(),
            last: sequencer.last(),
            ids: sequencer.ids(),
            is_signed: sequencer.is_signing(),
        }))));
        let node = Node::new(now, config, sequencer);
        Self { node, began: now, latest: 0, sink: Some(sink), recorded: 0 }
    }

    /// Ends the record and drops its sink. It cannot begin again: a record starts with its node.
    pub fn stop_recording(&mut self) {
        self.sink = None;
    }

    /// Returns whether calls are recorded.
    pub const fn is_recording(&self) -> bool {
        self.sink.is_some()
    }

    fn note(&mut self, now: Instant, call: impl FnOnce() -> Call) {
        let since = now.saturating_duration_since(self.began);
        let at = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.latest = self.latest.max(at);
        self.note_at(at, call);
    }

    fn note_at(&mut self, at: u64, call: impl FnOnce() -> Call) {
        if let Some(sink) = &mut self.sink {
            self.recorded += 1;
            let (number, call) = (self.recorded, call());
            sink(Entry(Line::NodeInput(Box::new(NodeInput { number, at, call }))));
        }
    }

    /// Takes something to be appended, as [`Node::publish`] does.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing is done.
    pub fn publish(&mut self, now: Instant, record: Record) -> Result<Ticket, PublishError> {
        self.note(now, || Call::Publish { record: record.clone() });
        self.node.publish(now, record)
    }

    /// Takes the answer to a request, as [`Node::handle_answer`] does.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        request: RequestId,
        answer: Result<LogAnswer, LogError>,
    ) {
        self.note(now, || Call::HandleAnswer {
            request: request.get(),
            answer: Box::new(answer.clone()),
        });
        self.node.handle_answer(now, request, answer);
    }

    /// Does what is due, as [`Node::handle_timeout`] does.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.note(now, || Call::HandleTimeout);
        self.node.handle_timeout(now);
    }

    /// Begins to shut down, as [`Node::shut_down`] does.
    pub fn shut_down(&mut self, now: Instant) {
        self.note(now, || Call::ShutDown);
        self.node.shut_down(now);
    }

    /// Returns what [`Node::poll_request`] returns. `None`, and what may change that, is as there.
    pub fn poll_request(&mut self, now: Instant) -> Option<(RequestId, LogRequest)> {
        self.note(now, || Call::PollRequest);
        self.node.poll_request(now)
    }

    /// Returns what [`Node::poll_effect`] returns. `None`, and what may change that, is as there.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.node.has_effect() {
            self.note_at(self.latest, || Call::PollEffect);
        }
        self.node.poll_effect()
    }

    /// Signs ids with other keys, as [`Node::set_cursor_keys`] does. The keys are not recorded.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&mut self, keys: crate::broker::CursorKeys) {
        self.note_at(self.latest, || Call::SetCursorKeys);
        self.node.set_cursor_keys(keys);
    }
}

/// Without a record.
impl From<Node> for RecordedNode {
    fn from(node: Node) -> Self {
        let began = node.began();
        Self { node, began, latest: 0, sink: None, recorded: 0 }
    }
}

impl Deref for RecordedNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl fmt::Debug for RecordedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedNode")
            .field("node", &self.node)
            .field("recorded", &self.recorded)
            .field("is_recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}
