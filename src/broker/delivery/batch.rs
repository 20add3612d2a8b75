//! What is pending for one session, joined for one write.

use crate::broker::names::SessionId;
use crate::encode::{Frame, Framing};
use alloc::vec::Vec;
use bytes::Bytes;

/// A caller-owned buffer into which
/// [`Broker::poll_transmit_batch`](crate::broker::Broker::poll_transmit_batch) puts what one write
/// takes.
///
/// One batch serves any number of sessions, one after the other: what a write did not take goes
/// back with [`Broker::handle_partial_write`](crate::broker::Broker::handle_partial_write), so that
/// nothing of it has to be kept for a slow peer.
#[derive(Debug)]
pub struct Batch {
    framing: Framing,
    joined: Vec<u8>,
    /// A frame that is not copied, alone in its batch.
    single: Option<Frame>,
    /// From how many bytes on the first frame is not copied before there is a second one.
    single_from: usize,
    parts: Vec<Part>,
    /// How many of the parts are no frames of their own.
    shared: usize,
    /// Whose it is, and of which poll: only the newest poll's can be taken back.
    origin: Option<(SessionId, u32)>,
}

/// One frame of a batch: which of the session's cursors it moved, from where, and where it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    source: Source,
    cursor: u64,
    end: usize,
}

/// Where a frame of a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An event, by the subscription with this number.
    Subscription(u32),
    /// An event that was read of a log outside. Its number is its position.
    History,
    /// The session's place, which is owed again if it comes back.
    Place,
    /// Anything else that is no event. It is the first or the last of its batch, and never comes
    /// back.
    Own,
}

impl Part {
    pub(crate) const fn source(&self) -> Source {
        self.source
    }

    /// Returns the number from which the cursor was moved.
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }
}

/// Larger frames are handed over as they are. Copying one costs more than the two reference
/// counts from about here on, and would blow up the buffer.
const SINGLE: usize = 16 << 10;

impl Batch {
    /// Makes an empty batch.
    pub const fn new(framing: Framing) -> Self {
        Self {
            framing,
            joined: Vec::new(),
            single: None,
            single_from: SINGLE,
            parts: Vec::new(),
            shared: 0,
            origin: None,
        }
    }

    /// Makes an empty batch for bodies, whose frame is [taken](Self::take_bytes) without a copy where
    /// it is the only one.
    #[cfg(feature = "http-body")]
    pub(crate) const fn for_bodies() -> Self {
        let mut batch = Self::new(Framing::Plain);
        batch.single_from = 0;
        batch
    }

    /// Makes an empty batch with a buffer of this many bytes.
    pub fn with_capacity(framing: Framing, bytes: usize) -> Self {
        Self { joined: Vec::with_capacity(bytes), ..Self::new(framing) }
    }

    /// Sets how frames are framed and forgets what is in the batch.
    pub fn reset(&mut self, framing: Framing) {
        self.framing = framing;
        self.clear();
    }

    /// Returns the bytes to write.
    pub fn as_slice(&self) -> &[u8] {
        match &self.single {
            Some(frame) => self.framing.slice(frame),
            None => &self.joined,
        }
    }

    /// Returns how many bytes there are to write.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns how many frames there are.
    pub fn frames(&self) -> usize {
        self.parts.len() - self.shared
    }

    pub(crate) fn clear(&mut self) {
        self.joined.clear();
        self.single = None;
        self.parts.clear();
        self.shared = 0;
        self.origin = None;
    }

    /// Records which session, and which poll of it, the batch comes from.
    pub(crate) fn stamp(&mut self, session: SessionId, poll: u32) {
        self.origin = Some((session, poll));
    }

    pub(crate) fn is_of(&self, session: SessionId, poll: u32) -> bool {
        self.origin == Some((session, poll))
    }

    /// Returns whether `frame` may join what is there without passing `limit` bytes.
    pub(crate) fn has_room(&self, frame: &Frame, limit: usize) -> bool {
        let length = self.framing.slice(frame).len();
        self.parts.is_empty()
            || match &self.single {
                None => length < SINGLE && self.joined.len() + length <= limit,
                Some(single) => self.may_join(single, length, limit),
            }
    }

    fn may_join(&self, single: &Frame, length: usize, limit: usize) -> bool {
        let before = self.framing.slice(single).len();
        before.max(length) < SINGLE && before + length <= limit
    }

    /// As [`has_room`](Self::has_room), for a frame of this length that is added then.
    #[inline]
    fn make_room(&mut self, length: usize, limit: usize) -> bool {
        self.parts.is_empty()
            || if self.single.is_none() {
                length < SINGLE && self.joined.len() + length <= limit
            } else {
                self.join_single(length, limit)
            }
    }

    /// Copies the frame that is alone, if another of this length may join it. Returns whether it may.
    #[cold]
    fn join_single(&mut self, length: usize, limit: usize) -> bool {
        let may_join = self.single.as_ref().is_some_and(|one| self.may_join(one, length, limit));
        if may_join {
            self.copy_single();
        }
        may_join
    }

    /// Adds `frame` if there is room for it. Returns whether there was.
    #[inline]
    pub(crate) fn push_within(
        &mut self,
        limit: usize,
        source: Source,
        cursor: u64,
        frame: &Frame,
    ) -> bool {
        let length = self.framing.slice(frame).len();
        let has_room = self.make_room(length, limit);
        if has_room {
            let bytes = self.framing.slice(frame);
            self.add(source, cursor, frame, bytes);
        }
        has_room
    }

