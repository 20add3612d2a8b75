//! What is received: a [`Message`], lent by the decoder, and an [`OwnedMessage`] to keep.

use crate::event::{EventId, EventType};
use alloc::borrow::ToOwned;
use alloc::string::String;

/// A received event, lent by the [`Decoder`](super::Decoder) that decoded it.
///
/// To keep it, make it an [`OwnedMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub(super) event_type: &'a str,
    pub(super) data: &'a str,
    pub(super) last_event_id: &'a str,
}

impl<'a> Message<'a> {
    /// Returns the type of the event; `message` if the event named none. Never empty.
    #[inline]
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// Returns the data: the values of the event's `data` fields, joined by LF. May be empty.
    #[inline]
    pub fn data(&self) -> &'a str {
        self.data
    }

    /// Returns the last event ID string when the event was dispatched: the event's own id, or that
    /// of an earlier event. Empty if there was none.
    #[inline]
    pub fn last_event_id(&self) -> &'a str {
        self.last_event_id
    }

    /// Reads the data as JSON.
    ///
    /// # Errors
    ///
    /// What `serde_json` says when the data is not JSON, or is not what `T` expects: the fault of
    /// the peer, or of the caller's idea of it.
    #[cfg(feature = "serde")]
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn json<T: serde::Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data)
    }

    /// Copies the message, and nothing of the chunk that it came in.
    pub fn into_owned(self) -> OwnedMessage {
        self.into()
    }
}

/// A received event that stands for itself.
///
/// ```
/// use sansse::{Decoder, OwnedMessage, Step};
///
/// let mut decoder = Decoder::new();
/// decoder.handle_data(b"data: a\n\ndata: b\n\n");
/// let mut messages: Vec<OwnedMessage> = Vec::new();
/// while let Some(step) = decoder.poll_step() {
///     if step == Step::Message {
///         messages.push(decoder.message().into());
///     }
/// }
/// assert_eq!(messages[1].data, "b");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OwnedMessage {
    /// The type of the event; `message` if the event named none.
    pub event_type: EventType,
    /// The data, its lines joined by LF.
    pub data: String,
    /// The last event ID string when the event was dispatched.
    pub last_event_id: EventId,
}

impl OwnedMessage {
    /// Reads the data as JSON.
    ///
    /// # Errors
    ///
    /// As of [`Message::json`].
    #[cfg(feature = "serde")]
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.data)
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        let event_type = match message.event_type {
            "message" => EventType::MESSAGE,
            other => EventType::new(other.to_owned()).expect("a field value holds no line end"),
        };
        let last_event_id = EventId::new(message.last_event_id.to_owned())
            .expect("an id with NUL is ignored, and a field value holds no line end");
        Self { event_type, data: message.data.to_owned(), last_event_id }
    }
}
