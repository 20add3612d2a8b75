//! What can go wrong, whose fault it is, and why a client ends.

use super::secrets::{NamesOf, WithoutQuery};
use crate::fault::Fault;
use crate::net::Failure;
use crate::notice::RefusalReason;
use alloc::boxed::Box;
use bytes::Bytes;
use core::error::Error;
use core::fmt;
use core::time::Duration;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};

/// Why an attempt was over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// The request can never be sent. It is the end.
    Request(RequestError),
    /// The connection failed, as the driver says.
    Transport(Failure),
    /// The body ended properly, as streams do when a server restarts.
    EndOfStream,
    /// The server has no stream for now, as its [notice](crate::Notice) said in place of one. The
    /// client comes back after the reconnection time, without a back-off beyond it. The server has
    /// not acted on the request, so that it is sent again whatever its method.
    Refused(RefusalReason),
    /// A stream that was to be read once ended before its end; why is inside. It is the end.
    Truncated(Box<Self>),
    /// Something did not come in time.
    Timeout(Timeout),
    /// The status is none that opens a stream. Whether it is retried is for
    /// [`Policy::retried_statuses`](super::Policy::retried_statuses), and whether with headers anew
    /// for [`ClientConfig::renewed_statuses`](super::ClientConfig::renewed_statuses).
    Status(Box<UnexpectedResponse>),
    /// The status is 200, and the content type is not `text/event-stream`. It is the end. The
    /// commonest cause is a URL whose path is another one's, such as a page's.
    ContentType(Box<UnexpectedResponse>),
    /// The body has a content coding that the driver did not undo; a driver that undoes one takes
    /// `Content-Encoding` out of the head (RFC 9110, 8.4). It is the end.
    ContentEncoding(Box<UnexpectedResponse>),
    /// A redirect was not followed.
    Redirect(RedirectError, Box<UnexpectedResponse>),
    /// The caller asked for another connection, by [`Client::restart`](super::Client::restart).
    Restarted,
    /// Bytes were handed in although [`Client::wants_data`](super::Client::wants_data) said no,
    /// and more than [`ClientConfig::max_unread`](super::ClientConfig::max_unread). It is the end.
    Overrun,
}

impl ClientError {
    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Request(_)
            | Self::Restarted
            | Self::Overrun
            | Self::Timeout(Timeout::Headers | Timeout::Total) => Fault::Caller,
            Self::Transport(failure) => failure.kind().fault(),
            Self::Timeout(Timeout::Response | Timeout::FirstByte | Timeout::Idle) => {
                Fault::Transport
            }
            Self::EndOfStream
            | Self::Refused(_)
            | Self::Status(_)
            | Self::ContentType(_)
            | Self::ContentEncoding(_)
            | Self::Redirect(..) => Fault::Peer,
            Self::Truncated(by) => by.fault(),
        }
    }

    /// Returns the response that was refused, if there was one.
    pub fn answer(&self) -> Option<&UnexpectedResponse> {
        match self {
            Self::Status(answer)
            | Self::ContentType(answer)
            | Self::ContentEncoding(answer)
            | Self::Redirect(_, answer) => Some(answer),
            Self::Truncated(by) => by.answer(),
            _ => None,
        }
    }

    /// Puts what came of the body into the answer.
    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        if let Self::Status(answer) | Self::ContentType(answer) | Self::ContentEncoding(answer) =
            &mut self
        {
            answer.body = body;
        }
        self
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Transport(failure) => failure.fmt(f),
            Self::EndOfStream => f.write_str("the server ended the stream"),
            Self::Refused(reason) => write!(f, "the server has no stream for now: {reason}"),
            Self::Truncated(by) => write!(f, "the stream is truncated: {by}"),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Status(answer) => write!(f, "the server answered {}", answer.status),
            Self::ContentType(answer) => {
                match answer.headers.get(header::CONTENT_TYPE) {
                    Some(value) => write!(f, "the server answered with {}", Named(value))?,
                    None => f.write_str("the server answered without a content type")?,
                }
                f.write_str(" instead of text/event-stream: is the path of the URL right?")
            }
            Self::ContentEncoding(answer) => {
                f.write_str("the server's answer has the content coding ")?;
                match answer.headers.get(header::CONTENT_ENCODING) {
                    Some(value) => Named(value).fmt(f)?,
                    None => f.write_str("of another")?,
                }
                f.write_str(", which was not asked for or not undone")
            }
            Self::Redirect(error, _) => error.fmt(f),
            Self::Restarted => f.write_str("another connection was asked for"),
            Self::Overrun => f.write_str("more bytes were handed in than were wanted"),
        }
    }
}

