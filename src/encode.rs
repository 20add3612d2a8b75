//! What goes over the wire: a [`Frame`] is an event encoded once, shared by all who receive it.

use crate::event::{Event, EventId, EventType};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// An encoded event, in one shared allocation.
///
/// The HTTP/1.1 chunk framing
/// ([RFC 9112, 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)) lies around the payload. A
/// raw HTTP/1.1 connection writes [`chunk`](Self::chunk) as it is; an HTTP stack, which frames by
/// itself, is given the [`payload`](Self::payload). Cloning a frame copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    chunk: Bytes,
    head: u8,
}

impl Frame {
    /// Encodes `event`.
    pub fn new(event: &Event) -> Self {
        Self::with_id(event, event.id())
    }

    /// Encodes `event` as if its id were `id`.
    pub fn with_id(event: &Event, id: Option<&EventId>) -> Self {
        Self::of_all([(event, id)])
    }

    /// Encodes events that go out together, each as if its id were the one beside it.
    pub(crate) fn of_all<'a>(
        events: impl IntoIterator<Item = (&'a Event, Option<&'a EventId>), IntoIter: Clone>,
    ) -> Self {
        let events = events.into_iter();
        let mut length = Length(0);
        events.clone().for_each(|(event, id)| write_event(&mut length, event, id));
        Self::of(length.0, |chunk| {
            events.for_each(|(event, id)| write_event(chunk, event, id));
        })
    }

    /// A frame with the payload of another; `None` for what none can have.
    #[cfg(feature = "record")]
    pub(crate) fn from_payload(payload: &str) -> Option<Self> {
        let is_comment = || {
            payload.ends_with('\n') && payload.split_terminator('\n').all(|l| l.starts_with(':'))
        };
        let is_whole = payload == "\n" || payload.ends_with("\n\n") || is_comment();
        let is_whole = is_whole && !payload.is_empty();
        is_whole.then(|| Self::of(payload.len(), |chunk| chunk.put(payload.as_bytes())))
    }

    fn of(length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut digits = [0; 2 * size_of::<usize>()];
        let digits = hex(length, &mut digits);
        let head = digits.len() + CRLF.len();
        let mut chunk = Vec::with_capacity(head + length + CRLF.len());
        chunk.extend_from_slice(digits);
        chunk.extend_from_slice(CRLF);
        write(&mut chunk);
        chunk.extend_from_slice(CRLF);
        #[expect(clippy::cast_possible_truncation, reason = "at most 16 digits and a line end")]
        Self { chunk: chunk.into(), head: head as u8 }
    }

    /// Returns the payload as one chunk of HTTP/1.1's chunked coding.
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// Returns the bytes of the event stream itself, without a copy.
    pub fn payload(&self) -> Bytes {
        self.chunk.slice(self.head as usize..self.chunk.len() - CRLF.len())
    }

    /// Returns the length of the payload in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame always ends in a line end")]
    pub fn len(&self) -> usize {
        self.chunk.len() - CRLF.len() - self.head as usize
    }
}

impl AsRef<[u8]> for Frame {
    /// The payload.
    fn as_ref(&self) -> &[u8] {
        &self.chunk[self.head as usize..self.chunk.len() - CRLF.len()]
    }
}

/// How the frames of an event stream stand on the wire, and how its end shows.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Each frame is a chunk of HTTP/1.1's chunked coding (RFC 9112, 7.1). A last, empty chunk ends
    /// the stream, and the connection is closed after it.
    Chunked,
    /// Frames follow each other with nothing between them. The end of the stream is the end of the
    /// body as somebody else frames it: an HTTP stack, or for peers that speak HTTP/1.0 the end of
    /// the connection (RFC 9112, 6.3).
    Plain,
}

impl Framing {
    /// Returns the bytes that carry a frame. Nothing is copied.
    pub fn bytes(self, frame: &Frame) -> Bytes {
        match self {
            Self::Chunked => frame.chunk().clone(),
            Self::Plain => frame.payload(),
        }
    }

    /// Returns the bytes that carry a frame, borrowed from it.
    #[inline]
    #[cfg(feature = "broker")]
    pub(crate) fn slice(self, frame: &Frame) -> &[u8] {
        match self {
            Self::Chunked => frame.chunk(),
            Self::Plain => frame.as_ref(),
        }
    }

    /// Returns the bytes that end the stream, after its last frame; none where something else ends
    /// it. A chunked stream that lacks them looks cut off.
    pub const fn end(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"0\r\n\r\n",
            Self::Plain => b"",
        }
    }
}

const CRLF: &[u8] = b"\r\n";

