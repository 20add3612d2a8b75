//! The names of topics.

use super::super::error::NameError;
use super::{Form, check, literal};
use crate::text::text_value;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

/// The name of a topic to which sessions subscribe.
///
/// 1 to [`MAX_NAME`](super::MAX_NAME) bytes without control characters and without `*`, which is
/// kept for [patterns](super::TopicPattern). Slashes divide it into levels, at most
/// [`MAX_LEVELS`](super::MAX_LEVELS); a level may be empty, and counts as one then: `/news` is not
/// `news`. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Validates `text` as the name of a topic.
    ///
    /// # Errors
    ///
    /// [`NameError`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check(text.as_ref(), Form::Topic).map(|text| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

literal!(TopicName, Form::Topic);
text_value!(TopicName, NameError);

/// Lets all names that begin alike be found together in a map.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
