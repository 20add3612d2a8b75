//! What can go wrong with an engine: [`LogError`].

use crate::broker::Epoch;
use crate::fault::Fault;
use crate::net::cut_detail;
use alloc::borrow::Cow;
use core::error::Error;
use core::fmt;

/// What an adapter says of an engine that did not do as it was asked.
#[cfg_attr(feature = "record", derive(serde::Serialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    kind: LogErrorKind,
    detail: Cow<'static, str>,
}

impl LogError {
    /// The length to which a detail is cut, in bytes.
    pub const MAX_DETAIL: usize = 512;

    /// Makes an error without detail.
    pub const fn new(kind: LogErrorKind) -> Self {
        Self { kind, detail: Cow::Borrowed("") }
    }

    /// Adds what the engine or the system said, for people to read; it is cut to
    /// [`MAX_DETAIL`](Self::MAX_DETAIL). It must hold no password.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = cut_detail(detail.into(), Self::MAX_DETAIL);
        self
    }

    /// Returns what went wrong.
    pub const fn kind(&self) -> LogErrorKind {
        self.kind
    }

    /// Returns what the engine or the system said; empty if nothing.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<LogErrorKind> for LogError {
    fn from(kind: LogErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl Error for LogError {}

/// What went wrong with an engine.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogErrorKind {
    /// There is no connection to it, or it broke, or no answer came in time. An append may have
    /// happened.
    Unreachable,
    /// It is there and does not serve now: it loads its data, follows another one, has lost its
    /// cluster. Nothing was appended.
    NotReady,
    /// It has no room: memory or disk. Nothing was appended.
    Full,
    /// It does not let this node in, or not do this: a wrong password, no right. Nothing was
    /// appended.
    Denied,
    /// It cannot do what is needed: its version is too old, or it is something else. Nothing was
    /// appended.
    Unsupported,
    /// The realm is in use with another epoch. Nothing was appended.
    OtherEpoch {
        /// The realm's epoch.
        epoch: Epoch,
    },
    /// Its data was written by a newer version of this library. Nothing was appended.
    Newer,
    /// Another process uses the store. Nothing was appended.
    Locked,
    /// Its data, or its answer, is not what it can be. An append may have happened.
    Malformed,
}

impl LogErrorKind {
    /// Returns whether nothing was appended for certain.
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::Unreachable | Self::Malformed)
    }

    /// Returns whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Unreachable => Fault::Transport,
            Self::NotReady | Self::Locked => Fault::State,
            Self::Full => Fault::Limit,
            Self::Denied | Self::OtherEpoch { .. } => Fault::Caller,
            Self::Unsupported | Self::Newer | Self::Malformed => Fault::Peer,
        }
    }
}

impl fmt::Display for LogErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("the engine cannot be reached"),
            Self::NotReady => f.write_str("the engine does not serve now"),
            Self::Full => f.write_str("the engine has no room"),
            Self::Denied => f.write_str("the engine does not permit it"),
            Self::Unsupported => f.write_str("the engine cannot do what is needed"),
            Self::OtherEpoch { epoch } => {
                write!(f, "the realm was begun with another epoch, {epoch}")
            }
            Self::Newer => f.write_str("the data was written by a newer version"),
            Self::Locked => f.write_str("another process uses the store"),
            Self::Malformed => f.write_str("the engine's data or answer makes no sense"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_says_what_went_wrong_and_what_the_engine_said() {
        let error = LogError::from(LogErrorKind::Full).with_detail("OOM command not allowed");
        assert_eq!(error.to_string(), "the engine has no room: OOM command not allowed");
        let long = LogError::from(LogErrorKind::Full).with_detail("ä".repeat(300));
        assert_eq!(long.detail().len(), LogError::MAX_DETAIL);
    }

    #[test]
    fn what_may_have_been_appended_is_no_refusal() {
        assert!(!LogErrorKind::Unreachable.is_refusal());
        assert!(!LogErrorKind::Malformed.is_refusal());
        assert!(LogErrorKind::Full.is_refusal());
    }
}
