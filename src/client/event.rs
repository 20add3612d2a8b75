//! What a client reports.

use super::error::{ClientError, CloseReason};
use super::secrets::{NamesOf, WithoutQuery};
use crate::decode::{DecodeError, Message};
use crate::notice::LossReason;
use core::fmt;
use core::time::Duration;
use http::{Response, StatusCode, Uri};

/// One request and what comes of it.
///
/// Each request that a client hands out has another, also where a redirect led to it, and none is
/// used twice in one client. What a driver says of another than the present one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub(super) u64);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether there is a stream, as of the last event that was polled; the `readyState` of
/// [WHATWG HTML, 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource-readystate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadyState {
    /// No stream yet, or waiting to reconnect.
    Connecting,
    /// A stream is being read.
    Open,
    /// It is over, for good.
    Closed,
}

/// Something that happened.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ClientEvent<'a> {
    /// A stream is open. Reported once for each, before its messages.
    Open(OpenedStream<'a>),
    /// A message of the stream.
    Message(Message<'a>),
    /// A comment line's text, without the colon and one space after it. Only if
    /// [`ClientConfig::comments`](super::ClientConfig::comments) is on.
    Comment(&'a str),
    /// An event of the stream was lost, since it was beyond a limit; the stream goes on.
    Dropped(DecodeError),
    /// Events are missing before what comes next, as a [notice](crate::Notice) of the server says;
    /// the stream goes on.
    Lost {
        /// How many; `None` if the server does not know. Never 0.
        events: Option<u64>,
        /// Why, by the server's word.
        reason: LossReason,
    },
    /// Headers are wanted for the next request, by
    /// [`Client::handle_headers`](super::Client::handle_headers). Only if
    /// [`ClientConfig::renew_headers`](super::ClientConfig::renew_headers) is on, once for each
    /// attempt, redirects not counted.
    HeadersWanted {
        /// The attempt that they are for.
        attempt: Attempt,
        /// The URL that will be asked.
        url: &'a Uri,
        /// With which status the server has refused the headers of an attempt before, since the
        /// last stream: one of
        /// [`ClientConfig::renewed_statuses`](super::ClientConfig::renewed_statuses). A token that
        /// is kept is then to be fetched anew.
        refused: Option<StatusCode>,
    },
    /// The attempt is over, and another will be made. Reported once for each loss.
    Retrying {
        /// What happened.
        error: &'a ClientError,
        /// How long is waited, from when it happened.
        wait: Duration,
        /// How many attempts in a row have brought no stable stream.
        attempts: u32,
    },
    /// The client has ended. Reported once, and nothing after it. Not reported if the caller
    /// wanted it.
    Closed(&'a CloseReason),
}

impl fmt::Debug for ClientEvent<'_> {
    /// Leaves out the query of a URL, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(stream) => f.debug_tuple("Open").field(stream).finish(),
            Self::Message(message) => f.debug_tuple("Message").field(message).finish(),
            Self::Comment(text) => f.debug_tuple("Comment").field(text).finish(),
            Self::Dropped(error) => f.debug_tuple("Dropped").field(error).finish(),
            Self::Lost { events, reason } => {
                f.debug_struct("Lost").field("events", events).field("reason", reason).finish()
            }
            Self::HeadersWanted { attempt, url, refused } => f
                .debug_struct("HeadersWanted")
                .field("attempt", attempt)
                .field("url", &WithoutQuery(url))
                .field("refused", refused)
                .finish(),
            Self::Retrying { error, wait, attempts } => f
                .debug_struct("Retrying")
                .field("error", error)
                .field("wait", wait)
                .field("attempts", attempts)
                .finish(),
            Self::Closed(reason) => f.debug_tuple("Closed").field(reason).finish(),
        }
    }
}

/// A stream that is open: where it comes from, and its head.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct OpenedStream<'a> {
    /// The attempt that brought it.
    pub attempt: Attempt,
    /// The URL that it comes from; after redirects it is not the client's own.
    pub url: &'a Uri,
    /// The head of the response.
    pub head: &'a Response<()>,
}

impl fmt::Debug for OpenedStream<'_> {
    /// Leaves out the URL's query and the values of headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedStream")
            .field("attempt", &self.attempt)
            .field("url", &WithoutQuery(self.url))
            .field("version", &self.head.version())
            .field("headers", &NamesOf(self.head.headers()))
            .finish()
    }
}
