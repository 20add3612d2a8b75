//! What came of a stream and was not polled yet.

use crate::decode::{Decoder, Limits, Message, Step};
use crate::event::EventId;
use core::time::Duration;
use http::Response;

pub(super) struct Inbox {
    decoder: Decoder,
    head: Option<Response<()>>,
    is_head_polled: bool,
    /// How many bytes came since all was polled.
    unread: usize,
    is_drained: bool,
}

impl Inbox {
    pub(super) fn new(limits: Limits, last_event_id: Option<EventId>) -> Self {
        let mut decoder = Decoder::new().with_limits(limits);
        if let Some(id) = last_event_id {
            decoder = decoder.with_last_event_id(id);
        }
        Self { decoder, head: None, is_head_polled: false, unread: 0, is_drained: true }
    }

    /// Begins a stream.
    pub(super) fn open(&mut self, head: Response<()>) {
        self.clear();
        self.head = Some(head);
    }

    /// Drops what was not polled. The last event ID and the reconnection time stay.
    pub(super) fn clear(&mut self) {
        self.decoder.reset();
        self.head = None;
        self.is_head_polled = false;
        self.skip_rest();
    }

    /// Polls nothing more of this stream. What is lent stays so.
    pub(super) fn skip_rest(&mut self) {
        self.is_drained = true;
        self.unread = 0;
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.decoder.handle_data(chunk);
        self.unread = self.unread.saturating_add(chunk.len());
        self.is_drained = false;
    }

    /// Ends the line and the block that the stream leaves unfinished, if it does.
    pub(super) fn complete_block(&mut self) {
        self.push(b"\n\n");
    }

    pub(super) fn end(&mut self) {
        self.decoder.handle_eof();
    }

    /// Whether a stream was opened, and this is the first to hear of it. The head of one that was
    /// heard of before is freed.
    pub(super) fn poll_open(&mut self) -> bool {
        if self.is_head_polled {
            self.head = None;
            self.is_head_polled = false;
        }
        self.is_head_polled = self.head.is_some();
        self.is_head_polled
    }

    pub(super) fn poll_step(&mut self) -> Option<Step> {
        if self.is_drained {
            return None;
        }
        let step = self.decoder.poll_step();
        if step.is_none() {
            self.skip_rest();
        }
        step
    }

    pub(super) fn head(&self) -> Option<&Response<()>> {
        self.head.as_ref()
    }

    pub(super) fn message(&self) -> Message<'_> {
        self.decoder.message()
    }

    pub(super) fn comment(&self) -> &str {
        self.decoder.comment()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether a further chunk is more than may wait.
    pub(super) fn would_overrun(&self, chunk: &[u8], max_unread: usize) -> bool {
        !self.is_drained && self.unread.saturating_add(chunk.len()) > max_unread
    }

    /// Whether a block was begun and not ended.
    pub(super) fn is_inside_block(&self) -> bool {
        self.decoder.is_inside_block()
    }

    pub(super) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    pub(super) fn reconnection_time(&self) -> Option<Duration> {
        self.decoder.reconnection_time()
    }
}
