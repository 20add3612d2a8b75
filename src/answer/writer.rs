//! The machine of an answer: events and time go in, bytes come out.

use crate::broker::StreamEnd;
use crate::encode::{Frame, Framing};
use crate::event::Event;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

/// What can be set about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerConfig {
    heartbeat: Option<Duration>,
    stall_timeout: Option<Duration>,
    batch: usize,
}

impl AnswerConfig {
    /// The defaults; the setters say what they are and why.
    pub const DEFAULT: Self = Self {
        heartbeat: Some(Duration::from_secs(15)),
        stall_timeout: Some(Duration::from_secs(60)),
        batch: 64 << 10,
    };

    /// Sets after how long without anything written a heartbeat is; `None` for no heartbeats. A
    /// heartbeat is a comment, which no reader takes for an event.
    ///
    /// Default 15 s, as for a [session](crate::broker::SessionDefaults::heartbeat): proxies give up
    /// a connection that is silent for 30 to 60 s.
    pub const fn with_heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Sets how long the reader may take nothing of what waits for it, before the answer ends as
    /// [stalled](AnswerEnd::Stalled); `None` for ever.
    ///
    /// Default 60 s, as for a [session](crate::broker::SessionDefaults::stall_timeout): a reader
    /// that reads slowly takes something in that time, and one that takes nothing holds up the
    /// application's stream, and all that this keeps.
    pub const fn with_stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Sets how many bytes of events that are ready at the same time are joined for one write. An
    /// answer holds no more than this and one event. 0 joins nothing.
    ///
    /// Default 65,536: beyond that a write gains nothing.
    pub const fn with_batch(mut self, bytes: usize) -> Self {
        self.batch = bytes;
        self
    }
}

impl Default for AnswerConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerEnd {
    /// All events were written.
    Complete,
    /// The events failed. What came before is written, and what tells of the failure.
    Failed,
    /// The reader took nothing for the stall timeout.
    Stalled,
}

impl AnswerEnd {
    /// Returns how the stream is to end on the wire: in good order only if it is complete.
    pub const fn stream_end(self) -> StreamEnd {
        match self {
            Self::Complete => StreamEnd::Clean,
            Self::Failed | Self::Stalled => StreamEnd::Cut,
        }
    }
}

/// An answer of events to one reader, without the events' source and without the reader.
///
/// A driver is a loop over these:
///
/// 1. while [`wants_event`](Self::wants_event), ask the source of the events, and hand in what it
///    gives: [`handle_event`](Self::handle_event), [`handle_end`](Self::handle_end) or
///    [`handle_failure`](Self::handle_failure);
/// 2. write what [`poll_transmit`](Self::poll_transmit) gives, and say how much of it was written:
///    [`handle_written`](Self::handle_written);
/// 3. at [`end`](Self::end), close the connection;
/// 4. wait until the source has something, the connection takes something, or
///    [`poll_timeout`](Self::poll_timeout).
///
/// ```
/// use sansse::answer::{AnswerConfig, AnswerEnd, AnswerWriter};
/// use sansse::{Event, Framing};
/// # use std::time::Duration;
/// # let now = std::time::Instant::now();
///
/// let mut answer = AnswerWriter::new(now, Framing::Chunked, AnswerConfig::DEFAULT);
/// assert!(answer.wants_event());
/// answer.handle_event(now, &Event::new("hello"));
/// let bytes = answer.poll_transmit().expect("the event");
/// assert_eq!(bytes, "d\r\ndata: hello\n\n\r\n");
/// // Nothing more is wanted before this is written.
/// assert!(!answer.wants_event());
/// answer.handle_written(now, bytes.len());
///
/// let later = now + Duration::from_secs(15);
/// assert_eq!(answer.poll_timeout(), Some(later));
/// answer.handle_timeout(later);
/// let heartbeat = answer.poll_transmit().expect("a heartbeat");
/// answer.handle_written(later, heartbeat.len());
///
/// answer.handle_end(later);
/// assert_eq!(answer.poll_transmit().expect("the end of the body"), "0\r\n\r\n");
/// answer.handle_written(later, 5);
/// assert_eq!(answer.end(), Some(AnswerEnd::Complete));
/// ```
pub struct AnswerWriter {
    config: AnswerConfig,
    framing: Framing,
    buffer: Vec<u8>,
    /// How many bytes were taken and are not written yet.
    in_flight: usize,
    /// How it ends when everything is written.
    ending: Option<AnswerEnd>,
    /// Whether it has ended.
    is_over: bool,
    /// When it is stalled, while something waits to be written; else when a heartbeat is due.
    deadline: Option<Instant>,
    /// Whether the deadline is later than it was, since it was slept through.
    had_grace: bool,
}

/// How much longer a reader has whose time to take something was slept through. It is also by how
/// much a deadline is missed that was slept through, and not only noticed late.
const GRACE: Duration = Duration::from_secs(1);