/// What a peer's header says, as far as it is fit to be read.
struct Named<'a>(&'a HeaderValue);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let bytes = self.0.as_bytes();
        if bytes.is_empty() {
            return f.write_str("nothing");
        }
        write!(f, "{}", bytes[..bytes.len().min(MOST)].escape_ascii())?;
        if bytes.len() > MOST { f.write_str("…") } else { Ok(()) }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Transport(failure) => Some(failure),
            Self::Timeout(timeout) => Some(timeout),
            Self::Truncated(by) => Some(by),
            Self::Redirect(error, _) => Some(error),
            _ => None,
        }
    }
}

/// A response that opened no stream: its head, and the beginning of its body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnexpectedResponse {
    /// The URL that answered; after redirects it is not the client's own.
    pub url: Uri,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body, up to
    /// [`ClientConfig::max_error_body`](super::ClientConfig::max_error_body), as it came;
    /// empty for a redirect.
    pub body: Bytes,
}

impl fmt::Debug for UnexpectedResponse {
    /// Leaves out the URL's query, the values of headers and the body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnexpectedResponse")
            .field("url", &WithoutQuery(&self.url))
            .field("status", &self.status)
            .field("headers", &NamesOf(&self.headers))
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What did not come in time. The times are those of [`Timeouts`](super::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// The caller's headers.
    Headers,
    /// The head of a response.
    Response,
    /// The first byte of a stream.
    FirstByte,
    /// The next byte of a stream.
    Idle,
    /// The end, within the client's whole life. It is the end.
    Total,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headers => "no headers were given in time",
            Self::Response => "the server did not answer in time",
            Self::FirstByte => "the stream did not begin in time",
            Self::Idle => "the stream was silent for too long",
            Self::Total => "the client's time is up",
        })
    }
}

impl Error for Timeout {}

/// A request that can never be sent, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The URL has no scheme or no host, or its port is no port.
    Url,
    /// The scheme is neither `http` nor `https`.
    Scheme,
    /// The URL holds a user name or a password that no `Authorization` header can say (RFC 7617,
    /// 2): a control character is in it, or a colon in the user name.
    Userinfo,
    /// The answers to CONNECT and HEAD have no body in which a stream could be.
    Method,
    /// The `Last-Event-ID` header is no event id: it is no UTF-8, or there are several.
    LastEventId,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "the URL of the request lacks a scheme or a valid host",
            Self::Scheme => "the URL of the request is neither http nor https",
            Self::Userinfo => {
                "the URL of the request holds a user name or a password that cannot be sent"
            }
            Self::Method => "the method of the request has answers without a body",
            Self::LastEventId => "the Last-Event-ID header of the request is no event id",
        })
    }
}

impl Error for RequestError {}

