//! One node of a realm: [`Node`], a machine that appends to the realm's log, reads it, and says what
//! the node's shards are to do.

mod backoff;
mod config;
mod counters;
mod deadline;
mod health;
mod link;
mod outbox;
mod reader;
mod request;
mod watch;

pub use config::{NodeConfig, WhileDown};
pub use counters::NodeCounters;
pub use health::NodeHealth;
pub use request::{Announcement, Effect, LogAnswer, LogRequest, RequestId, Ticket};

use super::{Append, Appended, Batch, Head, Hello, LogError, LogErrorKind, Page, Read, Record};
use crate::broker::{LogRecord, LogRecordError, LogStep, PublishError, Sequencer};
use alloc::vec::Vec;
use backoff::Backoff;
use core::time::Duration;
use deadline::{Deadline, is_due};
use link::{Asked, Link, Reading};
use outbox::Outbox;
use reader::Reader;
use std::time::Instant;
use watch::{Finding, Watch};

/// An empty page that comes so soon did not wait, however short a wait it was asked for.
const SOON: Duration = Duration::from_millis(10);

/// One node of a realm.
///
/// It is a plain value without a lock, a clock or a socket. Its driver has a
/// [`Log`](super::Log) and the shards of a broker, passes the time, and does in a loop:
///
/// 1. [`poll_effect`](Self::poll_effect) until there is none: apply steps, settle publishes, drop
///    requests that are given up;
/// 2. [`poll_request`](Self::poll_request) until there is none: ask the log, each request as a
///    future of its own, two at most;
/// 3. wait for an answer, a publish, or the time of [`poll_timeout`](Self::poll_timeout).
///
/// # What it asks
///
/// It says hello before anything else. Then it has one read under way at all times, and beside that
/// an append, or a question for the head, one at a time. After any error, and where no answer comes
/// in time, it gives up both, waits for a drawn time, and says hello again. A batch whose fate is
/// not known is then sent again with its number, before any other. An engine that is
/// [full](LogErrorKind::Full) serves on: its publishers are told, and sessions read what there is.
///
/// # What it says of the log
///
/// Each entry says after which position it begins. Where that is not the position up to which the
/// node has applied the log, something is missing: the shards are told of a [`LogStep::Cut`], and tell
/// their sessions of a gap. What cannot be read here is a cut as well. No position comes twice.
///
/// # Bounds
///
/// What waits to be appended is bounded by the [configuration](NodeConfig); so are a batch and a
/// page. Nothing grows while the engine is down. No page is asked for before the steps of the one
/// before it have been polled, no request before the driver was told that its place is free, and
/// publishes are refused while results are not polled: what a driver leaves does not pile up.
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Audience, Epoch, EventIds, LogRecord, Sequencer, LogStep};
/// use sansse::cluster::{LogAnswer, Appended, Content, Effect, Entry, Head, NodeHealth, Page};
/// use sansse::cluster::{Node, NodeConfig, NodeId, LogRequest};
/// use std::time::Duration;
/// # let now = std::time::Instant::now();
///
/// let sequencer = Sequencer::new(Epoch(0xbeef), 0, EventIds::Assigned);
/// let mut node = Node::new(now, NodeConfig::new(NodeId(7), 42), sequencer);
/// let Some((id, LogRequest::Hello(hello))) = node.poll_request(now) else { panic!() };
/// assert_eq!(hello.seen, 0);
/// // The log is empty, so that there is nothing to wait for.
/// node.handle_answer(now, id, Ok(LogAnswer::Hello(Head::default())));
/// assert_eq!(node.poll_effect(), Some(Effect::Health(NodeHealth::Ready)));
///
/// let record = LogRecord::new(Audience::Everyone, Event::new("hello"));
/// let ticket = node.publish(now, record.into())?;
/// let Some((append_id, LogRequest::Append(append))) = node.poll_request(now) else { panic!() };
/// let Some((read_id, LogRequest::Read(read))) = node.poll_request(now) else { panic!() };
/// assert_eq!((append.number, append.count, read.after), (1, 1, 0));
///
/// // The engine appends it, and says so; what is applied comes by the read.
/// let appended = Appended { last: 1, count: 1 };
/// node.handle_answer(now, append_id, Ok(LogAnswer::Appended(appended)));
/// assert_eq!(node.poll_effect(), Some(Effect::Settled(ticket, Ok(1))));
/// let content = Content::Batch(append.payload);
/// let entry = Entry { after: 0, position: 1, age: Duration::ZERO, content };
/// node.handle_answer(now, read_id, Ok(LogAnswer::Page(Page { entries: vec![entry] })));
/// let Some(Effect::Apply(steps)) = node.poll_effect() else { panic!() };
/// let [LogStep::Publish { published, .. }] = &steps[..] else { panic!() };
/// assert_eq!(published.frame().payload(), "id: beef-1\ndata: hello\n\n");
/// # Ok::<(), sansse::broker::PublishError>(())
/// ```
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    began: Instant,
    now: Instant,
    link: Link,
    outbox: Outbox,
    reader: Reader,
    watch: Watch,
    health: health::State,
    /// What is to be applied next.
    steps: Vec<LogStep>,
    ending: Ending,
    counters: NodeCounters,
}

