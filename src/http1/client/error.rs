//! Why a request is not sent or a response not believed, and whose fault it is.

use crate::fault::Fault;
use crate::http1::chunked::ChunkedError;
use crate::http1::head::HeadError;
use crate::net::{Failure, FailureKind};
use core::fmt;

/// A request that cannot be sent, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The method is CONNECT, whose answer is followed by something other
    /// than HTTP (RFC 9110, 9.3.6), and for which there is
    /// [`ClientConnection::connect`](super::ClientConnection::connect); or TRACE with a body (RFC 9110, 9.3.8).
    Method,
    /// The URL is neither one with a host nor a path; or it is `*`, and the
    /// method is not OPTIONS (RFC 9112, 3.2).
    Target,
    /// There is no `Host` to be sent: the URL names no host or a port that is
    /// none, and no header does it instead; or there are several headers, or
    /// one that is no host.
    Host,
    /// The URL holds a user name or a password, which no request may
    /// (RFC 9110, 4.2.4). They belong in an `Authorization` header.
    Userinfo,
}

impl InvalidRequest {
    /// Returns whose fault it is: always the caller's.
    pub const fn fault(self) -> Fault {
        Fault::Caller
    }
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the method is none that is sent here",
            Self::Target => "the URL is no target for a request of this method",
            Self::Host => "there is no valid host to ask",
            Self::Userinfo => "the URL holds a user name",
        })
    }
}

impl core::error::Error for InvalidRequest {}

/// Why a response ends before its end, or is not taken for one.
///
/// All of them end the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// The peer ended the connection before the first byte of its response, or
    /// after interim responses only.
    NoResponse,
    /// The peer ended the connection inside the head of its response.
    TruncatedHead,
    /// The peer ended the connection before the end of the body: before the
    /// announced length was reached, or without the last chunk (RFC 9112, 8).
    TruncatedBody,
    /// What came does not begin as HTTP does. It may be another protocol, or
    /// HTTP/0.9, whose answers have no head.
    NotHttp,
    /// It begins as HTTP does, in a version other than 1.0 and 1.1.
    Version,
    /// The status line is malformed after the version (RFC 9112, 4).
    StatusLine,
    /// A line of the head is no header field: its name holds what no name
    /// holds, has white space before its colon, or there is no colon
    /// (RFC 9112, 5.1).
    HeaderName,
    /// A header value holds NUL or a lone CR, or that of a header which says
    /// how long the body is holds another control character (RFC 9110, 5.5).
    HeaderValue,
    /// The head is larger than its limit.
    HeadTooLarge,
    /// The head has more lines than its limit.
    TooManyHeaders,
    /// More interim responses came than their limit.
    TooManyInterim,
    /// The status is 101: the peer would speak another protocol from here on,
    /// which nobody has asked for (RFC 9110, 15.2.2).
    SwitchingProtocols,
    /// A `Content-Length` is no number that counts bytes, or there are several
    /// that differ (RFC 9112, 6.3).
    ContentLength,
    /// Both `Transfer-Encoding` and `Content-Length` are there, of which two
    /// parties could believe different ones (RFC 9112, 6.3).
    LengthAndCoding,
    /// A transfer coding other than exactly `chunked`, which nobody has asked
    /// for (RFC 9112, 7).
    TransferCoding,
    /// A transfer coding on HTTP/1.0, which has none (RFC 9112, 6.1).
    CodingOnHttp10,
    /// The chunked coding of the body is broken.
    Chunked(ChunkedError),
    /// Bytes came after the end of the response, which is told before this:
    /// perhaps its length was announced too short (RFC 9112, 6.3).
    ExcessBytes,
    /// More bytes were handed in without being polled than their limit,
    /// although [`ClientConnection::wants_data`](super::ClientConnection::wants_data) said no.
    Overrun,
}

impl ResponseError {
    /// Returns whose fault it is.
    ///
    /// A connection that ends too early does so by the peer's, since this is
    /// told of its proper end alone: a reset, for one, is the transport's, and
    /// for the driver to tell.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Overrun => Fault::Caller,
            _ => Fault::Peer,
        }
    }
}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLarge => Self::HeadTooLarge,
            HeadError::TooManyHeaders => Self::TooManyHeaders,
            HeadError::HeaderName => Self::HeaderName,
            HeadError::HeaderValue => Self::HeaderValue,
        }
    }
}

/// How an event stream's client is told of it.
impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        let kind = match error {
            ResponseError::NoResponse => FailureKind::Closed,
            ResponseError::TruncatedHead | ResponseError::TruncatedBody => FailureKind::Truncated,
            _ => FailureKind::Protocol,
        };
        Self::caused_by(kind, error)
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoResponse => "the server closed the connection without a response",
            Self::TruncatedHead => "the server closed the connection inside the response head",
            Self::TruncatedBody => "the server closed the connection inside the response body",
            Self::NotHttp => "the server's answer is not HTTP",
            Self::Version => "the server's answer is neither HTTP/1.1 nor HTTP/1.0",
            Self::StatusLine => "the status line of the response is invalid",
            Self::HeaderName => "a header name of the response is invalid",
            Self::HeaderValue => "a header value of the response is invalid",
            Self::HeadTooLarge => "the response head is too large",
            Self::TooManyHeaders => "the response has too many headers",
            Self::TooManyInterim => "too many interim responses came before the final one",
            Self::SwitchingProtocols => "the server switches to a protocol that was not asked for",
            Self::ContentLength => "the Content-Length of the response is invalid or ambiguous",
            Self::LengthAndCoding => {
                "the response has both a Content-Length and a Transfer-Encoding"
            }
            Self::TransferCoding => "the response has a transfer coding other than chunked",
            Self::CodingOnHttp10 => "the response is HTTP/1.0 and has a transfer coding",
            Self::Chunked(error) => return error.fmt(f),
            Self::ExcessBytes => "bytes came after the end of the response",
            Self::Overrun => "more bytes were handed in than may wait",
        })
    }
}

impl core::error::Error for ResponseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Chunked(error) => Some(error),
            _ => None,
        }
    }
}
