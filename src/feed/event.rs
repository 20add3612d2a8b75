//! What a subscription to a feed gets.

use crate::client::secrets::{NamesOf, WithoutQuery};
use crate::client::{ClientError, CloseReason, OpenedStream};
use crate::decode::{DecodeError, OwnedMessage};
use crate::event::EventId;
use crate::notice::LossReason;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use http::{HeaderMap, Uri, Version};

/// What a subscription to a [`Feed`](super::Feed) gets: messages, and between them what is told of
/// the stream. Its variants have the names and the meaning of those of
/// [`SourceEvent`](super::SourceEvent).
///
/// Messages are shared with the other subscriptions. What is told goes to every subscription,
/// whatever types it is for. It is printed as a sentence.
///
/// ```
/// use sansse::FeedEvent;
///
/// fn show(event: FeedEvent) {
///     match event {
///         FeedEvent::Message(message) => println!("{}", message.data),
///         told => eprintln!("{told}"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedEvent {
    /// A stream is open, at first or again. Its messages come after it.
    Open(Arc<StreamHead>),
    /// A message of the stream.
    Message(Arc<OwnedMessage>),
    /// Events are missing at this place. The stream goes on.
    Lost {
        /// How many; `None` if that is not known.
        events: Option<u64>,
        /// Why.
        reason: FeedLoss,
    },
    /// The connection was lost, or none came about. The feed asks again.
    Retrying {
        /// What happened.
        error: ClientError,
        /// How long is waited, from when it happened.
        wait: Duration,
        /// How many attempts in a row have brought no stable stream.
        attempts: u32,
    },
    /// The feed has ended, for this reason. Nothing comes after it.
    Closed(CloseReason),
}

/// Why events are missing from a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedLoss {
    /// The server says so, by a [notice](crate::Notice).
    Server(LossReason),
    /// An event was beyond one of the [`Limits`](crate::Limits) of the client.
    Limit(DecodeError),
    /// This subscription was not read in time, so that its buffer gave up its oldest messages; see
    /// [`Overflow`](super::Overflow).
    Overflow,
}

/// A stream that was opened: where it comes from, and the head of its response, whose status is
/// 200.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamHead {
    /// The URL that it comes from; after redirects it is not the client's own.
    pub url: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The headers of the response, such as cookies.
    pub headers: HeaderMap,
    /// The last event ID that the request had, where it had one: the server was asked to go on
    /// after that event.
    pub resumed_from: Option<EventId>,
}

impl StreamHead {
    pub(super) fn new(stream: OpenedStream<'_>) -> Box<Self> {
        Box::new(Self {
            url: stream.url.clone(),
            version: stream.head.version(),
            headers: stream.head.headers().clone(),
            resumed_from: None,
        })
    }

    pub(super) fn set_resumed_from(&mut self, last_event_id: &str) {
        let id = EventId::new(last_event_id.to_owned()).ok();
        self.resumed_from = id.filter(|id| !id.as_str().is_empty());
    }
}

impl fmt::Debug for StreamHead {
    /// Leaves out the URL's query and the values of headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHead")
            .field("url", &WithoutQuery(&self.url))
            .field("version", &self.version)
            .field("headers", &NamesOf(&self.headers))
            .field("resumed_from", &self.resumed_from)
            .finish()
    }
}

impl fmt::Display for FeedEvent {
    /// Leaves out the URL of a stream, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("the stream is open"),
            Self::Message(message) => write!(f, "{}: {}", message.event_type, message.data),
            Self::Lost { events: Some(1), reason } => write!(f, "one event is lost: {reason}"),
            Self::Lost { events: Some(events), reason } => {
                write!(f, "{events} events are lost: {reason}")
            }
            Self::Lost { events: None, reason } => write!(f, "events are lost: {reason}"),
            Self::Retrying { error, wait, .. } => {
                write!(f, "{error}; again in {:.1} s", wait.as_secs_f32())
            }
            Self::Closed(reason) => write!(f, "the feed has ended: {reason}"),
        }
    }
}

impl fmt::Display for FeedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(reason) => reason.fmt(f),
            Self::Limit(error) => error.fmt(f),
            Self::Overflow => f.write_str("they were not read in time"),
        }
    }
}