/// Whether the node goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Not,
    /// It appends what it has, until this time at the latest.
    ShuttingDown {
        until: Option<Instant>,
    },
    Over,
}

impl Node {
    /// Makes a node. The sequencer makes the frames of what is read, with the epoch and the ids of
    /// the broker. Its [last](Sequencer::last) position is that up to which the shards have applied
    /// the log already; 0 for new ones.
    pub fn new(now: Instant, config: NodeConfig, sequencer: Sequencer) -> Self {
        let backoff = Backoff::new(config.seed, config.backoff_min, config.backoff_max);
        Self {
            began: now,
            now,
            link: Link::new(backoff),
            outbox: Outbox::new(config.time_of_day),
            watch: Watch::new(config.check_every, sequencer.last()),
            reader: Reader::new(config.node, config.lossless, sequencer),
            health: health::State::new(),
            steps: Vec::new(),
            ending: Ending::Not,
            counters: NodeCounters::default(),
            config,
        }
    }

    /// Takes something to be appended to the log. [`Effect::Settled`] says what came of it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing is done, and nothing will be.
    ///
    /// - [`Closed`](PublishError::Closed): the node shuts down.
    /// - [`UnusableId`](PublishError::UnusableId), [`TooLarge`](PublishError::TooLarge): no node
    ///   could publish it.
    /// - [`EngineDown`](PublishError::EngineDown): the engine failed and has not served since, and
    ///   the node was not told [to let publishes wait](WhileDown::Wait). What is published before
    ///   the first hello is answered waits for that.
    /// - [`Busy`](PublishError::Busy): as much waits as [may](NodeConfig::queued_records).
    pub fn publish(&mut self, now: Instant, record: Record) -> Result<Ticket, PublishError> {
        self.advance(now);
        if self.ending != Ending::Not {
            return Err(PublishError::Closed);
        }
        if let Record::Publish(record) = &record {
            self.reader.sequencer().check_id(record.event().and_then(|event| event.id()))?;
        }
        let record = self.encode(&record)?;
        if self.link.is_down() && self.config.while_down == WhileDown::Refuse {
            self.counters.refused_down += 1;
            return Err(PublishError::EngineDown);
        }
        let pushed = self.outbox.push(self.now, &self.config, record.into());
        if pushed.is_err() {
            self.counters.refused_busy += 1;
        }
        pushed
    }

    fn encode(&self, record: &Record) -> Result<Vec<u8>, PublishError> {
        let limit = self.config.batch_bytes.get().min(LogRecord::MAX_SIZE);
        let mut bytes = Vec::new();
        let size = match record.encode(&mut bytes) {
            Ok(()) => bytes.len(),
            Err(LogRecordError::TooLarge { size }) => size,
            Err(_) => usize::MAX,
        };
        if size > limit.saturating_sub(Batch::HEAD) || bytes.is_empty() {
            return Err(PublishError::TooLarge { size, limit });
        }
        Ok(bytes)
    }