/// A redirect that was not followed, by the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectError {
    /// There is no `Location`, or it is empty. It is the end.
    NoLocation,
    /// The `Location` is no URL, or there are several different ones. It is the end.
    ///
    /// Host names beyond ASCII are among what is not read: a server writes them in their ASCII
    /// form (RFC 3986, 3.2.2; RFC 5891).
    Location,
    /// The `Location` is neither `http` nor `https`. It is the end.
    Scheme,
    /// The `Location` leads from `https` to `http`, and
    /// [`Redirects::allow_insecure`](super::Redirects::allow_insecure) is off. It is the end.
    Insecure,
    /// A 307 or 308 leads with the request's body to another origin, and
    /// [`Redirects::allow_body_elsewhere`](super::Redirects::allow_body_elsewhere) is off. It is the
    /// end.
    Body,
    /// The `Location` holds a user name or a password, which no peer has to set for another
    /// (RFC 9110, 4.2.4). It is the end.
    Userinfo,
    /// The redirects go round in a circle. The client tries again.
    Loop,
    /// There are more redirects than [`Redirects::limit`](super::Redirects::limit). The client tries
    /// again, unless the limit is 0.
    TooMany,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLocation => "the server's redirect has no target",
            Self::Location => "the server's redirect has a target that is no URL",
            Self::Scheme => "the server's redirect is neither to http nor to https",
            Self::Insecure => "the server's redirect leads from https to http",
            Self::Body => "the server's redirect leads with the body to another origin",
            Self::Userinfo => "the server's redirect holds a user name",
            Self::Loop => "the server's redirects go round in a circle",
            Self::TooMany => "the server's redirects are too many",
        })
    }
}

impl Error for RedirectError {}

/// Why a client makes no further attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The caller wanted it, by [`Client::close`](super::Client::close). It is not reported as an
    /// event.
    Requested,
    /// The stream came to its own end: the
    /// [`sentinel`](super::ClientConfig::sentinel), or in
    /// [`one_shot`](super::ClientConfig::one_shot) mode the end of the body.
    Finished,
    /// The server answered 204, by which it says not to come back (WHATWG HTML, 9.2.1).
    NoContent,
    /// What happened is not retried.
    Failed(ClientError),
    /// What happened would be retried, but the server may have acted on the request, and it is not
    /// [`repeatable`](super::ClientConfig::repeatable).
    NotRepeatable(ClientError),
    /// As many attempts in a row brought no stable stream as
    /// [`Policy::max_attempts`](super::Policy::max_attempts) allows.
    TooManyAttempts {
        /// How many.
        attempts: u32,
        /// What happened to the last.
        error: ClientError,
    },
    /// The next wait would be so long that all waits together would be longer than
    /// [`Policy::max_waiting`](super::Policy::max_waiting) allows.
    WaitTooLong {
        /// How long the next wait would be: what the server asks for, or back-off.
        wait: Duration,
        /// What happened.
        error: ClientError,
    },
}

impl CloseReason {
    /// Returns the error that is the reason, unless it is none.
    pub const fn error(&self) -> Option<&ClientError> {
        match self {
            Self::Failed(error)
            | Self::NotRepeatable(error)
            | Self::TooManyAttempts { error, .. }
            | Self::WaitTooLong { error, .. } => Some(error),
            Self::Requested | Self::Finished | Self::NoContent => None,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("the client was closed"),
            Self::Finished => f.write_str("the stream is finished"),
            Self::NoContent => f.write_str("the server wants the client not to come back"),
            Self::Failed(error) => error.fmt(f),
            Self::NotRepeatable(error) => {
                write!(f, "{error}, and the request must not be sent twice")
            }
            Self::TooManyAttempts { attempts, error } => {
                write!(f, "{error}, after {attempts} attempts")
            }
            Self::WaitTooLong { wait, error } => {
                write!(f, "{error}, and to wait for {} s more takes too long", wait.as_secs())
            }
        }
    }
}

impl Error for CloseReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::FailureKind;

    #[test]
    fn a_truncated_stream_is_the_fault_of_what_cut_it_off() {
        let cut = |by| ClientError::Truncated(Box::new(by));
        assert_eq!(cut(ClientError::EndOfStream).fault(), Fault::Peer);
        assert_eq!(cut(ClientError::Timeout(Timeout::Idle)).fault(), Fault::Transport);
        let reset = ClientError::Transport(FailureKind::Closed.into());
        assert_eq!(cut(reset).fault(), Fault::Transport);
    }
}
