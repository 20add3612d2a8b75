//! The names of clients.

use super::super::error::NameError;
use super::{Form, check, literal};
use crate::text::text_value;
use alloc::sync::Arc;
use core::fmt;

/// A client, by a name of the application's own: a user, a device, a visitor.
///
/// 1 to [`MAX_NAME`](super::MAX_NAME) bytes of any text. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Validates `text` as a client id.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check(text.as_ref(), Form::Any).map(|text| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

literal!(ClientId, Form::Any);
text_value!(ClientId, NameError);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
