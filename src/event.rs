//! What is sent: an [`Event`] and the validated texts it is made of.

use crate::event_key::EventKey;
use crate::fault::Fault;
use crate::text::text_value;
use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// One block of an event stream, before it is encoded.
///
/// An event is data with an optional type, id and reconnection time; a comment
/// is a block that no `EventSource` shows to anyone. Every value that can be
/// built can be sent, and nothing in it can forge a field or another event:
/// types and ids are validated when they are built, and line ends in data and
/// comments become line ends of the format
/// ([WHATWG HTML, 9.2.5](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)).
///
/// ```
/// use sansse::{Event, EventId, event_type};
///
/// let event = Event::new("two\nlines")
///     .with_type(event_type!("note"))
///     .with_id(EventId::new("7")?);
/// assert_eq!(
///     sansse::Frame::new(&event).payload(),
///     "id: 7\nevent: note\ndata: two\ndata: lines\n\n",
/// );
/// # Ok::<(), sansse::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    data: Option<String>,
    comment: Option<Cow<'static, str>>,
    event_type: EventType,
    id: Option<EventId>,
    retry: Option<Duration>,
    key: Option<EventKey>,
}

impl Event {
    /// Makes an event of type `message` with this data.
    ///
    /// CR, LF and CRLF are line ends; the receiver gets LF for each of them.
    /// Empty data is delivered as an event with empty data.
    ///
    /// A `String` is taken as it is, and a `&str` is copied.
    ///
    /// ```
    /// use sansse::Event;
    ///
    /// for line in String::from("one\ntwo").lines() {
    ///     assert_eq!(Event::new(line).data(), Some(line));
    /// }
    /// ```
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::empty() }
    }

    /// Makes an event of type `message` whose data is `value` as JSON, on one line.
    ///
    /// # Errors
    ///
    /// What `serde_json` says when `value` cannot be represented: a map whose
    /// keys are no strings, or an error from the value's own `Serialize`.
    #[cfg(feature = "serde")]
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }

    /// Makes a comment: lines that receivers skip, and proxies count as life.
    ///
    /// Each line of `text` becomes a comment line. No blank line follows, since some receivers make
    /// an empty message of what stands before one.
    pub fn comment(text: impl Into<String>) -> Self {
        Self::empty().with_comment(text)
    }

    /// Makes an empty comment, the smallest thing that keeps a connection in use.
    pub fn heartbeat() -> Self {
        Self::empty().with_comment_text(Cow::Borrowed(""))
    }

    /// Makes a block that sets the last event id of the receiver and dispatches nothing (9.2.6,
    /// "dispatch the event", step 1).
    ///
    /// Firefox and many clients that are no browsers pass over an id without data, and some make an
    /// empty message of such a block. A [broker](crate::broker) tells a peer its place by a
    /// `Notice` instead.
    pub fn id_only(id: EventId) -> Self {
        Self::empty().with_id(id)
    }

    /// Makes a block that sets the receiver's reconnection time and dispatches nothing.
    ///
    /// The unit on the wire is the millisecond; what is finer is cut off. Some receivers keep a
    /// reconnection time only where it stands in a block with data, or make an empty message of
    /// this one: see [`with_retry`](Self::with_retry).
    pub fn retry_only(retry: Duration) -> Self {
        Self::empty().with_retry(retry)
    }

    /// A block of nothing, to be added to.
    pub(crate) const fn empty() -> Self {
        Self {
            data: None,
            comment: None,
            event_type: EventType::MESSAGE,
            id: None,
            retry: None,
            key: None,
        }
    }

    /// Sets the event's type, by which a page subscribes with `addEventListener`.
    pub fn with_type(mut self, event_type: EventType) -> Self {
        self.event_type = event_type;
        self
    }

    /// Sets the event's id, which becomes the receiver's last event id.
    ///
    /// An empty id clears it. A broker publishes only ids with which a receiver can come back
    /// (`LastEventId::check`).
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the receiver's reconnection time, in whole milliseconds.
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Adds a comment, which goes out before the event's fields.
    pub fn with_comment(self, text: impl Into<String>) -> Self {
        self.with_comment_text(Cow::Owned(text.into()))
    }

    /// Adds a comment that need not be copied.
    pub(crate) fn with_comment_text(mut self, text: Cow<'static, str>) -> Self {
        self.comment = Some(text);
        self
    }

    /// Says what the event is about, so that it supersedes earlier ones with an equal key where it
    /// is published. The key does not go over the wire. Default: nothing; the event supersedes none
    /// and is never superseded.
    pub fn with_key(mut self, key: EventKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Returns the data, as it was given; `None` for a block that dispatches nothing.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// Returns the comment, if the block has one.
    pub fn comment_text(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Returns the type; [`EventType::MESSAGE`] unless another was set.
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Returns the id, if the event brings its own.
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// Returns what the event is about, if that was said.
    pub fn key(&self) -> Option<&EventKey> {
        self.key.as_ref()
    }

    /// Returns the reconnection time, if the block sets one.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }
}

/// The type of an event: any text without CR and LF.
///
/// The empty text stands for `message`, as it does in the standard (9.2.6).
///
/// ```
/// use sansse::{EventType, event_type};
///
/// assert_eq!(EventType::new("tick")?, event_type!("tick"));
/// assert_eq!(EventType::new("")?, EventType::MESSAGE);
/// assert!(EventType::new("a\ndata: forged").is_err());
/// # Ok::<(), sansse::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Cow<'static, str>);

impl EventType {
    /// The type of events that name none.
    pub const MESSAGE: Self = Self(Cow::Borrowed("message"));

    /// Validates `text` as an event type.
    ///
    /// # Errors
    ///
    /// [`FieldError`] at the first CR or LF.
    pub fn new(text: impl Into<String>) -> Result<Self, FieldError> {
        let text = text.into();
        if text.is_empty() {
            return Ok(Self::MESSAGE);
        }
        match find_forbidden(text.as_bytes(), false) {
            None => Ok(Self(Cow::Owned(text))),
            Some(error) => Err(error),
        }
    }

    /// What [`event_type!`](crate::event_type) expands to; panics where the compiler runs it.
    #[doc(hidden)]
    pub const fn from_literal(text: &'static str) -> Self {
        assert!(!text.is_empty(), "the empty event type stands for `message`");
        assert!(find_forbidden(text.as_bytes(), false).is_none(), "an event type holds CR or LF");
        Self(Cow::Borrowed(text))
    }

    /// Returns the text; never empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EventType {
    fn default() -> Self {
        Self::MESSAGE
    }
}

impl AsRef<str> for EventType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An [`EventType`] from a literal, checked by the compiler.
///
/// ```
/// assert_eq!(sansse::event_type!("tick").as_str(), "tick");
/// ```
/// ```compile_fail
/// sansse::event_type!("a\nb");
/// ```
#[macro_export]
macro_rules! event_type {
    ($text:literal) => {
        const { $crate::EventType::from_literal($text) }
    };
}

/// The id of an event: any text without CR, LF and NUL.
///
/// The empty id is valid: it clears the receiver's last event id. Browsers send ids back as the
/// `Last-Event-ID` header, in which an id without spaces and tabs at its ends comes back exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Cow<'static, str>);

impl EventId {
    /// Validates `text` as an event id.
    ///
    /// # Errors
    ///
    /// [`FieldError`] at the first CR, LF or NUL.
    pub fn new(text: impl Into<String>) -> Result<Self, FieldError> {
        let text = text.into();
        match find_forbidden(text.as_bytes(), true) {
            None => Ok(Self(Cow::Owned(text))),
            Some(error) => Err(error),
        }
    }

    /// What [`event_id!`](crate::event_id) expands to; panics where the compiler runs it.
    #[doc(hidden)]
    pub const fn from_literal(text: &'static str) -> Self {
        assert!(find_forbidden(text.as_bytes(), true).is_none(), "an event id holds CR, LF or NUL");
        Self(Cow::Borrowed(text))
    }

    /// An id from a text of the crate's own making, which holds nothing forbidden.
    #[cfg(feature = "broker")]
    pub(crate) fn trusted(text: String) -> Self {
        debug_assert!(find_forbidden(text.as_bytes(), true).is_none());
        Self(Cow::Owned(text))
    }

    /// Returns the text; may be empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An [`EventId`] from a literal, checked by the compiler.
///
/// ```
/// assert_eq!(sansse::event_id!("7").as_str(), "7");
/// ```
/// ```compile_fail
/// sansse::event_id!("7\0");
/// ```
#[macro_export]
macro_rules! event_id {
    ($text:literal) => {
        const { $crate::EventId::from_literal($text) }
    };
}

text_value!(EventType, FieldError);
text_value!(EventId, FieldError);

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0.into_owned()
    }
}

