//! What events are about, by name.

use super::super::error::NameError;
use super::check_length;
use alloc::sync::Arc;
use core::fmt;

/// What an event is about, where only the newest of a kind matters: a price, a position, a cell.
///
/// An event supersedes those that were published before it to the same topic with an equal key.
/// This has an effect in two places. A session that
/// [keeps the newest of each key](crate::broker::LagPolicy::KeepNewestPerKey) does not get
/// the superseded ones when it is behind. A log that is [compact](crate::broker::Retention::compact)
/// lets them go first. A key never goes over the wire.
///
/// 1 to [`MAX_NAME`](super::MAX_NAME) bytes of any text. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(Arc<str>);

impl EventKey {
    /// Validates `text` as a key.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check_length(text.as_ref()).map(|text| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