impl AnswerWriter {
    /// Begins an answer whose head is written. The first heartbeat is due at once, for an answer
    /// without an event yet: Firefox tells a page that its stream is open only with the first byte
    /// of the body, and some proxies hold the head back until then.
    pub fn new(now: Instant, framing: Framing, config: AnswerConfig) -> Self {
        let mut answer = Self {
            config,
            framing,
            buffer: Vec::new(),
            in_flight: 0,
            ending: None,
            is_over: false,
            deadline: None,
            had_grace: false,
        };
        answer.deadline = config.heartbeat.map(|_| now);
        answer
    }

    /// Returns whether the next event is wanted. It is while nothing is being written and what is
    /// to be written next has room. It may change after every other call.
    pub fn wants_event(&self) -> bool {
        let has_room = self.buffer.is_empty() || self.buffer.len() < self.config.batch;
        self.ending.is_none() && self.in_flight == 0 && has_room
    }

    /// Takes the next event. One that is not [wanted](Self::wants_event) is held all the same; one
    /// after the end is dropped.
    pub fn handle_event(&mut self, now: Instant, event: &Event) {
        if self.ending.is_none() {
            self.push(now, event);
        }
    }

    /// Tells that there are no more events: the answer is complete. An answer that has ended stays
    /// as it is.
    pub fn handle_end(&mut self, now: Instant) {
        if self.ending.is_none() {
            let was_idle = self.is_idle();
            self.ending = Some(AnswerEnd::Complete);
            self.buffer.extend_from_slice(self.framing.end());
            self.settle(now, was_idle);
        }
    }

    /// Tells that the source of the events failed. `event` goes out last, to tell the reader. An
    /// answer that has ended stays as it is.
    pub fn handle_failure(&mut self, now: Instant, event: Option<&Event>) {
        if self.ending.is_none() {
            let was_idle = self.is_idle();
            self.ending = Some(AnswerEnd::Failed);
            if let Some(event) = event {
                self.encode(event);
            }
            self.settle(now, was_idle);
        }
    }

    /// Returns what is to be written next.
    ///
    /// `None`: nothing. It may change after any `handle_*`.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        // No buffer is kept: answers spend most of their time waiting for the next event.
        let bytes = core::mem::take(&mut self.buffer);
        self.in_flight += bytes.len();
        (!bytes.is_empty()).then(|| bytes.into())
    }

    /// Records that so many more bytes were written of what [`poll_transmit`](Self::poll_transmit)
    /// gave.
    pub fn handle_written(&mut self, now: Instant, bytes: usize) {
        if bytes > 0 && !self.is_over {
            self.in_flight = self.in_flight.saturating_sub(bytes);
            self.settle(now, true);
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    ///
    /// `None`: never, as it stands. It may change after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets time pass: call it when [`poll_timeout`](Self::poll_timeout) is reached. Early calls do
    /// nothing. A stall whose time was slept through, by a process that was stopped for example, is
    /// none yet: the reader has one more second to take something.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(deadline) = self.deadline.filter(|deadline| *deadline <= now) else { return };
        if self.is_idle() {
            self.push(now, &Event::heartbeat());
        } else if !self.had_grace && now - deadline > GRACE {
            self.had_grace = true;
            self.deadline = now.checked_add(GRACE);
        } else {
            self.buffer = Vec::new();
            self.ending = Some(AnswerEnd::Stalled);
            self.is_over = true;
            self.deadline = None;
        }
    }

    /// Returns how the answer ended, once that is so: everything is written, or never will be.
    ///
    /// `None`: not yet. It may change after any `handle_*`; what was said once stays.
    pub fn end(&self) -> Option<AnswerEnd> {
        self.ending.filter(|_| self.is_over)
    }

    fn push(&mut self, now: Instant, event: &Event) {
        let was_idle = self.is_idle();
        self.encode(event);
        self.settle(now, was_idle);
    }

    fn encode(&mut self, event: &Event) {
        self.buffer.extend_from_slice(self.framing.slice(&Frame::new(event)));
    }

    /// Whether nothing waits to be written.
    fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.in_flight == 0
    }

    /// Ends the answer if everything is written that ends it. Time begins anew if `has_moved`.
    fn settle(&mut self, now: Instant, has_moved: bool) {
        self.is_over |= self.ending.is_some() && self.is_idle();
        if has_moved || self.is_over {
            self.set_deadline(now);
        }
    }

    fn set_deadline(&mut self, now: Instant) {
        let time = match self.is_idle() {
            _ if self.is_over => None,
            true => self.config.heartbeat,
            false => self.config.stall_timeout,
        };
        self.deadline = time.and_then(|time| now.checked_add(time));
        self.had_grace = false;
    }
}

impl fmt::Debug for AnswerWriter {
    /// Without what is written, which may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerWriter")
            .field("waiting", &self.buffer.len())
            .field("in_flight", &self.in_flight)
            .field("ending", &self.ending)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
