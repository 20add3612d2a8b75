//! Where a session's output goes: into one frame, or into a batch.

use super::batch::{Batch, Source};
use crate::broker::names::SessionId;
use crate::encode::Frame;

/// What takes the output of one poll.
pub(crate) trait Sink {
    /// Begins with nothing, for this poll of this session.
    fn begin(&mut self, session: SessionId, poll: u32);

    /// Takes an event before anything else, for which there always is room: the one with this
    /// number of a channel, by the subscription that is its source.
    fn take(&mut self, subscription: u32, channel: u32, number: u64, frame: &Frame);

    /// Takes an event, as [`take`](Self::take) does, if there is room.
    fn offer(&mut self, subscription: u32, channel: u32, number: u64, frame: &Frame) -> Room;

    /// Takes an event at this position that was read of a log outside, if there is room.
    fn offer_history(&mut self, position: u64, frame: &Frame) -> Room;

    /// Records that the newest event moved the cursor of another subscription as well.
    fn share(&mut self, subscription: u32, number: u64);

    /// Takes a frame that is no event, whether or not it has room.
    fn put(&mut self, source: Source, frame: Frame);

    /// Returns whether the frame may join what was taken.
    fn has_room(&self, frame: &Frame) -> bool;

    /// Returns whether nothing more can be taken.
    fn is_full(&self) -> bool;

    fn is_empty(&self) -> bool;

    /// Returns whether what was taken may come back, since a write does not take it.
    fn may_come_back(&self) -> bool;
}

/// What a [`Sink`] says to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It was taken.
    Taken,
    /// It was taken, and is the last.
    TakenLast,
    /// It was not taken.
    None,
}

/// Takes one frame.
#[derive(Debug, Default)]
pub(crate) struct FrameSink {
    taken: Option<Taken>,
}

/// The frame that was taken.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The event with this number of this channel.
    Event { channel: u32, number: u64 },
    /// One of the session's own, or one that no channel has.
    Frame(Frame),
}

impl FrameSink {
    pub(crate) fn into_taken(self) -> Option<Taken> {
        self.taken
    }
}

impl Sink for FrameSink {
    #[inline]
    fn begin(&mut self, _: SessionId, _: u32) {}

    #[inline]
    fn take(&mut self, _: u32, channel: u32, number: u64, _: &Frame) {
        self.taken = Some(Taken::Event { channel, number });
    }

    #[inline]
    fn offer(&mut self, subscription: u32, channel: u32, number: u64, frame: &Frame) -> Room {
        if self.taken.is_some() {
            return Room::None;
        }
        self.take(subscription, channel, number, frame);
        Room::TakenLast
    }

    fn offer_history(&mut self, _: u64, frame: &Frame) -> Room {
        if self.taken.is_some() {
            return Room::None;
        }
        self.taken = Some(Taken::Frame(frame.clone()));
        Room::TakenLast
    }

    fn share(&mut self, _: u32, _: u64) {}

    fn put(&mut self, _: Source, frame: Frame) {
        self.taken = Some(Taken::Frame(frame));
    }

    fn has_room(&self, _: &Frame) -> bool {
        self.taken.is_none()
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.taken.is_some()
    }

    fn is_empty(&self) -> bool {
        self.taken.is_none()
    }

    fn may_come_back(&self) -> bool {
        false
    }
}

/// Takes what is together about so many bytes, or one larger frame.
#[derive(Debug)]
pub(crate) struct BatchSink<'a> {
    batch: &'a mut Batch,
    limit: usize,
}

impl<'a> BatchSink<'a> {
    pub(crate) const fn new(batch: &'a mut Batch, limit: usize) -> Self {
        Self { batch, limit }
    }
}

impl Sink for BatchSink<'_> {
    #[inline]
    fn begin(&mut self, session: SessionId, poll: u32) {
        self.batch.stamp(session, poll);
    }

    fn take(&mut self, subscription: u32, _: u32, number: u64, frame: &Frame) {
        self.batch.push(Source::Subscription(subscription), number, frame);
    }

    #[inline]
    fn offer(&mut self, subscription: u32, _: u32, number: u64, frame: &Frame) -> Room {
        let source = Source::Subscription(subscription);
        if self.batch.push_within(self.limit, source, number, frame) {
            Room::Taken
        } else {
            Room::None
        }
    }

    fn offer_history(&mut self, position: u64, frame: &Frame) -> Room {
        // Not as other events are, so that what takes those has one caller, and no call.
        if !self.has_room(frame) {
            return Room::None;
        }
        self.batch.push(Source::History, position, frame);
        Room::Taken
    }

    fn share(&mut self, subscription: u32, number: u64) {
        self.batch.push_shared(Source::Subscription(subscription), number);
    }

    fn put(&mut self, source: Source, frame: Frame) {
        self.batch.push(source, 0, &frame);
    }

    fn has_room(&self, frame: &Frame) -> bool {
        self.batch.has_room(frame, self.limit)
    }

    #[inline]
    fn is_full(&self) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    fn may_come_back(&self) -> bool {
        true
    }
}
