//! The client behind streams, over any transport and any runtime.
//!
//! [`EventSource`] is one event stream through all its connections. [`Feed`] shares one among
//! several readers, each with the types that it wants. What carries the requests is a [`Transport`]:
//! an HTTP client of the application's, or [`Http1`], which speaks HTTP/1.1 over a runtime's
//! sockets.
//!
//! A source gives [`SourceEvent`]s, and a subscription to a feed gives [`FeedEvent`]s: messages, and
//! between them that a stream is open (with the head of its response), that events are missing,
//! that the connection was lost and is made again, and the end. What has ended can be opened again
//! where it was, by [`EventSource::reopen`] and [`Feed::reopen`].

mod buffer;
mod driver;
mod event;
mod event_source;
mod handle;
#[cfg(feature = "http1")]
mod http1;
mod into_request;
mod transport;

pub use buffer::{Overflow, SubscriptionConfig};
pub use driver::FeedDriver;
pub use event::{FeedEvent, FeedLoss, StreamHead};
pub use event_source::{EventSource, HeadersWanted, SourceEvent};
pub use handle::{Feed, Subscription};
#[cfg(feature = "http1")]
#[cfg_attr(docsrs, doc(cfg(feature = "http1")))]
pub use http1::{Http1, Http1Body};
pub use into_request::IntoRequest;
pub use transport::Transport;
