//! What events are about, by name.

use crate::fault::Fault;
use crate::text::text_value;
use alloc::sync::Arc;
use core::fmt;

/// What an event is about, where only the newest of a kind matters: a price, a position, a cell.
///
/// An event supersedes those that were published before it to the same topic with an equal key. This
/// has an effect in two places. A session that keeps the newest of each key
/// (`broker::LagPolicy::KeepNewestPerKey`) does not get superseded events when it is behind. A
/// compact log (`broker::Retention::compact`) lets them go first. A key never goes over the wire.
///
/// 1 to 256 bytes of any text: enough for a path or two UUIDs. Cloning copies nothing.
///
/// ```
/// use sansse::{Event, EventKey};
///
/// let price = Event::new("1,902.5").with_key(EventKey::new("gold")?);
/// # Ok::<(), sansse::EventKeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(Arc<str>);

/// The longest key, in bytes.
const MAX: usize = 256;

impl EventKey {
    /// Validates `text` as a key.
    ///
    /// # Errors
    ///
    /// [`EventKeyError`] for an empty text and for one that is too long.
    pub fn new(text: impl AsRef<str>) -> Result<Self, EventKeyError> {
        let text = text.as_ref();
        match text.len() {
            1..=MAX => Ok(Self(text.into())),
            length => Err(EventKeyError { length }),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventKey {
    /// Returns whether [`new`](Self::new) takes this text.
    #[doc(hidden)]
    pub const fn is_valid(text: &str) -> bool {
        !text.is_empty() && text.len() <= MAX
    }

    /// What [`event_key!`](crate::event_key) expands to, for a text that the compiler has checked.
    #[doc(hidden)]
    pub fn from_literal(text: &'static str) -> Self {
        assert!(Self::is_valid(text), "a key has 1 to 256 bytes");
        Self(text.into())
    }
}

/// An [`EventKey`] from a literal, checked by the compiler. Each use allocates once; clones do not.
///
/// ```
/// assert_eq!(sansse::event_key!("gold").as_str(), "gold");
/// ```
/// ```compile_fail
/// sansse::event_key!("");
/// ```
#[macro_export]
macro_rules! event_key {
    ($text:literal) => {{
        const { assert!($crate::EventKey::is_valid($text), "a key has 1 to 256 bytes") };
        $crate::EventKey::from_literal($text)
    }};
}

text_value!(EventKey, EventKeyError);

impl AsRef<str> for EventKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text whose length is not that of an [`EventKey`], by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKeyError {
    length: usize,
}

impl EventKeyError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }

    /// Returns the length of the text, in bytes.
    pub const fn length(&self) -> usize {
        self.length
    }
}

impl fmt::Display for EventKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of {} bytes, where 1 to {MAX} may be", self.length)
    }
}

impl core::error::Error for EventKeyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_key_is_refused_for_its_length_alone() {
        assert_eq!(EventKey::new("").unwrap_err().length(), 0);
        assert_eq!(EventKey::new("k".repeat(MAX + 1)).unwrap_err().length(), MAX + 1);
        assert_eq!(EventKey::new("k".repeat(MAX)).unwrap().as_str().len(), MAX);
        assert_eq!(EventKey::new("any\ntext").unwrap().to_string(), "any\ntext");
    }
}
