//! Bytes to events: a [`Decoder`] takes the chunks of an event stream and lends its messages.

mod buffer;
mod limits;
mod line_ends;
mod message;
mod utf8;

use self::buffer::{Buffer, Field};
use self::line_ends::LineEnds;
use self::utf8::Utf8;
use crate::event::EventId;
use core::fmt;
use core::mem;
use core::ops::Range;
use core::time::Duration;

pub use self::limits::{DecodeError, Limits};
pub use self::message::{Message, OwnedMessage};

/// Interprets an event stream
/// ([WHATWG HTML, 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)).
///
/// Bytes go in by [`handle_data`](Self::handle_data); [`poll_step`](Self::poll_step) says what
/// they mean, and [`message`](Self::message) and [`comment`](Self::comment) lend the text of the
/// step. Any split of the same bytes gives the same steps, and each step comes as soon as the
/// bytes that decide it are there.
///
/// ```
/// use sansse::{Decoder, Step};
///
/// let mut decoder = Decoder::new();
/// let mut seen = Vec::new();
/// for chunk in [&b"id: 7\r"[..], b"\ndata: one\r\ndata: t", b"wo\r\n\r\n"] {
///     decoder.handle_data(chunk);
///     while let Some(step) = decoder.poll_step() {
///         match step {
///             Step::Message => seen.push(decoder.message().data().to_owned()),
///             Step::Comment | Step::Retry(_) => {}
///             Step::Error(error) => eprintln!("an event was lost: {error}"),
///         }
///     }
/// }
/// assert_eq!(seen, ["one\ntwo"]);
/// assert_eq!(decoder.last_event_id(), "7");
/// ```
///
/// A chunk is copied once, into a buffer that is used again, so that the caller's read buffer is
/// free at once and no message pins it. In the steady state nothing is allocated. Comments that
/// nobody asks for cost no more than to step over them.
#[derive(Clone, Default)]
pub struct Decoder {
    limits: Limits,
    utf8: Utf8,
    /// The decoded text; what is before `line` is used up, but may be lent.
    stream: Buffer,
    /// Where the next line begins.
    line: usize,
    line_ends: LineEnds,
    /// The text that was dropped before `stream` ended in CR.
    after_cr: bool,
    ended: bool,
    state: State,
    lent: Lent,
    comment: Range<usize>,
    // The block under construction, or the message that is lent.
    event_type: Field,
    data: Field,
    id: Field,
    last_event_id: Field,
    reconnection_time: Option<Duration>,
}

