//! The memory of the decoder: buffers that are kept for the next event, but not for ever at the
//! size of the largest one, and field values that move into one when their chunk goes.

use alloc::string::String;
use core::ops::Range;

/// A text that is filled and emptied again and again, without an allocation each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    text: String,
    small_uses: u8,
}

impl Buffer {
    /// Memory that is never given back, so that usual events and chunks allocate nothing.
    pub(super) const ALWAYS_KEPT: usize = 64 * 1024;
    /// How often a buffer may be used to less than a quarter before it is given back.
    pub(super) const SMALL_USES: u8 = 8;

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    #[inline]
    pub(super) fn as_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Empties the buffer, which ends one use of it.
    pub(super) fn clear(&mut self) {
        let used = self.text.len();
        self.text.clear();
        self.end_use(used);
    }

    /// Takes away the first `length` bytes, which ends one use of the buffer.
    pub(super) fn cut(&mut self, length: usize) {
        let used = self.text.len();
        if length == used {
            self.text.clear();
        } else {
            self.text.drain(..length);
        }
        self.end_use(used);
    }

    /// Notes that `used` bytes were needed this time, and gives memory back when more than four
    /// times as much has long not been needed.
    ///
    /// Uses are counted, and not bytes or time, so that a source whose events are all large keeps
    /// its buffer, and one that was large once does not.
    #[inline]
    pub(super) fn end_use(&mut self, used: usize) {
        if self.text.capacity() > Self::ALWAYS_KEPT {
            self.end_large_use(used);
        }
    }

    #[cold]
    fn end_large_use(&mut self, used: usize) {
        if used > self.text.capacity() / 4 {
            self.small_uses = 0;
            return;
        }
        self.small_uses += 1;
        if self.small_uses == Self::SMALL_USES {
            self.small_uses = 0;
            self.text.shrink_to(Self::ALWAYS_KEPT);
        }
    }
}

/// The value of a field: lent from the text of the stream while that is there, and kept in a
/// buffer of its own after.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    place: Place,
    // Where the value lies in the stream's text.
    start: usize,
    end: usize,
    buffer: Buffer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Unset,
    Stream,
    Buffer,
}

impl Field {
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.place != Place::Unset
    }

    /// The value; empty if the field was not set.
    #[inline]
    pub(super) fn get<'a>(&'a self, stream: &'a str) -> &'a str {
        match self.place {
            Place::Stream => stream.get(self.start..self.end).unwrap_or_default(),
            // Empty while nothing is set.
            Place::Buffer | Place::Unset => self.buffer.as_str(),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self.place {
            Place::Stream => self.end - self.start,
            Place::Buffer | Place::Unset => self.buffer.as_str().len(),
        }
    }

    /// Sets the value to a part of the stream's text.
    #[inline]
    pub(super) fn set(&mut self, value: Range<usize>) {
        self.clear();
        self.lend(value);
    }

    /// Sets the value to a text from elsewhere.
    pub(super) fn set_text(&mut self, value: String) {
        self.buffer = Buffer { text: value, small_uses: 0 };
        self.place = Place::Buffer;
    }

    /// Adds a line to the value.
    #[inline]
    pub(super) fn push_line(&mut self, stream: &str, line: Range<usize>) {
        if self.is_set() {
            self.keep(stream);
            let text = self.buffer.as_mut();
            text.push('\n');
            text.push_str(&stream[line]);
        } else {
            self.lend(line);
        }
    }

    /// Makes the value outlive the stream's text.
    #[inline]
    pub(super) fn keep(&mut self, stream: &str) {
        if self.place == Place::Stream {
            self.buffer.as_mut().push_str(&stream[self.start..self.end]);
            self.place = Place::Buffer;
        }
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        match self.place {
            Place::Buffer => self.buffer.clear(),
            // A use without need of the buffer is a small use of it.
            Place::Stream => self.buffer.end_use(0),
            Place::Unset => {}
        }
        self.place = Place::Unset;
    }

    /// Sets the value, which is not set, to a part of the stream's text.
    #[inline]
    pub(super) fn lend(&mut self, value: Range<usize>) {
        self.place = Place::Stream;
        self.start = value.start;
        self.end = value.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_for(buffer: &mut Buffer, length: usize) {
        buffer.as_mut().push_str(&"x".repeat(length));
        buffer.clear();
    }

    #[test]
    fn a_buffer_is_given_back_after_some_small_uses_in_a_row() {
        let mut buffer = Buffer::default();
        use_for(&mut buffer, 4 << 20);
        for _ in 1..Buffer::SMALL_USES {
            use_for(&mut buffer, 10);
        }
        assert!(buffer.text.capacity() >= 4 << 20);
        use_for(&mut buffer, 10);
        assert!(buffer.text.capacity() <= Buffer::ALWAYS_KEPT);
    }

    #[test]
    fn a_buffer_that_is_often_needed_is_kept() {
        let mut buffer = Buffer::default();
        use_for(&mut buffer, 4 << 20);
        let address = buffer.text.as_ptr();
        for _ in 0..20 {
            for _ in 1..Buffer::SMALL_USES {
                use_for(&mut buffer, 10);
            }
            use_for(&mut buffer, 3 << 20);
        }
        assert_eq!(buffer.text.as_ptr(), address);
    }

    #[test]
    fn values_that_are_lent_count_as_small_uses() {
        let mut field = Field::default();
        field.set_text("x".repeat(1 << 20));
        field.clear();
        for _ in 0..Buffer::SMALL_USES {
            field.set(0..1);
            field.clear();
        }
        assert!(field.buffer.text.capacity() <= Buffer::ALWAYS_KEPT);
    }
}
