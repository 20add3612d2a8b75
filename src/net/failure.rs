//! What can go wrong with a connection: [`Failure`].

use crate::fault::Fault;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::error::Error;
use core::fmt;

/// What a driver says of a connection that failed.
///
/// ```
/// use sansse::net::{Failure, FailureKind};
///
/// # let error = "connection refused";
/// let failure = Failure::caused_by(FailureKind::Connect, error);
/// assert_eq!(failure.to_string(), "no connection came about: connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    detail: Cow<'static, str>,
}

impl Failure {
    /// The length to which a detail is cut, in bytes.
    pub const MAX_DETAIL: usize = 512;

    /// Makes a failure without detail.
    pub const fn new(kind: FailureKind) -> Self {
        Self { kind, detail: Cow::Borrowed("") }
    }

    /// Makes a failure whose detail is what `cause`, such as an error of the system's, says.
    pub fn caused_by(kind: FailureKind, cause: impl fmt::Display) -> Self {
        Self::new(kind).with_detail(cause.to_string())
    }

    /// Adds what the system or a library said, for people to read; it is cut to
    /// [`MAX_DETAIL`](Self::MAX_DETAIL).
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = cut_detail(detail.into(), Self::MAX_DETAIL);
        self
    }

    /// Returns what failed.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns what the system or a library said; empty if nothing.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Cuts what somebody else said to at most so many bytes, between two characters.
pub(crate) fn cut_detail(detail: Cow<'static, str>, most: usize) -> Cow<'static, str> {
    if detail.len() <= most {
        return detail;
    }
    let mut end = most;
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(String::from(&detail[..end]))
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl Error for Failure {}

/// What failed about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host has no address, or the name service is away. The request was not sent.
    Resolve,
    /// No connection came about: it was refused, or nobody answered. The request was not sent.
    Connect,
    /// The connection could not be secured, for a reason that may pass, such as a certificate that
    /// has expired and will be renewed. The request was not sent.
    Tls,
    /// The peer's certificate is none for this host, or by nobody who is trusted. The request was
    /// not sent. It is the end: waiting does not mend it.
    Certificate,
    /// The peer speaks no TLS, as a port for `http` does not. The request was not sent. It is the
    /// end: waiting does not mend it.
    NotTls,
    /// A proxy refuses to lead to the host, such as for want of credentials (407). The request was
    /// not sent. It is the end: waiting does not mend it. One that cannot reach the host is
    /// [`Connect`](Self::Connect).
    ProxyRefused,
    /// What is needed cannot be done here, such as `https` by a driver without TLS. It is the end,
    /// since the next attempt would end the same way.
    Unsupported,
    /// The headers that were asked for cannot be had, such as a token whose issuer is away.
    Headers,
    /// The connection was closed or reset before its time, or a read or a write failed.
    Closed,
    /// The answer is no valid HTTP, or is beyond a limit of the driver's.
    Protocol,
    /// The body ended before the length that was announced for it, or without its last chunk, or,
    /// over TLS, with a connection that was closed without `close_notify` (RFC 9112, 9.8).
    Truncated,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Returns whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Resolve
            | Self::Connect
            | Self::Tls
            | Self::ProxyRefused
            | Self::Closed
            | Self::Other => Fault::Transport,
            Self::Certificate | Self::NotTls | Self::Protocol | Self::Truncated => Fault::Peer,
            Self::Unsupported | Self::Headers => Fault::Caller,
        }
    }

    /// Returns whether no part of the request can have reached the server.
    pub const fn is_before_request(self) -> bool {
        match self {
            Self::Resolve
            | Self::Connect
            | Self::Tls
            | Self::Certificate
            | Self::NotTls
            | Self::ProxyRefused
            | Self::Unsupported
            | Self::Headers => true,
            Self::Closed | Self::Protocol | Self::Truncated | Self::Other => false,
        }
    }

    /// Returns whether another attempt would end the same way, however long is waited, so that the
    /// client ends.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Certificate | Self::NotTls | Self::ProxyRefused | Self::Unsupported)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host was not found",
            Self::Connect => "no connection came about",
            Self::Tls => "the connection could not be secured",
            Self::Certificate => "the server's certificate is not accepted",
            Self::NotTls => "the server speaks no TLS at this port",
            Self::ProxyRefused => "the proxy refuses to connect to the host",
            Self::Unsupported => "the request needs what cannot be done here",
            Self::Headers => "the headers for the request could not be had",
            Self::Closed => "the connection was lost",
            Self::Protocol => "the server's answer is no valid HTTP",
            Self::Truncated => "the server's answer is cut off",
            Self::Other => "the connection failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_at_a_character() {
        let long = "é".repeat(Failure::MAX_DETAIL);
        let failure = Failure::new(FailureKind::Other).with_detail(alloc::format!("x{long}"));
        assert_eq!(failure.detail().len(), Failure::MAX_DETAIL - 1);
        assert!(failure.detail().ends_with('é'));
    }
}