/// What a part of the stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An event is complete; [`Decoder::message`] lends it.
    Message,
    /// A comment line has ended; [`Decoder::comment`] lends its text.
    Comment,
    /// The peer set the reconnection time, in whole milliseconds. What is more than `u64::MAX`
    /// milliseconds counts as that.
    Retry(Duration),
    /// A block is dropped, up to and including the next blank line; decoding goes on after it.
    ///
    /// Nothing of the dropped rest is reported. The id of the dropped block does not count.
    Error(DecodeError),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing was decoded yet: a BOM may come.
    #[default]
    Start,
    Lines,
    /// A block is being dropped; `inside_line` if a part of the line at hand was too.
    Dropping {
        inside_line: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lent {
    #[default]
    Nothing,
    Message,
    Comment,
}

impl Decoder {
    /// Makes a decoder with the default [`Limits`] and no last event ID.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the last event ID that is known from an earlier connection. Events without an id carry
    /// it, until an event brings another.
    pub fn with_last_event_id(mut self, id: EventId) -> Self {
        self.last_event_id.set_text(id.into());
        self
    }

    /// Takes the next bytes of the stream. A chunk may be empty, and may end anywhere.
    ///
    /// Nothing is lost if the steps of earlier chunks were not all polled, but memory is bounded
    /// by the [`Limits`] only if they are. A message or comment that is lent stays so. After
    /// [`handle_eof`](Self::handle_eof) the bytes are ignored.
    pub fn handle_data(&mut self, chunk: &[u8]) {
        if self.ended {
            return;
        }
        self.drop_used_text();
        self.utf8.decode(chunk, self.stream.as_mut(), &mut self.line_ends);
        if self.state == State::Start {
            self.skip_byte_order_mark();
        }
    }

    /// Tells that the stream has ended. Complete blocks can still be polled. What follows them is
    /// dropped, as 9.2.6 asks, and neither its id nor its data count.
    pub fn handle_eof(&mut self) {
        if !mem::replace(&mut self.ended, true) {
            self.utf8.finish(self.stream.as_mut());
        }
    }

    /// Begins another stream, on a new connection.
    ///
    /// Kept are the last event ID, the reconnection time, the limits and the memory. Dropped is
    /// all that was not polled.
    pub fn reset(&mut self) {
        self.last_event_id.keep(self.stream.as_str());
        self.drop_block();
        self.utf8 = Utf8::default();
        self.stream.clear();
        self.line = 0;
        self.line_ends.clear();
        self.after_cr = false;
        self.ended = false;
        self.state = State::Start;
        self.lent = Lent::Nothing;
    }

    /// Returns what the next part of the stream means, in the order of the stream.
    ///
    /// `None` means that the bytes so far are used up. What may change that:
    ///
    /// - [`handle_data`](Self::handle_data) and [`handle_eof`](Self::handle_eof).
    ///
    /// Each call ends the loan of the step before it.
    #[inline]
    pub fn poll_step(&mut self) -> Option<Step> {
        if mem::take(&mut self.lent) == Lent::Message {
            self.event_type.clear();
            self.data.clear();
        }
        if self.state == State::Lines
            && let Some(end) = self.line_ends.peek()
            && self.take_usual_event(self.line..end)
        {
            return Some(Step::Message);
        }
        self.poll_other_step()
    }

    /// Returns the message of the last [`Step::Message`], until the next call of
    /// [`poll_step`](Self::poll_step); at other times a message without data.
    #[inline]
    pub fn message(&self) -> Message<'_> {
        let stream = self.stream.as_str();
        let last_event_id = self.last_event_id.get(stream);
        if self.lent != Lent::Message {
            return Message { event_type: "message", data: "", last_event_id };
        }
        let event_type = match self.event_type.get(stream) {
            "" => "message",
            event_type => event_type,
        };
        Message { event_type, data: self.data.get(stream), last_event_id }
    }

    /// Returns the text of the last [`Step::Comment`], until the next call of
    /// [`poll_step`](Self::poll_step); empty at other times.
    ///
    /// It is what stands after the colon, less one space if it begins with one.
    #[inline]
    pub fn comment(&self) -> &str {
        match self.lent {
            Lent::Comment => self.stream.as_str().get(self.comment.clone()).unwrap_or_default(),
            Lent::Nothing | Lent::Message => "",
        }
    }

    /// Returns the last event ID string: what a reconnection sends as `Last-Event-ID`, if it is not
    /// empty.
    ///
    /// It is that of the last complete block that [`poll_step`](Self::poll_step) went past, also if
    /// that had no data.
    #[inline]
    pub fn last_event_id(&self) -> &str {
        self.last_event_id.get(self.stream.as_str())
    }

    /// Returns the reconnection time that the peer last set, on this connection or an earlier one.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    /// Whether a block, or a line outside of one, was begun and not ended, once all is polled.
    #[cfg(any(feature = "client", feature = "messages"))]
    pub(crate) fn is_inside_block(&self) -> bool {
        matches!(self.state, State::Dropping { .. })
            || self.line < self.stream.as_str().len()
            || [&self.event_type, &self.data, &self.id].into_iter().any(Field::is_set)
    }

    /// Takes a data line at once with the blank line after it, if it is one, has one, and is the
    /// event's only data: most events are no more than that.
    #[inline]
    fn take_usual_event(&mut self, line: Range<usize>) -> bool {
        let text = self.stream.as_str().as_bytes();
        let usual = text[line.clone()].starts_with(b"data:")
            && text[line.end..].starts_with(b"\n\n")
            && !self.data.is_set()
            && line.len() <= self.limits.max_line.min(self.limits.max_event);
        if usual {
            let value = line.start + 5;
            self.data.lend(value + usize::from(text[value] == b' ')..line.end);
            self.line_ends.take();
            self.line_ends.take();
            self.line = line.end + 2;
            self.count_id();
            self.lent = Lent::Message;
        }
        usual
    }

    #[inline(never)]
    fn poll_other_step(&mut self) -> Option<Step> {
        if let State::Dropping { inside_line } = self.state {
            self.drop_lines(inside_line)?;
        }
        while let Some(end) = self.line_ends.peek() {
            let line = self.line..end;
            if self.take_usual_event(line.clone()) {
                return Some(Step::Message);
            }
            self.line_ends.take();
            self.line = end + 1;
            if line.is_empty() {
                if !self.is_rest_of_crlf(end) && self.dispatch() {
                    self.lent = Lent::Message;
                    return Some(Step::Message);
                }
            } else if let Some(step) = self.interpret(line) {
                return Some(step);
            }
        }
        self.check_unfinished_line()
    }

    /// Whether the line end here is the LF of a CRLF, whose CR has ended the line.
    ///
    /// Every CR ends a line, so that the byte before tells.
    #[inline]
    fn is_rest_of_crlf(&self, end: usize) -> bool {
        let text = self.stream.as_str().as_bytes();
        text[end] == b'\n'
            && match end.checked_sub(1) {
                Some(before) => text[before] == b'\r',
                None => self.after_cr,
            }
    }

    /// Dispatches the event (9.2.6), and says whether there is one.
    #[inline]
    fn dispatch(&mut self) -> bool {
        self.count_id();
        if self.data.is_set() {
            return true;
        }
        self.event_type.clear();
        false
    }

    /// Makes the id of the block the last event ID, if it has one.
    #[inline]
    fn count_id(&mut self) {
        if self.id.is_set() {
            mem::swap(&mut self.id, &mut self.last_event_id);
            self.id.clear();
        }
    }

    /// Interprets a line that is not empty.
    #[inline]
    fn interpret(&mut self, line: Range<usize>) -> Option<Step> {
        if line.len() > self.limits.max_line {
            return Some(self.line_too_long(false));
        }
        let text = &self.stream.as_str().as_bytes()[line.clone()];
        let end = line.end;
        if let Some(rest) = text.strip_prefix(b":") {
            let start = end - rest.len() + usize::from(rest.starts_with(b" "));
            self.lent = Lent::Comment;
            self.comment = start..end;
            return Some(Step::Comment);
        }
        if let Some(rest) = text.strip_prefix(b"data") {
            if let Some(value) = value(rest, end) {
                return self.add_data(value);
            }
        } else if let Some(rest) = text.strip_prefix(b"event") {
            if let Some(value) = value(rest, end) {
                self.event_type.set(value);
            }
        } else if let Some(rest) = text.strip_prefix(b"id") {
            if let Some(value) = value(rest, end)
                && !self.stream.as_str().as_bytes()[value.clone()].contains(&0)
            {
                if value.len() > self.limits.max_id {
                    return Some(self.id_too_long());
                }
                self.id.set(value);
            }
        } else if let Some(rest) = text.strip_prefix(b"retry")
            && let Some(value) = value(rest, end)
            && let Some(time) = milliseconds(&self.stream.as_str().as_bytes()[value])
        {
            self.reconnection_time = Some(time);
            return Some(Step::Retry(time));
        }
        None
    }

    #[inline]
    fn add_data(&mut self, value: Range<usize>) -> Option<Step> {
        let joined =
            if self.data.is_set() { self.data.len() + 1 + value.len() } else { value.len() };
        if joined > self.limits.max_event {
            return Some(self.event_too_large());
        }
        self.data.push_line(self.stream.as_str(), value);
        None
    }

    fn check_unfinished_line(&mut self) -> Option<Step> {
        let length = self.stream.as_str().len() - self.line;
        if length > self.limits.max_line {
            self.line += length;
            return Some(self.line_too_long(true));
        }
        None
    }

    #[cold]
    fn line_too_long(&mut self, inside_line: bool) -> Step {
        self.drop_block();
        self.state = State::Dropping { inside_line };
        Step::Error(DecodeError::LineTooLong { limit: self.limits.max_line })
    }

    #[cold]
    fn event_too_large(&mut self) -> Step {
        self.drop_block();
        self.state = State::Dropping { inside_line: false };
        Step::Error(DecodeError::EventTooLarge { limit: self.limits.max_event })
    }

    #[cold]
    fn id_too_long(&mut self) -> Step {
        self.drop_block();
        self.state = State::Dropping { inside_line: false };
        Step::Error(DecodeError::IdTooLong { limit: self.limits.max_id })
    }

    fn drop_block(&mut self) {
        self.event_type.clear();
        self.data.clear();
        self.id.clear();
    }

    /// Drops lines up to and including a blank one; `None` if that is still to come.
    #[cold]
    fn drop_lines(&mut self, mut inside_line: bool) -> Option<()> {
        while let Some(end) = self.line_ends.peek() {
            self.line_ends.take();
            let start = mem::replace(&mut self.line, end + 1);
            if start == end && !inside_line && !self.is_rest_of_crlf(end) {
                self.state = State::Lines;
                return Some(());
            }
            inside_line = false;
        }
        let length = self.stream.as_str().len();
        inside_line |= self.line < length;
        self.line = length;
        self.state = State::Dropping { inside_line };
        None
    }

    /// Makes room for a chunk, so that the stream's text holds what is not used up and little more.
    ///
    /// A text is moved only if at least as much before it is used up, and so each byte is moved
    /// but once on average, however the stream is cut and polled.
    #[inline]
    fn drop_used_text(&mut self) {
        let stream = self.stream.as_str();
        let used = match self.lent {
            Lent::Comment => self.comment.start,
            Lent::Nothing | Lent::Message => self.line,
        };
        if used == 0 || used < stream.len() - used {
            return;
        }
        self.event_type.keep(stream);
        self.data.keep(stream);
        self.id.keep(stream);
        self.last_event_id.keep(stream);
        if self.lent == Lent::Comment {
            self.comment = 0..self.comment.len();
        }
        self.after_cr = stream.as_bytes()[used - 1] == b'\r';
        self.line_ends.cut(used);
        self.line -= used;
        self.stream.cut(used);
    }

    fn skip_byte_order_mark(&mut self) {
        let text = self.stream.as_str();
        if text.is_empty() {
            return;
        }
        if text.starts_with(BYTE_ORDER_MARK) {
            self.line = BYTE_ORDER_MARK.len_utf8();
        }
        self.state = State::Lines;
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("last_event_id", &self.last_event_id())
            .field("reconnection_time", &self.reconnection_time)
            .field("unused_bytes", &(self.stream.as_str().len() - self.line))
            .finish_non_exhaustive()
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Where the value of a field lies, given what stands after the field's name up to `end`; `None`
/// if the name goes on.
#[inline]
fn value(rest: &[u8], end: usize) -> Option<Range<usize>> {
    match rest {
        [] => Some(end..end),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(end - value.len()..end),
        _ => None,
    }
}

/// A reconnection time; `None` if the value is anything but ASCII digits.
#[cold]
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = value.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_millis(number))
}

#[cfg(test)]
mod tests;