    pub(crate) fn push(&mut self, source: Source, cursor: u64, frame: &Frame) {
        if self.single.is_some() {
            self.copy_single();
        }
        let bytes = self.framing.slice(frame);
        self.add(source, cursor, frame, bytes);
    }

    #[inline]
    fn add(&mut self, source: Source, cursor: u64, frame: &Frame, bytes: &[u8]) {
        let end = self.joined.len() + bytes.len();
        if self.parts.is_empty() && bytes.len() >= self.single_from {
            self.single = Some(frame.clone());
        } else {
            self.joined.extend_from_slice(bytes);
        }
        self.parts.push(Part { source, cursor, end });
    }

    #[cold]
    fn copy_single(&mut self) {
        if let Some(frame) = self.single.take() {
            self.joined.extend_from_slice(self.framing.slice(&frame));
        }
    }

    /// Takes all bytes out: those of a single frame as they are, and others as a copy, so that the
    /// buffer is used again.
    #[cfg(feature = "http-body")]
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        let bytes = match &self.single {
            Some(frame) => self.framing.bytes(frame),
            None => Bytes::copy_from_slice(&self.joined),
        };
        self.clear();
        bytes
    }

    /// Records that the newest frame moved another cursor as well.
    pub(crate) fn push_shared(&mut self, source: Source, cursor: u64) {
        if let Some(newest) = self.parts.pop() {
            // Before the frame, so that it goes back if and only if that does.
            let end = self.parts.last().map_or(0, |part| part.end);
            self.parts.push(Part { source, cursor, end });
            self.parts.push(newest);
            self.shared += 1;
        }
    }

    /// Returns the frames of which nothing is in the first `written` bytes, without the first frame
    /// that is not whole.
    pub(crate) fn untouched(&self, written: usize) -> &[Part] {
        let whole = self.parts.partition_point(|part| part.end <= written);
        self.parts.get(whole + 1..).unwrap_or_default()
    }

    /// Returns how many events are [`untouched`](Self::untouched), and their payloads' bytes.
    pub(crate) fn untouched_events(&self, written: usize) -> (usize, usize) {
        let whole = self.parts.partition_point(|part| part.end <= written);
        let mut before = self.parts.get(whole).map_or(0, |part| part.end);
        let (mut frames, mut bytes) = (0, 0);
        for part in self.untouched(written) {
            let length = part.end - before;
            before = part.end;
            // Parts that stand for another cursor of the same frame have no length.
            if length > 0 && matches!(part.source, Source::Subscription(_) | Source::History) {
                frames += 1;
                bytes += match self.framing {
                    Framing::Chunked => payload_of(length),
                    Framing::Plain => length,
                };
            }
        }
        (frames, bytes)
    }

    /// Returns what must follow `written` bytes for the frames that are not untouched to be whole.
    pub(crate) fn remainder(&self, written: usize) -> Bytes {
        let whole = self.parts.partition_point(|part| part.end <= written);
        self.parts.get(whole).map_or_else(Bytes::new, |part| self.slice(written, part.end))
    }

    /// Returns how many bytes of memory `rest` keeps, which is what is left of this batch: a frame
    /// that is shared is kept whole.
    #[cfg(feature = "serve")]
    pub(crate) fn kept_by(&self, rest: &Bytes) -> usize {
        if self.single.is_some() { self.len() } else { rest.len() }
    }

    /// Returns all that must follow `written` bytes.
    pub(crate) fn rest(&self, written: usize) -> Bytes {
        let end = self.len();
        if written < end { self.slice(written, end) } else { Bytes::new() }
    }

    fn slice(&self, start: usize, end: usize) -> Bytes {
        match (&self.single, self.framing) {
            (None, _) => Bytes::copy_from_slice(&self.joined[start..end]),
            (Some(frame), framing) => framing.bytes(frame).slice(start..end),
        }
    }
}

#[cfg(feature = "record")]
impl Batch {
    pub(crate) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Returns where each part ends.
    pub(crate) fn ends(&self) -> Vec<usize> {
        self.parts.iter().map(|part| part.end).collect()
    }

    /// Makes a batch that cannot be taken back. Returns `None` for parts that do not end one after
    /// the other, the last of them where the bytes do.
    pub(crate) fn from_parts(joined: Vec<u8>, ends: &[usize]) -> Option<Self> {
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != joined.len() {
            return None;
        }
        let parts = ends.iter().map(|&end| Part { source: Source::Own, cursor: 0, end }).collect();
        Some(Self { joined, parts, ..Self::new(Framing::Plain) })
    }
}

/// Returns the length of the payload of a chunk of this length: without its size in hexadecimal
/// digits and two line ends.
fn payload_of(chunk: usize) -> usize {
    let digits = |payload: usize| (usize::BITS - payload.leading_zeros()).div_ceil(4).max(1);
    let payloads =
        (1..=usize::BITS / 4).map(|count| (count, chunk.saturating_sub(4 + count as usize)));
    payloads.filter(|(count, payload)| digits(*payload) == *count).map(|(_, payload)| payload).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn the_payload_of_a_chunk_is_told_from_its_length() {
        for length in (0..300).chain(4_000..4_200).chain([65_500, 65_536, 70_000]) {
            let frame = Frame::new(&Event::new("x".repeat(length)));
            assert_eq!(payload_of(frame.chunk().len()), frame.len(), "{length}");
        }
    }
}
