//! Requests that cannot be those of an event source.

use std::fmt;

/// Why a request of reqwest's makes no event source: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusableRequest {
    /// The builder holds no valid request; what reqwest says of it.
    Invalid(String),
    /// The body is a stream, which cannot be sent a second time.
    StreamedBody,
}

impl fmt::Display for UnusableRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => write!(f, "the request is not valid: {reason}"),
            Self::StreamedBody => {
                f.write_str("the request's body is a stream, which cannot be sent again")
            }
        }
    }
}

impl std::error::Error for UnusableRequest {}
