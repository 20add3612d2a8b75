//! Why a request is refused, an answer not taken, or a connection closed, and whose fault it is.

use crate::fault::Fault;
use crate::http1::chunked::ChunkedError;
use crate::http1::head::HeadError;
use core::fmt;
use http::StatusCode;

/// Why a connection is to be closed, as
/// [`ServerConnection::close_reason`](super::ServerConnection::close_reason) says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerCloseReason {
    /// The last exchange is over, and its request or its answer said that no
    /// other is to follow.
    Finished,
    /// The peer ended the connection between two requests, or ended its event
    /// stream.
    PeerClosed,
    /// The peer ended the connection in the middle of a request.
    Truncated,
    /// Nothing came in the time between two requests.
    IdleTimeout,
    /// The head of a request was not complete in time. No answer was given.
    HeadTimeout,
    /// The body of a request was not complete in time. The answer was 408.
    BodyTimeout,
    /// An answer was not written in time: the peer does not read.
    WriteTimeout,
    /// The request broke the protocol or a limit, and was answered so.
    BadRequest(RefusedRequest),
    /// Bytes came after the request of an event stream, which is the last of
    /// its connection.
    BytesAfterStreamRequest,
    /// The application refused the connection, by
    /// [`ServerConnection::refuse`](super::ServerConnection::refuse).
    Refused,
    /// The application wanted no more requests, by
    /// [`ServerConnection::drain`](super::ServerConnection::drain).
    Drained,
    /// Bytes were handed in although
    /// [`ServerConnection::wants_data`](super::ServerConnection::wants_data) said no.
    Overrun,
}

impl ServerCloseReason {
    /// Returns whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Finished
            | Self::PeerClosed
            | Self::IdleTimeout
            | Self::Refused
            | Self::Drained => Fault::Nobody,
            Self::Truncated
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::WriteTimeout
            | Self::BadRequest(_)
            | Self::BytesAfterStreamRequest => Fault::Peer,
            Self::Overrun => Fault::Caller,
        }
    }
}

impl fmt::Display for ServerCloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "the last exchange is over",
            Self::PeerClosed => "the peer ended the connection",
            Self::Truncated => "the peer ended the connection inside a request",
            Self::IdleTimeout => "no request came in time",
            Self::HeadTimeout => "the request head was not complete in time",
            Self::BodyTimeout => "the request body was not complete in time",
            Self::WriteTimeout => "the answer was not written in time",
            Self::BadRequest(error) => return error.fmt(f),
            Self::BytesAfterStreamRequest => "bytes came after the request of an event stream",
            Self::Refused => "the connection was refused",
            Self::Drained => "no more requests are wanted",
            Self::Overrun => "more bytes were handed in than were wanted",
        })
    }
}

impl core::error::Error for ServerCloseReason {}

/// A request that is refused before the application sees it, by the peer's fault.
///
/// After it the connection is closed, since where the next request begins is
/// not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedRequest {
    /// The request line is no request line, or a line has no end of its own
    /// (RFC 9112, 3).
    Syntax,
    /// A line ends with LF alone (RFC 9112, 2.2 lets us refuse it).
    BareLineFeed,
    /// More empty lines stand before the request than good will explains
    /// (RFC 9112, 2.2).
    EmptyLines,
    /// A header name holds what no name holds, has white space before its
    /// colon, or continues the line before it (RFC 9112, 5.1 and 5.2).
    HeaderName,
    /// A header value holds a control character (RFC 9110, 5.5).
    HeaderValue,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// The head is larger than its limit.
    HeadTooLarge,
    /// The head has more lines than its limit.
    TooManyHeaders,
    /// The target is no URL of a form that goes with the method (RFC 9112, 3.2).
    Target,
    /// The method is CONNECT, and this is no proxy.
    Connect,
    /// `Host` is missing where HTTP/1.1 demands it, stands there twice, or is
    /// no host (RFC 9112, 3.2).
    Host,
    /// `Content-Length` stands there twice or is no number that counts bytes
    /// (RFC 9112, 6.3).
    ContentLength,
    /// Both `Transfer-Encoding` and `Content-Length` are there, of which two
    /// parties could believe different ones (RFC 9112, 6.3).
    LengthAndCoding,
    /// A coding other than exactly `chunked` (RFC 9112, 6.1).
    TransferCoding,
    /// A transfer coding on HTTP/1.0, which has none (RFC 9112, 6.1).
    CodingOnHttp10,
    /// An `Expect` other than `100-continue` (RFC 9110, 10.1.1).
    Expectation,
    /// The body is larger than its limit, or says that it will be.
    BodyTooLarge,
    /// The chunked coding of the body is broken.
    Chunked(ChunkedError),
}

impl RefusedRequest {
    /// Returns the status of the answer that the peer gets.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Syntax
            | Self::BareLineFeed
            | Self::EmptyLines
            | Self::HeaderName
            | Self::HeaderValue
            | Self::Target
            | Self::Host
            | Self::ContentLength
            | Self::LengthAndCoding
            | Self::CodingOnHttp10
            | Self::Chunked(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HeadTooLarge | Self::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Connect | Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl From<HeadError> for RefusedRequest {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLarge => Self::HeadTooLarge,
            HeadError::TooManyHeaders => Self::TooManyHeaders,
            HeadError::HeaderName => Self::HeaderName,
            HeadError::HeaderValue => Self::HeaderValue,
        }
    }
}

impl fmt::Display for RefusedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "the request is not HTTP/1.1",
            Self::BareLineFeed => "a line of the request head ends without CR",
            Self::EmptyLines => "too many empty lines before the request",
            Self::HeaderName => "a header name is invalid",
            Self::HeaderValue => "a header value is invalid",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::HeadTooLarge => "the request head is too large",
            Self::TooManyHeaders => "the request has too many headers",
            Self::Target => "the request target is invalid",
            Self::Connect => "this is no proxy",
            Self::Host => "the Host header is missing, repeated or invalid",
            Self::ContentLength => "the Content-Length header is repeated or invalid",
            Self::LengthAndCoding => "both Content-Length and Transfer-Encoding are given",
            Self::TransferCoding => "the only transfer coding known here is chunked",
            Self::CodingOnHttp10 => "HTTP/1.0 has no transfer codings",
            Self::Expectation => "the only expectation known here is 100-continue",
            Self::BodyTooLarge => "the request body is too large",
            Self::Chunked(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for RefusedRequest {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Chunked(error) => Some(error),
            _ => None,
        }
    }
}

/// An answer that was not taken. Unless the connection is over, the request
/// waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RespondError {
    /// No request waits for an answer, by the caller's fault: none was taken
    /// from [`poll_request`](super::ServerConnection::poll_request), or it was answered
    /// already.
    NoRequest,
    /// The status is 1xx, which is no final answer, by the caller's fault.
    Informational,
    /// An event stream cannot answer a HEAD request, nor go with status 204,
    /// 205 or 304, by the caller's fault: none of them has a body.
    NoBody,
    /// The connection is closing, for the reason given.
    Closed(ServerCloseReason),
}

impl fmt::Display for RespondError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => f.write_str("no request waits for an answer"),
            Self::Informational => f.write_str("a status of 1xx is no final answer"),
            Self::NoBody => f.write_str("an event stream needs an answer that may have a body"),
            Self::Closed(reason) => write!(f, "the connection is closing: {reason}"),
        }
    }
}

impl core::error::Error for RespondError {}