/// Where an event is written: first to be measured, then for good.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The id goes first and the data last, so that a receiver which is cut off
/// between lines has learnt nothing it could act upon.
///
/// A blank line ends a block. Some receivers make an empty message of a block without data, so that
/// comments alone are lines and no block. Those of the standard pass over such a line wherever it
/// stands (9.2.6, "interpreting an event stream").
fn write_event(out: &mut impl Sink, event: &Event, id: Option<&EventId>) {
    if let Some(text) = event.comment_text() {
        for_each_line(text, |line| {
            // An empty comment needs no space, and heartbeats are many.
            write_line(out, if line.is_empty() { b":" } else { b": " }, line);
        });
    }
    if let Some(retry) = event.retry() {
        let mut digits = [0; 20];
        write_line(out, b"retry: ", decimal(milliseconds(retry), &mut digits));
    }
    if let Some(id) = id {
        write_line(out, b"id: ", id.as_str().as_bytes());
    }
    if let Some(data) = event.data() {
        if *event.event_type() != EventType::MESSAGE {
            write_line(out, b"event: ", event.event_type().as_str().as_bytes());
        }
        for_each_line(data, |line| write_line(out, b"data: ", line));
    }
    let is_comment_alone = event.comment_text().is_some()
        && event.data().is_none()
        && event.retry().is_none()
        && id.is_none();
    if !is_comment_alone {
        out.put(b"\n");
    }
}

fn write_line(out: &mut impl Sink, name: &[u8], value: &[u8]) {
    out.put(name);
    out.put(value);
    out.put(b"\n");
}

/// Calls `f` with each line of `text`: what stands before the first line end,
/// between two, and after the last, even where that is nothing.
fn for_each_line(text: &str, mut f: impl FnMut(&[u8])) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        f(&rest[..end]);
        let pair = rest[end..].starts_with(CRLF);
        rest = &rest[end + 1 + usize::from(pair)..];
    }
    f(rest);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(mut number: usize, digits: &mut [u8; 2 * size_of::<usize>()]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[number % 16];
        number /= 16;
        if number == 0 {
            return &digits[start..];
        }
    }
}

pub(crate) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn encoded(event: &Event) -> String {
        String::from_utf8(Frame::new(event).payload().to_vec()).unwrap()
    }

    #[test]
    fn each_kind_of_line_end_in_data_starts_a_data_line() {
        assert_eq!(
            encoded(&Event::new("a\nb\rc\r\nd\n")),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
        assert_eq!(encoded(&Event::new("a\n\rb")), "data: a\ndata: \ndata: b\n\n");
    }

    #[test]
    fn a_leading_space_and_empty_data_survive() {
        assert_eq!(encoded(&Event::new(" x")), "data:  x\n\n");
        assert_eq!(encoded(&Event::new("")), "data: \n\n");
    }

    #[test]
    fn a_comment_cannot_forge_a_field() {
        assert_eq!(encoded(&Event::comment("a\rdata: x\n")), ": a\n: data: x\n:\n");
    }

    #[test]
    fn a_comment_alone_is_no_block_and_one_with_anything_else_is() {
        assert_eq!(encoded(&Event::heartbeat()), ":\n");
        assert_eq!(encoded(&Event::comment("c")), ": c\n");
        let second = Duration::from_secs(1);
        assert_eq!(encoded(&Event::comment("c").with_retry(second)), ": c\nretry: 1000\n\n");
        let id = EventId::new("i").unwrap();
        assert_eq!(encoded(&Event::comment("c").with_id(id)), ": c\nid: i\n\n");
        assert_eq!(encoded(&Event::new("").with_comment("c")), ": c\ndata: \n\n");
    }

    #[test]
    fn events_that_go_out_together_are_one_frame() {
        let (first, second) = (Event::new("a"), Event::comment("c"));
        let frame = Frame::of_all([(&first, None), (&second, None)]);
        assert_eq!(&frame.chunk()[..], b"d\r\ndata: a\n\n: c\n\r\n");
    }

    #[test]
    fn fields_stand_in_a_fixed_order() {
        let event = Event::new("d")
            .with_type(EventType::new("t").unwrap())
            .with_id(EventId::new("i").unwrap())
            .with_retry(Duration::from_micros(1500))
            .with_comment("c");
        assert_eq!(encoded(&event), ": c\nretry: 1\nid: i\nevent: t\ndata: d\n\n");
    }

    #[test]
    fn the_largest_reconnection_time_is_written_as_the_largest_number() {
        assert_eq!(encoded(&Event::retry_only(Duration::MAX)), "retry: 18446744073709551615\n\n");
    }

    #[test]
    fn a_type_without_data_is_not_sent_since_it_would_reach_nobody() {
        let event = Event::comment("c").with_type(EventType::new("t").unwrap());
        assert_eq!(encoded(&event), ": c\n");
    }

    #[test]
    fn the_chunk_frames_the_payload_in_the_same_allocation() {
        let frame = Frame::new(&Event::new("0123456789"));
        assert_eq!(&frame.chunk()[..], b"12\r\ndata: 0123456789\n\n\r\n");
        assert_eq!(frame.payload().as_ptr(), frame.as_ref().as_ptr());
        assert_eq!(frame.len(), 0x12);
        assert_eq!(frame.as_ref().as_ptr(), frame.chunk()[4..].as_ptr());
    }
}
