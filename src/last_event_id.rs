//! Where a returning client's stream broke off: [`LastEventId`], read from what a peer sent.

use crate::event::EventId;
use crate::fault::Fault;
use alloc::string::String;
use core::fmt;

/// What a request says about the last event that its sender received.
///
/// It comes from the `Last-Event-ID` header
/// ([WHATWG HTML, 9.2.4](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header))
/// or from a query parameter. No value is an error: whatever a peer sends, its
/// stream opens, and what could not be read is told apart from what was not
/// sent, so that a hole in the stream is never silent.
///
/// ```
/// use sansse::{EventId, LastEventId};
///
/// assert_eq!(LastEventId::from_header(b" 42\t"), LastEventId::Id(EventId::new("42")?));
/// assert_eq!(LastEventId::from_header(b""), LastEventId::Absent);
/// assert_eq!(LastEventId::from_header(b"\xff"), LastEventId::Malformed);
/// # Ok::<(), sansse::FieldError>(())
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastEventId {
    /// None was sent, or an empty one, which means the same: the stream is
    /// wanted from now on.
    #[default]
    Absent,
    /// An id. Whether it is known is for the one who made it to say.
    Id(EventId),
    /// Something was sent that no event of this stream can have had as its id:
    /// it is longer than the limit, no UTF-8, or holds CR, LF or NUL; or it
    /// was sent more than once. Events may have been missed, and how many
    /// cannot be known.
    Malformed,
}

impl LastEventId {
    /// How long an id may be unless another limit is given: 1,024 bytes.
    ///
    /// A position, a UUID or a signed cursor fits several times over, while a
    /// peer cannot make the server copy, compare and log much. The limit on
    /// the whole request head lies far above it, so that an id which is too
    /// long has this outcome and is not refused by the HTTP server.
    pub const MAX_LENGTH: usize = 1024;

    /// Reads the value of a `Last-Event-ID` header: UTF-8, of which HTTP has
    /// trimmed spaces and tabs at both ends, or trims them here.
    ///
    /// Control characters that HTTP libraries refuse in headers, but event ids
    /// may hold, are taken as they are.
    pub fn from_header(value: &[u8]) -> Self {
        Self::with_limit(trim(value), Self::MAX_LENGTH)
    }

    /// Reads an id exactly as it stands, with a limit of the caller's own in
    /// bytes, for those whose ids are longer than
    /// [`MAX_LENGTH`](Self::MAX_LENGTH).
    pub fn with_limit(bytes: &[u8], limit: usize) -> Self {
        if bytes.is_empty() {
            return Self::Absent;
        }
        if bytes.len() > limit {
            return Self::Malformed;
        }
        match core::str::from_utf8(bytes).map(|text| EventId::new(String::from(text))) {
            Ok(Ok(id)) => Self::Id(id),
            _ => Self::Malformed,
        }
    }

    /// Checks that a peer whose last event had this id comes back with it, and that it is read as
    /// it was sent. A broker publishes no other.
    ///
    /// ```
    /// use sansse::{LastEventId, UnusableId, event_id};
    ///
    /// assert_eq!(LastEventId::check(&event_id!("42")), Ok(()));
    /// assert_eq!(LastEventId::check(&event_id!("42 ")), Err(UnusableId::SpaceAtEnd));
    /// ```
    ///
    /// # Errors
    ///
    /// [`UnusableId`], by the fault of who made the id.
    pub fn check(id: &EventId) -> Result<(), UnusableId> {
        let text = id.as_str().as_bytes();
        match text.len() {
            0 => Err(UnusableId::Empty),
            length if length > Self::MAX_LENGTH => Err(UnusableId::TooLong { length }),
            length if trim(text).len() < length => Err(UnusableId::SpaceAtEnd),
            _ => Ok(()),
        }
    }

    /// Returns the id, if there is one.
    pub fn id(&self) -> Option<&EventId> {
        match self {
            Self::Id(id) => Some(id),
            Self::Absent | Self::Malformed => None,
        }
    }
}

/// Why no peer could come back with an event id, by the fault of who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusableId {
    /// It is empty: its receiver forgets the last event id (WHATWG HTML, 9.2.6), and comes back
    /// without one, to what is published from then on.
    Empty,
    /// It is longer than [`LastEventId::MAX_LENGTH`].
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It begins or ends with a space or a tab, which HTTP takes off a header's value (RFC 9110,
    /// section 5.5).
    SpaceAtEnd,
}

impl UnusableId {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl fmt::Display for UnusableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty event id"),
            Self::TooLong { length } => {
                write!(f, "an event id of {length} bytes, more than {}", LastEventId::MAX_LENGTH)
            }
            Self::SpaceAtEnd => f.write_str("an event id with a space at one of its ends"),
        }
    }
}

impl core::error::Error for UnusableId {}

/// Optional white space of HTTP (RFC 9110, 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &'static str) -> LastEventId {
        LastEventId::Id(EventId::new(text).unwrap())
    }

    #[test]
    fn spaces_and_tabs_around_a_header_are_not_of_the_id_and_those_inside_are() {
        assert_eq!(LastEventId::from_header(b"\t a b \t "), id("a b"));
        assert_eq!(LastEventId::from_header(b" \t "), LastEventId::Absent);
        assert_eq!(LastEventId::from_header("\u{a0}".as_bytes()), id("\u{a0}"));
    }

    #[test]
    fn the_bytes_are_read_as_utf_8() {
        assert_eq!(LastEventId::from_header("…😀é".as_bytes()), id("…😀é"));
        assert_eq!(LastEventId::from_header(b"\xe9"), LastEventId::Malformed);
    }

    #[test]
    fn control_characters_stay_but_for_those_that_no_id_can_hold() {
        assert_eq!(LastEventId::from_header(b"a\x01\x7fb"), id("a\x01\x7fb"));
        for forbidden in [&b"a\0"[..], b"a\rb", b"a\nb"] {
            assert_eq!(LastEventId::from_header(forbidden), LastEventId::Malformed);
        }
    }

    #[test]
    fn an_id_that_passes_the_check_comes_back_as_it_is_and_no_other() {
        let texts = ["7", "a b", "\u{a0}7\u{a0}", "a\u{1}b", "\u{7f}", "é", "", " 7", "7\t", " "];
        let long = [LastEventId::MAX_LENGTH, LastEventId::MAX_LENGTH + 1].map(|n| "x".repeat(n));
        for text in texts.into_iter().chain(long.iter().map(String::as_str)) {
            let id = EventId::new(text).unwrap();
            let comes_back = LastEventId::from_header(text.as_bytes()).id() == Some(&id);
            assert_eq!(LastEventId::check(&id).is_ok(), comes_back, "{text:?}");
        }
    }

    #[test]
    fn an_id_at_the_limit_is_taken_and_a_longer_one_is_malformed() {
        let longest = [b'x'; LastEventId::MAX_LENGTH];
        assert!(LastEventId::from_header(&longest).id().is_some());
        assert_eq!(
            LastEventId::from_header(&[b'x'; LastEventId::MAX_LENGTH + 1]),
            LastEventId::Malformed
        );
        assert_eq!(LastEventId::with_limit(b" ab", 3), id(" ab"));
        assert_eq!(LastEventId::with_limit(b" abc", 3), LastEventId::Malformed);
    }
}