/// A text that cannot be an event type or id, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    position: usize,
    character: char,
}

impl FieldError {
    /// Returns where in the text the forbidden character stands, in bytes.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }

    /// Returns the forbidden character: CR, LF or NUL.
    pub const fn character(&self) -> char {
        self.character
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at byte {} of an event field", self.character, self.position)
    }
}

impl core::error::Error for FieldError {}

const fn find_forbidden(text: &[u8], nul: bool) -> Option<FieldError> {
    let mut position = 0;
    while position < text.len() {
        let byte = text[position];
        if byte == b'\n' || byte == b'\r' || (nul && byte == 0) {
            return Some(FieldError { position, character: byte as char });
        }
        position += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_character_is_named_with_its_position() {
        let error = EventId::new("ab\0").unwrap_err();
        assert_eq!((error.position(), error.character()), (2, '\0'));
        assert_eq!(EventType::new("é\rx").unwrap_err().position(), 2);
        assert_eq!(EventType::new("a\nb").unwrap_err().character(), '\n');
    }

    #[test]
    fn a_text_is_validated_however_it_is_converted() {
        let text = String::from("a\nb");
        let expected = EventId::new(&*text).unwrap_err();
        assert_eq!(text.parse::<EventId>(), Err(expected));
        assert_eq!(EventId::try_from(&*text), Err(expected));
        assert_eq!(EventType::try_from(text), Err(expected));
        assert_eq!("tick".parse::<EventType>().unwrap(), crate::event_type!("tick"));
        assert_eq!(EventId::try_from("7").unwrap(), crate::event_id!("7"));
        assert_eq!(expected.fault(), Fault::Caller);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn types_and_ids_are_serialized_as_their_text_and_validated_when_read() {
        let both = (crate::event_type!("tick"), crate::event_id!("7"));
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(text, r#"["tick","7"]"#);
        assert_eq!(serde_json::from_str::<(EventType, EventId)>(&text).unwrap(), both);
        assert!(serde_json::from_str::<EventId>(r#""a\u0000""#).is_err());
        assert!(serde_json::from_str::<EventType>(r#""a\n""#).is_err());
        assert!(serde_json::from_str::<EventType>("1").is_err());
    }

    #[test]
    fn a_type_may_hold_nul_and_an_id_may_be_empty() {
        assert_eq!(EventType::new("a\0").unwrap().as_str(), "a\0");
        assert_eq!(EventId::new("").unwrap().as_str(), "");
    }
}