    /// Takes the answer to a request. An answer to one that was given up, or that there never was,
    /// does nothing.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        request: RequestId,
        answer: Result<LogAnswer, LogError>,
    ) {
        self.advance(now);
        if let Some(asked) = self.link.take_asked(request) {
            if let Err(error) = self.handle_asked(asked, answer)
                && !self.has_no_room(asked, error)
            {
                self.fail(error, Some(asked));
            }
        } else if let Some(reading) = self.link.take_read(request)
            && let Err(error) = self.handle_read(reading, answer)
        {
            self.fail(error, None);
        }
        self.finish_if_done();
    }

    fn handle_asked(
        &mut self,
        asked: Asked,
        answer: Result<LogAnswer, LogError>,
    ) -> Result<(), LogErrorKind> {
        match (asked, answer.map_err(|error| error.kind())?) {
            (Asked::Hello, LogAnswer::Hello(head)) => self.greeted(head),
            (Asked::Append, LogAnswer::Appended(appended)) => self.appended(appended),
            (Asked::Head, LogAnswer::Head(head)) => self.judge(head),
            _ => Err(LogErrorKind::Malformed),
        }
    }

    fn greeted(&mut self, head: Head) -> Result<(), LogErrorKind> {
        // The engine was told what this node knows, and is to be beyond that.
        if !self.is_possible(head) || head.position < self.watch.known() {
            return Err(LogErrorKind::Malformed);
        }
        if !self.link.greeted() {
            self.counters.reconnects += 1;
        }
        self.health.greeted(head.position);
        self.reader.join(head, self.config.window, &mut self.steps);
        self.watch.begin(self.now);
        self.watch.told(self.now, head.position, self.reader.cursor());
        self.health.applied(self.reader.applied());
        Ok(())
    }

    fn appended(&mut self, appended: Appended) -> Result<(), LogErrorKind> {
        let is_possible = appended.last < self.end_of_positions();
        if !is_possible || !self.outbox.appended(appended, &mut self.counters) {
            return Err(LogErrorKind::Malformed);
        }
        self.watch.appended(self.now, appended.last, self.reader.cursor());
        Ok(())
    }

    fn judge(&mut self, head: Head) -> Result<(), LogErrorKind> {
        if !self.is_possible(head) {
            return Err(LogErrorKind::Malformed);
        }
        match self.watch.judge(self.now, head, self.reader.cursor()) {
            Finding::AllIsWell => {}
            Finding::Gone(start) => {
                // What it would bring may be older than the cut.
                self.link.give_up_read();
                self.counters.holes += 1;
                self.reader.pass(start, &mut self.steps);
                self.watch.told(self.now, head.position, self.reader.cursor());
                self.health.applied(self.reader.applied());
            }
            Finding::Lost => {
                self.watch.end();
                self.link.greet_again();
            }
            Finding::ReadsElsewhere => return Err(LogErrorKind::Unreachable),
        }
        Ok(())
    }

    fn handle_read(
        &mut self,
        reading: Reading,
        answer: Result<LogAnswer, LogError>,
    ) -> Result<(), LogErrorKind> {
        let LogAnswer::Page(page) = answer.map_err(|error| error.kind())? else {
            return Err(LogErrorKind::Malformed);
        };
        self.take(reading, page)
    }

    fn take(&mut self, reading: Reading, page: Page) -> Result<(), LogErrorKind> {
        if page.entries.is_empty() {
            let waited = self.now.saturating_duration_since(reading.since);
            // Also where it is not to wait at all, since it takes its time.
            if waited <= (self.config.read_wait / 2).max(SOON) {
                self.link.rest(self.now);
            }
        } else {
            let end = self.end_of_positions();
            self.reader.take(page, end, &mut self.steps, &mut self.counters)?;
            self.watch.read(self.now, self.reader.applied());
            self.health.applied(self.reader.applied());
        }
        self.link.has_read();
        Ok(())
    }

    /// An engine that has no room for a batch serves as ever, and lets read. Returns whether it is that:
    /// publishes that are to wait need an engine that is asked again later, as one that failed is.
    fn has_no_room(&mut self, asked: Asked, error: LogErrorKind) -> bool {
        let is_full = asked == Asked::Append && error == LogErrorKind::Full;
        is_full
            && self.config.while_down == WhileDown::Refuse
            && self.outbox.refused(&mut self.counters)
    }

    /// The engine failed, in what was asked or in a read.
    fn fail(&mut self, error: LogErrorKind, asked: Option<Asked>) {
        match asked {
            Some(Asked::Append) if error.is_refusal() => {
                self.outbox.refused(&mut self.counters);
            }
            Some(Asked::Append) => self.outbox.doubt(),
            // An append is given up that got no answer, or beside a read that failed.
            _ if self.link.asked() == Some(Asked::Append) => self.outbox.doubt(),
            _ => {}
        }
        self.counters.failures += 1;
        self.link.fail(self.now);
        self.watch.end();
        self.health.failed(self.now, error);
        match self.config.while_down {
            WhileDown::Refuse => self.outbox.refuse_queue(&mut self.counters),
            WhileDown::Wait(_) => self.outbox.refuse_overdue(self.now, &mut self.counters),
        }
    }

    /// Does what is due. Call it at the time of [`poll_timeout`](Self::poll_timeout); at any other
    /// time it does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let now = self.now;
        if let Ending::ShuttingDown { until } = self.ending
            && is_due(until, now)
        {
            self.finish();
        }
        if self.link.handle_timeout(now) {
            self.fail(LogErrorKind::Unreachable, None);
        }
        self.watch.handle_timeout(now);
        self.outbox.handle_timeout(now, self.link.is_down(), &mut self.counters);
        self.finish_if_done();
    }

    /// Appends what waits, and then asks nothing more. No publish is taken from now on. It goes on
    /// reading until what it has appended was read, so that its own sessions get that.
    ///
    /// It takes [`NodeConfig::shut_down_within`] at most. What was not sent by then is settled as
    /// [`EngineDown`](PublishError::EngineDown), and what was not answered as
    /// [`Unconfirmed`](PublishError::Unconfirmed). When it [is over](Self::is_over), the driver has
    /// nothing more to do than to take the effects that are left.
    pub fn shut_down(&mut self, now: Instant) {
        self.advance(now);
        if self.ending == Ending::Not {
            let until = self.now.checked_add(self.config.shut_down_within);
            self.ending = Ending::ShuttingDown { until };
            self.finish_if_done();
        }
    }

    fn finish_if_done(&mut self) {
        let is_shutting_down = matches!(self.ending, Ending::ShuttingDown { .. });
        let has_read =
            !self.link.is_serving() || self.reader.cursor() >= self.watch.last_appended();
        if is_shutting_down && !self.outbox.owes_result() && has_read {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.ending = Ending::Over;
        self.link.finish();
        self.watch.end();
        self.outbox.refuse_queue(&mut self.counters);
        self.outbox.give_up_sent(&mut self.counters);
    }

    /// Returns whether the node has [shut down](Self::shut_down) and asks nothing more.
    pub fn is_over(&self) -> bool {
        self.ending == Ending::Over
    }

    /// Returns what is to be asked of the log next. There are two requests under way at most, one of
    /// which is a read.
    ///
    /// `None`: nothing is to be asked now. That may change after
    /// [`handle_answer`](Self::handle_answer), [`publish`](Self::publish),
    /// [`handle_timeout`](Self::handle_timeout), and after [`poll_effect`](Self::poll_effect) gave
    /// something. The time for the answer counts from `now`.
    pub fn poll_request(&mut self, now: Instant) -> Option<(RequestId, LogRequest)> {
        self.advance(now);
        let now = self.now;
        let answer = Deadline::after(now, self.config.answer_within);
        if self.link.wants_hello() {
            let (node, seen) = (self.config.node, self.watch.known());
            let hello = Hello { node, epoch: self.reader.sequencer().epoch(), seen };
            return Some((self.link.ask(Asked::Hello, answer), LogRequest::Hello(hello)));
        }
        if self.link.can_ask() {
            // Before appends, which may go on without end.
            if self.watch.wants_head() {
                self.watch.asked_head();
                return Some((self.link.ask(Asked::Head, answer), LogRequest::Head));
            }
            if let Some(append) = self.next_append() {
                return Some((self.link.ask(Asked::Append, answer), LogRequest::Append(append)));
            }
        }
        if self.link.can_read() && self.steps.is_empty() && !self.reader.has_announced() {
            let (after, wait) = (self.reader.cursor(), self.config.read_wait);
            let read = Read { after, max_bytes: self.config.page_bytes.get(), wait };
            let deadline = Deadline::after(now, wait.saturating_add(self.config.read_margin));
            let reading = Reading { since: now };
            return Some((self.link.read(reading, deadline), LogRequest::Read(read)));
        }
        None
    }

    fn next_append(&mut self) -> Option<Append> {
        self.outbox.next(self.now, &self.config, self.watch.known())
    }

    /// Returns what is to be done, or told, next.
    ///
    /// `None`: there is nothing now. That may change after [`handle_answer`](Self::handle_answer),
    /// [`handle_timeout`](Self::handle_timeout) and [`shut_down`](Self::shut_down).
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if let Some(request) = self.link.poll_given_up() {
            return Some(Effect::GiveUp(request));
        }
        if !self.steps.is_empty() {
            return Some(Effect::Apply(core::mem::take(&mut self.steps)));
        }
        if self.reader.has_announced() {
            return Some(Effect::Presence(self.reader.take_announced()));
        }
        if let Some((ticket, result)) = self.outbox.poll_settled() {
            return Some(Effect::Settled(ticket, result));
        }
        self.health.poll().map(Effect::Health)
    }

    /// Returns whether [`poll_effect`](Self::poll_effect) has something.
    #[cfg(feature = "record")]
    pub(crate) fn has_effect(&self) -> bool {
        self.link.has_given_up()
            || !self.steps.is_empty()
            || self.reader.has_announced()
            || self.outbox.has_settled()
            || self.health.is_news()
    }

    /// Returns when the node was made.
    #[cfg(feature = "record")]
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called.
    ///
    /// `None`: at no time. That may change after each other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let until = match self.ending {
            Ending::Not => None,
            Ending::ShuttingDown { until } => until,
            Ending::Over => return None,
        };
        let (link, watch) = (self.link.next_timeout(), self.watch.next_timeout());
        let outbox = self.outbox.next_timeout(self.link.is_down());
        [until, link, watch, outbox].into_iter().flatten().min()
    }

    /// Returns how well the node is.
    pub const fn health(&self) -> NodeHealth {
        self.health.get()
    }

    /// Returns the last position of all that the node gave to be applied; 0 if there was nothing.
    pub const fn applied(&self) -> u64 {
        self.reader.applied()
    }

    /// Returns the numbering by which it makes frames.
    pub(crate) const fn sequencer(&self) -> &Sequencer {
        self.reader.sequencer()
    }

    /// Returns what the node has done.
    pub fn counters(&self) -> NodeCounters {
        let mut counters = self.counters;
        self.outbox.count(&mut counters);
        counters
    }

    /// Signs the ids of all that is read from now on with other keys, as
    /// [`ShardMut::set_cursor_keys`](crate::broker::ShardMut::set_cursor_keys) does in a shard.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&mut self, keys: crate::broker::CursorKeys) {
        self.reader.sequencer_mut().set_cursor_keys(keys);
    }

    /// Returns whether a log can begin and end like this.
    fn is_possible(&self, head: Head) -> bool {
        head.start <= head.position && head.position < self.end_of_positions()
    }

    /// Returns the first position that makes no sense now.
    fn end_of_positions(&self) -> u64 {
        let Some(time) = self.config.time_of_day else { return END_OF_POSITIONS };
        let since = self.now.saturating_duration_since(self.began);
        let seconds = time.saturating_add(since).as_secs().saturating_add(AHEAD_OF_CLOCK);
        seconds.saturating_mul(POSITIONS_A_SECOND).min(END_OF_POSITIONS)
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// Engines count in doubles: no position is as large as this.
const END_OF_POSITIONS: u64 = 1 << 53;

/// By how many positions those of an engine go ahead that jumps to what its clock says, in a second.
const POSITIONS_A_SECOND: u64 = 1_024_000;

/// How far an engine's clock may be ahead of this node's, in seconds: ten years.
const AHEAD_OF_CLOCK: u64 = 10 * 366 * 24 * 3_600;
